"""A session's results: computed once per photo, model and inference mode, kept compressed."""

from __future__ import annotations

import threading
import time
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import PurePath
from typing import Any, Protocol

import numpy as np

from ui.segment.photos import Photo
from ui.shared import attention, models, server
from unet_core.images.decode import decode_image
from unet_core.jobs import memory
from unet_core.jobs.memory import give_back_soon
from unet_core.jobs.photo_work import StoppingError
from unet_core.segment import EngineChoice, Failure, InferenceMode, Segmentation, Segmenter
from unet_core.segment.compressed import CompressedSegmentation
from unet_core.segment.concurrency import OnWait
from unet_core.segment.correction import Correction
from unet_core.segment.display import segment_at_full_size, segment_for_display
from unet_core.segment.inference import WHOLE
from unet_core.segment.segmentation import SegmentationFacts, SegmentedPhoto
from unet_core.segment.shown import SHOWN_SIDE, Picture, Question, Shown, Wanted
from unet_core.segment.tiles import Progress
from unet_core.segment.turns import concurrency_limit, photo_turn
from unet_core.settings import Settings

ENGINES = {"onnx": "ONNX Runtime", "keras": "TensorFlow"}

_RECENT = 2  # uncompressed photos kept, with outline and probabilities 7 MB each
_CARD_BYTES = 6_000_000  # cards kept per session, except those of the look that is shown
_RESULT_BYTES = 48_000_000  # results kept per session
_TOGETHER = 20  # the newest results of one model and mode, which are kept even if they take more
_PICTURES = 6  # files of pictures kept per result
_CHECK_SECONDS = 1.0  # between two checks of the limit of all sessions


@dataclass(frozen=True)
class Choice:
    """How a photo is segmented: a model by its name in `models.model_choices`, an engine, an inference mode."""

    model: str
    engine: EngineChoice = "auto"
    mode: InferenceMode = WHOLE

    @property
    def key(self) -> str:
        """A short text that identifies the choice, for widgets and caches."""
        return f"{zlib.crc32(repr(self).encode()):08x}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Result(SegmentationFacts):
    """A photo's segmentation on the page, displayed with at most `SHOWN_SIDE` pixels on its longer side.

    Attributes:
        photo: the photo's file.
        choice: how it was segmented.
    """

    photo: Photo = field(repr=False)
    choice: Choice
    _packed: CompressedSegmentation = field(repr=False)
    _pictures: dict[Picture, bytes] = field(repr=False, default_factory=dict)
    _counted: int | None = None
    _original: list[CompressedSegmentation] = field(repr=False, default_factory=list)  # at the original size, if needed
    _corrected: list[Result] = field(repr=False, default_factory=list)  # by the last correction

    @classmethod
    def of(cls, shown: Shown, photo: Photo, choice: Choice) -> Result:
        """Create a result from what was segmented and drawn at display size."""
        facts = {**shown.packed.facts(), "engine": ENGINES[shown.packed.engine]}
        pictures = dict(shown.pictures)
        return cls(
            **facts, photo=photo, choice=choice, _packed=shown.packed, _pictures=pictures, _counted=shown.animal_count
        )

    @property
    def height(self) -> int:
        """The photo's original height in pixels."""
        return self.photo_size[0]

    @property
    def width(self) -> int:
        """The photo's original width in pixels."""
        return self.photo_size[1]

    @property
    def bytes_held(self) -> int:
        """Compressed size in bytes, without the photo's file."""
        shown = self._packed.bytes_held + sum(map(len, list(self._pictures.values())))
        return shown + sum(original.bytes_held for original in self._original)

    @property
    def shown_jpeg(self) -> bytes:
        """The photo as JPEG, at display size."""
        return self._packed.jpeg

    def picture(self, what: Picture) -> bytes:
        """Return the file of a picture that the page shows, which is drawn once."""
        file = self._pictures.get(what)
        if file is None:
            file = self._pictures[what] = what.draw(self.with_probabilities())
            while len(self._pictures) > _PICTURES:
                self._pictures.pop(next(iter(self._pictures)))
        return file

    def file_name(self, kind: str, ending: str = "png") -> str:
        """Name a download after the photo: `cat.jpg` gives `cat_mask.png`."""
        return f"{PurePath(self.name.replace(chr(92), '/')).stem or 'photo'}_{kind}.{ending}"

    def pictures(self) -> tuple[np.ndarray, np.ndarray]:
        """Return photo (h, w, 3) and class ids (h, w), both uint8 and read-only, at display size; fast."""
        found = self._unpacked()
        return found.image, found.mask

    def _unpacked(self) -> SegmentedPhoto:
        found = _recent.get(self)
        if found is None and self.correction is not None:
            found = self.shown()
            _remember(self, found)
        elif found is None:
            image, mask = self._packed.pictures()
            found = SegmentedPhoto(**self.facts(), image=image, mask=mask)
            _remember(self, found)
        return found

    def with_probabilities(self) -> Segmentation:
        """Return the segmentation at display size, with probabilities, which is kept for a moment."""
        found = self._unpacked()
        if not isinstance(found, Segmentation):
            found = self.shown()
            _remember(self, found)
        return found

    @cached_property
    def animal_count(self) -> int:
        """How many animals, or other pieces of the subject, there are."""
        return self.with_probabilities().animals.count if self._counted is None else self._counted

    def shown(self) -> Segmentation:
        """Return the segmentation at display size, with probabilities."""
        if self.correction is None:
            return self._packed.unpack(self.pictures())
        return self._packed.unpack().corrected(self.correction)

    def corrected(self, correction: Correction | None) -> Result:
        """Return the result as a person has corrected it: everything that is drawn or downloaded of it follows.

        Raises:
            CorrectionError: the model's classes do not allow it, or the correction is for another photo.
        """
        if correction is None or correction.is_empty:
            return self
        if not self._corrected or self._corrected[0].correction is not correction:
            done = self.shown().corrected(correction)
            own: dict[str, Any] = {"_pictures": {}, "_corrected": [], "_counted": None}
            result = replace(self, shares=done.shares, presence=done.presence, correction=correction, **own)
            _remember(result, done)
            self._corrected[:] = [result]
        return self._corrected[0]

    def full(self, settings: Settings) -> Segmentation:
        """Return the segmentation at the photo's original size, for downloads and scores.

        The mask equals that of `python -m unet_core predict`. A photo larger than displayed is segmented once more, the
        first time this is called.

        Raises:
            ImageError, WeightsError: the model's file has changed meanwhile, or memory is short.
        """
        found = self._at_full_size(settings)
        return found if self.correction is None else found.corrected(self.correction)

    def _at_full_size(self, settings: Settings) -> Segmentation:
        """Return what the network found at the photo's original size."""
        if max(self.photo_size) <= SHOWN_SIDE:
            held = self._packed
        else:
            held = self._original[0] if self._original else self._segmented_again(settings)
        image = decode_image(self.photo.data, name=self.name, settings=settings)
        give_back_soon()
        return held.unpack((image, held.mask_of(image)))

    def _segmented_again(self, settings: Settings) -> CompressedSegmentation:
        segmenter = models.load(self.choice.model, self.choice.engine, settings).segmenter
        with concurrency_limit(settings).slot(owner=attention.visitor_key()) as turn:
            found = segment_at_full_size(
                segmenter, self.photo.data, self.name, self.choice.mode, progress=lambda done, total: turn.give_way()
            )
        self._original[:] = [found]
        return found


