"""From a photo's bytes to what a card shows: computed once per photo, model and way, held compressed by the session."""

from __future__ import annotations

import io
import logging
import threading
import time
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal

import numpy as np
import streamlit as st
from PIL import Image

from ui.segment.photos import Photo
from ui.shared import format as text
from ui.shared import models
from unet_core.images import render
from unet_core.images.decode import photo_facts
from unet_core.images.interpolate import resized
from unet_core.images.render import Colour
from unet_core.jobs.memory import give_back_soon
from unet_core.segment import EngineChoice, ImageError, PhotoResult, Segmentation, Segmenter, decode_image
from unet_core.segment.concurrency import ConcurrencyLimit, OnWait
from unet_core.segment.tiles import TiledSegmenter
from unet_core.settings import Settings
from unet_core.zoo.manifest import WeightsError

SHOWN_SIDE = 1000  # pixels on the long side of what is sent to the browser; downloads have the photo's own size
UNEXPECTED = "Something unexpected went wrong with this photo; the server's log says what. The others are not affected."
ENGINES = {"onnx": "ONNX Runtime", "keras": "TensorFlow"}

_TILES_ACROSS = 1.5  # of the photo's shorter side, at the automatic scale
_STEPS = 65_535  # probabilities are kept as whole numbers of this many steps: within 1e-5
_RECENT = 2  # of 3 MB each
_FIRST_PICTURE_SECONDS = 0.1  # that packing waits for the picture which a visitor waits for
_PICTURE_BYTES = 24_000_000  # overlays that one session keeps
_RESULT_BYTES = 48_000_000  # results that one session keeps

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Way:
    """How a photo is put before the network.

    Attributes:
        kind: "whole": all of it at once, at the network's size; "tiles": in overlapping pieces.
        scale: of the photo that the tiles are cut from; None takes one where few tiles come, because large animals get
            lost in small pieces.
        overlap: the least share of a tile that its neighbour predicts too.
        flip: average with the mirror image.
    """

    kind: Literal["whole", "tiles"] = "whole"
    scale: float | None = None
    overlap: float = 0.25
    flip: bool = False

    @property
    def label(self) -> str:
        """The way in a few words."""
        if self.kind == "whole":
            words = "whole photo"
        else:
            words = "tiles" if self.scale is None else f"tiles at {text.percent(self.scale, 0)} scale"
        return f"{words}, both ways round" if self.flip else words


@dataclass(frozen=True)
class Choice:
    """What a photo is segmented with: a model by its name in `models.model_choices`, an engine and a way."""

    model: str
    engine: EngineChoice = "auto"
    way: Way = Way()

    @property
    def key(self) -> str:
        """A short text that differs between choices, for widgets and caches."""
        return f"{zlib.crc32(repr(self).encode()):08x}"


class Shown:
    """A photo and its segmentation as arrays, both of one size.

    Attributes:
        photo: (h, w, 3) uint8.
        segmentation: with `mask` (h, w) of class ids and `probabilities` (of the same size up to a megapixel).
    """

    def __init__(self, name: str, photo: np.ndarray, segmentation: Segmentation) -> None:
        self.name = name
        self.photo = photo
        self.segmentation = segmentation

    @property
    def mask(self) -> np.ndarray:
        """Class ids, (h, w) uint8."""
        return self.segmentation.mask

    @property
    def probabilities(self) -> np.ndarray:
        """Probabilities (h, w, C) float32 that sum to 1."""
        return self.segmentation.probabilities

    @property
    def photo_result(self) -> PhotoResult:
        """The same, as the functions of `unet_core.segment.downloads` take it."""
        return PhotoResult(self.name, self.photo, self.segmentation)


