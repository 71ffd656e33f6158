"""A child that answers questions: started again when it has ended, killed when it is too slow, gone when idle."""

from __future__ import annotations

import gc
import json
import os
import signal
import time

import numpy as np
import pytest

from tests.helpers import served_child
from unet_core.jobs import served
from unet_core.jobs.served import ChildEnded, ChildTooSlow, ServedChild

MODULE = served_child.__name__


@pytest.fixture
def child():
    with ServedChild(MODULE) as child:
        yield child


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_values_and_arrays_come_back_as_they_went(child):
    arrays = (np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 4), np.uint8), np.asfortranarray(np.eye(3)))
    answer = child.ask({"a": [1, "ä", None]}, *arrays, seconds=30)
    assert answer.values == {"a": [1, "ä", None]}
    for found, sent in zip(answer.arrays, arrays, strict=True):
        assert found.dtype == sent.dtype
        assert np.array_equal(found, sent)


def test_what_the_child_prints_is_no_answer(child):
    assert child.ask({"print": "hello"}, seconds=30).values == {"print": "hello"}
    assert child.ask({"n": 1}, seconds=30).values == {"n": 1}


def test_one_process_answers_until_it_is_closed_or_dropped(child):
    child.ask({})
    pid = child.pid
    child.ask({})
    assert child.pid == pid
    child.close()
    assert child.pid is None
    child.ask({})
    assert child.pid not in (pid, None)
    dropped = ServedChild(MODULE)
    dropped.ask({})
    pid = dropped.pid
    del dropped
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.slow
def test_a_child_that_was_killed_is_started_again_once(child):
    child.ask({})
    os.kill(child.pid, signal.SIGKILL)
    assert child.ask({"again": True}).values == {"again": True}
    with pytest.raises(ChildEnded) as ended:
        child.ask({"exit": 7})
    assert ended.value.code == 7
    assert child.pid is None


def test_a_child_that_ends_is_not_started_again_when_one_attempt_was_asked_for(child, tmp_path):
    with pytest.raises(ChildEnded):
        child.ask({"exit": 3, "note": str(tmp_path / "starts")}, attempts=1)
    assert (tmp_path / "starts").read_text() == "x"
    with pytest.raises(ChildEnded):
        child.ask({"exit": 3, "note": str(tmp_path / "starts")})
    assert (tmp_path / "starts").read_text() == "xxx"


def test_a_child_that_is_too_slow_is_killed(child):
    child.ask({})
    start = time.monotonic()
    with pytest.raises(ChildTooSlow) as slow:
        child.ask({"sleep": 60}, seconds=0.3)
    assert slow.value.seconds == 0.3
    assert time.monotonic() - start < 10
    assert child.pid is None


def test_only_the_first_answer_of_a_process_gets_the_time_for_its_start():
    with ServedChild(MODULE, start_seconds=60) as child:
        assert child.ask({}, seconds=0.001).values == {}
        with pytest.raises(ChildTooSlow):
            child.ask({"sleep": 60}, seconds=0.2)


def test_an_idle_child_ends_on_its_own_and_the_next_question_starts_another():
    with ServedChild(MODULE, "0.2") as child:
        child.ask({})
        wait_until(lambda: child.pid is None)
        assert child.ask({"n": 2}).values == {"n": 2}


def test_an_interrupted_question_leaves_no_answer_for_the_next_one(child, monkeypatch):
    child.ask({})
    with monkeypatch.context() as patched:
        patched.setattr("unet_core.jobs.served.receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            child.ask({"n": 1})
    assert child.ask({"n": 2}).values == {"n": 2}


def interrupted(_pipe):
    raise KeyboardInterrupt


def test_the_environment_reaches_the_child():
    with ServedChild(MODULE, environment={"UNET_SAMPLE": "ü"}) as child:
        assert json.loads(child.ask({"environment": "UNET_SAMPLE"}).values["value"]) == "ü"


def test_a_child_is_not_started_without_the_memory_it_needs(monkeypatch):
    monkeypatch.setattr(served, "free_memory_mb", lambda: 300.0)
    with ServedChild(MODULE, needs_mb=700) as child:
        with pytest.raises(OSError, match="it needs 700 MB of memory and 300 MB are free"):
            child.ask({})
        assert child.pid is None
        monkeypatch.setattr(served, "free_memory_mb", lambda: 800.0)
        assert child.ask({"n": 1}).values == {"n": 1}
