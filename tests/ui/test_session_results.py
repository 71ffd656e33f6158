"""What one session holds of its photos: computed once, compressed, bounded, and right when sessions come at once."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.tiny_model import write_tiny_model
from ui.segment import session_results
from ui.segment.photos import Photo, PhotoStore, photos_bytes_held
from ui.segment.session_results import Choice, Result, Results, segment_photo
from ui.shared import attention, models
from unet_core.cli.parser import main
from unet_core.images.samples import cat_png
from unet_core.jobs import memory
from unet_core.jobs.photo_work import PHOTOS, PhotoWork
from unet_core.segment import Failure, InferenceMode, Segmenter, decode_image
from unet_core.segment.display import segment_for_display
from unet_core.segment.shown import SHOWN_SIDE, OutlinePicture, Stage
from unet_core.segment.turns import concurrency_limit
from unet_core.settings import Settings

TINY = Choice("tiny")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(weights_dir=write_tiny_model(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def large() -> Photo:
    """The cat, larger than anything is shown."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(cat_png())).convert("RGB").resize((2000, 1330)).save(buffer, "JPEG")
    return Photo.of("large.jpg", buffer.getvalue())


def coloured(red: int, blue: int) -> Photo:
    buffer = io.BytesIO()
    Image.new("RGB", (90, 60), (red, 20, blue)).save(buffer, "PNG")
    return Photo.of(f"{red}-{blue}.png", buffer.getvalue())


def computed(photo: Photo, choice: Choice, settings: Settings) -> Result:
    found = segment_photo(photo, choice, Segmenter(settings=settings))
    assert isinstance(found, Result)
    return found


MODES = {
    "whole": (InferenceMode(), ()),
    "flip": (InferenceMode(flip=True), ("--flip",)),
    "tiles": (InferenceMode("tiles"), ("--way", "tiles")),
    "half": (InferenceMode("tiles", 0.5, 0.4, True), ["--way", "tiles", "--scale", "0.5", "--overlap", "40", "--flip"]),
}


@pytest.mark.parametrize(("mode", "options"), MODES.values(), ids=MODES)
def test_what_is_shown_is_small_and_the_download_is_the_command_lines_own_mask(
    large: Photo,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: InferenceMode,
    options: Sequence[str],
) -> None:
    result = computed(large, Choice("tiny", mode=mode), settings)
    assert (result.width, result.height) == (2000, 1330)
    assert max(result.shown().mask.shape) == SHOWN_SIDE
    (tmp_path / large.name).write_bytes(large.data)
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(settings.weights_dir))
    assert main(["predict", str(tmp_path / large.name), "--out", str(tmp_path), *options]) == 0
    written = np.asarray(Image.open(tmp_path / "large_mask.png"))
    np.testing.assert_array_equal(result.full(settings).mask + 1, written)


