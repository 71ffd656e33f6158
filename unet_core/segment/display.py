"""Segment photos for a page: in the photos' process where there is one, and otherwise in this one."""

from __future__ import annotations

import numpy as np

from unet_core.images.checks import ImageError
from unet_core.jobs.served import ChildEnded, ChildTooSlow
from unet_core.segment.compressed import CompressedSegmentation
from unet_core.segment.inference import WHOLE, InferenceMode
from unet_core.segment.passes import single
from unet_core.segment.photo_process import DistantNetwork
from unet_core.segment.photo_server import asked_values, read_answer
from unet_core.segment.segmentation import Failure
from unet_core.segment.segmenter import Segmenter
from unet_core.segment.shown import Question, Shown, answered
from unet_core.segment.tiles import Progress
from unet_core.segment.turns import concurrency_limit


def segment_for_display(
    segmenter: Segmenter, data: bytes, question: Question, *, progress: Progress | None = None
) -> Shown | Failure:
    """Segment a photo's file and draw what is wanted of it; any error is returned as a `Failure`.

    In tiles a photo takes long, so it is segmented in this process, where it can be stopped and gives way to others.
    """
    return _asked(segmenter, data, question) or answered(segmenter, data, question, progress)


def segment_at_full_size(
    segmenter: Segmenter,
    data: bytes,
    name: str = "photo",
    mode: InferenceMode = WHOLE,
    *,
    progress: Progress | None = None,
) -> CompressedSegmentation:
    """Segment a photo's file at its original size; what is returned lacks the photo.

    Raises:
        ImageError: it cannot be segmented; the text says why.
    """
    found = segment_for_display(segmenter, data, Question(name, mode, wanted=None), progress=progress)
    if isinstance(found, Failure):
        raise ImageError(found.message)
    return found.packed


def _asked(segmenter: Segmenter, data: bytes, question: Question) -> Shown | Failure | None:
    """Return the answer of the photos' process, None if the photo has to be segmented here."""
    network = single(segmenter.network)
    if not isinstance(network, DistantNetwork) or question.mode.kind != "whole":
        return None
    turns = concurrency_limit(segmenter.settings)
    company = turns.working > 1 or turns.waiting > 0
    try:
        answer = network.ask(asked_values(question, company=company), np.frombuffer(data, np.uint8))
    except OSError:  # too little memory for another process
        return None
    except ChildEnded:
        return Failure(question.name, f"{question.name} needs more memory than is free: scale it down and try again.")
    except ChildTooSlow as error:
        return Failure(question.name, f"{question.name} took longer than {error.seconds:g} seconds: scale it down.")
    return read_answer(answer, question, segmenter)