@dataclass(frozen=True, eq=False)
class Result:
    """One segmented photo, compressed; what is shown has at most `SHOWN_SIDE` pixels on its longer side.

    Attributes:
        photo: the file as it came.
        width, height: the photo's own size.
        choice: what it was segmented with.
        classes: the names of the class ids.
        model, engine, device: what computed it, in words.
        timings: milliseconds by stage, with their sum under "total".
        shares: of the photo, by class name.
        runs: how often the network ran: once, or for every tile; twice as often with flips or a second look.
    """

    photo: Photo = field(repr=False)
    width: int
    height: int
    choice: Choice
    classes: tuple[str, ...]
    model: str
    engine: str
    device: str
    timings: Mapping[str, float]
    shares: Mapping[str, float]
    runs: int
    _packed: Future[_Packed] = field(repr=False)
    _drawn: threading.Event = field(repr=False)  # lets the packing begin

    @property
    def name(self) -> str:
        """The photo's file name."""
        return self.photo.name

    @property
    def bytes_held(self) -> int:
        """Bytes of what was computed, without the photo's own file."""
        packed = self._packed.result() if self._packed.done() else None
        return 0 if packed is None else len(packed.photo) + len(packed.mask) + len(packed.probabilities)

    @property
    def shown_jpeg(self) -> bytes:
        """The photo as JPEG, at the size that is shown."""
        return self._kept().photo

    def let_pack(self) -> None:
        """Say that the first picture is there, so that packing no longer competes with it."""
        self._drawn.set()

    def _kept(self) -> _Packed:
        self._drawn.set()
        return self._packed.result()

    def file_name(self, kind: str, ending: str = "png") -> str:
        """Name a download after the photo: `cat.jpg` gives `cat_mask.png`."""
        return f"{PurePath(self.name.replace(chr(92), '/')).stem or 'photo'}_{kind}.{ending}"

    def pictures(self) -> tuple[np.ndarray, np.ndarray]:
        """Return photo (h, w, 3) and class ids (h, w), both uint8 and read-only, at the size that is shown; quick."""
        found = _recent.get(self)
        if found is None:
            photo = np.array(Image.open(io.BytesIO(self.shown_jpeg)))
            mask = np.frombuffer(zlib.decompress(self._kept().mask), np.uint8)
            found = photo, mask.reshape(photo.shape[:2])
            _remember(self, *found)
        return found

    def shown(self) -> Shown:
        """Return everything at the size that is shown, the probabilities included."""
        photo, mask = self.pictures()
        probabilities = _resized(self._unpacked(), mask.shape)
        return Shown(self.name, photo, self._segmentation(mask, probabilities))

    def full(self, settings: Settings) -> Shown:
        """Segment the photo again at its own size, for downloads and scores; takes a turn like any other photo.

        The mask is exactly that of `python -m unet_core predict`.

        Raises:
            ImageError, WeightsError: the model's file was changed meanwhile, or there is not enough memory.
        """
        segmenter = models.load(self.choice.model, self.choice.engine, settings).segmenter
        with turns(settings).slot():
            image = decode_image(self.photo.data, name=self.name, settings=settings)
            segmentation, _ = _segmented(image, segmenter, self.choice.way, (self.height, self.width))
        give_back_soon()
        return Shown(self.name, image, segmentation)

    def _segmentation(self, mask: np.ndarray, probabilities: np.ndarray) -> Segmentation:
        return Segmentation(
            mask=mask,
            probabilities=probabilities,
            classes=self.classes,
            shares=self.shares,
            timings=self.timings,
            model=self.model,
            engine=self.engine,
            device=self.device,
        )

    def _unpacked(self) -> np.ndarray:
        packed = self._kept()
        steps = np.frombuffer(zlib.decompress(packed.probabilities), np.uint16).reshape(packed.shape)
        probabilities = steps.astype(np.float32)
        return probabilities / probabilities.sum(axis=-1, keepdims=True)


@dataclass(frozen=True)
class _Packed:
    """A result's arrays as they are kept: the photo as JPEG, the others by zlib."""

    photo: bytes
    mask: bytes
    probabilities: bytes
    shape: tuple[int, ...]  # of the probabilities

    @classmethod
    def of(cls, photo: np.ndarray, mask: np.ndarray, probabilities: np.ndarray, drawn: threading.Event) -> _Packed:
        """Pack once the first picture is `drawn`, for which a visitor waits, or after a moment."""
        drawn.wait(_FIRST_PICTURE_SECONDS)
        steps = np.rint(probabilities * _STEPS).astype(np.uint16)
        jpeg = _jpeg(photo, subsampling="4:2:0")
        return cls(jpeg, zlib.compress(mask.tobytes(), 1), zlib.compress(steps.tobytes(), 1), steps.shape)


# Packs while the first picture goes to the browser, or the next photo is decoded.
_packer = ThreadPoolExecutor(1, thread_name_prefix="pack-results")


