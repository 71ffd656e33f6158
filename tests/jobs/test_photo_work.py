"""Photos are counted, and a stopping server finishes those that it has accepted."""

from __future__ import annotations

import threading

import pytest

from unet_core.jobs.photo_work import SECONDS, PhotoWork, StoppingError


def test_each_photo_is_counted_once_with_its_outcome_and_only_segmented_ones_have_a_duration():
    work = PhotoWork()
    with work.accepted() as photo, work.accepted():
        photo.running = True
        assert (work.counts().running, work.counts().waiting) == (1, 1)
    with work.accepted() as photo:
        photo.failed = True
    with pytest.raises(KeyError), work.accepted():
        raise KeyError("the visitor left")
    counts = work.counts()
    assert counts.outcomes == {"segmented": 2, "failed": 1, "cancelled": 1, "refused": 0}
    assert counts.running == counts.waiting == 0
    assert counts.buckets == (2, *[0] * len(SECONDS))
    assert 0 < counts.seconds < SECONDS[0]


def test_a_stop_waits_for_accepted_photos_and_refuses_others():
    work, accepted, go_on, finished = PhotoWork(), threading.Event(), threading.Event(), []

    def photo() -> None:
        with work.accepted():
            accepted.set()
            go_on.wait()

    working = threading.Thread(target=photo)
    working.start()
    accepted.wait()
    assert not work.finish(seconds=0.01), "the photo is still being segmented"
    with pytest.raises(StoppingError, match="restarting"), work.accepted():
        raise AssertionError("a photo was accepted after the stop")
    stopping = threading.Thread(target=lambda: finished.append(work.finish(seconds=60)))
    stopping.start()
    go_on.set()
    stopping.join()
    working.join()
    assert finished == [True]
    assert work.counts().outcomes["segmented"] == work.counts().outcomes["refused"] == 1
