"""Valid but unusual files: read as other programs read them, or refused with the reason."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from unet_core.cli.parser import main
from unet_core.images.checks import ImageError
from unet_core.images.decode import decode_image, decode_mask

PHOTO = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(values: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def with_chunk(data: bytes, kind: bytes, content: bytes) -> bytes:
    """Insert a chunk after a PNG's header."""
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return data[:33] + chunk + data[33:]


LONG = b"x" * 3_000_000


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"iCCP", b"profile\0\0" + zlib.compress(LONG)),
        (b"zTXt", b"comment\0\0" + zlib.compress(LONG)),
        (b"iTXt", b"comment\0\1\0\0\0" + zlib.compress(LONG)),
        (b"tEXt", b"comment\0" + LONG),
        (b"iTXt", b"comment\0\0\0\0\0" + LONG),
    ],
    ids=["profile", "compressed text", "compressed international text", "text", "international text"],
)
def test_a_long_profile_or_text_does_not_matter(kind: bytes, content: bytes) -> None:
    data = with_chunk(saved(Image.fromarray(PHOTO)), kind, content)
    np.testing.assert_array_equal(decode_image(data), PHOTO)


def test_a_short_text_before_an_orientation_is_kept() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    data = with_chunk(saved(Image.fromarray(PHOTO), exif=exif), b"zTXt", b"comment\0\0" + zlib.compress(b"short"))
    np.testing.assert_array_equal(decode_image(data), PHOTO[::-1, ::-1])


@pytest.mark.parametrize(("highest", "range_"), [(200, 255), (255, 255), (256, 4095), (4000, 4095), (30_000, 65_535)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_files_are_scaled_by_the_bits_that_they_use(highest: int, range_: int, kind: str) -> None:
    values = np.linspace(0, highest, 600).reshape(20, 30).astype(np.uint16)
    found = decode_image(saved(Image.fromarray(values), kind))
    np.testing.assert_array_equal(found[..., 0], np.rint(values * (255 / range_)))


@pytest.mark.parametrize("layout", ["separate", "contig"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_16_bit_colours_are_equal_in_planes_and_interleaved(layout: str, compression: str | None) -> None:
    wide = PHOTO.astype(np.uint16) * 257
    values = np.moveaxis(wide, -1, 0) if layout == "separate" else wide
    data = tiff(values, photometric="rgb", planarconfig=layout, compression=compression)
    np.testing.assert_array_equal(decode_image(data), PHOTO)


@pytest.mark.parametrize("highest", [1.0, 255.0])
def test_floating_point_colours_are_read(highest: float) -> None:
    values = (PHOTO / 255 * highest).astype(np.float32)
    np.testing.assert_array_equal(decode_image(tiff(values, photometric="rgb")), PHOTO)


def test_a_damaged_floating_point_tiff_says_what_it_is() -> None:
    data = tiff(PHOTO.astype(np.float32), photometric="rgb")
    with pytest.raises(ImageError, match="floating-point"):
        decode_image(data[: len(data) // 2])


@pytest.mark.parametrize(
    "values", [PHOTO, PHOTO[..., 0], PHOTO.astype(np.uint16) * 257, PHOTO / 255], ids=["8", "grey", "16", "f"]
)
def test_arrays_are_photos(values: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, values)
    expected = PHOTO if values.ndim == 3 else np.repeat(PHOTO[..., :1], 3, axis=2)
    np.testing.assert_array_equal(decode_image(buffer.getvalue()), expected)


@pytest.mark.parametrize(
    "values",
    [np.zeros(5), np.zeros((2, 2, 2, 2)), np.zeros((0, 4)), np.array([["a"]]), np.array([[{}]], object)],
    ids=["a row", "four axes", "empty", "text", "objects"],
)
def test_other_arrays_are_refused(values: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=True)
    with pytest.raises(ImageError, match="NumPy"):
        decode_image(buffer.getvalue())


def test_an_array_that_states_a_huge_size_is_refused_unread() -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6)})
    with pytest.raises(ImageError, match="megapixels"):
        decode_image(buffer.getvalue())


def test_thumbnails_in_a_tiff_are_no_pages() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(PHOTO, photometric="rgb")
        writer.write(PHOTO[::2, ::2], photometric="rgb", subfiletype=1)
    np.testing.assert_array_equal(decode_image(buffer.getvalue()), PHOTO)


def test_the_opacity_of_a_mask_of_one_colour_is_kept() -> None:
    image = Image.new("RGBA", (4, 2), (255, 0, 0, 0))
    image.putpixel((1, 1), (255, 0, 0, 255))
    alpha = decode_mask(saved(image)).alpha
    assert alpha is not None
    assert alpha.tolist() == [[0, 0, 0, 0], [0, 255, 0, 0]]


def test_predict_says_that_a_file_has_several_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages = [Image.fromarray(PHOTO), Image.fromarray(PHOTO[::-1].copy())]
    (tmp_path / "a.tif").write_bytes(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert main(["predict", str(tmp_path / "a.tif"), "--out", str(tmp_path), "--json"]) == 1
    (entry,) = json.loads(capsys.readouterr().out)
    assert "2 pages" in entry["error"]
