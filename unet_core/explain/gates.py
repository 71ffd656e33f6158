"""Skip connections and blocks of a trained network switched off, halved or replaced by noise, for one photo."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np

from unet_core.errors import UNetError
from unet_core.explain.probe import Change, Gate, Probe, open_probe
from unet_core.images.interpolate import Box
from unet_core.settings import Settings
from unet_core.zoo.manifest import ModelEntry

State = Literal["on", "half", "off", "noise"]
STATES: tuple[State, ...] = ("on", "half", "off", "noise")
_SPECK = 0.002  # of the picture's area: fewer pixels do not count as a subject
_READ_BYTES = 32 * 2**20  # of gates' values at a time
_GAINS: dict[str, float] = {"on": 1.0, "half": 0.5, "off": 0.0, "noise": 0.0}


class GateError(UNetError):
    """A gate that the network does not have, or a state or channel that a gate cannot have."""


@dataclass(frozen=True)
class Setting:
    """The state of one gate; `ranks` limits it to channels, from the strongest on this photo, 0, to before the second.

    "half" multiplies the values by 0.5, "off" by 0. "noise" replaces them by random numbers with the same mean and
    standard deviation in each channel, so that only the picture in them is lost.
    """

    state: State
    ranks: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class GatedPhoto:
    """A photo in a network, and what it gives with every gate open.

    Attributes:
        batch: the network's input, (1, H, W, C) float32.
        box: the part of the network's output that shows the photo.
        probabilities: (h, w, classes) float32 of the photo, all gates open.
        means, deviations: of each gate's channels on this photo, (channels,) float64.
    """

    batch: np.ndarray = field(repr=False)
    box: Box
    probabilities: np.ndarray = field(repr=False)
    means: Mapping[str, np.ndarray] = field(repr=False)
    deviations: Mapping[str, np.ndarray] = field(repr=False)
    _probe: Probe = field(repr=False)

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The network's gates: skip connections, finest first, then blocks."""
        return self._probe.gates

    def strongest(self, gate: str) -> np.ndarray:
        """Return a gate's channels by their mean on this photo, the largest first."""
        return np.argsort(-self.means[gate], kind="stable")

    def changed(self, settings: Mapping[str, Setting]) -> np.ndarray:
        """Return the photo's probabilities with some gates changed, (h, w, classes) float32.

        Args:
            settings: by gate; all other gates stay open.

        Raises:
            GateError: there is no such gate, state or channel.
        """
        changes = {name: self._change(name, setting) for name, setting in settings.items()}
        output, _ = self._probe.run(self.batch, changes)
        return self._probe.probabilities(output, self.box)[0]

    def _change(self, name: str, setting: Setting) -> Change:
        gate = next((gate for gate in self.gates if gate.name == name), None)
        if gate is None:
            raise GateError(f"gate: must be one of {', '.join(gate.name for gate in self.gates)}. Received: {name!r}")
        if setting.state not in STATES:
            raise GateError(f"state: must be one of {', '.join(STATES)}. Received: {setting.state!r}")
        first, end = setting.ranks or (0, gate.shape[2])
        if not 0 <= first < end <= gate.shape[2]:
            raise GateError(f"channels of {name}: must be within 0 to {gate.shape[2]}. Received: {first} to {end}")
        chosen = np.zeros((gate.shape[2], 1, 1), bool)
        chosen[self.strongest(name)[first:end]] = True
        gain = np.where(chosen, np.float32(_GAINS[setting.state]), np.float32(1))
        if setting.state != "noise":
            return Change(gain, np.zeros((1, 1, 1), np.float32))
        return Change(gain, np.where(chosen, self._noise(gate), np.float32(0)))

    def _noise(self, gate: Gate) -> np.ndarray:
        """Return noise of a gate's shape, (channels, h, w): always the same for the same gate and photo."""
        grain = _grain(gate)
        grain *= self.deviations[gate.name].astype(np.float32)[:, None, None]
        return grain + self.means[gate.name].astype(np.float32)[:, None, None]


def gated_photo(entry: ModelEntry, photo: np.ndarray, settings: Settings) -> GatedPhoto:
    """Run a network on a photo with every gate open.

    Args:
        entry: the model, with an ONNX file in the settings' `weights_dir`.
        photo: (H, W, 3) uint8.
        settings: folders and limits.

    Raises:
        WeightsError: the model's ONNX file is missing, altered, or has no layer names.
    """
    probe = open_probe(entry, settings)
    batch, box = probe.prepared(photo)
    means, deviations = {}, {}
    for together in _within(_READ_BYTES, probe.gates):
        for name, value in probe.run(batch, read=together)[1].items():
            means[name] = value[0].mean(axis=(1, 2), dtype=np.float64)
            deviations[name] = value[0].std(axis=(1, 2), dtype=np.float64)
    output, _ = probe.run(batch)
    return GatedPhoto(batch, box, probe.probabilities(output, box)[0], means, deviations, probe)


def _grain(gate: Gate) -> np.ndarray:
    """Return random numbers of a gate's shape, (channels, h, w), with mean 0 and standard deviation 1.

    Each channel is a piece of the same long row: drawing a million numbers would take longer than the network.
    """
    height, width, channels = gate.shape
    random = np.random.default_rng(zlib.crc32(gate.name.encode()))
    row, size = _row(), height * width
    if size > len(row) // 2:
        return random.standard_normal((channels, height, width), np.float32)
    starts = random.integers(0, len(row) - size, channels)
    return np.stack([row[start : start + size] for start in starts]).reshape(channels, height, width)


@lru_cache(maxsize=1)
def _row() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(2**18, np.float32)


def _within(most: int, gates: Sequence[Gate]) -> Iterator[list[str]]:
    """Yield the gates' names in groups whose values have at most `most` bytes, or one gate."""
    names, held = [], 0
    for gate in gates:
        size = 4 * math.prod(gate.shape)
        if names and held + size > most:
            yield names
            names, held = [], 0
        names.append(gate.name)
        held += size
    if names:
        yield names


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Return the IoU of two subjects, (h, w) bool each; 1 where neither has any."""
    either = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / either) if either else 1.0


def outline_moved(before: np.ndarray, after: np.ndarray) -> float | None:
    """Return how far the outline of a subject moved, as a share of the picture's longer side.

    The mean distance from each pixel of one outline to the nearest of the other, both ways. None if one of them has no
    outline, or only specks.

    Args:
        before, after: (h, w) bool.
    """
    from scipy import ndimage

    if min(np.count_nonzero(mask) for mask in (before, after)) < max(1, _SPECK * before.size):
        return None
    edges = [mask & ~ndimage.binary_erosion(mask, border_value=1) for mask in (before, after)]
    if not all(edge.any() for edge in edges):
        return None
    distances = [ndimage.distance_transform_edt(~edge) for edge in edges]
    there, back = distances[0][edges[1]], distances[1][edges[0]]
    return float(np.concatenate([there, back]).mean() / max(before.shape))
