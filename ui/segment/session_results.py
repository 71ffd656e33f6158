"""From a photo's bytes to what a card shows: computed once per photo, model and inference mode, held compressed."""

from __future__ import annotations

import threading
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePath

import numpy as np
import streamlit as st

from ui.segment.photos import Photo
from ui.shared import models
from unet_core.images import render
from unet_core.images.render import Colour
from unet_core.jobs.memory import give_back_soon
from unet_core.segment import EngineChoice, Failure, InferenceMode, Segmentation, Segmenter, segment_bytes
from unet_core.segment.compressed import CompressedSegmentation, encode_jpeg
from unet_core.segment.concurrency import ConcurrencyLimit, OnWait
from unet_core.segment.inference import WHOLE, try_segment_bytes
from unet_core.segment.segmentation import SegmentationFacts
from unet_core.settings import Settings

SHOWN_SIDE = 1000  # pixels on the long side of what is sent to the browser; downloads have the photo's own size
ENGINES = {"onnx": "ONNX Runtime", "keras": "TensorFlow"}

_RECENT = 2  # of 3 MB each
_FIRST_PICTURE_SECONDS = 0.1  # that packing waits for the picture which a visitor waits for
_PICTURE_BYTES = 24_000_000  # overlays that one session keeps
_RESULT_BYTES = 48_000_000  # results that one session keeps


@dataclass(frozen=True)
class Choice:
    """What a photo is segmented with: a model by its name in `models.model_choices`, an engine, an inference mode."""

    model: str
    engine: EngineChoice = "auto"
    mode: InferenceMode = WHOLE

    @property
    def key(self) -> str:
        """A short text that differs between choices, for widgets and caches."""
        return f"{zlib.crc32(repr(self).encode()):08x}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Result(SegmentationFacts):
    """A photo's segmentation on the page; what is shown has at most `SHOWN_SIDE` pixels on its longer side.

    Attributes:
        photo: the file as it came.
        choice: what it was segmented with.
    """

    photo: Photo = field(repr=False)
    choice: Choice
    _compressed: Future[CompressedSegmentation] = field(repr=False)
    _drawn: threading.Event = field(repr=False)  # lets the packing begin

    @classmethod
    def of(cls, found: Segmentation, photo: Photo, choice: Choice) -> Result:
        """Take a segmentation at the size that is shown; it is compressed in the background."""
        drawn = threading.Event()
        facts = {**found.facts(), "engine": ENGINES[found.engine]}
        packed = _packer.submit(_pack, found, drawn)
        result = cls(**facts, photo=photo, choice=choice, _compressed=packed, _drawn=drawn)
        _remember(result, found.image, found.mask)
        return result

    @property
    def height(self) -> int:
        """Of the photo itself, in pixels."""
        return self.photo_size[0]

    @property
    def width(self) -> int:
        """Of the photo itself, in pixels."""
        return self.photo_size[1]

    @property
    def bytes_held(self) -> int:
        """Bytes of what was computed, without the photo's own file."""
        return self._compressed.result().bytes_held if self._compressed.done() else 0

    @property
    def shown_jpeg(self) -> bytes:
        """The photo as JPEG, at the size that is shown."""
        return self._kept().jpeg

    def let_pack(self) -> None:
        """Say that the first picture is there, so that packing no longer competes with it."""
        self._drawn.set()

    def _kept(self) -> CompressedSegmentation:
        self._drawn.set()
        return self._compressed.result()

    def file_name(self, kind: str, ending: str = "png") -> str:
        """Name a download after the photo: `cat.jpg` gives `cat_mask.png`."""
        return f"{PurePath(self.name.replace(chr(92), '/')).stem or 'photo'}_{kind}.{ending}"

    def pictures(self) -> tuple[np.ndarray, np.ndarray]:
        """Return photo (h, w, 3) and class ids (h, w), both uint8 and read-only, at the size that is shown; quick."""
        found = _recent.get(self)
        if found is None:
            found = self._kept().pictures()
            _remember(self, *found)
        return found

    def shown(self) -> Segmentation:
        """Return the segmentation at the size that is shown, the probabilities included."""
        return self._kept().unpack(self.pictures())

    def full(self, settings: Settings) -> Segmentation:
        """Segment the photo again at its own size, for downloads and scores; the concurrency limit holds for it too.

        The mask is exactly that of `python -m unet_core predict`.

        Raises:
            ImageError, WeightsError: the model's file was changed meanwhile, or there is not enough memory.
        """
        segmenter = models.load(self.choice.model, self.choice.engine, settings).segmenter
        with concurrency_limit(settings).slot():
            found = segment_bytes(segmenter, self.photo.data, self.name, self.choice.mode)
        give_back_soon()
        return found


