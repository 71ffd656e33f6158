"""The compared networks' photos: prepared as for prediction, or with a tutorial's mistakes. NumPy and Pillow only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.data.pitfalls import bilinear
from unet_core.data.sources import Example, Source, SplitName, stable_fraction
from unet_core.images.preprocess import network_input
from unet_core.images.square import resized_mask, resized_photo
from unet_core.results.compared_networks import ComparedNetwork, DataBug
from unet_core.results.files import Budget
from unet_core.results.robustness import chosen_names

_RAW = Preprocessing(scale="raw")
_UNSEEN = 255  # class id outside what a network with valid padding predicts: training crops it away


class ComparedPhotos:
    """A dataset, cut to the budget: test photos as they are, the others prepared for a network.

    Training photos have the network's deliberate mistakes; validation photos have none, so that they measure what a
    user would get.
    """

    def __init__(
        self, source: Source, entry: ComparedNetwork, budget: Budget, config: UNetConfig, output_size: tuple[int, int]
    ) -> None:
        self.description = source.description
        self.classes, self.class_names = source.classes, source.class_names
        self.foreground = source.foreground
        self.background = source.background
        self._source, self._entry, self._config, self._output_size = source, entry, config, output_size
        counts: dict[SplitName, int] = {
            "train": budget.photos,
            "validation": budget.validation_photos,
            "test": budget.test_photos,
        }
        self._chosen = {part: chosen_names(source.names(part), count) for part, count in counts.items()}

    def names(self, part: SplitName) -> tuple[str, ...]:
        """Return the names of a part's photos, in the order of `examples`."""
        return tuple(name for name in self._source.names(part) if name in self._chosen[part])

    def examples(self, part: SplitName) -> Iterator[Example]:
        """Yield a part's photos, always in the same order."""
        bugs = self._entry.bugs if part == "train" else frozenset()
        for example in self._source.examples(part):
            if example.name in self._chosen[part]:
                prepared = PreparedExample(example, bugs, self._config, self._output_size)
                yield example if part == "test" else prepared


@dataclass(frozen=True)
class PreparedExample:
    """A photo and its mask at a network's input size, of which the network predicts the centre."""

    example: Example
    bugs: frozenset[DataBug]
    config: UNetConfig
    output_size: tuple[int, int]

    @property
    def name(self) -> str:
        """The photo's name."""
        return self.example.name

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the photo, (height, width, 3) uint8, and its class ids, (height, width) uint8."""
        photo, ids = self.example.decode()
        ids = self._mask(ids)
        if "flips" in self.bugs and stable_fraction(f"{self.name}: mask flipped") < 0.5:
            ids = ids[::-1, ::-1]  # the tutorial flips in both directions at once
        rows, columns = (self.config.height - ids.shape[0], self.config.width - ids.shape[1])
        margins = ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2))
        return self._photo(photo), np.pad(ids, margins, constant_values=_UNSEEN)

    def _photo(self, photo: np.ndarray) -> np.ndarray:
        if "whole_mask" in self.bugs:
            return resized_photo(photo, (self.config.height, self.config.width))
        unscaled = self.config.replace(preprocessing=_RAW, encoder_weights="none")
        return network_input(photo, unscaled, self.output_size)[0].astype(np.uint8)

    def _mask(self, ids: np.ndarray) -> np.ndarray:
        """Return the class ids at the size that the network predicts."""
        if "bilinear" not in self.bugs:
            return resized_mask(ids, self.output_size)
        codes = bilinear(ids + np.uint8(1), self.output_size)
        return codes.astype(np.uint8) - np.uint8(1)  # truncated, as a cast does
