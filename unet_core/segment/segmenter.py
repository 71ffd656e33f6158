"""From a photo to its segmentation: preprocessing, network, probabilities, and the mask at the original size."""

from __future__ import annotations

import statistics
import time
import weakref
from collections import Counter

import numpy as np

from unet_core.classes import PixelClasses
from unet_core.images.interpolate import class_map, resized
from unet_core.images.preprocess import visible
from unet_core.segment.engine import EngineChoice, get_engine
from unet_core.segment.kinds import listening
from unet_core.segment.network import Network
from unet_core.segment.passes import TwoPasses, photo_probabilities, single
from unet_core.segment.presence import presence_of
from unet_core.segment.segmentation import FULL_PROBABILITIES_PIXELS, Segmentation, check_photo
from unet_core.settings import Settings, get_settings
from unet_core.zoo.manifest import ModelEntry, WeightsError, load_manifest


class Segmenter:
    """Segments photos with one model on one engine; cheap to create, since the process shares engines.

    Args:
        model: a name in the manifest; None is its default.
        engine: "auto" (Keras on a GPU, else ONNX Runtime), "onnx" or "keras".
        settings: folders and limits; by default from the environment.
        entry: a model outside the manifest, whose files are in the settings' `weights_dir`; `model` is then its name.

    Raises:
        WeightsError: the model is unknown, or its file is missing, altered or unusable.
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
        self.network: Network = get_engine(self.entry, engine, self.settings)

    @property
    def pixel_classes(self) -> PixelClasses:
        """What the class ids in masks mean."""
        return self.entry.classes

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the class ids in masks."""
        return self.entry.class_names

    @property
    def engine(self) -> str:
        """The engine in use: "onnx" or "keras"."""
        return self.network.name

    @property
    def device(self) -> str:
        """The device in words, for example "CPU (2 cores)"."""
        return self.network.device

    def segment(
        self,
        image: np.ndarray,
        *,
        flip: bool = False,
        full_pixels: int = FULL_PROBABILITIES_PIXELS,
        name: str = "photo",
        photo_size: tuple[int, int] | None = None,
    ) -> Segmentation:
        """Segment one decoded photo as a whole.

        Args:
            image: (H, W, 3) uint8, as `decode_image` returns it; (H, W, C) uint8 or uint16 for a model of C bands.
            flip: average the probabilities with those of the mirrored photo; no effect on a model with a zoomed second
                pass.
            full_pixels: probabilities of photos up to this size are kept at the photo's size, others at the network's.
            name: the photo's file name.
            photo_size: the photo's original height and width, if `image` was decoded smaller.

        Raises:
            ImageError: the array has another shape or type.
            WeightsError: the network's output is not finite.
        """
        check_photo(image, self.entry.config.channels)
        clock = Stopwatch()
        network, listener = listening(self.network, self.entry)
        probabilities = photo_probabilities(network, self.entry.config, image, flip=flip, lap=clock.lap)
        if not np.isfinite(probabilities).all():
            raise WeightsError(f"The model {self.model!r} returns values that are not numbers: choose another model.")
        presence = presence_of(probabilities, self.pixel_classes, self.entry.presence)
        kind = listener.kind() if listener is not None and presence.found else None
        if kind is not None:
            presence = presence._replace(kind=kind.name, kind_probability=kind.probability)
        mask, shares, probabilities = _at_photo_size(probabilities, image.shape[0], image.shape[1], full_pixels)
        clock.lap("postprocess")
        return Segmentation(
            name=name,
            photo_size=photo_size or image.shape[:2],
            image=visible(image),
            mask=mask,
            probabilities=probabilities,
            pixel_classes=self.pixel_classes,
            shares=dict(zip(self.classes, shares)),
            timings=clock.timings(),
            model=self.model,
            engine=self.engine,
            device=self.device,
            runs=clock.laps_of("network") if isinstance(self.network, TwoPasses) else self.runs(flip),
            presence=presence,
        )

    def runs(self, flip: bool) -> int:
        """Return how often the network runs on a tile, and at least on a photo."""
        return max(self.entry.passes, 1 + flip)

    def run_seconds(self) -> float:
        """Return how long one run of the network takes here, measured once for each network."""
        once = single(self.network)
        if once not in _run_seconds:
            image = np.zeros((1, *self.entry.config.input_shape), np.float32)
            _run_seconds[once] = statistics.median(_seconds(once, image) for _ in range(3))
        return _run_seconds[once]


_run_seconds: weakref.WeakKeyDictionary[Network, float] = weakref.WeakKeyDictionary()


def _seconds(network: Network, batch: np.ndarray) -> float:
    start = time.perf_counter()
    network.predict(batch)
    return time.perf_counter() - start


def _at_photo_size(
    probabilities: np.ndarray, height: int, width: int, full_pixels: int
) -> tuple[np.ndarray, list[float], np.ndarray]:
    """Interpolate probabilities (h, w, C) to the photo's size: mask, shares, and what to keep of them."""
    mask = class_map(probabilities, height, width)
    shares = [int(np.count_nonzero(mask == index)) / mask.size for index in range(probabilities.shape[-1])]
    keep = mask.size <= full_pixels
    return mask, shares, resized(probabilities, height, width) if keep else np.ascontiguousarray(probabilities)


class Stopwatch:
    """Measures the milliseconds of stages, which may alternate."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}
        self._count: Counter[str] = Counter()

    def laps_of(self, stage: str) -> int:
        """Return how often `lap` was called for a stage."""
        return self._count[stage]

    def lap(self, stage: str) -> None:
        """Add the time since the last lap to `stage`."""
        now = time.perf_counter()
        self._count[stage] += 1
        self._laps[stage] = self._laps.get(stage, 0.0) + 1000 * (now - self._last)
        self._last = now

    def timings(self) -> dict[str, float]:
        """Return each stage's milliseconds, and their total."""
        return {**self._laps, "total": 1000 * (self._last - self._start)}