def _pack(found: Segmentation, drawn: threading.Event) -> CompressedSegmentation:
    """Compress once the first picture is `drawn`, for which a visitor waits, or after a moment."""
    drawn.wait(_FIRST_PICTURE_SECONDS)
    return CompressedSegmentation.pack(found)


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


Key = tuple[str, str, InferenceMode]  # a photo's digest, a loaded model's key, the inference mode


@dataclass
class Results:
    """What one session has computed; bounded, and it forgets photos that were removed."""

    found: OrderedDict[Key, Result | Failure] = field(default_factory=OrderedDict)
    overlays: OrderedDict[tuple, bytes] = field(default_factory=OrderedDict)

    def get(
        self,
        photo: Photo,
        choice: Choice,
        settings: Settings,
        *,
        model: models.Model | None = None,
        on_wait: OnWait | None = None,
    ) -> Result | Failure:
        """Return the photo's result; the network runs only the first time it is asked for.

        Args:
            model: what `choice` names, where it is loaded already.
            on_wait: called with the number of photos ahead of this one, while it waits for a slot.

        Raises:
            WeightsError: the model cannot be used at all.
        """
        model = model or models.load(choice.model, choice.engine, settings)
        key = photo.digest, model.key, choice.mode
        if key not in self.found:
            self.found[key] = segment_photo(photo, choice, model.segmenter, on_wait=on_wait)
            self._trim(key)
        self.found.move_to_end(key)
        return self.found[key]

    def has(self, photo: Photo, choice: Choice, settings: Settings, *, model: models.Model | None = None) -> bool:
        """Whether `get` would answer without running the network."""
        model = model or models.load(choice.model, choice.engine, settings)
        return (photo.digest, model.key, choice.mode) in self.found

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
        """Forget what was not asked for longest, but nothing of the newest result's model and inference mode."""
        held = self.bytes_held
        for key in list(self.found):
            if held <= _RESULT_BYTES:
                return
            if key[1:] != newest[1:]:
                gone = self.found.pop(key)
                held -= gone.bytes_held if isinstance(gone, Result) else 0


def concurrency_limit(settings: Settings) -> ConcurrencyLimit:
    """Return this process's limit, which all sessions share; `.waiting` and `.working` say how busy it is."""
    return _concurrency_limit(settings.max_concurrent)


@st.cache_resource(show_spinner=False)
def _concurrency_limit(limit: int) -> ConcurrencyLimit:
    return ConcurrencyLimit(limit)


def segment_photo(
    photo: Photo, choice: Choice, segmenter: Segmenter, *, on_wait: OnWait | None = None
) -> Result | Failure:
    """Segment one photo; whatever is wrong with it becomes a `Failure`, so that the others go on."""
    with concurrency_limit(segmenter.settings).slot(on_wait):
        found = try_segment_bytes(segmenter, photo.data, photo.name, choice.mode, largest_side=SHOWN_SIDE)
    return found if isinstance(found, Failure) else Result.of(found, photo, choice)


def overlay_jpeg(
    result: Result, opacity: float, outline: bool, colours: Sequence[Colour | None] | None = None
) -> bytes:
    """Draw the overlay at the size that is shown, as JPEG."""
    photo, mask = result.pictures()
    try:
        return encode_jpeg(render.overlay(photo, mask, opacity=opacity, outline=outline, colours=colours))
    finally:
        result.let_pack()
