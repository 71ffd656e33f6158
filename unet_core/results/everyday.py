"""A model's scores on stand-ins for everyday photos, composed from validation photos, never from the test part.

    python -m unet_core.results.everyday --model NAME|RUN [--limit N] [--json]

scores one model in well under a minute, so that models can be compared during development.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.data.pipeline import TargetCoding
from unet_core.data.sources import Source
from unet_core.errors import UNetError
from unet_core.images.interpolate import argmax_planes
from unet_core.results.everyday_photos import (
    COMPOSITION,
    KINDS,
    PER_KIND,
    SIDE,
    Composed,
    Kind,
    Lookup,
    composed_photos,
    shrunk,
)
from unet_core.results.files import Everyday, EverydayKind, EverydayPhotos
from unet_core.scores import per_image_binary_iou
from unet_core.scoring.evaluate import ComparedClasses, Network, class_planes

_DECODED = 200  # photos kept decoded for composing


def everyday_total(limit: int | None = None) -> int:
    """Return the largest number of photos that are composed."""
    return min(PER_KIND * len(KINDS), limit or PER_KIND * len(KINDS))


def measure_everyday(
    network: Network,
    config: UNetConfig,
    dataset: Source,
    coding: TargetCoding,
    *,
    flip: bool = False,
    limit: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Everyday | None:
    """Measure a network on composed photos as `predict` segments them: the mask at the photo's original size.

    Args:
        network, config, coding, flip: as in `unet_core.scoring.evaluate.evaluate`.
        dataset: its validation photos are the sources.
        limit: use only the first `limit` photos.
        progress: called with the number of photos done.

    Returns:
        None if the data or the model's classes have no pet, or no photo can be composed.
    """
    masks = ComparedClasses(config.classes, coding)
    if masks.foreground is None or dataset.foreground is None:
        return None
    names, lookup = validation_photos(dataset)
    rows: list[_Row] = []
    for done, found in enumerate(composed_photos(names, lookup, limit), start=1):
        planes = class_planes(network, config, found.photo, found.pet.shape, flip)
        rows.append(_Row.of(found, np.isin(argmax_planes(planes), masks.foreground)))
        if progress is not None:
            progress(done)
    return _summary(rows) if rows else None


def validation_photos(dataset: Source) -> tuple[tuple[str, ...], Lookup]:
    """Return the names of a dataset's validation photos, and the lookup of a photo and its pet, border included."""
    examples = {example.name: example for example in dataset.examples("validation")}
    foreground = dataset.foreground or ()

    @lru_cache(maxsize=_DECODED)
    def lookup(name: str) -> tuple[np.ndarray, np.ndarray]:
        photo, ids = examples[name].decode()
        return shrunk(photo, np.isin(ids, foreground))

    return tuple(examples), lookup


def pet_overlap(true: np.ndarray, predicted: np.ndarray) -> float:
    """Return the IoU of two masks (H, W) bool; 1 if both are empty."""
    return float(per_image_binary_iou(true[None], predicted[None], (True,))[0])


@dataclass(frozen=True)
class _Row:
    """The scores of a composed photo; an empty prediction has no precision."""

    name: str
    kind: str
    number: int
    sources: tuple[str, ...]
    pet_share: float
    iou: float
    precision: float | None
    recall: float

    @classmethod
    def of(cls, found: Composed, predicted: np.ndarray) -> _Row:
        both, positives = np.count_nonzero(found.pet & predicted), np.count_nonzero(predicted)
        return cls(
            name=found.name,
            kind=found.kind,
            number=found.number,
            sources=found.sources,
            pet_share=float(found.pet.mean()),
            iou=pet_overlap(found.pet, predicted),
            precision=both / positives if positives else None,
            recall=both / max(1, np.count_nonzero(found.pet)),
        )


def _summary(rows: Sequence[_Row]) -> Everyday:
    kinds = tuple(_kind(kind, own) for kind in KINDS if (own := [row for row in rows if row.kind == kind.name]))
    photos = EverydayPhotos(
        name=tuple(row.name for row in rows),
        kind=tuple(row.kind for row in rows),
        number=tuple(row.number for row in rows),
        sources=tuple(row.sources for row in rows),
        iou=tuple(round(row.iou, 4) for row in rows),
        pet_share=tuple(round(row.pet_share, 4) for row in rows),
    )
    mean = _mean([row.iou for row in rows])
    return Everyday(recipe=COMPOSITION, side=SIDE, images=len(rows), photo_iou=mean, kinds=kinds, photos=photos)


def _kind(kind: Kind, rows: Sequence[_Row]) -> EverydayKind:
    precision = [row.precision for row in rows if row.precision is not None]
    return EverydayKind(
        name=kind.name,
        title=kind.title,
        description=kind.description,
        images=len(rows),
        photo_iou=_mean([row.iou for row in rows]),
        worst=round(min(row.iou for row in rows), 4),
        precision=_mean(precision) if precision else None,
        recall=_mean([row.recall for row in rows]),
    )


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 6)


# --- one model, quickly -----------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Score one model and print a line for each kind, or JSON."""
    options = _parser().parse_args(arguments)
    from unet_core.data.pipeline import open_source, target_coding
    from unet_core.quiet_tensorflow import import_tensorflow_quietly
    from unet_core.train.find_model import find_model, split_for

    import_tensorflow_quietly()
    try:
        source = find_model(options.model)
        dataset = open_source(options.data, source.config, split_for(source, options.data))
        coding, network = target_coding(dataset, source.config.classes), source.engine()
        found = measure_everyday(network, source.config, dataset, coding, flip=options.flip, limit=options.limit)
    except (UNetError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if found is None:
        print(f"{options.data}: no photo can be composed from its validation part", file=sys.stderr)
        return 1
    print(json.dumps(_short(source.name, found)) if options.json else _table(source.name, found))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m unet_core.results.everyday", description="Score a model on composed photos."
    )
    parser.add_argument("--model", help="a shipped model's name or a run directory (default: the manifest's)")
    parser.add_argument(
        "--data", default="oxford_iiit_pet", help="the dataset whose validation part is used (default: oxford_iiit_pet)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="score only the first N photos")
    parser.add_argument(
        "--flip",
        action="store_true",
        help="horizontal-flip averaging; no effect on a model with a zoomed second pass",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _short(model: str, found: Everyday) -> dict[str, Any]:
    kinds = {kind.name: kind.photo_iou for kind in found.kinds}
    return {"model": model, "images": found.images, "photo_iou": found.photo_iou, "kinds": kinds}


def _table(model: str, found: Everyday) -> str:
    lines = [f"{model}: photos, IoU of the pet (mean, worst), mean precision, mean recall"]
    for kind in found.kinds:
        precision = "     –" if kind.precision is None else f"{kind.precision:6.3f}"
        figures = f"{kind.images:5}{kind.photo_iou:8.3f}{kind.worst:8.3f}{precision:>8}{kind.recall:8.3f}"
        lines.append(f"{kind.title:<18}{figures}")
    lines.append(f"{'all':<18}{found.images:5}{found.photo_iou:8.3f}{min(found.photos.iou):8.3f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
