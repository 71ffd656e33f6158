"""Processes that work in the background: they outlive their parent and leave the cores to visitors."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from unet_core.jobs.process import start_detached
from unet_core.settings import Settings


@pytest.mark.skipif(os.name != "posix", reason="niceness is POSIX's")
def test_a_background_process_and_all_its_threads_have_a_low_priority(tmp_path: Path) -> None:
    code = (
        "import os, threading, time; time.sleep(1)\n"
        "for place in range(2):\n"
        "    thread = threading.Thread(target=lambda: print(os.nice(0)))\n"
        "    thread.start(); thread.join()"
    )
    process = start_detached(["-c", code], Settings(), tmp_path / "log.txt")
    assert process.wait(60) == 0
    assert (tmp_path / "log.txt").read_text().split() == [str(os.nice(0) + 10)] * 2


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this system has no groups of sessions")
def test_a_background_session_has_a_low_priority_among_sessions(tmp_path: Path) -> None:
    code = "import time; time.sleep(1); print(open('/proc/self/autogroup').read())"
    process = start_detached(["-c", code], Settings(), tmp_path / "log.txt")
    assert process.wait(60) == 0
    assert (tmp_path / "log.txt").read_text().split()[-2:] == ["nice", "10"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the policy is Linux's")
def test_work_for_idle_moments_gives_way_at_once(tmp_path: Path) -> None:
    code = "import os, time; time.sleep(1); print(os.sched_getscheduler(0) == os.SCHED_IDLE)"
    logs = {when_idle: tmp_path / f"{when_idle}.txt" for when_idle in (True, False)}
    for when_idle, log in logs.items():
        assert start_detached(["-c", code], Settings(), log, when_idle=when_idle).wait(60) == 0
    assert {when_idle: log.read_text().strip() for when_idle, log in logs.items()} == {True: "True", False: "False"}
