"""A photo in, its segmentation out: preprocess, network, probabilities, the mask at the photo's own size."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from unet_core.classes import BACKGROUND
from unet_core.images import render
from unet_core.images.decode import ImageError, decode_image
from unet_core.images.interpolate import class_map, resized
from unet_core.segment.engine import EngineChoice, get_engine
from unet_core.segment.network import Engine
from unet_core.segment.passes import photo_probabilities
from unet_core.settings import Settings, get_settings
from unet_core.zoo.manifest import ModelEntry, WeightsError, load_manifest

FULL_PROBABILITIES_PIXELS = 1_000_000  # photos up to this size keep their probabilities at their own size

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a model says about one photo.

    Attributes:
        mask: (H, W) uint8 class ids, at the photo's size.
        probabilities: (h, w, C) float32, summing to 1; at the photo's size up to `FULL_PROBABILITIES_PIXELS`, at the
            answer's own size for larger photos.
        classes: the C class names, by id.
        shares: by class name, the share of the photo's pixels, 0…1.
        timings: milliseconds of "decode" (if it was done here), "preprocess", "network", "postprocess" and "total".
        model, engine, device: what computed it, in words.
    """

    mask: np.ndarray = field(repr=False)
    probabilities: np.ndarray = field(repr=False)
    classes: tuple[str, ...]
    shares: Mapping[str, float]
    timings: Mapping[str, float]
    model: str
    engine: str
    device: str

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the photo."""
        return self.mask.shape[0], self.mask.shape[1]

    @property
    def trimap(self) -> np.ndarray:
        """The mask in the dataset's codes (1 pet, 2 background, 3 border): (H, W) uint8."""
        return render.trimap_codes(self.mask)

    def to_trimap_png(self) -> bytes:
        """Return the mask as 8-bit grey PNG that holds the trimap codes, at the photo's size."""
        return render.mask_png(self.mask)

    def to_overlay_png(self, image: np.ndarray, *, opacity: float = 0.45, outline: bool = True) -> bytes:
        """Return the photo with its classes coloured, as PNG; `image` is the photo, (H, W, 3) uint8."""
        return render.overlay_png(image, self.mask, opacity=opacity, outline=outline)

    def to_cutout_png(self, image: np.ndarray) -> bytes:
        """Return the pet on a transparent background, as PNG; `image` is the photo, (H, W, 3) uint8."""
        return render.cutout_png(image, self.mask)


@dataclass(frozen=True)
class PhotoResult:
    """One of several photos: the decoded image with its segmentation, or the sentence that says what is wrong."""

    name: str
    image: np.ndarray | None = field(default=None, repr=False)
    segmentation: Segmentation | None = None
    error: str | None = None


