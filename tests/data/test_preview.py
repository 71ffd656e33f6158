"""The augmentation preview: drawn by the object that training uses, in a worker that may end or crash unnoticed."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from unet_core.data import preview
from unet_core.data.augmentation import FLIPS_ONLY, OFF, AugmentationConfig
from unet_core.data.preview import PreviewError, preview_draws
from unet_core.data.synthetic.pets import draw_pet
from unet_core.jobs.served import Message, ServedChild, receive, send, serve_pipes


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    photo, trimap = draw_pet(0, 3, (48, 64))
    return photo, trimap - np.uint8(1)


@pytest.fixture(autouse=True, scope="module")
def _end_child() -> Iterator[None]:
    yield
    preview._child.close()


@pytest.mark.slow
def test_draws_are_photos_and_masks_of_the_same_size_with_the_same_classes(pair) -> None:
    draws = preview_draws(*pair, AugmentationConfig(), count=8, seed=0)
    assert len(draws) == 8
    for photo, mask in draws:
        assert photo.shape == pair[0].shape
        assert mask.shape == pair[1].shape
        assert photo.dtype == mask.dtype == np.uint8
        assert set(np.unique(mask)) <= {0, 1, 2}
    assert len({photo.tobytes() for photo, _ in draws}) == 8


@pytest.mark.slow
def test_photo_and_mask_stay_together(pair) -> None:
    _, mask = pair
    grey = np.repeat((mask * 100)[..., None], 3, axis=2)  # a photo that shows its own mask
    for photo, moved in preview_draws(grey, mask, FLIPS_ONLY, count=8):
        assert np.array_equal(photo[..., 0], moved * 100)


@pytest.mark.slow
def test_draws_are_those_of_the_object_that_training_uses(pair) -> None:
    from unet_core.data.augmentation import Augmentation

    config = AugmentationConfig(rotation=40, hue=90)
    photos, masks = Augmentation(config, seed=5)(np.stack([pair[0]] * 3), np.stack([pair[1]] * 3), 0)
    for draw, photo, mask in zip(preview_draws(*pair, config, count=3, seed=5), photos, masks, strict=True):
        assert np.abs(draw[0] - np.asarray(photo)).max() <= 1  # rounded
        assert np.array_equal(draw[1], np.asarray(mask))


@pytest.mark.slow
def test_equal_seeds_give_equal_draws_and_others_others(pair) -> None:
    first, again, other = (preview_draws(*pair, AugmentationConfig(), count=2, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first[1][0], again[1][0])
    assert not np.array_equal(first[1][0], other[1][0])


def test_nothing_to_vary_needs_no_worker(pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "_child", None)
    for photo, mask in preview_draws(*pair, OFF, count=2):
        assert np.array_equal(photo, pair[0])
        assert np.array_equal(mask, pair[1])


@pytest.mark.slow
def test_many_threads_share_one_worker(pair) -> None:
    results: dict[int, preview.Draws] = {}

    def ask(seed: int) -> None:
        results[seed] = preview_draws(*pair, FLIPS_ONLY, count=6, seed=seed)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pid = preview._child.pid
    for seed, draws in results.items():
        alone = preview_draws(*pair, FLIPS_ONLY, count=6, seed=seed)
        assert all(np.array_equal(one[0], other[0]) for one, other in zip(draws, alone, strict=True))
    assert preview._child.pid == pid


@pytest.mark.slow
def test_a_worker_that_was_killed_is_started_again(pair) -> None:
    preview_draws(*pair, AugmentationConfig(), count=1)
    pid = preview._child.pid
    os.kill(pid, signal.SIGKILL)
    assert len(preview_draws(*pair, AugmentationConfig(), count=2)) == 2
    assert preview._child.pid not in (pid, None)


@pytest.mark.slow
def test_a_worker_that_is_too_slow_is_given_up_with_a_sentence(pair) -> None:
    preview_draws(*pair, AugmentationConfig(), count=1)
    os.kill(preview._child.pid, signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(PreviewError, match="longer than 1 seconds"):
        preview_draws(*pair, AugmentationConfig(), count=1, timeout=1)
    assert time.monotonic() - start < 10
    assert preview._child.pid is None


def test_a_worker_that_always_falls_over_gives_a_sentence(pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "_child", ServedChild("unet_core.data.preview"))
    monkeypatch.setattr(preview.sys, "executable", "/bin/false")
    with pytest.raises(PreviewError, match="ended unexpectedly"):
        preview_draws(*pair, AugmentationConfig(), count=1)
    monkeypatch.setattr(preview.sys, "executable", "/no/such/python")
    with pytest.raises(PreviewError, match="cannot be started"):
        preview_draws(*pair, AugmentationConfig(), count=1)


def test_arguments_that_do_not_fit_are_refused_before_anything_starts(pair) -> None:
    photo, mask = pair
    for arguments, message in (
        ((photo, mask[1:]), "same height"),
        ((photo.astype(float), mask), "uint8"),
        ((np.zeros((2000, 8, 3), np.uint8), np.zeros((2000, 8), np.uint8)), "at most 1024"),
    ):
        with pytest.raises(ValueError, match=message):
            preview_draws(*arguments, AugmentationConfig())
    with pytest.raises(ValueError, match="count: must be 1 to 64"):
        preview_draws(photo, mask, AugmentationConfig(), count=0)


def test_a_worker_ends_when_nobody_asks_and_when_its_parent_is_gone() -> None:
    for idle, closes in ((0.2, False), (60.0, True)):
        process = subprocess.Popen(
            [sys.executable, "-m", "unet_core.data.preview", str(idle)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if closes:
            process.stdin.close()
        assert process.wait(30) == 0
        process.stdin.close()
        process.stdout.close()


def test_a_question_that_fails_is_answered_with_the_reason_and_the_worker_goes_on(pair, monkeypatch) -> None:
    def fails(*_args: object) -> None:
        raise MemoryError("too much")

    monkeypatch.setattr(preview, "_drawn", fails)
    question = Message({"config": AugmentationConfig().model_dump(mode="json"), "count": 1, "seed": 0}, pair)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as source:
        with os.fdopen(writing, "wb") as pipe:
            send(pipe, question)
            send(pipe, question)
        answers = io.BytesIO()
        serve_pipes(preview.answer, source, answers, 5)
    answers.seek(0)
    for _ in range(2):
        assert receive(answers).values == {"error": "MemoryError: too much"}
    assert not answers.read()


@pytest.mark.slow
def test_asking_imports_neither_tensorflow_nor_keras(pair) -> None:
    script = (
        "import sys, numpy as np; from unet_core.data.preview import preview_draws; "
        "from unet_core.data.augmentation import AugmentationConfig; "
        "preview_draws(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), AugmentationConfig(), count=1); "
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_no_preview_is_started_without_the_memory_it_needs(monkeypatch) -> None:
    monkeypatch.setattr("unet_core.jobs.served.free_memory_mb", lambda: 90.0)
    preview._child.close()
    with pytest.raises(PreviewError, match="90 MB are free"):
        preview_draws(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), AugmentationConfig(), count=1)