# The pictures of what was computed or shown last: drawing them again begins without decoding. Weak, so that they
# go with their session.
_recent: weakref.WeakKeyDictionary[Result, tuple[np.ndarray, np.ndarray]] = weakref.WeakKeyDictionary()
_remembering = threading.Lock()


def _remember(result: Result, photo: np.ndarray, mask: np.ndarray) -> None:
    for picture in (photo, mask):
        picture.flags.writeable = False
    with _remembering:
        _recent[result] = photo, mask
        while len(_recent) > _RECENT:
            _recent.pop(next(iter(_recent)), None)


@dataclass(frozen=True)
class Problem:
    """Why a photo has no result, as a sentence for its card."""

    name: str
    message: str


Key = tuple[str, str, Way]  # a photo's digest, a loaded model's key, the way


@dataclass
class Results:
    """What one session has computed; bounded, and it forgets what leaves the tray."""

    found: OrderedDict[Key, Result | Problem] = field(default_factory=OrderedDict)
    overlays: OrderedDict[tuple, bytes] = field(default_factory=OrderedDict)

    def get(
        self,
        photo: Photo,
        choice: Choice,
        settings: Settings,
        *,
        model: models.Model | None = None,
        on_wait: OnWait | None = None,
    ) -> Result | Problem:
        """Return the photo's result; the network runs only the first time it is asked for.

        Args:
            model: what `choice` names, where it is loaded already.
            on_wait: told how many photos are before this one, while it waits for its turn.

        Raises:
            WeightsError: the model cannot be used at all.
        """
        model = model or models.load(choice.model, choice.engine, settings)
        key = photo.digest, model.key, choice.way
        if key not in self.found:
            self.found[key] = segment_photo(photo, choice, model.segmenter, on_wait=on_wait)
            self._trim(key)
        self.found.move_to_end(key)
        return self.found[key]

    def has(self, photo: Photo, choice: Choice, settings: Settings, *, model: models.Model | None = None) -> bool:
        """Whether `get` would answer without running the network."""
        model = model or models.load(choice.model, choice.engine, settings)
        return (photo.digest, model.key, choice.way) in self.found

    def overlay(
        self, result: Result, opacity: float, outline: bool, colours: Sequence[Colour | None] | None = None
    ) -> bytes:
        """Return the overlay at the size that is shown, as JPEG; drawn once."""
        key = result.photo.digest, result.choice, result.model, opacity, outline, colours and tuple(colours)
        if key not in self.overlays:
            self.overlays[key] = overlay_jpeg(result, opacity, outline, colours)
            while len(self.overlays) > 1 and sum(map(len, self.overlays.values())) > _PICTURE_BYTES:
                self.overlays.popitem(last=False)
        self.overlays.move_to_end(key)
        return self.overlays[key]

    def keep_only(self, digests: Collection[str]) -> None:
        """Forget the results of all photos but these."""
        self.found = OrderedDict((key, value) for key, value in self.found.items() if key[0] in digests)
        self.overlays = OrderedDict((key, value) for key, value in self.overlays.items() if key[0] in digests)

    @property
    def bytes_held(self) -> int:
        """Bytes of all results together."""
        return sum(result.bytes_held for result in self.found.values() if isinstance(result, Result))

    def _trim(self, newest: Key) -> None:
        """Forget what was not asked for longest, but nothing of the newest result's model and way."""
        held = self.bytes_held
        for key in list(self.found):
            if held <= _RESULT_BYTES:
                return
            if key[1:] != newest[1:]:
                gone = self.found.pop(key)
                held -= gone.bytes_held if isinstance(gone, Result) else 0


def turns(settings: Settings) -> ConcurrencyLimit:
    """Return the turns of this process, which all sessions take; `.waiting` and `.working` say how busy it is."""
    return _turns(settings.max_concurrent)


@st.cache_resource(show_spinner=False)
def _turns(limit: int) -> ConcurrencyLimit:
    return ConcurrencyLimit(limit)


def segment_photo(
    photo: Photo, choice: Choice, segmenter: Segmenter, *, on_wait: OnWait | None = None
) -> Result | Problem:
    """Segment one photo; whatever is wrong with it becomes a `Problem`, so that the others go on."""
    with turns(segmenter.settings).slot(on_wait):
        try:
            return _segment(photo, choice, segmenter)
        except (ImageError, WeightsError) as error:
            return Problem(photo.name, str(error))
        except MemoryError:
            return Problem(photo.name, f"{photo.name} needs more memory than is free: scale it down and try again.")
        except Exception:
            log.exception("segmenting the photo %s failed", photo.digest[:12])
            return Problem(photo.name, UNEXPECTED)


