"""Animations cut out frame by frame: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.tiny_model import write_tiny_model
from unet_core.images import decode
from unet_core.segment import ImageError, Segmenter
from unet_core.segment import moving as module
from unet_core.segment.moving import animated, cut_out_moving, moving
from unet_core.settings import Settings


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return Segmenter(settings=Settings(weights_dir=write_tiny_model(tmp_path_factory.mktemp("weights"))))


def walk(count: int = 6, milliseconds: int = 80, kind: str = "GIF", side: int = 48) -> bytes:
    """A red square, which the tiny model takes for a pet, that walks to the right over blue."""
    frames = []
    for number in range(count):
        frame = Image.new("RGB", (side * 2, side), "blue")
        frame.paste("red", (4 + 6 * number % side, 8, 4 + 6 * number % side + side // 2, side - 8))
        frames.append(frame)
    buffer = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, **options)
    return buffer.getvalue()


def opened(data: bytes) -> list[tuple[np.ndarray, int]]:
    image, frames = Image.open(io.BytesIO(data)), []
    for number in range(image.n_frames):
        image.seek(number)
        image.load()
        frames.append((np.asarray(image.convert("RGBA")), image.info["duration"]))
    return frames


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_every_frame_is_cut_out_and_keeps_its_time(segmenter: Segmenter, kind: str) -> None:
    data, steps = walk(kind=kind), []
    assert moving(data, "walk", segmenter).frames == 6
    found = cut_out_moving(segmenter, data, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(number, 6) for number in range(7)]
    assert found.seconds == pytest.approx(0.48)
    for form in ("webp", "gif"):
        frames = opened(found.encoded(form))
        assert [milliseconds for _, milliseconds in frames] == [80] * 6
        for number, (pixels, _) in enumerate(frames):
            left = 4 + 6 * number
            assert pixels[24, left + 12, 3] == 255
            assert pixels[24, 90, 3] == 0
            assert pixels[24, left + 12, 0] > 200


def test_an_animation_can_be_put_on_a_colour(segmenter: Segmenter) -> None:
    found = cut_out_moving(segmenter, walk(2))
    for pixels, _ in opened(found.encoded("webp", (0, 255, 0))):
        assert np.abs(pixels[24, 90].astype(int) - (0, 255, 0, 255)).max() < 12


def test_of_too_many_frames_some_stand_for_others(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FRAMES", 4)
    found = cut_out_moving(segmenter, walk(10, 50))
    assert len(found.frames) == 4
    assert found.seconds == pytest.approx(0.5)


def test_all_frames_together_stay_within_the_memory(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_PIXELS", 6 * 800)
    found = cut_out_moving(segmenter, walk())
    assert sum(frame.shape[0] * frame.shape[1] for frame, _ in found.frames) <= 6 * 800 * 1.1


def test_what_does_not_move_or_is_too_long_is_refused(segmenter: Segmenter) -> None:
    still = io.BytesIO()
    Image.new("RGB", (9, 9)).save(still, "GIF")
    assert moving(still.getvalue(), "a.gif", segmenter) is None
    assert moving(b"\xff\xd8\xff no animation", "a.jpg", segmenter) is None
    with pytest.raises(ImageError, match="a.gif does not move"):
        cut_out_moving(segmenter, still.getvalue(), "a.gif")
    with pytest.raises(ImageError, match="longer than 10 seconds"):
        cut_out_moving(segmenter, walk(4, 4000), "long.gif")


def test_a_damaged_or_huge_animation_has_its_sentence(segmenter: Segmenter) -> None:
    data = walk(kind="WEBP")
    with pytest.raises(ImageError, match="damaged|not a"):
        cut_out_moving(segmenter, data[: len(data) // 2], "half.webp")
    tight = Settings(weights_dir=segmenter.settings.weights_dir, max_megapixels=0.001)
    with pytest.raises(ImageError, match="megapixels"):
        cut_out_moving(Segmenter(settings=tight), data, "big.webp")


def test_other_photos_are_decoded_between_two_frames() -> None:
    frames = decode.decode_frames(walk(), max_side=96, most=6)
    next(frames)
    assert not decode._DECODING.locked()
    next(frames)


@given(st.integers(0, 400), st.integers(0, 255))
@hypothesis_settings(max_examples=40)
def test_a_changed_byte_never_fails_in_another_way(place: int, value: int) -> None:
    data = bytearray(walk(3, side=16))
    data[place % len(data)] = value
    try:
        for frame in decode.decode_frames(bytes(data), max_side=32, most=3):
            assert frame.pixels.ndim == 3
    except ImageError:
        pass


def jpeg(colour: str = "red", size: tuple[int, int] = (96, 48)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def test_pictures_of_a_video_become_an_animation_that_can_be_cut_out(segmenter: Segmenter) -> None:
    data = animated([jpeg("red"), jpeg("blue"), jpeg("red")], 83, "clip.webp", segmenter.settings)
    assert moving(data, "clip.webp", segmenter) == decode.Animation(3, 96, 48)
    found = cut_out_moving(segmenter, data)
    assert [milliseconds for _, milliseconds in found.frames] == [83] * 3
    assert [frame[..., 3].mean() > 128 for frame, _ in found.frames] == [True, False, True]


@pytest.mark.parametrize(
    ("pictures", "reason"),
    [
        ([jpeg()], "2 to 150 pictures"),
        ([jpeg()] * 151, "2 to 150 pictures"),
        ([jpeg(), b"no picture"], "not a photo"),
        ([jpeg(), jpeg()[:300]], "damaged"),
        ([jpeg(), jpeg(size=(48, 96))], "different sizes"),
    ],
)
def test_what_is_no_video_is_refused(segmenter: Segmenter, pictures: list[bytes], reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        animated(pictures, 83, "clip.webp", segmenter.settings)