# The most recent photos, which can be drawn again without decoding. Weak references, so that they end with their
# session.
_recent: weakref.WeakKeyDictionary[Result, SegmentedPhoto] = weakref.WeakKeyDictionary()
_remembering = threading.Lock()


def _remember(result: Result, found: SegmentedPhoto) -> None:
    for picture in (found.image, found.mask):
        picture.flags.writeable = False
    with _remembering:
        _recent[result] = found
        while len(_recent) > _RECENT:
            _recent.pop(next(iter(_recent)), None)


class HasPicture(Protocol):
    """A card: what is drawn of a result, small enough to outlive it."""

    @property
    def picture(self) -> bytes:
        """The encoded picture."""
        ...


Key = tuple[str, str, InferenceMode]  # a photo's digest, a loaded model's key, the inference mode


@dataclass(eq=False)
class Results:
    """The results of one session, within its own memory limit and that of all sessions together.

    What was dropped is computed again when it is asked for.
    """

    found: OrderedDict[Key, Result | Failure] = field(default_factory=OrderedDict)
    cards: dict[tuple[str, Choice, Hashable], HasPicture] = field(default_factory=dict)
    used_at: float = 0.0
    session: str | None = field(default_factory=attention.session_id)

    def __post_init__(self) -> None:
        with _holding:
            _sessions.add(self)

    def get(
        self,
        photo: Photo,
        choice: Choice,
        settings: Settings,
        *,
        model: models.Model | None = None,
        wanted: Sequence[Wanted] = (),
        on_wait: OnWait | None = None,
        progress: Progress | None = None,
    ) -> Result | Failure:
        """Return the photo's result; the network runs only on the first call.

        Args:
            model: the model of `choice`, if it is loaded already.
            wanted: pictures to draw of a new result in the photo's turn: only as much work on pixels happens at a time,
                and in as much memory, as there are turns.
            on_wait: called with the number of photos ahead while waiting for a slot.
            progress: called with the tiles done and their total.

        Raises:
            WeightsError: the model cannot be used.
        """
        model = model or models.load(choice.model, choice.engine, settings)
        key = photo.digest, model.key, choice.mode
        with _holding:
            self.used_at = time.monotonic()
            found = self.found.get(key)
            if found is not None:
                self.found.move_to_end(key)
                return found
        found = segment_photo(photo, choice, model.segmenter, wanted, on_wait=on_wait, progress=progress)
        with _holding:
            self.found[key] = found
            self._trim(key)
            _trim_all(settings.max_results_mb * 1e6)
        return found

    def has(self, photo: Photo, choice: Choice, settings: Settings, *, model: models.Model | None = None) -> bool:
        """Return whether `get` would return without running the network."""
        model = model or models.load(choice.model, choice.engine, settings)
        return (photo.digest, model.key, choice.mode) in self.found

    def card(self, photo: Photo, choice: Choice, look: Hashable) -> Any:
        """Return what `keep_card` has kept for a photo with this look, None if there is none."""
        return self.cards.get((photo.digest, choice, look))

    def keep_card(self, photo: Photo, choice: Choice, look: Hashable, card: HasPicture) -> None:
        """Keep a photo's card, which outlives its result."""
        with _holding:
            self.cards[photo.digest, choice, look] = card
            if self._card_bytes() > _CARD_BYTES:
                self.cards = {key: kept for key, kept in self.cards.items() if key[1:] == (choice, look)}

    def _card_bytes(self) -> int:
        return sum(len(card.picture) for card in self.cards.values())

    def drop_cards(self, digest: str) -> None:
        """Drop a photo's cards, since it looks different now."""
        with _holding:
            self.cards = {key: card for key, card in self.cards.items() if key[0] != digest}

    def keep_only(self, digests: Collection[str]) -> None:
        """Drop the results of all other photos."""
        with _holding:
            self.found = OrderedDict((key, value) for key, value in self.found.items() if key[0] in digests)
            self.cards = {key: card for key, card in self.cards.items() if key[0] in digests}

    def copy(self) -> Results:
        """Return the same results for another session; pictures are drawn again."""
        return Results(OrderedDict(self.found))

    @property
    def bytes_held(self) -> int:
        """Total size of the results in bytes."""
        return sum(result.bytes_held for result in self.found.values() if isinstance(result, Result))

    @property
    def all_bytes_held(self) -> int:
        """Total size of the results and their cards in bytes."""
        return self.bytes_held + self._card_bytes()

    def _trim(self, newest: Key) -> None:
        """Drop the least recently used results: of other models and modes than the newest's, then of a large batch."""
        held = self.bytes_held
        others = [key for key in self.found if key[1:] != newest[1:]]
        together = [key for key in self.found if key[1:] == newest[1:]]
        for key in [*others, *together[:-_TOGETHER]]:
            if held <= _RESULT_BYTES:
                return
            gone = self.found.pop(key)
            held -= gone.bytes_held if isinstance(gone, Result) else 0

    def _drop(self, most: float, keep: int) -> float:
        """Drop the oldest results but `keep` until `most` bytes are gone; return how many.

        Cards stay: they are smaller than their photos, and a batch without them would be segmented again.
        """
        gone = 0.0
        while gone < most and len(self.found) > keep:
            result = self.found.popitem(last=False)[1]
            gone += result.bytes_held if isinstance(result, Result) else 0
        return gone