class Segmenter:
    """Segments photos with one model on one engine; cheap to make, since engines are shared by the process.

    Args:
        model: a name in the manifest; None takes its default.
        engine: "auto" (Keras on a GPU, else ONNX Runtime), "onnx" or "keras".
        settings: folders and limits; the environment's by default.
        entry: a model that no manifest names, with its files in the settings' `weights_dir`; `model` is then its name.

    Raises:
        WeightsError: there is no such model, or its file is missing, altered or unusable. Nothing is loaded then.
    """

    def __init__(
        self,
        model: str | None = None,
        engine: EngineChoice = "auto",
        settings: Settings | None = None,
        *,
        entry: ModelEntry | None = None,
    ) -> None:
        self.settings = settings or get_settings()
        if entry is None:
            manifest = load_manifest(self.settings)
            entry, model = manifest.entry(model), model or manifest.default
        self.entry = entry
        self.model = model or entry.title
        if self.entry.config.channels not in (1, 3):
            raise WeightsError(
                f"The model {self.model!r} wants {self.entry.config.channels} channels, a photo gives 3 (1 in grey): "
                "choose another model."
            )
        self.network: Engine = get_engine(self.entry, engine, self.settings)
        self.classes = class_names(self.entry)

    @property
    def engine(self) -> str:
        """The engine in use: "onnx" or "keras"."""
        return self.network.name

    @property
    def device(self) -> str:
        """Where it computes, in words, for example "CPU (2 cores)"."""
        return self.network.device

    def segment(
        self, image: np.ndarray, *, flip: bool = False, full_pixels: int = FULL_PROBABILITIES_PIXELS
    ) -> Segmentation:
        """Segment one decoded photo.

        Args:
            image: (H, W, 3) uint8, as `decode_image` returns it.
            flip: average the probabilities with those of the mirrored photo; no effect on a model that looks twice.
            full_pixels: photos up to this size keep their probabilities at their own size, others at the network's.

        Raises:
            ImageError: the array has another shape or type.
            WeightsError: the network's output is not a number.
        """
        _check_image(image)
        clock = _Clock()
        probabilities = photo_probabilities(self.network, self.entry.config, image, flip=flip, lap=clock.lap)
        if not np.isfinite(probabilities).all():
            raise WeightsError(f"The model {self.model!r} gives values that are not numbers: choose another model.")
        mask, shares, probabilities = _at_photo_size(probabilities, *image.shape[:2], full_pixels)
        clock.lap("postprocess")
        return Segmentation(
            mask=mask,
            probabilities=probabilities,
            classes=self.classes,
            shares=dict(zip(self.classes, shares)),
            timings=clock.timings(),
            model=self.model,
            engine=self.engine,
            device=self.device,
        )

    def segment_bytes(
        self, data: bytes, name: str = "photo", *, flip: bool = False, max_side: int | None = None
    ) -> PhotoResult:
        """Decode and segment one uploaded photo; its timings then include "decode".

        Raises:
            ImageError: the file cannot be used, see `decode_image`.
            WeightsError: the network's output is not a number.
        """
        start = time.perf_counter()
        image = decode_image(data, name=name, max_side=max_side, settings=self.settings)
        decoded = 1000 * (time.perf_counter() - start)
        segmentation = self.segment(image, flip=flip)
        timings = {"decode": decoded, **segmentation.timings}
        timings["total"] += decoded
        return PhotoResult(name, image, replace(segmentation, timings=timings))

    def segment_many(
        self, photos: Iterable[tuple[str, bytes]], *, flip: bool = False, max_side: int | None = None
    ) -> Iterator[PhotoResult]:
        """Segment photos (name, bytes) one after the other; a bad one yields its error and the others go on."""
        for name, data in photos:
            try:
                yield self.segment_bytes(data, name, flip=flip, max_side=max_side)
            except (ImageError, WeightsError) as error:
                yield PhotoResult(name, error=str(error))
            except MemoryError:
                yield PhotoResult(name, error=f"{name} needs more memory than is free: scale it down and try again.")
            except Exception:
                log.exception("segmenting a photo failed")
                yield PhotoResult(name, error=f"{name} could not be segmented; the program's log says why.")


def class_names(entry: ModelEntry) -> tuple[str, ...]:
    """Return the names of the class ids in masks; a one-class head gives two: its class (id 0) and the rest (id 1)."""
    if entry.config.classes == 1 and len(entry.classes) == 1:
        return entry.classes[0], BACKGROUND.name
    return entry.classes


def _at_photo_size(
    probabilities: np.ndarray, height: int, width: int, full_pixels: int
) -> tuple[np.ndarray, list[float], np.ndarray]:
    """Interpolate probabilities (h, w, C) to the photo's size: the mask, the classes' shares, what to keep of them."""
    mask = class_map(probabilities, height, width)
    shares = [int(np.count_nonzero(mask == index)) / mask.size for index in range(probabilities.shape[-1])]
    keep = mask.size <= full_pixels
    return mask, shares, resized(probabilities, height, width) if keep else np.ascontiguousarray(probabilities)


def _check_image(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ImageError(
            f"A photo must be an array (height, width, 3) of uint8: use decode_image. Received: {image.shape} "
            f"{image.dtype}"
        )


class _Clock:
    """Milliseconds of consecutive stages."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._laps[stage] = self._laps.get(stage, 0.0) + 1000 * (now - self._last)
        self._last = now

    def timings(self) -> dict[str, float]:
        return {**self._laps, "total": 1000 * (self._last - self._start)}
