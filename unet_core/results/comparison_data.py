"""The compared networks' training data: prepared as in use, or with a tutorial's mistakes. NumPy and Pillow only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.data.pitfalls import bilinear
from unet_core.images.preprocess import network_input
from unet_core.images.square import resized_mask, resized_photo
from unet_core.results.comparison_recipes import Recipe

_RAW = Preprocessing(scale="raw")


@dataclass(frozen=True)
class Pairs:
    """Training photos at a network's input size, (N, H, W, 3) uint8, and class ids at its output's, (N, h, w) uint8."""

    photos: np.ndarray
    masks: np.ndarray


def flipped(
    photos: np.ndarray, masks: np.ndarray, entry: Recipe, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mirror about half of a batch, photo and mask together, or each by its own draws where that is the mistake."""

    def draws() -> tuple[np.ndarray, np.ndarray]:
        sideways = random.random(len(photos)) < 0.5
        # The tutorial's one draw mirrors both ways at once.
        upside = sideways if "flips" in entry.bugs else random.random(len(photos)) < 0.5
        return sideways, upside & entry.flip_vertical

    def mirrored(arrays: np.ndarray, sideways: np.ndarray, upside: np.ndarray) -> np.ndarray:
        arrays = arrays.copy()
        arrays[sideways] = arrays[sideways][:, :, ::-1]
        arrays[upside] = arrays[upside][:, ::-1]
        return arrays

    first = draws()
    second = draws() if "flips" in entry.bugs else first
    return mirrored(photos, *first), mirrored(masks, *second)


def prepared(
    photo: np.ndarray, ids: np.ndarray, entry: Recipe, config: UNetConfig, output_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return a photo at the network's input size and its class ids at the output's, with the recipe's mistakes."""
    if "whole_mask" in entry.bugs:
        pixels = resized_photo(photo, (config.height, config.width))
    else:
        unscaled = config.replace(preprocessing=_RAW, encoder_weights="none")
        pixels = network_input(photo, unscaled, output_size)[0].astype(np.uint8)
    if "bilinear" in entry.bugs:
        codes = bilinear(ids + np.uint8(1), output_size)
        return pixels, codes.astype(np.uint8) - np.uint8(1)  # whole numbers by cutting, as a cast does
    return pixels, resized_mask(ids, output_size)
