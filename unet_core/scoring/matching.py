"""A model's classes and those of the data that it is measured on, matched by name."""

from __future__ import annotations

import numpy as np

from unet_core.classes import PixelClasses
from unet_core.data.pipeline import TargetCoding, target_coding
from unet_core.data.sources import DataError, Source
from unet_core.scoring.evaluate import EvaluationError

_SHOWN = 12  # names in a sentence


def matched_coding(classes: PixelClasses, outputs: int, source: Source) -> TargetCoding:
    """Return how the data's class ids become those of a model, whatever the order of its classes.

    Args:
        classes: of the model, by id in its masks.
        outputs: channels of the model; one channel means its first class or not.
        source: the data; the model may have further classes.

    Raises:
        EvaluationError: the data have a class that the model does not have; the text names the classes of both.
    """
    names = classes.names[::-1] if outputs == 1 else classes.names
    try:
        coding = target_coding(source, outputs)
    except DataError:
        raise _different(classes.names, source.class_names) from None
    if coding.class_names == names:
        return coding
    own = [coding.class_names[number] for number in coding.table[: len(source.class_names)]]
    if not set(own) <= set(names):
        raise _different(classes.names, source.class_names)
    table = coding.table.copy()
    table[: len(own)] = [names.index(name) for name in own]
    padding = coding.class_names[coding.padding]
    return TargetCoding(
        table=table,
        padding=names.index(padding) if padding in names else int(np.bincount(table[: len(own)]).argmax()),
        foreground=_named(coding.foreground, coding.class_names, names),
        class_names=names,
    )


def never_there(coding: TargetCoding, source: Source) -> tuple[str, ...]:
    """Return the names of the model's classes that no pixel of the data can have."""
    reached = set(coding.table[: len(source.class_names)].tolist())
    return tuple(name for number, name in enumerate(coding.class_names) if number not in reached)


def never_there_warning(coding: TargetCoding, source: Source) -> str:
    """Return a sentence on the classes that the network has beyond those of the data; empty if there are none."""
    extra = never_there(coding, source)
    if not extra:
        return ""
    return (
        f"The network has {len(coding.class_names)} classes, the data only {len(source.class_names)} "
        f"({listed(source.class_names)}): {listed(extra)} {'is' if len(extra) == 1 else 'are'} never there."
    )


def listed(names: tuple[str, ...]) -> str:
    """Return names as text, shortened if there are many."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _named(numbers: tuple[int, ...] | None, old: tuple[str, ...], new: tuple[str, ...]) -> tuple[int, ...] | None:
    return None if numbers is None else tuple(new.index(old[number]) for number in numbers if old[number] in new)


def _different(model: tuple[str, ...], data: tuple[str, ...]) -> EvaluationError:
    lacking = tuple(name for name in data if name not in model)
    lacks = f" The model has no {listed(lacking)}." if lacking else ""
    return EvaluationError(
        f"The model and the data have different classes, so they cannot be compared. Model: {listed(model)}. "
        f"Data: {listed(data)}.{lacks} Choose data with the model's classes."
    )
