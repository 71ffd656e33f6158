"""Decode untrusted bytes to an upright RGB photo or to a mask's exact values; the only code that opens uploads."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from unet_core.images.checks import ImageError
from unet_core.settings import Settings, get_settings

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
READABLE_FORMATS = "JPEG, PNG, WebP, GIF, BMP or TIFF"

MAX_COLOUR_MASK_MEGAPIXELS = 25.0  # a mask with several bytes a pixel takes as many times the memory
MAX_COLOURS = 65_536  # of a mask stored as colours; an image with more is a photo

_STRIP_PIXELS = 1_000_000  # size of the strips that are converted at a time, which bounds memory use
_PNG_ORIENTATION = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")  # the chunks that may hold one
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis")
_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")
_ONE_VALUE_MODES = ("1", "L", "P", *_SIXTEEN_BIT_MODES)  # one or two bytes a pixel

# By EXIF orientation: the operation that turns stored pixels (H, W, 3) upright.
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
    7: lambda pixels: pixels.swapaxes(0, 1)[::-1, ::-1],
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}

# One photo is decoded at a time: this bounds memory use over many sessions, and Python's warning filters, which are
# changed meanwhile, belong to the whole process.
_DECODING = threading.Lock()


MaskKind = Literal["bit", "grey", "palette", "colour"]


@dataclass(frozen=True)
class MaskImage:
    """A mask's stored values, upright.

    `values` (H, W) holds, by `kind`: "bit" 0 or 1 (uint8), "grey" levels (uint8 or uint16), "palette" indices (uint8),
    "colour" 0xRRGGBB (uint32). A colour image that is grey everywhere is "grey". Transparency is ignored.
    """

    values: np.ndarray
    kind: MaskKind
    mode: str  # in Pillow's terms
    palette: tuple[int, ...] | None  # "palette" only: 0xRRGGBB by index
    lossy: bool  # stored in a format that changes values


@dataclass(frozen=True)
class PhotoFacts:
    """A photo's header: `width` and `height` once upright, and whether that meant swapping them."""

    width: int
    height: int
    mode: str
    format: str
    quarter_turned: bool


def decode_image(
    data: bytes, *, name: str = "photo", max_side: int | None = None, settings: Settings | None = None
) -> np.ndarray:
    """Decode an uploaded photo: upright, RGB, 8 bits, the first frame of an animation, transparency on white.

    16-bit samples are scaled by 1/257. Integer and floating-point samples of unknown range are taken as 0…1, 0…255 or
    0…65535, the first of these that holds them all, and otherwise stretched from their minimum to their maximum.

    Args:
        data: the file's bytes.
        name: the file's name in error messages.
        max_side: shrink to at most this many pixels on the longer side; a JPEG is then decoded at a reduced scale,
            which is several times faster.
        settings: limits (`max_upload_mb`, `max_megapixels`), both checked before any pixel is decoded.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: the file is empty, too large, not an image, damaged, or of an unsupported kind.
    """
    settings = settings or get_settings()
    if max_side is not None and max_side < 1:
        raise ValueError(f"max_side: must be at least 1. Received: {max_side}")
    with _safely_opened(data, name, settings, "photo") as image:
        return _shrink(_upright_rgb(image, max_side), max_side)


def photo_pixels(image: Image.Image) -> np.ndarray:
    """Convert a Pillow image in the same way as `decode_image`: upright, RGB, 8 bits, transparency on white.

    Returns:
        (H, W, 3) uint8.
    """
    return _upright_rgb(image, None)


def decode_mask(data: bytes, *, name: str = "mask", settings: Settings | None = None) -> MaskImage:
    """Decode an uploaded mask without changing a value: no colour conversion, no scaling, palette indices kept.

    Args:
        data: the file's bytes.
        name: the file's name in error messages.
        settings: the same limits as for a photo, checked before any pixel is decoded.

    Raises:
        ImageError: as for a photo, and for samples that are not whole numbers from 0 to 65535.
    """
    settings = settings or get_settings()
    with _safely_opened(data, name, settings, "mask") as image:
        _check_colour_mask(image, _display_name(name))
        image.load()
        mask = _exact_values(image, _display_name(name))
        turn = _UPRIGHT.get(_orientation(image))
    return mask if turn is None else replace(mask, values=np.ascontiguousarray(turn(mask.values)))


def photo_facts(
    data: bytes, *, name: str = "photo", what: str = "photo", settings: Settings | None = None
) -> PhotoFacts:
    """Read the size and kind of a photo, or of a mask, from its header; no pixel is decoded.

    Raises:
        ImageError: the file is empty, too large or not an image.
    """
    settings = settings or get_settings()
    with _safely_opened(data, name, settings, what) as image:
        turned = _may_be_turned(image, data) and _orientation(image) >= 5
        width, height = image.size[::-1] if turned else image.size
        return PhotoFacts(width, height, image.mode, str(image.format), turned)


