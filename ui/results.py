"""From a photo's bytes to what a card shows: computed once per photo and model, held compressed by the session."""

from __future__ import annotations

import io
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import PurePath

import numpy as np
from PIL import Image

from ui.tray import Photo
from unet_core.segment import ImageError, Segmenter, decode_image, render
from unet_core.settings import Settings
from unet_core.weights import WeightsError

SHOWN_SIDE = 1200  # pixels on the long side of what is sent to the browser; downloads have the photo's own size
UNEXPECTED = "Something unexpected went wrong with this photo; the server's log says what. The others are not affected."
ENGINES = {"onnx": "ONNX Runtime", "keras": "TensorFlow"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """One segmented photo: pictures of at most `SHOWN_SIDE` pixels to look at and the mask at the photo's own size.

    `timings` are milliseconds by stage, with their sum under "total". Masks are PNG: class ids in the one that is
    shown, trimap codes in the one to take away.
    """

    photo: Photo = field(repr=False)
    width: int
    height: int
    model: str
    engine: str
    device: str
    timings: dict[str, float]
    shares: dict[str, float]
    shown_jpeg: bytes = field(repr=False)
    shown_mask: bytes = field(repr=False)
    mask_png: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """The photo's file name."""
        return self.photo.name

    def file_name(self, kind: str) -> str:
        """Name a download after the photo: `cat.jpg` gives `cat_mask.png`."""
        return f"{PurePath(self.name.replace(chr(92), '/')).stem or 'photo'}_{kind}.png"


@dataclass(frozen=True)
class Problem:
    """Why a photo has no result, as a sentence for its card."""

    name: str
    message: str


@dataclass
class Results:
    """What one session has computed, by (photo digest, model); bounded, because it forgets what leaves the tray."""

    found: dict[tuple[str, str], Result | Problem] = field(default_factory=dict)
    overlays: dict[tuple[str, str], tuple[float, bool, bytes]] = field(default_factory=dict)

    def get(self, photo: Photo, segmenter: Segmenter, model: str) -> Result | Problem:
        """Return the photo's result; the network runs only the first time it is asked for."""
        key = photo.digest, model
        if key not in self.found:
            self.found[key] = segment_photo(photo, segmenter)
        return self.found[key]

    def has(self, photo: Photo, model: str) -> bool:
        """Whether `get` would answer without running the network."""
        return (photo.digest, model) in self.found

    def overlay(self, result: Result, model: str, opacity: float, outline: bool) -> bytes:
        """Return the overlay as JPEG; it is drawn anew only when the opacity or the outline has changed."""
        key = result.photo.digest, model
        if self.overlays.get(key, (None,))[:2] != (opacity, outline):
            self.overlays[key] = (opacity, outline, overlay_jpeg(result, opacity, outline))
        return self.overlays[key][2]

    def keep_only(self, digests: Collection[str]) -> None:
        """Forget the results of all photos but these."""
        self.found = {key: value for key, value in self.found.items() if key[0] in digests}
        self.overlays = {key: value for key, value in self.overlays.items() if key[0] in digests}


def segment_photo(photo: Photo, segmenter: Segmenter) -> Result | Problem:
    """Segment one photo; whatever is wrong with it becomes a `Problem`, so that the others go on."""
    try:
        return _segment(photo, segmenter)
    except (ImageError, WeightsError) as error:
        return Problem(photo.name, str(error))
    except Exception:
        log.exception("segmenting the photo %s failed", photo.digest[:12])
        return Problem(photo.name, UNEXPECTED)


def overlay_jpeg(result: Result, opacity: float, outline: bool) -> bytes:
    """Draw the overlay at the size that is shown, as JPEG."""
    photo, mask = _array(result.shown_jpeg), _array(result.shown_mask)
    return _encode(render.overlay(photo, mask, opacity=opacity, outline=outline), "JPEG")


def overlay_png(result: Result, opacity: float, outline: bool, settings: Settings) -> bytes:
    """Draw the overlay at the photo's own size, as PNG to take away."""
    photo = decode_image(result.photo.data, name=result.name, settings=settings)
    mask = _array(result.mask_png) - 1  # trimap codes to class ids
    return render.overlay_png(photo, mask, opacity=opacity, outline=outline)


def _segment(photo: Photo, segmenter: Segmenter) -> Result:
    done = segmenter.segment_bytes(photo.data, photo.name)
    image, segmentation = done.image, done.segmentation
    height, width = segmentation.size
    shown = _shown_size(width, height)
    return Result(
        photo=photo,
        width=width,
        height=height,
        model=segmentation.model,
        engine=ENGINES[segmentation.engine],
        device=segmentation.device,
        timings=dict(segmentation.timings),
        shares=dict(segmentation.shares),
        shown_jpeg=_encode(_resized(image, shown, Image.Resampling.BILINEAR), "JPEG"),
        shown_mask=_encode(_resized(segmentation.mask, shown, Image.Resampling.NEAREST), "PNG"),
        mask_png=segmentation.to_trimap_png(),
    )


def _shown_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, SHOWN_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _resized(array: np.ndarray, size: tuple[int, int], method: Image.Resampling) -> np.ndarray:
    image = Image.fromarray(array)
    return array if image.size == size else np.asarray(image.resize(size, method))


def _array(encoded: bytes) -> np.ndarray:
    """Decode a picture that this module has encoded itself."""
    return np.array(Image.open(io.BytesIO(encoded)))


def _encode(array: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    options = {"quality": 90, "subsampling": 0} if kind == "JPEG" else {"compress_level": 3}
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()