def overlay_jpeg(
    result: Result, opacity: float, outline: bool, colours: Sequence[Colour | None] | None = None
) -> bytes:
    """Draw the overlay at the size that is shown, as JPEG."""
    photo, mask = result.pictures()
    try:
        return _jpeg(render.overlay(photo, mask, opacity=opacity, outline=outline, colours=colours))
    finally:
        result.let_pack()


def _segment(photo: Photo, choice: Choice, segmenter: Segmenter) -> Result:
    settings = segmenter.settings
    facts = photo_facts(photo.data, name=photo.name, settings=settings)
    size = facts.height, facts.width
    start = time.perf_counter()
    side = _decoded_side(size, choice.way, segmenter)
    image = decode_image(photo.data, name=photo.name, max_side=side, settings=settings)
    decoded = 1000 * (time.perf_counter() - start)
    segmentation, runs = _segmented(image, segmenter, choice.way, size, network_size=True)
    timings = {"decode": decoded, **segmentation.timings}
    timings["total"] += decoded
    shown = _fitted(*image.shape[:2])
    probabilities, mask = segmentation.probabilities, segmentation.mask
    if shown != image.shape[:2]:
        image = np.asarray(Image.fromarray(image).resize(shown[::-1], Image.Resampling.BILINEAR, reducing_gap=3.0))
        mask = np.asarray(Image.fromarray(mask).resize(shown[::-1], Image.Resampling.NEAREST))
    if probabilities.shape[0] * probabilities.shape[1] > shown[0] * shown[1]:
        probabilities = _resized(probabilities, shown)
    drawn = threading.Event()
    result = Result(
        photo=photo,
        width=facts.width,
        height=facts.height,
        choice=choice,
        classes=segmentation.classes,
        model=segmentation.model,
        engine=ENGINES[segmentation.engine],
        device=segmentation.device,
        timings=timings,
        shares=dict(segmentation.shares),
        runs=runs,
        _packed=_packer.submit(_Packed.of, image, mask, probabilities, drawn),
        _drawn=drawn,
    )
    _remember(result, image, mask)
    return result


def _segmented(
    image: np.ndarray, segmenter: Segmenter, way: Way, size: tuple[int, int], *, network_size: bool = False
) -> tuple[Segmentation, int]:
    """Segment a photo of `size` (height, width), decoded at that size or smaller; also return how often it ran.

    `network_size` keeps the probabilities of a whole photo at about the network's own size.
    """
    runs = max(segmenter.entry.passes, 1 + way.flip)  # of the network, for each piece
    if way.kind == "whole":
        options = {"full_pixels": 0} if network_size else {}
        return segmenter.segment(image, flip=way.flip, **options), runs
    tiled = TiledSegmenter(segmenter, _scale(way, size, segmenter) * size[0] / image.shape[0], way.overlap)
    return tiled.segment(image, flip=way.flip), tiled.plan(*image.shape[:2]).count * runs


def _scale(way: Way, size: tuple[int, int], segmenter: Segmenter) -> float:
    """Return the scale of the photo that tiles are cut from."""
    if way.scale is not None:
        return way.scale
    return min(1.0, _TILES_ACROSS * min(TiledSegmenter(segmenter).seen) / min(size))


def _decoded_side(size: tuple[int, int], way: Way, segmenter: Segmenter) -> int:
    """Return the longer side at which a photo is decoded: what is shown, or what the tiles need if that is more."""
    if way.kind == "whole":
        return SHOWN_SIDE
    return max(SHOWN_SIDE, min(max(size), round(max(size) * _scale(way, size, segmenter))))


def _fitted(height: int, width: int) -> tuple[int, int]:
    scale = min(1.0, SHOWN_SIDE / max(width, height))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _resized(probabilities: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Interpolate probabilities (h, w, C) to another size."""
    if probabilities.shape[:2] == size:
        return probabilities
    return resized(probabilities, *size)


def _jpeg(picture: np.ndarray, *, subsampling: str = "4:4:4") -> bytes:
    """Encode what goes to the browser; flat class colours keep their edges only with all colour samples."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90, subsampling=subsampling)
    return buffer.getvalue()
