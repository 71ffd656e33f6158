"""`decode_image`: every kind of image comes out right, every bad file ends in one clear sentence."""

from __future__ import annotations

import base64
import contextlib
import io
import struct
import threading
import time
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from unet_core.images import decode
from unet_core.images.decode import count_pages, decode_mask, photo_facts
from unet_core.segment import ImageError, decode_image
from unet_core.settings import Settings

SETTINGS = Settings()


# 32 × 24 pixels, the left half red and the right half blue; nothing that is installed here can write the format.
TWO_COLOURS_HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAWhtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9j"
    "AAAAAERAAAEAAQAAAAABjAABAAAAAAAAAKQAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA6Glw"
    "cnAAAADJaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AA"
    "AAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABRpc3BlAAAAAAAAAEAAAABAAAAAKGNsYXAAAAAgAAAA"
    "AQAAABgAAAAB////4AAAAAL////YAAAAAgAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEEgQIEgwAAAKxtZGF0AAAAoCgBrwnI"
    "Z6yaOSNXf//Ytn//MP+h/A7eK3/xCM+/gDz//vNA/lOv9MmqLsInwuum6E3Q1Iq7kAQBBomIzhf0fk/jgC9s75sy+pvRIRPNmlz8o31ZcagE"
    "tWZ4rEz1VEyX245yX/iYB1ig6y2+iVGaZnlyvK6WwuKJeIrMCp8gFlPK+F0gmh4jAXC+w1WaHGbHJ9mTBx+Eg22tP/FEW4szvWg="
)