_sessions: weakref.WeakSet[Results] = weakref.WeakSet()
_holding = threading.RLock()  # while any session's results change


def results_bytes_held() -> int:
    """Return the total size of all sessions' results in bytes."""
    with _holding:
        return sum(session.all_bytes_held for session in _sessions)


server.held_bytes["results"] = results_bytes_held


def _drop_closed() -> None:
    """Drop the results of closed tabs: a page that comes back within two minutes still has its photos."""
    with _holding:
        for session in _sessions:
            if attention.is_gone(session.session):
                session.found.clear()
                session.cards.clear()


memory.at_rest.append(_drop_closed)


_checked_at = 0.0  # when all sessions' results were last added up


def _trim_all(limit: float) -> None:
    """Drop the results of closed tabs, then of the sessions used longest ago, until all are within `limit` bytes.

    At most once a second, since closed sessions are many and stay for two minutes.
    """
    global _checked_at
    if time.monotonic() - _checked_at < _CHECK_SECONDS:
        return
    _checked_at = time.monotonic()
    _drop_closed()
    with _holding:
        excess = sum(session.bytes_held for session in _sessions) - limit
    oldest_first = sorted(_sessions, key=lambda session: session.used_at) if excess > 0 else []
    for session in oldest_first:
        if excess <= 0:
            break
        excess -= session._drop(excess, keep=session is oldest_first[-1])


def segment_photo(
    photo: Photo,
    choice: Choice,
    segmenter: Segmenter,
    wanted: Sequence[Wanted] = (),
    *,
    on_wait: OnWait | None = None,
    progress: Progress | None = None,
) -> Result | Failure:
    """Segment one photo and draw what is `wanted` of it; an error becomes a `Failure`, so that the others continue.

    Between tiles, other visitors' photos go first, and the work ends if the visitor has gone.
    """
    try:
        with photo_turn(
            segmenter.settings,
            attention.visitor_key(),
            still_wanted=attention.stop_if_gone,
            on_wait=on_wait,
            progress=progress,
        ) as turn:
            question = Question(photo.name, choice.mode, tuple(wanted))
            shown = segment_for_display(segmenter, photo.data, question, progress=turn.between)
            if isinstance(shown, Failure):
                turn.fail()
                return shown
            return Result.of(shown, photo, choice)
    except StoppingError as error:
        return Failure(photo.name, str(error))