@contextmanager
def _safely_opened(data: bytes, name: str, settings: Settings, what: str) -> Iterator[Image.Image]:
    """Open an image within the limits; while it is open, every failure becomes an `ImageError`."""
    shown = _display_name(name)
    _check_bytes(data, shown, settings)
    with _DECODING, _translated_errors(data, shown, settings, what), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_pixels(image.size, shown, settings)
            yield image


def _display_name(name: str) -> str:
    """Make a file's name fit one line of text: printable and short."""
    printable = "".join(character if character.isprintable() else "?" for character in name).strip() or "photo"
    return printable if len(printable) <= 80 else f"{printable[:50]}…{printable[-25:]}"


def _check_bytes(data: bytes, name: str, settings: Settings) -> None:
    if not data:
        raise ImageError(f"{name} is empty (0 bytes): export or copy the photo again.")
    megabytes = len(data) / 1e6
    if megabytes > settings.max_upload_mb:
        raise ImageError(
            f"{name} has {megabytes:.1f} MB, more than the {settings.max_upload_mb:g} MB allowed for a photo: "
            "reduce its size or compress it more."
        )


def _check_pixels(size: tuple[int, int], name: str, settings: Settings) -> None:
    width, height = size
    if width * height > settings.max_megapixels * 1e6:
        raise _too_many_pixels(name, f"{width} × {height} pixels ({width * height / 1e6:.0f} megapixels)", settings)


def _check_colour_mask(image: Image.Image, name: str) -> None:
    megapixels = image.width * image.height / 1e6
    if image.mode not in _ONE_VALUE_MODES and megapixels > MAX_COLOUR_MASK_MEGAPIXELS:
        raise ImageError(
            f"{name} has {megapixels:.0f} megapixels with colours, transparency or 32-bit values, more than the "
            f"{MAX_COLOUR_MASK_MEGAPIXELS:g} allowed for such a mask: save it as a palette or 8-bit greyscale PNG."
        )


def _too_many_pixels(name: str, what: str, settings: Settings) -> ImageError:
    return ImageError(
        f"{name} has {what}, more than the {settings.max_megapixels:g} megapixels allowed: scale it down and try again."
    )


