"""A photo made worse step by step, and what a network still finds in it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np

from unet_core.explain.probe import Probe, open_probe
from unet_core.images.corruptions import Corruption
from unet_core.images.interpolate import class_map
from unet_core.scores import per_image_binary_iou
from unet_core.settings import Settings
from unet_core.zoo.manifest import ModelEntry

Turn = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, eq=False)
class Step:
    """A photo at one strength.

    Attributes:
        shown: the strength in words.
        photo: (H, W, 3) uint8, made worse.
        mask: (H, W) uint8, the class ids that the network finds in it.
        iou: of the subject with the reference.
    """

    shown: str
    photo: np.ndarray = field(repr=False)
    mask: np.ndarray = field(repr=False)
    iou: float


def failing(
    entry: ModelEntry,
    photo: np.ndarray,
    corruption: Corruption,
    settings: Settings,
    *,
    reference: np.ndarray | None = None,
    turn: Turn = nullcontext,
) -> tuple[Step, ...]:
    """Run a network on a photo at every strength of a corruption.

    Args:
        entry: the model, with an ONNX file in the settings' `weights_dir`.
        photo: (H, W, 3) uint8.
        corruption: its first strength leaves the photo as it is.
        settings: folders and limits.
        reference: (H, W) bool, where the subject is; by default where the network finds it in the unchanged photo.
            It moves with the photo; pixels that are covered do not count.
        turn: entered for each run of the network.

    Raises:
        WeightsError: the model's ONNX file is missing, altered, or has no layer names.
    """
    probe = open_probe(entry, settings)
    subject = list(probe.subject)
    if reference is None:
        with turn():
            reference = np.isin(_mask(probe, photo), subject)
    steps = []
    for strength in corruption.strengths:
        worse, labels = corruption.apply(photo, reference.astype(np.uint8), strength, "photo")
        with turn():
            mask = _mask(probe, worse)
        found = np.isin(mask, subject).astype(np.uint8)
        iou = per_image_binary_iou(labels[None], found[None], foreground=(1,))[0]
        steps.append(Step(corruption.shown(strength), worse, mask, float(iou)))
    return tuple(steps)


def _mask(probe: Probe, photo: np.ndarray) -> np.ndarray:
    batch, box = probe.prepared(photo)
    output, _ = probe.run(batch)
    return class_map(probe.probabilities(output, box)[0], *photo.shape[:2])
