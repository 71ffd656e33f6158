"""Processes that work in the background: they outlive their parent and leave the cores to visitors."""

from __future__ import annotations

import os
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
