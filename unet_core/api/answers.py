"""From a request's photo to its answer: choose the model, segment in turn, draw what was asked for."""

from __future__ import annotations

import base64
from collections.abc import Callable, Hashable

import numpy as np

from unet_core.api.bodies import SentPhoto
from unet_core.api.problems import Problem
from unet_core.api.schemas import (
    AnimalAnswer,
    ClassAnswer,
    ModelAnswer,
    ModelsAnswer,
    Picture,
    SegmentAnswer,
    SegmentQuery,
)
from unet_core.classes import PixelClasses
from unet_core.images.render import alpha_png
from unet_core.jobs.names import is_file_name
from unet_core.segment.analysis import subject_key
from unet_core.segment.downloads import cutout_png
from unet_core.segment.inference import segment_bytes
from unet_core.segment.pieces import Animals
from unet_core.segment.presence import rounded
from unet_core.segment.segmentation import Segmentation
from unet_core.segment.segmenter import Segmenter
from unet_core.segment.turns import photo_turn
from unet_core.settings import Settings
from unet_core.train.find_model import find_model, is_shipped
from unet_core.train.run_directory import RunDirectory
from unet_core.zoo.manifest import ModelEntry, load_manifest


def segmenter_for(name: str | None, settings: Settings) -> Segmenter:
    """Return a shipped model by name, or a training run's by its id if it is exported for ONNX Runtime.

    Raises:
        Problem: there is no such model, or the run is not exported.
        WeightsError: the model's file cannot be used.
    """
    if name is None or is_shipped(name, settings):
        return Segmenter(name, "auto", settings)
    run = settings.runs_dir / name
    if not is_file_name(name) or not RunDirectory.exists(run):
        raise Problem(404, f"There is no model {name!r}: choose one of {', '.join(load_manifest(settings).models)}.")
    source = find_model(run, settings)
    if source.needs_keras:
        raise Problem(404, f"The run {name!r} is not exported for ONNX Runtime: open it once on the Segment page.")
    return source.segmenter("onnx", settings)


def segment_photo(
    photo: SentPhoto, query: SegmentQuery, owner: Hashable, still_wanted: Callable[[], object], settings: Settings
) -> tuple[Segmentation, Segmenter]:
    """Segment a photo when it is its owner's turn.

    Raises:
        ImageError: the photo cannot be used.
        ConfigError: the inference mode is not valid.
        WeightsError: the model cannot be used.
        StoppingError: the server is stopping.
    """
    mode, segmenter = query.inference_mode, segmenter_for(query.model, settings)
    with photo_turn(settings, owner, still_wanted=still_wanted) as turn:
        found = segment_bytes(
            segmenter, photo.data, photo.name, mode, largest_side=query.max_side, progress=turn.between
        )
    return found, segmenter


def picture(found: Segmentation, kind: Picture, query: SegmentQuery) -> bytes:
    """Draw one picture of a segmentation as PNG.

    Raises:
        Problem: there is no animal of that number.
    """
    if kind == "mask":
        return found.to_mask_png()
    if kind == "overlay":
        return found.to_overlay_png()
    alpha = _alpha(found, query.animal)
    return alpha_png(alpha) if kind == "alpha" else cutout_png(found.image, alpha, query.cutout_background)


def _alpha(found: Segmentation, animal: int | None) -> np.ndarray:
    if animal is None:
        return found.alpha
    if animal > found.animals.count:
        raise Problem(422, f"animal: the photo has {found.animals.count}. Received: {animal}.")
    return found.animals.alpha_of(animal)


def figures(found: Segmentation, segmenter: Segmenter, query: SegmentQuery) -> SegmentAnswer:
    """Return the figures of a segmentation, with the pictures that the query includes."""
    height, width = found.photo_size
    pictures = {kind: base64.b64encode(picture(found, kind, query)).decode() for kind in query.include}
    return SegmentAnswer(
        name=found.name,
        width=width,
        height=height,
        model=found.model,
        engine=found.engine,
        device=found.device,
        milliseconds=round(found.timings["total"], 3),
        timings={stage: round(milliseconds, 3) for stage, milliseconds in found.timings.items()},
        shares={name: round(share, 6) for name, share in found.shares.items()},
        subject=subject_key(found.pixel_classes),
        found=found.presence.found,
        probability=rounded(found.presence.probability),
        kind=found.presence.kind,
        kind_probability=rounded(found.presence.kind_probability),
        coverage=round(found.coverage, 6),
        animals=[_animal(found.animals, number + 1) for number in range(found.animals.count)],
        pictures=pictures,
        note=segmenter.entry.origin.note,
    )


def _animal(animals: Animals, number: int) -> AnimalAnswer:
    rows, columns = (np.flatnonzero((animals.labels == number).any(axis=axis)) for axis in (1, 0))
    box = int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)
    return AnimalAnswer(number=number, share=round(float(animals.alpha_of(number).mean()), 6), box=box)


def shipped_models(settings: Settings) -> ModelsAnswer:
    """Return the models of the manifest, the default one first.

    Raises:
        WeightsError: the manifest cannot be used.
    """
    manifest = load_manifest(settings)
    names = sorted(manifest.models, key=lambda name: name != manifest.default)
    return ModelsAnswer(models=[_model(name, manifest.models[name], name == manifest.default) for name in names])


def _model(name: str, entry: ModelEntry, is_default: bool) -> ModelAnswer:
    return ModelAnswer(
        name=name,
        title=entry.title or name,
        description=entry.description,
        is_default=is_default,
        width=entry.config.width,
        height=entry.config.height,
        network_runs=entry.passes,
        classes=_classes(entry.classes),
        licence=entry.licence,
        credit=list(entry.credit),
    )


def _classes(classes: PixelClasses) -> list[ClassAnswer]:
    return [
        ClassAnswer(name=name, code=code, colour="#{:02x}{:02x}{:02x}".format(*colour), is_background=number == ground)
        for number, (name, code, colour, ground) in enumerate(
            zip(classes.names, classes.codes, classes.colours, [classes.background] * len(classes.names))
        )
    ]
