"""Which kind of the subject a photo shows, such as a cat or a dog: said where a model's second output is sure of it.

The second output has the logits of all kinds for each place. Their mean over the subject, in all runs of the network on
a photo, is weighted by how likely each place is the subject: an animal that a zoomed pass enlarges counts more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from unet_core.images.interpolate import resized
from unet_core.images.probabilities import class_probabilities
from unet_core.segment.network import Network, run
from unet_core.segment.passes import TwoPasses
from unet_core.zoo.kinds import KindsOutput
from unet_core.zoo.manifest import ModelEntry

_LEAST = 1e-3  # the weight of a place that is not the subject, so that the mean always exists
_FINE = 4  # of the sides of a place, in which the network's output is looked at


class Kind(NamedTuple):
    """The kind of a subject: its name, and how likely it is that one, 0…1."""

    name: str
    probability: float


def subject_weights(output: np.ndarray, head_activation: str, background: int, size: tuple[int, int]) -> np.ndarray:
    """Return how likely each place is the subject, as weights (N, *size) float32, for a network's output (N, h, w, C).

    Args:
        output: see `Network.predict`.
        head_activation: of the network's configuration.
        background: the class id of the background.
        size: height and width of the places.
    """
    steps = [max(1, length // (_FINE * places)) for length, places in zip(output.shape[1:3], size, strict=True)]
    some = output[:, steps[0] // 2 :: steps[0], steps[1] // 2 :: steps[1]]
    subject = 1 - class_probabilities(some, head_activation)[..., background]
    return np.stack([resized(each[..., None], *size)[..., 0] for each in subject]) + np.float32(_LEAST)


class KindListener:
    """A network for one photo, which also adds up what its second output says of the kind in each run.

    Args:
        network: has a second output.
        entry: its model.
    """

    def __init__(self, network: Network, entry: ModelEntry) -> None:
        self.network, self._entry = network, entry
        self.name, self.device, self.output_size = network.name, network.device, network.output_size
        self._total = np.zeros(0 if entry.kinds is None else len(entry.kinds.names))
        self._weight = 0.0

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Run the network, see `Network.predict`."""
        output, kinds = run(self.network, batch)
        if kinds is not None:
            entry = self._entry
            size = kinds.shape[1], kinds.shape[2]
            weights = subject_weights(output, entry.config.head_activation, entry.background, size)
            self._total += (kinds * weights[..., None]).sum(axis=(0, 1, 2), dtype=np.float64)
            self._weight += float(weights.sum(dtype=np.float64))
        return output

    def kind(self) -> Kind | None:
        """Return the kind that all runs together are sure of; None if they are not, or there is no second output."""
        kinds = self._entry.kinds
        if kinds is None or not self._weight:
            return None
        return decided(self._total / self._weight, kinds)


def decided(logits: np.ndarray, kinds: KindsOutput) -> Kind | None:
    """Return the kind with the largest of the logits (kinds,) if its probability suffices."""
    found = class_probabilities(np.asarray(logits, np.float32)[None, None, None], "none")[0, 0, 0]
    best = int(found.argmax())
    return Kind(kinds.names[best], float(found[best])) if found[best] >= kinds.sure_from else None


def listening(network: Network, entry: ModelEntry) -> tuple[Network, KindListener | None]:
    """Return a network that adds up what it says of the kind, and who does; the same and None if it says nothing."""
    if entry.kinds is None:
        return network, None
    if isinstance(network, TwoPasses):
        listener = KindListener(network.once, entry)
        return TwoPasses(listener, network.background), listener
    listener = KindListener(network, entry)
    return listener, listener
