"""Decode untrusted bytes to an upright RGB photo or to a mask's exact values; the only code that opens uploads."""

from __future__ import annotations

import importlib
import io
import re
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from unet_core.images.checks import ImageError
from unet_core.images.png_texts import without_large_texts
from unet_core.images.tiff import TiffPage, read_samples, tiff_pages
from unet_core.settings import Settings, get_settings

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
READABLE_FORMATS = "JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP, TIFF, PPM or NumPy"

MAX_COLOUR_MASK_MEGAPIXELS = 25.0  # a mask with several bytes a pixel takes as many times the memory
MAX_COLOURS = 65_536  # of a mask stored as colours; an image with more is a photo

_NUMPY_MAGIC = b"\x93NUMPY"
_MAY_MOVE = (b"GIF8", b"RIFF", b"\x89PNG")  # how files start that can be animations
_USUAL_MILLISECONDS = 100  # that browsers show a frame without a duration
_STRIP_PIXELS = 1_000_000  # size of the strips that are converted at a time, which bounds memory use
_PNG_ORIENTATION = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")  # the chunks that may hold one
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_LOSSY_FORMATS = ("JPEG", "WEBP", "AVIF", "HEIF")
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
    "colour" 0xRRGGBB (uint32). A colour image that is grey everywhere is "grey". `alpha` (H, W) uint8 is the opacity of
    an image that has one colour only, which may then be the mask; of other images it is left out.
    """

    values: np.ndarray
    kind: MaskKind
    mode: str  # in Pillow's terms
    palette: tuple[int, ...] | None  # "palette" only: 0xRRGGBB by index
    lossy: bool  # stored in a format that changes values
    alpha: np.ndarray | None = None


@dataclass(frozen=True)
class PhotoFacts:
    """A photo's header: `width` and `height` once upright, and the EXIF orientation, 1 for none.

    `bands` are 3 for grey values and RGB, 4 with opacity, and otherwise as many as an array or a TIFF has.
    """

    width: int
    height: int
    mode: str
    format: str
    orientation: int
    bands: int = 3

    @property
    def quarter_turned(self) -> bool:
        """Whether upright means that width and height are swapped."""
        return self.orientation >= 5


def decode_image(
    data: bytes,
    *,
    name: str = "photo",
    max_side: int | None = None,
    page: int | None = None,
    upright: bool = True,
    any_bands: bool = False,
    settings: Settings | None = None,
) -> np.ndarray:
    """Decode an uploaded photo: upright, RGB, 8 bits, the first frame of an animation, transparency on white.

    16-bit samples are taken as 8, 12 or 16 bits, the first of these that holds them all. Floating-point samples are
    taken as 0…1, 0…255, 0…4095 or 0…65535 in the same way, and otherwise stretched from their minimum to their maximum.

    Args:
        data: the file's bytes.
        name: the file's name in error messages.
        max_side: shrink to at most this many pixels on the longer side; a JPEG is then decoded at a reduced scale,
            which is several times faster.
        page: of a TIFF with several pages, counted from 0; without it, such a file is refused.
        upright: whether to turn the photo as its EXIF orientation says.
        any_bands: show photos of other bands than RGB, to look at, as their first three or their first one.
        settings: limits (`max_upload_mb`, `max_megapixels`), both checked before any pixel is decoded.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: the file is empty, too large, not an image, damaged, or of an unsupported kind.
    """
    settings = settings or get_settings()
    if max_side is not None and max_side < 1:
        raise ValueError(f"max_side: must be at least 1. Received: {max_side}")
    samples = _samples(data, name, page, settings)
    if samples is not None:
        if any_bands and samples.ndim == 3:
            samples = samples[..., : 3 if samples.shape[2] > 2 else 1]
        return _shrink(_rgb_of_samples(samples, _display_name(name)), max_side)
    with _safely_opened(data, name, settings, "photo", page) as image:
        return _shrink(_upright_rgb(image, max_side, upright), max_side)


def decode_bands(
    data: bytes,
    channels: int,
    *,
    name: str = "photo",
    page: int | None = None,
    upright: bool = True,
    settings: Settings | None = None,
) -> np.ndarray:
    """Decode a photo of any number of bands as it is stored: a .npy array, a TIFF, or what Pillow reads.

    Whole numbers keep their values. Floating-point samples become 16-bit: they are taken as 0…1 if none is larger, and
    as 0…65535 otherwise; what is no number becomes 0.

    Args:
        data: the file's bytes.
        channels: the number of bands that it must have.
        name: the file's name in error messages.
        page: of a TIFF with several pages, counted from 0; without it, such a file is refused.
        upright: whether to turn the photo as its EXIF orientation says.
        settings: limits, both checked before any pixel is decoded.

    Returns:
        (H, W, channels), uint8 or uint16.

    Raises:
        ImageError: as for `decode_image`, or it has another number of bands, or values outside 0…65535.
    """
    settings, shown = settings or get_settings(), _display_name(name)
    samples = _samples(data, name, page, settings)
    if samples is None:
        with _safely_opened(data, name, settings, "photo", page) as image:
            turn = _UPRIGHT.get(_orientation(image)) if upright else None
            samples = np.asarray(image)
            samples = samples if turn is None else turn(samples)
    samples = samples if samples.ndim == 3 else samples[..., None]
    if samples.shape[2] != channels:
        raise ImageError(f"{shown} has {counted_bands(samples.shape[2])}, and this network takes {channels}.")
    return np.ascontiguousarray(_as_whole_numbers(samples, shown))


def counted_bands(count: int) -> str:
    """Write a number of bands: "1 band", "5 bands"."""
    return f"{count} band{'s' * (count != 1)}"


def _as_whole_numbers(samples: np.ndarray, name: str) -> np.ndarray:
    if samples.dtype in (np.uint8, np.uint16):
        return samples
    values = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0) if samples.dtype.kind == "f" else samples
    low, high = values.min(), values.max()
    if low < 0 or high > 65535:
        raise ImageError(
            f"{name} has values from {low:g} to {high:g}: save whole numbers from 0 to 65535, or fractions from 0 to 1."
        )
    if samples.dtype.kind == "f" and high <= 1:
        values = values * 65535.0
    return np.rint(values).astype(np.uint16)


def _samples(data: bytes, name: str, page: int | None, settings: Settings) -> np.ndarray | None:
    """Return the samples of a file that Pillow does not read, (H, W) or (H, W, bands), None for all others."""
    shown = _display_name(name)
    if data[:6] == _NUMPY_MAGIC:
        _check_bytes(data, shown, settings)
        return _numpy_array(data, shown, settings)
    pages = tiff_pages(data)
    if not pages or not pages[0].needs_tifffile:
        return None
    _check_bytes(data, shown, settings)
    chosen = _chosen_page(pages, page, shown)
    _check_pixels((chosen.width, chosen.height), shown, settings, chosen.samples)
    return read_samples(data, chosen, shown)


def _chosen_page(pages: list[TiffPage], page: int | None, name: str) -> TiffPage:
    if page is None and len(pages) > 1:
        raise ImageError(f"{name} has {len(pages)} pages: save each page as a file of its own.")
    if page is not None and page >= len(pages):
        raise ImageError(f"{name} has {len(pages)} pages, so there is no page {page + 1}.")
    return pages[page or 0]


def count_pages(data: bytes) -> int:
    """Return how many pages a TIFF file has; 1 for all other files."""
    return max(1, len(tiff_pages(data)))


def _numpy_array(data: bytes, name: str, settings: Settings) -> np.ndarray:
    """Read an array from a .npy file: (H, W) or (H, W, bands), of whole or floating-point numbers.

    Raises:
        ImageError: it is no picture, or its header states more than the limits allow.
    """
    try:
        file = io.BytesIO(data)
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read_header(file, max_header_size=10_000)
        fits = 2 <= len(shape) <= 3 and min(shape) >= 1 and kind.kind in "buif" and kind.itemsize <= 8
        if fits:
            _check_pixels((shape[1], shape[0]), name, settings, 1 if len(shape) == 2 else min(shape))
            array = np.load(io.BytesIO(data), allow_pickle=False)
            return _bands_last(array) if array.dtype != bool else _bands_last(array).astype(np.uint8)
    except ImageError:
        raise
    except Exception:  # NumPy raises ValueError, OSError, SyntaxError… on damaged headers
        raise ImageError(f"{name} is a damaged NumPy file: save the array again.") from None
    raise ImageError(f"{name} is a NumPy array of shape {shape}, not a picture: save (height, width, bands) numbers.")


def _bands_last(array: np.ndarray) -> np.ndarray:
    if array.ndim == 3 and array.shape[2] > 4 and array.shape[0] < min(array.shape[1:]):  # as PyTorch and GDAL have it
        array = np.moveaxis(array, 0, -1)
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _rgb_of_samples(samples: np.ndarray, name: str) -> np.ndarray:
    """Turn samples (H, W) or (H, W, 3 or 4), the fourth an opacity that is left out, into RGB (H, W, 3) uint8."""
    if samples.ndim == 3 and samples.shape[2] not in (3, 4):
        raise ImageError(f"{name} has {samples.shape[2]} bands, not the 3 of a photo: choose three and save them.")
    samples = samples[..., :3] if samples.ndim == 3 else samples[..., None]
    if samples.dtype != np.uint8:
        low, high = _range_of([samples])
        values = np.nan_to_num(samples.astype(np.float32), nan=low, posinf=high, neginf=low)
        samples = np.rint(((values - low) * (255.0 / (high - low))).clip(0, 255)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(samples, (*samples.shape[:2], 3)))


def photo_pixels(image: Image.Image) -> np.ndarray:
    """Convert a Pillow image in the same way as `decode_image`: upright, RGB, 8 bits, transparency on white.

    Returns:
        (H, W, 3) uint8.
    """
    return _upright_rgb(image, None, True)


@dataclass(frozen=True)
class Animation:
    """The header of an animated GIF, WebP or PNG: its number of frames, and the size in pixels."""

    frames: int
    width: int
    height: int


@dataclass(frozen=True)
class Frame:
    """One frame of an animation: (h, w, 3) uint8, and how long it is shown in milliseconds."""

    pixels: np.ndarray
    milliseconds: int


def animation(data: bytes, *, name: str = "animation", settings: Settings | None = None) -> Animation | None:
    """Read the header of an animation; None for a still photo and everything else.

    Raises:
        ImageError: the file is empty, too large or damaged.
    """
    if not data.startswith(_MAY_MOVE):
        return None
    settings = settings or get_settings()
    with _safely_opened(data, name, settings, "animation") as image:
        count = getattr(image, "n_frames", 1)
        return Animation(count, *image.size) if count > 1 else None


def decode_frames(
    data: bytes, *, name: str = "animation", max_side: int, most: int, settings: Settings | None = None
) -> Iterator[Frame]:
    """Decode an animation frame by frame, each as `decode_image` would, at most `most` of them.

    Between two frames, other photos can be decoded.

    Raises:
        ImageError: the file cannot be used, or is damaged at a frame.
    """
    settings, shown = settings or get_settings(), _display_name(name)
    _check_bytes(data, shown, settings)
    with _guarded(data, shown, settings, "animation"):
        image = Image.open(io.BytesIO(without_large_texts(data)), formats=("GIF", "WEBP", "PNG"))
    with image:
        _check_pixels(image.size, shown, settings)
        for number in range(min(getattr(image, "n_frames", 1), most)):
            with _guarded(data, shown, settings, "animation"):
                image.seek(number)
                pixels = _shrink(_upright_rgb(image, None, False), max_side)
                milliseconds = round(image.info.get("duration", 0) or _USUAL_MILLISECONDS)
            yield Frame(pixels, milliseconds)


def decode_mask(
    data: bytes, *, name: str = "mask", page: int | None = None, settings: Settings | None = None
) -> MaskImage:
    """Decode an uploaded mask without changing a value: no colour conversion, no scaling, palette indices kept.

    Args:
        data: the file's bytes.
        name: the file's name in error messages.
        page: of a TIFF with several pages, counted from 0; without it, such a file is refused.
        settings: the same limits as for a photo, checked before any pixel is decoded.

    Raises:
        ImageError: as for a photo, and for samples that are not whole numbers from 0 to 65535.
    """
    settings = settings or get_settings()
    samples = _samples(data, name, page, settings)
    if samples is not None:
        return _mask_of_samples(samples, _display_name(name))
    with _safely_opened(data, name, settings, "mask", page) as image:
        _check_colour_mask(image, _display_name(name))
        image.load()
        mask = _exact_values(image, _display_name(name))
        turn = _UPRIGHT.get(_orientation(image))
    return mask if turn is None else replace(mask, values=np.ascontiguousarray(turn(mask.values)))


def _mask_of_samples(samples: np.ndarray, name: str) -> MaskImage:
    if samples.ndim == 3:
        raise ImageError(f"{name} has {samples.shape[2]} bands, so it is not a mask: save one value for each pixel.")
    return MaskImage(_whole_numbers(samples, name), "grey", "array", None, lossy=False)


def photo_facts(
    data: bytes, *, name: str = "photo", what: str = "photo", upright: bool = True, settings: Settings | None = None
) -> PhotoFacts:
    """Read the size and kind of a photo, or of a mask, from its header; no pixel is decoded.

    Raises:
        ImageError: the file is empty, too large or not an image.
    """
    settings = settings or get_settings()
    samples = _samples(data, name, 0, settings)
    if samples is not None:
        bands = 1 if samples.ndim == 2 else samples.shape[2]
        kind = "NPY" if data[:6] == _NUMPY_MAGIC else "TIFF"
        mode = f"{bands}×{samples.dtype}"
        return PhotoFacts(samples.shape[1], samples.shape[0], mode, kind, 1, 3 if bands == 1 else bands)
    with _safely_opened(data, name, settings, what, 0) as image:
        orientation = _orientation(image) if _may_be_turned(image, data) else 1
        width, height = image.size[::-1] if upright and orientation >= 5 else image.size
        bands = 4 if image.mode in ("RGBA", "CMYK") else 3
        return PhotoFacts(width, height, image.mode, str(image.format), orientation, bands)


@contextmanager
def _safely_opened(
    data: bytes, name: str, settings: Settings, what: str, page: int | None = 0
) -> Iterator[Image.Image]:
    """Open an image within the limits; while it is open, every failure becomes an `ImageError`."""
    shown = _display_name(name)
    _check_bytes(data, shown, settings)
    pages = tiff_pages(data)
    frame = _chosen_page(pages, page, shown).frame if len(pages) > 1 else 0
    with (
        _guarded(data, shown, settings, what),
        Image.open(io.BytesIO(without_large_texts(data)), formats=_formats(data)) as image,
    ):
        if frame:
            image.seek(frame)
        _check_pixels(image.size, shown, settings)
        yield image


@contextmanager
def _guarded(data: bytes, name: str, settings: Settings, what: str) -> Iterator[None]:
    """Let one photo be decoded at a time, and turn every failure into an `ImageError`."""
    with _DECODING, _translated_errors(data, name, settings, what), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _formats(data: bytes) -> tuple[str, ...]:
    """Return the formats to try; the decoder of HEIC is loaded only for a file that says it is one."""
    return (*FORMATS, "HEIF") if _is_heic(data) and _loads_heic() else FORMATS


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS


@cache
def _loads_heic() -> bool:
    """Add HEIC to Pillow's formats, and return whether its decoder is installed: it is not on every system."""
    try:
        importlib.import_module("pi_heif").register_heif_opener()
    except ImportError:
        return False
    return True


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


