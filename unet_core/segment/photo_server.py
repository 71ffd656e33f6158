"""The process that segments a server's photos, see `photo_process`: the questions it is asked, and its answers."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from unet_core.jobs import memory
from unet_core.jobs.served import Message, serve
from unet_core.segment.compressed import CompressedSegmentation
from unet_core.segment.engine import MAX_ENGINES, expect_company
from unet_core.segment.presence import Presence
from unet_core.segment.segmentation import Failure, SegmentationFacts
from unet_core.segment.segmenter import Segmenter
from unet_core.segment.shown import Question, Shown, answered, pictures_of
from unet_core.settings import get_settings
from unet_core.zoo.manifest import ModelEntry, WeightsError

log = logging.getLogger(__name__)

_QUESTION: TypeAdapter[Question] = TypeAdapter(Question)


# --- in the server's process ------------------------------------------------------------------------------------------


def asked_values(question: Question, *, company: bool) -> dict[str, Any]:
    """Return a question as plain values; with `company` others want this machine's cores at the same time."""
    return {"photo": _QUESTION.dump_python(question, mode="json"), "company": company}


def read_answer(answer: Message, question: Question, segmenter: Segmenter) -> Shown | Failure:
    """Return what the answer to a question about a photo and `segmenter`'s network says."""
    values = answer.values
    if "failure" in values or "error" in values:
        return Failure(question.name, values.get("failure") or values["error"])
    facts = SegmentationFacts(
        name=question.name,
        photo_size=tuple(values["photo_size"]),
        pixel_classes=segmenter.pixel_classes,
        shares=dict(zip(segmenter.classes, values["shares"], strict=True)),
        timings=values["timings"],
        model=segmenter.model,
        engine=segmenter.engine,
        device=segmenter.device,
        runs=values["runs"],
        presence=Presence(*values["presence"]),
    )
    jpeg, mask, probabilities, *pictures = (array.tobytes() for array in answer.arrays)
    shape = tuple(values["shape"])
    packed = CompressedSegmentation(**facts.facts(), jpeg=jpeg, mask=mask, probabilities=probabilities, shape=shape)
    drawn = dict(zip(pictures_of(question.wanted or (), facts.presence), pictures, strict=True))
    return Shown(packed, drawn, values["animal_count"])


# --- in the photos' process -------------------------------------------------------------------------------------------


def answer(question: Message) -> Message:
    """Answer a question: segment a photo, say what a model is, or nothing at all."""
    if "model" not in question.values:
        return Message({})
    try:
        segmenter = _segmenter(question.values["model"])
    except WeightsError as error:
        return Message({"error": str(error)})
    if "photo" not in question.values:
        return Message({"device": segmenter.device, "output_size": segmenter.network.output_size})
    photo = _QUESTION.validate_python(question.values["photo"])
    if question.values["company"]:
        expect_company()
    try:
        found = answered(segmenter, question.arrays[0].tobytes(), photo)
        return Message({"failure": found.message}) if isinstance(found, Failure) else _described(found)
    except Exception:
        log.exception("drawing a photo failed")
        return Message({"failure": f"{photo.name} could not be drawn: see the server's log for details."})


def _described(found: Shown) -> Message:
    packed = found.packed
    values: Mapping[str, Any] = {
        "photo_size": packed.photo_size,
        "shares": list(packed.shares.values()),
        "timings": packed.timings,
        "runs": packed.runs,
        "presence": packed.presence,
        "shape": packed.shape,
        "animal_count": found.animal_count,
    }
    parts = packed.jpeg, packed.mask, packed.probabilities, *found.pictures.values()
    return Message(values, tuple(np.frombuffer(part, np.uint8) for part in parts))


@functools.lru_cache(maxsize=MAX_ENGINES)
def _segmenter(model: str) -> Segmenter:
    values = json.loads(model)
    settings = get_settings().replace(**values["settings"])
    return Segmenter("", "onnx", settings, entry=ModelEntry.from_dict(values["entry"]))


def main() -> None:
    """Answer questions until the server has ended, or none has come for some minutes."""
    memory.keep_together()
    serve(answer, at_rest=memory.rest)


if __name__ == "__main__":
    main()