def test_what_is_wanted_of_a_new_result_is_drawn_once_in_its_turn(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, results, photo, stage = concurrency_limit(settings), Results(), Photo.of("cat.png", cat_png()), Stage()
    turns = []

    def watched(*arguments: object, **options: object) -> object:
        turns.append(limit.working)
        return segment_for_display(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(session_results, "segment_for_display", watched)
    found = results.get(photo, TINY, settings, wanted=[stage])
    assert results.get(photo, TINY, settings, wanted=[stage]) is found
    assert turns == [1]
    assert limit.working == 0
    assert isinstance(found, Result)
    undrawn = computed(photo, TINY, settings)
    monkeypatch.setattr(OutlinePicture, "draw", lambda *_: pytest.fail("drawn again"))
    outline, mask = stage.pictures(found.presence)
    assert found.picture(outline)
    assert found.picture(mask) == undrawn.picture(mask)
    assert found.animal_count == undrawn.animal_count


def test_a_turn_ends_if_drawing_fails(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OutlinePicture, "draw", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Results().get(coloured(8, 9), TINY, settings, wanted=[Stage()])
    assert concurrency_limit(settings).working == 0


def test_whole_and_tiles_differ_so_that_equal_masks_say_something(large: Photo, settings: Settings) -> None:
    whole, tiles, half = (
        computed(large, Choice("tiny", mode=MODES[name][0]), settings).full(settings).mask
        for name in ("whole", "tiles", "half")
    )
    assert (whole != tiles).any()
    assert (tiles != half).any()


@pytest.mark.parametrize(
    "mode",
    [InferenceMode(), InferenceMode(flip=True), InferenceMode("tiles"), InferenceMode("tiles", scale=0.3, flip=True)],
)
def test_compressing_changes_probabilities_by_less_than_a_hundred_thousandth(
    mode: InferenceMode, settings: Settings
) -> None:
    result = computed(Photo.of("cat.png", cat_png()), Choice("tiny", mode=mode), settings)
    kept, full = result.shown(), result.full(settings)
    assert kept.probabilities.shape == (300, 451, 3)
    np.testing.assert_allclose(kept.probabilities.sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(kept.probabilities, full.probabilities, atol=2e-5)
    np.testing.assert_array_equal(kept.mask, full.mask)
    assert result.runs >= 1 + mode.flip
    assert result.bytes_held < kept.probabilities.nbytes / 2


def test_the_network_runs_once_for_each_photo_and_way(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    results, photo = Results(), Photo.of("cat.png", cat_png())
    flips = Choice("tiny", mode=InferenceMode(flip=True))
    first, second = results.get(photo, TINY, settings), results.get(photo, flips, settings)
    assert first is not second
    assert not results.has(coloured(1, 2), TINY, settings)
    monkeypatch.setattr("ui.segment.session_results.segment_photo", lambda *_, **__: pytest.fail("computed again"))
    assert results.get(photo, TINY, settings) is first
    assert results.get(photo, flips, settings) is second
    results.keep_only([])
    assert not results.has(photo, TINY, settings)


def test_results_that_nobody_asks_for_make_room(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    results, photo = Results(), Photo.of("cat.png", cat_png())
    results.get(photo, TINY, settings)
    monkeypatch.setattr("ui.segment.session_results._RESULT_BYTES", 1)
    flips = Choice("tiny", mode=InferenceMode(flip=True))
    held = results.get(photo, flips, settings)
    assert not results.has(photo, TINY, settings)
    assert results.get(photo, flips, settings) is held
    assert results.get(coloured(250, 0), flips, settings)  # photos shown together stay together
    assert results.has(photo, flips, settings)


def test_sessions_that_come_at_once_get_their_own_results(settings: Settings) -> None:
    photos = [coloured(250, 10), coloured(10, 250)] * 8
    sessions = [Results() for _ in photos]

    def ask(index: int) -> Result | Failure:
        return sessions[index].get(photos[index], TINY, settings)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(len(photos))))
    for photo, result in zip(photos, found, strict=True):
        assert isinstance(result, Result)
        assert result.name == photo.name
        assert result.shares["pet" if photo.name.startswith("250") else "background"] == 1
    assert concurrency_limit(settings).working == concurrency_limit(settings).waiting == 0
    engines = {id(models.load("tiny", "auto", settings).segmenter.network) for _ in range(2)}
    assert len(engines) == 1


def test_somebody_who_waits_is_told_how_many_are_before(settings: Settings) -> None:
    reported: list[int] = []
    queue = concurrency_limit(settings)
    with ThreadPoolExecutor(1) as pool, queue.slot():
        blockers = [queue.slot() for _ in range(settings.max_concurrent - 1)]
        for blocker in blockers:
            blocker.__enter__()
        waiting = pool.submit(Results().get, coloured(200, 1), TINY, settings, on_wait=reported.append)
        while not reported:
            assert not waiting.done()
        for blocker in blockers:
            blocker.__exit__(None, None, None)
        result = waiting.result(30)
    assert isinstance(result, Result)
    assert reported[0] >= 0


def test_a_broken_file_is_a_problem_of_its_own(settings: Settings) -> None:
    results = Results()
    broken = Photo.of("broken.jpg", cat_png()[:500])
    found = results.get(broken, TINY, settings)
    assert isinstance(found, Failure)
    assert "broken.jpg" in found.message
    assert isinstance(results.get(Photo.of("cat.png", cat_png()), TINY, settings), Result)
    assert decode_image(cat_png()).shape == (300, 451, 3)


def test_a_photo_is_segmented_at_its_original_size_once_for_all_downloads(
    large: Photo, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = computed(large, TINY, settings)
    first = result.full(settings)
    monkeypatch.setattr(
        "ui.segment.session_results.segment_at_full_size", lambda *_, **__: pytest.fail("segmented again")
    )
    again = result.full(settings)
    np.testing.assert_array_equal(again.mask, first.mask)
    np.testing.assert_array_equal(again.image, first.image)


def test_a_photo_that_is_shown_at_its_size_is_never_segmented_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = Photo.of("cat.png", cat_png())
    result = computed(photo, TINY, settings)
    monkeypatch.setattr(
        "ui.segment.session_results.segment_at_full_size", lambda *_, **__: pytest.fail("segmented again")
    )
    full = result.full(settings)
    np.testing.assert_array_equal(full.image, decode_image(cat_png()))
    np.testing.assert_array_equal(full.mask, Segmenter(settings=settings).segment(decode_image(cat_png())).mask)


def test_all_sessions_share_a_limit_and_what_was_dropped_is_computed_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.segment.session_results._CHECK_SECONDS", 0)
    photo = Photo.of("cat.png", cat_png())
    sessions = [Results() for _ in range(4)]
    for session in sessions:
        found = session.get(photo, TINY, settings)
        assert isinstance(found, Result)
    small = settings.replace(max_results_mb=2.5 * sessions[0].bytes_held / 1e6)
    sessions[3].get(coloured(3, 4), TINY, small)
    assert [session.has(photo, TINY, settings) for session in sessions] == [False, False, True, True]
    assert isinstance(sessions[0].get(photo, TINY, small), Result)
    assert sessions[0].has(photo, TINY, small)


def test_closed_tabs_keep_no_results_and_open_ones_keep_theirs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = {name: Results(session=name) for name in ("open", "closed")}
    monkeypatch.setattr(attention, "is_gone", lambda session: session == "closed")
    photo = coloured(1, 1)
    for results in sessions.values():
        results.found["photo", "tiny", InferenceMode()] = computed(photo, TINY, settings)
    memory.rest()
    assert {name: len(results.found) for name, results in sessions.items()} == {"open": 1, "closed": 0}


def test_all_sessions_share_a_limit_on_photos(settings: Settings) -> None:
    first, second, photos = PhotoStore(), PhotoStore(), [coloured(red, 9) for red in range(3)]
    tight = settings.replace(max_photos_mb=(photos_bytes_held() + sum(len(photo.data) for photo in photos[:2])) / 1e6)
    first.add(photos[:1], tight)
    second.add(photos[1:], tight)
    assert list(second.photos) == [photos[1].digest]
    assert second.notes == ["This server is full of photos. Skipped: 2-9.png. Try again in a few minutes."]
    first.remove(photos[0].digest)
    second.add(photos[2:], tight)
    assert photos[2].digest in second.photos


def test_photos_are_counted_and_a_stopping_server_refuses_them(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    segmenter, before = Segmenter(settings=settings), PHOTOS.counts().outcomes
    assert isinstance(segment_photo(coloured(9, 9), TINY, segmenter), Result)
    assert isinstance(segment_photo(Photo.of("broken.png", b"no picture"), TINY, segmenter), Failure)
    after = PHOTOS.counts().outcomes
    assert {name: after[name] - before[name] for name in ("segmented", "failed")} == {"segmented": 1, "failed": 1}

    stopping = PhotoWork()
    stopping.finish(seconds=0)
    monkeypatch.setattr("unet_core.segment.turns.PHOTOS", stopping)
    refused = segment_photo(coloured(8, 8), TINY, segmenter)
    assert isinstance(refused, Failure)
    assert "restarting" in refused.message
