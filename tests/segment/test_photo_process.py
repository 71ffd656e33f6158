"""A server's photos in processes of their own: the same results, and none is lost when a process ends or is missing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from tests.helpers.tiny_model import write_tiny_model
from unet_core.images.decode import decode_image
from unet_core.images.samples import cat_png
from unet_core.jobs.served import ChildEnded, ChildTooSlow, Message
from unet_core.segment import Failure, InferenceMode, Segmenter, engine, photo_process
from unet_core.segment.display import segment_at_full_size, segment_for_display
from unet_core.segment.photo_process import DistantNetwork, PhotoProcesses, use_photo_processes
from unet_core.segment.shown import CardPicture, Question, QuickOutline, Selection, Shown, Stage, answered
from unet_core.settings import Settings
from unet_core.zoo.manifest import WeightsError, load_manifest

CAT = cat_png()
WANTED = (
    Stage(Selection(subject=(0,), least_share=0.1)),
    CardPicture(False, 0.4, True, ((1, 2, 3), None, None), None),
    QuickOutline(),
    CardPicture(True, 0.4, True, (None, None, None), (0, 2)),
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(weights_dir=write_tiny_model(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def here(settings: Settings) -> Segmenter:
    """The model in this process."""
    return Segmenter(settings=settings)


@pytest.fixture(scope="module")
def there(settings: Settings, here: Segmenter) -> Iterator[Segmenter]:
    """The model in a process of its own."""
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(engine, "_engines", type(engine._engines)())
        use_photo_processes(1)
        yield Segmenter(settings=settings)
        use_photo_processes(0)


def network(segmenter: Segmenter) -> DistantNetwork:
    assert isinstance(segmenter.network, DistantNetwork)
    return segmenter.network


def running() -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in (photo_process._processes.pids if photo_process._processes else [])]


def without_timings(shown: Shown | Failure) -> dict[str, object]:
    assert isinstance(shown, Shown)
    packed = {**shown.packed.__dict__, "timings": sorted(shown.packed.timings)}
    return {**packed, "pictures": shown.pictures, "animals": shown.animal_count}


def test_a_photo_looks_the_same_to_the_last_bit_wherever_it_is_segmented(here: Segmenter, there: Segmenter) -> None:
    for mode in (InferenceMode(), InferenceMode(flip=True)):
        question = Question("cat.png", mode, WANTED)
        expected = without_timings(answered(here, CAT, question))
        assert without_timings(segment_for_display(there, CAT, question)) == expected
    full = segment_at_full_size(there, CAT, "cat.png")
    assert full.mask == segment_at_full_size(here, CAT, "cat.png").mask
    photo = decode_image(CAT)
    np.testing.assert_array_equal(full.mask_of(photo), here.segment(photo).mask)
    assert (there.engine, there.device) == (here.engine, here.device)
    assert network(there).here is None  # this process has loaded nothing


def test_tiles_are_segmented_here_where_they_can_be_stopped(here: Segmenter, there: Segmenter) -> None:
    reported: list[int] = []
    tiles = Question("cat.png", InferenceMode("tiles"), WANTED)
    found = segment_for_display(there, CAT, tiles, progress=lambda done, total: reported.append(done))
    assert without_timings(found) == without_timings(answered(here, CAT, tiles))
    assert reported
    assert network(there).here is not None  # and it is loaded here


def test_a_broken_file_is_a_failure_and_the_process_goes_on(here: Segmenter, there: Segmenter) -> None:
    before = running()
    found = segment_for_display(there, CAT[:500], Question("broken.png"))
    assert isinstance(found, Failure)
    assert found == answered(here, CAT[:500], Question("broken.png"))
    assert running() == before


@pytest.mark.slow
def test_a_killed_process_is_started_again_and_no_photo_is_lost(there: Segmenter) -> None:
    first = segment_for_display(there, CAT, Question("cat.png"))
    (process,) = running()
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert without_timings(segment_for_display(there, CAT, Question("cat.png"))) == without_timings(first)
    assert [other.pid for other in running()] != [process.pid]


@pytest.mark.parametrize(("error", "words"), [(ChildEnded(-9), "more memory"), (ChildTooSlow(120), "120 seconds")])
def test_a_photo_that_ends_its_process_is_a_failure(
    there: Segmenter, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def end(*_: object) -> Message:
        raise error

    monkeypatch.setattr(PhotoProcesses, "ask", end)
    found = segment_for_display(there, CAT, Question("cat.png"))
    assert isinstance(found, Failure)
    assert words in found.message


def test_without_memory_for_a_process_photos_are_segmented_here(
    here: Segmenter, there: Segmenter, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert photo_process._processes is not None
    photo_process._processes.close()
    for module in (photo_process, __import__("unet_core.jobs.served", fromlist=["served"])):
        monkeypatch.setattr(module, "free_memory_mb", lambda: 10.0)
    question = Question("cat.png", wanted=WANTED)
    expected = without_timings(answered(here, CAT, question))
    assert without_timings(segment_for_display(there, CAT, question)) == expected
    engine._engines.clear()
    assert not isinstance(Segmenter(settings=settings).network, DistantNetwork)


@pytest.mark.slow
def test_a_second_process_starts_when_the_first_is_busy_and_memory_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    free = [10_000.0]
    monkeypatch.setattr(photo_process, "free_memory_mb", lambda: free[0])
    processes = PhotoProcesses(2)
    try:
        processes.ask({})
        processes.ask({})
        assert len(processes.pids) == 1  # the one that runs is asked again
        os.kill(processes.pids[0], signal.SIGSTOP)  # it is busy now
        asking = threading.Thread(target=processes.ask, args=({},))
        asking.start()
        while processes._free != [processes._children[1]]:
            assert asking.is_alive()
        free[0] = 10.0
        waiting = threading.Thread(target=processes.ask, args=({},))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        assert len(processes.pids) == 1
        free[0] = 10_000.0
        processes.ask({})
        assert len(processes.pids) == 2
        os.kill(processes.pids[0], signal.SIGCONT)
        asking.join(30)
        waiting.join(30)
        assert not asking.is_alive()
        assert not waiting.is_alive()
    finally:
        processes.close()


def test_a_model_that_cannot_be_used_is_refused_before_any_photo(settings: Settings, there: Segmenter) -> None:
    entry = load_manifest(settings).entry("tiny")
    entry = entry.replace(classes=("a", "b"), config=entry.config.replace(classes=2))  # not what the file computes
    with pytest.raises(WeightsError, match="output has the shape"):
        Segmenter("odd", settings=settings, entry=entry)


def test_a_process_is_awake_before_the_first_photo(there: Segmenter) -> None:
    assert photo_process._processes is not None
    photo_process._processes.close()
    photo_process.wake()
    (awake,) = running()
    photo_process.wake()
    assert isinstance(segment_for_display(there, CAT, Question("cat.png")), Shown)
    assert running() == [awake]
