"""A background job's status file: what readers make of one that was left behind."""

from __future__ import annotations

import threading
import time

import pytest

from tests.helpers.processes import wait_until
from unet_core.jobs.background_job import START_SECONDS, STARTING, BackgroundJob, JobStatus
from unet_core.jobs.tables import write_record
from unet_core.settings import Settings


def left_behind(folder, **fields):
    write_record(folder / "work.status.json", JobStatus("running", **fields))
    return BackgroundJob(folder, "work")


@pytest.mark.parametrize("seconds_ago", [-3600, START_SECONDS + 1])
def test_a_job_that_never_started_has_failed_also_when_the_clock_was_set_back_meanwhile(tmp_path, seconds_ago):
    job = left_behind(tmp_path, phase=STARTING, started=time.time() - seconds_ago)
    assert job.status().state == "failed"
    assert "start it again" in job.status().reason


def test_a_job_that_was_started_a_moment_ago_runs(tmp_path):
    assert left_behind(tmp_path, phase=STARTING, started=time.time() - 1).status().state == "running"


def test_a_job_runs_for_as_long_as_its_lock_is_held(tmp_path):
    job = BackgroundJob(tmp_path, "work")
    with job.running() as report:
        report("reading", 1, 2)
        answers = []
        readers = [threading.Thread(target=lambda: answers.append(reads(tmp_path))) for _ in range(4)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        assert answers == [True] * 4
    assert job.status().state == "finished"
    assert left_behind(tmp_path, phase="reading").status().state == "failed"


def reads(folder):
    return all(BackgroundJob(folder, "work").status().state == "running" for _ in range(50))


def test_how_a_job_ended_is_kept(tmp_path):
    job = BackgroundJob(tmp_path, "work")
    with pytest.raises(ValueError, match="no such photo"), job.running():
        raise ValueError("no such photo")
    assert (job.status().state, job.status().reason) == ("failed", "no such photo")
    with pytest.raises(KeyboardInterrupt):
        work_and_cancel(job)
    assert (job.status().state, job.status().reason) == ("cancelled", "")


def work_and_cancel(job):
    with job.running() as report:
        job.cancel()
        end = time.monotonic() + 10
        while time.monotonic() < end:
            report("reading", 0, 0)
            time.sleep(0.05)


@pytest.mark.slow
def test_a_process_that_ends_late_does_not_fail_the_one_started_after_it(tmp_path):
    job = BackgroundJob(tmp_path, "work")
    assert job.start(["-c", "import time; time.sleep(1); raise SystemExit(130)"], Settings())
    write_record(tmp_path / "work.status.json", JobStatus("cancelled"))  # as a process does just before it ends
    assert job.start(["-c", "import time; time.sleep(3)"], Settings())
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert job.status().state == "running", job.status().reason
        time.sleep(0.05)
    wait_until(lambda: job.status().state == "failed", "its own end")
    assert "code 0" in job.status().reason