def encode(image: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def photo(height: int = 40, width: int = 60) -> np.ndarray:
    """A smooth picture without symmetry, so that every wrong turn shows."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([255 * rows / height, 255 * columns / width, 128 + 0 * rows], -1).astype(np.uint8)


def png_of_size(width: int, height: int, *, bits: int = 8, colour: int = 2, data: bytes = b"") -> bytes:
    """A PNG with any header; without `data` it has no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


# --- right results ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_come_out_exactly(kind):
    assert np.array_equal(decode_image(encode(photo(), kind)), photo())


def test_webp_lossless_comes_out_exactly():
    assert np.array_equal(decode_image(encode(photo(), "WEBP", lossless=True)), photo())


def test_jpeg_comes_out_as_pillow_decodes_it():
    data = encode(photo(), "JPEG", quality=90)
    assert np.array_equal(decode_image(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_honoured(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photo(), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    decoded = decode_image(data)
    assert np.array_equal(decoded, np.asarray(expected))
    assert decoded.shape == ((60, 40, 3) if orientation >= 5 else (40, 60, 3))


def test_orientation_and_max_side_go_together():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(photo(400, 600), "JPEG", exif=exif, quality=95)
    small = decode_image(data, max_side=60)
    assert small.shape == (60, 40, 3)
    expected = np.rot90(photo(), -1).astype(int)
    assert np.abs(small - expected).max() < 12


def test_broken_exif_leaves_the_photo_as_it_is_stored():
    data = encode(photo(), "PNG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert np.array_equal(decode_image(data), photo())


def test_palette_image():
    palette = Image.fromarray(photo()).quantize(16)
    assert np.array_equal(decode_image(encode(palette)), np.asarray(palette.convert("RGB")))


def test_palette_with_transparent_colour_lies_on_white():
    image = Image.new("P", (4, 4), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.putpixel((1, 2), 1)
    decoded = decode_image(encode(image, transparency=0))
    assert (decoded[0, 0] == 255).all()
    assert tuple(decoded[2, 1]) == (0, 0, 200)


def test_palette_with_several_alphas_is_composed():
    image = Image.new("P", (2, 1), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.putpixel((1, 0), 1)
    decoded = decode_image(encode(image, transparency=bytes([255, 0])))
    assert tuple(decoded[0, 0]) == (200, 0, 0)
    assert tuple(decoded[0, 1]) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_rgba_is_composed_on_white(kind):
    image = Image.new("RGBA", (3, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (255, 0, 0, 128))
    image.putpixel((2, 0), (255, 0, 0, 0))
    decoded = decode_image(encode(image, kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert np.allclose(decoded[0], [[255, 0, 0], [255, 127, 127], [255, 255, 255]], atol=1)


def test_grey_with_alpha_is_composed_on_white():
    image = Image.new("LA", (2, 1), (0, 255))
    image.putpixel((1, 0), (0, 0))
    assert decode_image(encode(image))[0].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_colour_key_transparency_is_composed_on_white():
    decoded = decode_image(encode(Image.new("RGB", (2, 2), (1, 2, 3)), transparency=(1, 2, 3)))
    assert (decoded == 255).all()


def test_cmyk_jpeg_has_the_right_colours():
    image = Image.new("RGB", (16, 16), (220, 40, 30)).convert("CMYK")
    decoded = decode_image(encode(image, "JPEG", quality=95))
    assert np.abs(decoded.astype(int) - [220, 40, 30]).max() < 8


def test_adobe_inverted_cmyk_jpeg_has_the_right_colours():
    """Adobe writes CMYK inverted and says so in its marker; Pillow's own files carry that marker."""
    data = encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert b"Adobe" in data
    assert np.abs(decode_image(data).astype(int) - [255, 0, 0]).max() < 8


def test_16_bit_grey_is_scaled_not_saturated():
    ramp = np.linspace(0, 65_535, 256).astype(np.uint16)[None]
    decoded = decode_image(encode(ramp))
    assert np.array_equal(decoded[0, :, 0], np.arange(256))
    assert (decoded == decoded[..., :1]).all()


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_16_bit_grey_tiff_is_scaled(order):
    ramp = np.linspace(0, 65_535, 256)[None].astype(order)
    image = Image.frombytes("I;16B" if order == ">u2" else "I;16", (256, 1), ramp.tobytes())
    assert np.array_equal(decode_image(encode(image, "TIFF"))[0, :, 0], np.arange(256))


def test_16_bit_rgb_png_is_scaled():
    samples = np.array([[[0, 128 * 257, 65_535], [257, 2 * 257, 255 * 257]]], ">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    decoded = decode_image(png_of_size(2, 1, bits=16, data=rows))
    assert decoded[0].tolist() == [[0, 128, 255], [1, 2, 255]]


def test_one_bit_image():
    image = Image.fromarray(np.eye(9, dtype=bool))
    assert np.array_equal(decode_image(encode(image))[..., 1], 255 * np.eye(9, dtype=np.uint8))


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([0.0, 32_768.0, 65_535.0], [0, 128, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([np.nan, 0.0, 1.0], [0, 0, 255]),
        ([np.inf, 0.0, 1.0], [255, 0, 255]),
        ([np.nan, np.nan, np.nan], [0, 0, 0]),
    ],
)
def test_floating_point_tiff(samples, expected):
    decoded = decode_image(encode(np.array([samples], np.float32), "TIFF"))
    assert decoded[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    ("samples", "expected"),
    [([0, 7, 255], [0, 7, 255]), ([0, 257, 65_535], [0, 1, 255]), ([-100, 0, 100], [0, 128, 255])],
)
def test_32_bit_integer_tiff(samples, expected):
    decoded = decode_image(encode(np.array([samples], np.int32), "TIFF"))
    assert decoded[0, :, 0].tolist() == expected


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_first_frame_of_several(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert np.abs(decode_image(data).astype(int) - [200, 0, 0]).max() <= 2


def test_a_tiff_with_several_pages_is_read_page_by_page():
    pages = [Image.new("RGB", (8, 8), colour) for colour in ((200, 0, 0), (0, 200, 0))]
    data = encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert "2 pages" in refusal(data)
    assert count_pages(data) == 2
    assert [decode_image(data, page=page)[0, 0].tolist() for page in range(2)] == [[200, 0, 0], [0, 200, 0]]
    assert "no page 3" in refusal(data, page=2)


def test_one_pixel_works():
    assert decode_image(encode(Image.new("RGB", (1, 1), (1, 2, 3)))).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("max_side", [None, 100])
def test_very_narrow_photo_works(max_side):
    decoded = decode_image(encode(photo(5000, 1)), max_side=max_side)
    assert decoded.shape == ((5000, 1, 3) if max_side is None else (100, 1, 3))


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "L"), ("PNG", "RGBA"), ("PNG", "P")]
)
def test_max_side_shrinks_every_mode_alike(kind, mode):
    image = Image.fromarray(photo(700, 1000)).convert(mode)
    decoded = decode_image(encode(image, kind), max_side=90)
    expected = image.convert("RGB").resize((90, 63), Image.Resampling.BILINEAR)
    assert decoded.shape == (63, 90, 3)
    assert np.abs(decoded.astype(int) - np.asarray(expected)).mean() < 2


def test_max_side_never_enlarges():
    assert decode_image(encode(photo()), max_side=1000).shape == (40, 60, 3)


def test_strips_join_without_seams():
    big = photo(1100, 1900)  # more than two strips
    assert np.array_equal(decode_image(encode(big)), big)
    alpha = Image.fromarray(big)
    alpha.putalpha(255)
    assert np.array_equal(decode_image(encode(alpha, compress_level=1)), big)


def test_result_can_be_written_to():
    decode_image(encode(photo(), "JPEG"))[0, 0] = 0
    decode_image(encode(photo(400, 600), "JPEG"), max_side=50)[0, 0] = 0


# --- bad files --------------------------------------------------------------------------------------------------------


def refusal(data: bytes, **options) -> str:
    """The sentence that a bad file ends in; it names the file, is one line, and no warning leaks."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError) as caught:
            decode_image(data, name="rex.jpg", **options)
    message = str(caught.value)
    assert message.startswith("rex.jpg ")
    assert message.endswith(".")
    assert "\n" not in message
    assert caught.value.__cause__ is None
    return message


def test_empty_file():
    assert "0 bytes" in refusal(b"")


def test_text_renamed_to_jpg():
    assert "JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP, TIFF, PPM or NumPy" in refusal(
        b"Dear diary, today we got a dog.\n" * 50
    )


def test_zip_renamed_to_png():
    assert "not a photo" in refusal(b"PK\x03\x04" + bytes(200))


def test_heic_photo_is_named_as_such_where_its_decoder_is_missing(monkeypatch):
    monkeypatch.setattr(decode, "_loads_heic", lambda: False)
    assert "HEIC" in refusal(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    assert "pi-heif" in refusal(TWO_COLOURS_HEIC)


def test_heic_photo_is_decoded_and_a_damaged_one_says_so():
    pytest.importorskip("pi_heif")
    pixels = decode_image(TWO_COLOURS_HEIC)
    assert pixels.shape == (24, 32, 3)
    assert np.abs(pixels[12, 6].astype(int) - (200, 30, 30)).max() < 12
    assert np.abs(pixels[12, 26].astype(int) - (20, 60, 200)).max() < 12
    assert "damaged" in refusal(TWO_COLOURS_HEIC[:300])
    assert "damaged" in refusal(TWO_COLOURS_HEIC[:-60])


def test_avif_photo_is_decoded_and_a_damaged_one_says_so():
    data = encode(photo(), "AVIF", quality=95)
    assert np.abs(decode_image(data).astype(int) - photo()).mean() < 6
    assert photo_facts(data).format == "AVIF"
    assert "damaged" in refusal(data[: len(data) // 3])
    assert "megapixels" in refusal(encode(Image.new("RGB", (1200, 1000)), "AVIF"), settings=Settings(max_megapixels=1))


@pytest.mark.parametrize("kind", ["EPS", "ICO", "TGA", "PDF"])
def test_formats_outside_the_list_are_refused(kind):
    assert "not a photo" in refusal(encode(Image.new("RGB", (16, 16)), kind))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_file(kind, share):
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)
    data = encode(noise, kind)
    message = refusal(data[: int(len(data) * share)])
    assert "damaged or incomplete" in message or "not a photo" in message


def test_no_pixels_at_all():
    refusal(png_of_size(0, 0))
    refusal(b"GIF89a" + bytes(7) + b";")


def test_20000_by_20000_names_the_limit_and_the_cure():
    message = refusal(png_of_size(20_000, 20_000))
    assert "400 megapixels" in message
    assert "50 megapixels allowed" in message
    assert "scale it down" in message


@pytest.mark.parametrize("side", [7_100, 9_600, 12_000])
def test_megapixel_limit_is_ours_where_pillow_is_silent_or_only_warns(side):
    message = refusal(png_of_size(side, side))
    assert f"{side} × {side}" in message
    assert "50 megapixels allowed" in message


def test_megapixel_limit_comes_from_the_settings():
    data = encode(photo(100, 100))
    assert "0.005 megapixels" in refusal(data, settings=Settings(max_megapixels=0.005))
    assert decode_image(data, settings=Settings(max_megapixels=0.01)).shape == (100, 100, 3)


def test_megabyte_limit_comes_from_the_settings():
    assert "0.001 MB allowed" in refusal(encode(photo(), "BMP"), settings=Settings(max_upload_mb=0.001))


def test_too_large_a_photo_is_refused_before_it_is_decoded(monkeypatch):
    def decoded(self):
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    assert "megapixels allowed" in refusal(png_of_size(12_000, 12_000, data=bytes(3 * 12_000 * 1000)))


def test_out_of_memory_is_a_sentence(monkeypatch):
    def exhausted(self, *arguments):
        raise MemoryError

    data = encode(photo())
    monkeypatch.setattr(Image.Image, "crop", exhausted)
    assert "memory" in refusal(data)


def test_long_and_odd_names_stay_one_readable_line():
    with pytest.raises(ImageError) as caught:
        decode_image(b"", name="a\nb\x00" + "x" * 300 + ".jpg")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 160


def test_max_side_must_be_positive():
    with pytest.raises(ValueError, match="max_side"):
        decode_image(encode(photo()), max_side=0)


def test_warning_filters_are_left_as_they_were():
    before = list(warnings.filters)
    threads = [threading.Thread(target=decode_image, args=(encode(photo()),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


# --- fuzzing ----------------------------------------------------------------------------------------------------------


def seeds() -> list[bytes]:
    picture, noise = photo(24, 31), np.random.default_rng(1).integers(0, 255, (24, 31, 3), np.uint8)
    rgba = Image.fromarray(noise).convert("RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [Image.fromarray(picture).quantize(8), Image.fromarray(noise).quantize(8)]
    return [
        encode(picture, "JPEG", exif=exif),
        encode(noise, "JPEG", progressive=True),
        encode(Image.fromarray(noise).convert("CMYK"), "JPEG"),
        encode(picture),
        encode(rgba),
        encode(frames[0], transparency=0),
        encode(np.arange(744, dtype=np.uint16).reshape(24, 31)),
        encode(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        encode(picture, "BMP"),
        encode(frames[0], "BMP"),
        encode(picture, "WEBP"),
        encode(rgba, "WEBP", lossless=True),
        encode(picture, "TIFF"),
        encode(picture, "TIFF", compression="tiff_lzw"),
        encode(picture, "TIFF", compression="jpeg"),
        encode(noise.astype(np.float32)[..., 0], "TIFF"),
        encode(Image.fromarray(noise).convert("1"), "TIFF", compression="group4"),
    ]


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Damage a file as fuzzers do: flip, overwrite with extremes, insert, delete, repeat, cut."""
    content = bytearray(data)
    for _ in range(int(random.integers(1, 6))):
        if len(content) < 4:
            break
        # Half of the damage goes to the first bytes, where sizes, offsets and kinds are.
        limit = min(len(content), 120) if random.random() < 0.5 else len(content)
        at, length = int(random.integers(limit)), int(random.integers(1, 9))
        match int(random.integers(6)):
            case 0:
                content[at] ^= 1 << int(random.integers(8))
            case 1:
                extreme = random.choice([0, 0x7F, 0x80, 0xFF])
                content[at : at + length] = bytes([extreme]) * len(content[at : at + length])
            case 2:
                content[at:at] = random.bytes(length)
            case 3:
                del content[at : at + length]
            case 4:
                content[at:at] = content[at : at + 40]
            case 5:
                del content[max(at, 4) :]
    return bytes(content)


def fuzz(count: int, seed: int) -> int:
    """Decode `count` mutated files: a right-shaped result or an `ImageError`, soon, without any warning."""
    random, files = np.random.default_rng(seed), seeds()
    settings = Settings(max_megapixels=4)
    decoded = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for index in range(count):
            data = mutated(files[index % len(files)], random)
            start = time.perf_counter()
            with contextlib.suppress(ImageError):
                pixels = decode_image(data, settings=settings, max_side=(None, 16)[index % 2])
                assert pixels.dtype == np.uint8
                assert pixels.ndim == 3
                assert pixels.shape[2] == 3
                assert pixels.size
                decoded += 1
            assert time.perf_counter() - start < 5, f"file {index} of seed {seed} took too long"
    return decoded


def test_mutated_files_never_crash_or_leak():
    assert fuzz(600, seed=0) > 50


@pytest.mark.slow
def test_thousands_of_mutated_files_never_crash_leak_or_fill_the_memory():
    import psutil

    process = psutil.Process()
    fuzz(500, seed=1)
    before = process.memory_info().rss
    assert fuzz(5000, seed=2) > 400
    assert process.memory_info().rss - before < 150e6


# --- large masks ------------------------------------------------------------------------------------------------------


def never_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(image: Image.Image) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)


@pytest.mark.parametrize("colour", [2, 6])
def test_a_large_mask_with_several_bytes_a_pixel_is_refused_from_its_header(monkeypatch, colour):
    never_loaded(monkeypatch)
    with pytest.raises(ImageError, match="49 megapixels with colours.*save it as a palette or 8-bit greyscale PNG"):
        decode_mask(png_of_size(7000, 7000, colour=colour))


def test_a_mask_of_more_colours_than_classes_is_a_photo():
    values = np.arange(300 * 300)
    pixels = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=-1).astype(np.uint8)
    with pytest.raises(ImageError, match="more than 65536 colours, so it is a photo"):
        decode_mask(encode(pixels.reshape(300, 300, 3)))


def test_a_colour_mask_is_the_same_read_in_strips(monkeypatch):
    whole = decode_mask(encode(photo()))
    monkeypatch.setattr("unet_core.images.decode._STRIP_PIXELS", 200)
    assert np.array_equal(decode_mask(encode(photo())).values, whole.values)
    assert whole.kind == "colour"


def test_the_facts_of_a_png_come_from_its_header(monkeypatch):
    never_loaded(monkeypatch)
    facts = photo_facts(png_of_size(70, 30))
    assert (facts.width, facts.height, facts.quarter_turned) == (70, 30, False)


def test_the_facts_of_a_png_know_its_orientation():
    exif = Image.Exif()
    exif[0x0112] = 6
    facts = photo_facts(encode(photo(), exif=exif))
    assert (facts.width, facts.height, facts.quarter_turned) == (40, 60, True)