def _check_pixels(size: tuple[int, int], name: str, settings: Settings, bands: int = 3) -> None:
    width, height = size
    if width * height * max(1, bands / 3) > settings.max_megapixels * 1e6:
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
    if _is_heic(data) and not _loads_heic():
        return f"{name} is a HEIC photo, which needs the package pi-heif: install it, or export the photo as JPEG."
    if _is_heic(data) or data[4:12] in (b"ftypavif", b"ftypavis"):
        return f"{name} is damaged or incomplete and cannot be decoded: export or copy it again."
    return f"{name} is not a {what} in a supported format: choose a {READABLE_FORMATS} file."


def _upright_rgb(image: Image.Image, max_side: int | None, upright: bool) -> np.ndarray:
    """Decode, convert and turn upright; the result may still be up to twice `max_side`, see `_shrink`."""
    if max_side is not None and max(image.size) > max_side:
        image.draft(None, _fitting(image.size, max_side))  # JPEG only: decode at 1/2, 1/4 or 1/8
    image.load()
    factor = 1 if max_side is None else max(1, max(image.size) // (2 * max_side))
    pixels = _rgb_array(image, factor)
    turn = _UPRIGHT.get(_orientation(image)) if upright else None
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
    if image.mode in (*_SIXTEEN_BIT_MODES, "I", "F"):
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
    """Return the sample values that stand for black and white."""
    strips = (image.crop((0, top, image.width, bottom)) for top, bottom in _strips(*image.size))
    return _range_of(np.asarray(strip) for strip in strips)


def _range_of(parts: Iterable[np.ndarray]) -> tuple[float, float]:
    """Return the values that stand for black and white: the first common range that holds all samples.

    Ten and fourteen bits are not among them: a dark photo would be taken for one of fewer bits.
    """
    lows, highs, floating = [], [], False
    for samples in parts:
        floating = floating or samples.dtype.kind == "f"
        finite = samples[np.isfinite(samples)]
        if finite.size:
            lows.append(float(finite.min()))
            highs.append(float(finite.max()))
    low, high = min(lows, default=0.0), max(highs, default=0.0)
    for ceiling in (*((1.0,) if floating else ()), 255.0, 4_095.0, 65_535.0):
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
    lossy = image.format in _LOSSY_FORMATS
    mode = image.mode
    if mode == "1":
        return MaskImage(np.asarray(image).astype(np.uint8), "bit", mode, None, lossy)
    if mode == "P":
        colours = np.array(image.getpalette("RGB") or [0, 0, 0], np.uint32).reshape(-1, 3)
        return MaskImage(np.array(image), "palette", mode, tuple(_packed(colours).tolist()), lossy)
    if mode in ("L", "LA", "La"):
        return MaskImage(np.array(image.getchannel(0)), "grey", mode, None, lossy, _only_opacity(image))
    if mode in _SIXTEEN_BIT_MODES:
        return MaskImage(np.array(image).astype(np.uint16, copy=False), "grey", mode, None, lossy)
    if mode in ("I", "F"):
        return MaskImage(_whole_numbers(np.asarray(image), name), "grey", mode, None, lossy)
    if mode not in ("RGB", "RGBA", "RGBX"):
        lossy = lossy or mode != "PA"
        image = image.convert("RGB")
    if _is_grey(image):
        return MaskImage(np.array(image.getchannel(0)), "grey", mode, None, lossy, _only_opacity(image))
    return MaskImage(_colour_values(image, name), "colour", mode, None, lossy, _only_opacity(image))


def _only_opacity(image: Image.Image) -> np.ndarray | None:
    """Return the opacity of an image whose colour is the same everywhere, (H, W) uint8; None for all others."""
    if image.mode not in ("LA", "RGBA"):
        return None
    extremes = [image.getchannel(band).getextrema() for band in image.getbands()[:-1]]
    return np.array(image.getchannel("A")) if all(low == high for low, high in extremes) else None


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