@contextmanager
def _translated_errors(data: bytes, name: str, settings: Settings, what: str) -> Iterator[None]:
    """Turn any exception of a decoder on hostile bytes into an `ImageError` with a readable message."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:  # raised before the size is known
        pixels = re.search(r"(\d+) pixels", str(error))
        count = f"{int(pixels[1]) / 1e6:.0f} megapixels" if pixels else "very many pixels"
        raise _too_many_pixels(name, count, settings) from None
    except UnidentifiedImageError:
        raise ImageError(_unreadable(data, name, what)) from None
    except MemoryError:
        raise ImageError(f"{name} needs more memory than this machine has free: scale it down and try again.") from None
    except Exception:  # decoders raise OSError, SyntaxError, struct.error, IndexError… on damaged files
        raise ImageError(f"{name} is damaged or incomplete and cannot be decoded: export or copy it again.") from None


def _unreadable(data: bytes, name: str, what: str) -> str:
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return f"{name} is a HEIC or AVIF photo, which is not supported: export it as JPEG and try again."
    return f"{name} is not a {what} in a supported format: choose a {READABLE_FORMATS} file."


def _upright_rgb(image: Image.Image, max_side: int | None) -> np.ndarray:
    """Decode, convert and turn upright; the result may still be up to twice `max_side`, see `_shrink`."""
    if max_side is not None and max(image.size) > max_side:
        image.draft(None, _fitting(image.size, max_side))  # JPEG only: decode at 1/2, 1/4 or 1/8
    image.load()
    factor = 1 if max_side is None else max(1, max(image.size) // (2 * max_side))
    pixels = _rgb_array(image, factor)
    turn = _UPRIGHT.get(_orientation(image))
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _fitting(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    scale = max_side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a damaged EXIF block does not affect the pixels
        return 1


def _may_be_turned(image: Image.Image, data: bytes) -> bool:
    """Return whether an orientation has to be looked for: in a PNG that has none, Pillow decodes all pixels first."""
    return image.format != "PNG" or any(mark in data for mark in _PNG_ORIENTATION)


def _rgb_array(image: Image.Image, factor: int) -> np.ndarray:
    """Convert strip by strip, each averaged over `factor` × `factor` pixels: (ceil(H/factor), ceil(W/factor), 3)."""
    width, height = image.size
    to_rgb = _converter(image)
    pixels = np.empty((-(-height // factor), -(-width // factor), 3), np.uint8)
    for top, bottom in _strips(width, height, multiple=factor):
        strip = to_rgb(image.crop((0, top, width, bottom)))
        if factor > 1:
            strip = strip.reduce(factor)
        pixels[top // factor : -(-bottom // factor)] = np.asarray(strip)
    return pixels


def _strips(width: int, height: int, multiple: int = 1) -> Iterator[tuple[int, int]]:
    rows = max(1, _STRIP_PIXELS // (width * multiple)) * multiple
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def _converter(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Choose the conversion to RGB once for the whole image, so that all strips match."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return lambda strip: strip
    if image.mode in _SIXTEEN_BIT_MODES:
        return lambda strip: _scaled_grey(strip, 0.0, 65_535.0)
    if image.mode in ("I", "F"):
        low, high = _sample_range(image)
        return lambda strip: _scaled_grey(strip, low, high)
    if image.has_transparency_data:
        return _on_white
    return lambda strip: strip.convert("RGB")


def _on_white(strip: Image.Image) -> Image.Image:
    strip = strip.convert("RGBA")
    white = Image.new("RGB", strip.size, (255, 255, 255))
    white.paste(strip, mask=strip.getchannel("A"))
    return white


def _scaled_grey(strip: Image.Image, low: float, high: float) -> Image.Image:
    """Map samples low…high to grey 0…255; samples that are not finite become black."""
    samples = np.nan_to_num(np.asarray(strip).astype(np.float32), nan=low, posinf=high, neginf=low)
    grey = (samples - low) * (255.0 / (high - low))
    return Image.fromarray(np.rint(grey.clip(0, 255)).astype(np.uint8)).convert("RGB")


def _sample_range(image: Image.Image) -> tuple[float, float]:
    """Return the sample values that stand for black and white: the first common range that holds all samples."""
    lows, highs = [], []
    for top, bottom in _strips(*image.size):
        samples = np.asarray(image.crop((0, top, image.width, bottom)))
        finite = samples[np.isfinite(samples)]
        if finite.size:
            lows.append(float(finite.min()))
            highs.append(float(finite.max()))
    low, high = min(lows, default=0.0), max(highs, default=0.0)
    ceilings = (1.0, 255.0, 65_535.0) if image.mode == "F" else (255.0, 65_535.0)
    for ceiling in ceilings:
        if low >= 0 and high <= ceiling:
            return 0.0, ceiling
    return low, max(high, low + 1.0)


def _shrink(pixels: np.ndarray, max_side: int | None) -> np.ndarray:
    height, width = pixels.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return pixels
    size = _fitting((width, height), max_side)
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def _exact_values(image: Image.Image, name: str) -> MaskImage:
    """Return the stored samples of a decoded image, see `MaskImage`."""
    lossy = image.format in ("JPEG", "WEBP")
    mode = image.mode
    if mode == "1":
        return MaskImage(np.asarray(image).astype(np.uint8), "bit", mode, None, lossy)
    if mode == "P":
        colours = np.array(image.getpalette("RGB") or [0, 0, 0], np.uint32).reshape(-1, 3)
        return MaskImage(np.array(image), "palette", mode, tuple(_packed(colours).tolist()), lossy)
    if mode in ("L", "LA", "La"):
        return MaskImage(np.array(image.getchannel(0)), "grey", mode, None, lossy)
    if mode in _SIXTEEN_BIT_MODES:
        return MaskImage(np.array(image).astype(np.uint16, copy=False), "grey", mode, None, lossy)
    if mode in ("I", "F"):
        return MaskImage(_whole_numbers(np.asarray(image), name), "grey", mode, None, lossy)
    if mode not in ("RGB", "RGBA", "RGBX"):
        lossy = lossy or mode != "PA"
        image = image.convert("RGB")
    if _is_grey(image):
        return MaskImage(np.array(image.getchannel(0)), "grey", mode, None, lossy)
    return MaskImage(_colour_values(image, name), "colour", mode, None, lossy)


def _is_grey(image: Image.Image) -> bool:
    return all((strip[..., :1] == strip[..., 1:]).all() for _, strip in _colour_strips(image))


def _colour_values(image: Image.Image, name: str) -> np.ndarray:
    """Return a mask's colours 0xRRGGBB, (H, W) uint32.

    Raises:
        ImageError: there are more than `MAX_COLOURS`.
    """
    values = np.empty((image.height, image.width), np.uint32)
    found = np.zeros(1 << 24, bool)
    for top, strip in _colour_strips(image):
        packed = _packed(strip)
        found[packed] = True
        if np.count_nonzero(found) > MAX_COLOURS:
            raise ImageError(
                f"{name} has more than {MAX_COLOURS} colours, so it is a photo and not a mask: choose the mask, which "
                "has one colour for each class."
            )
        values[top : top + len(packed)] = packed
    return values


def _colour_strips(image: Image.Image) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first row and the pixels, (h, W, 3) uint8, of each strip of an RGB, RGBA or RGBX image."""
    for top, bottom in _strips(*image.size):
        yield top, np.asarray(image.crop((0, top, image.width, bottom)))[..., :3]


def _packed(colours: np.ndarray) -> np.ndarray:
    """Turn colours (…, 3) into numbers 0xRRGGBB, uint32."""
    red, green, blue = (colours[..., channel].astype(np.uint32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _whole_numbers(samples: np.ndarray, name: str) -> np.ndarray:
    whole = samples.astype(np.uint16, casting="unsafe") if np.isfinite(samples).all() else None
    if whole is None or not np.array_equal(whole, samples):
        raise ImageError(
            f"{name} holds values that are not whole numbers from 0 to 65535: save it as an 8-bit PNG whose "
            "values are class ids."
        )
    return whole
