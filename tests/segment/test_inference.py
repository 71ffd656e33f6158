"""Inference modes: what is allowed, what they are called, and that a file's path gives what its parts give."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.helpers.onnx_models import install
from unet_core.errors import ConfigError
from unet_core.segment import Segmenter
from unet_core.segment.inference import InferenceMode, segment, segment_bytes
from unet_core.segment.tiles import TiledSegmenter

TILES = InferenceMode("tiles", overlap=0.5)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return Segmenter(engine="onnx", settings=install(tmp_path_factory.mktemp("weights")))


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"kind": "pieces"}, "kind"),
        ({"kind": "tiles", "scale": 0}, "scale"),
        ({"kind": "tiles", "scale": float("inf")}, "scale"),
        ({"kind": "tiles", "overlap": 0.76}, "overlap"),
        ({"overlap": -0.01}, "overlap"),
    ],
)
def test_values_out_of_range_are_refused_by_name(values: dict, field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field}: .* Received"):
        InferenceMode(**values)


@pytest.mark.parametrize(
    ("mode", "label"),
    [
        (InferenceMode(), "whole photo"),
        (InferenceMode("tiles"), "tiles"),
        (InferenceMode("tiles", scale=0.25), "tiles at 25\u202f% scale"),
        (InferenceMode(flip=True), "whole photo, horizontal-flip averaging"),
    ],
)
def test_the_label_names_what_differs_from_the_default(mode: InferenceMode, label: str) -> None:
    assert mode.label == label


def test_the_automatic_scale_keeps_tiles_few_and_never_enlarges(segmenter: Segmenter) -> None:
    tile = min(TiledSegmenter(segmenter).predicted_size)
    assert TILES.scale_of((10 * tile, 20 * tile), segmenter) == pytest.approx(0.15)
    assert TILES.scale_of((tile, tile), segmenter) == 1
    assert InferenceMode("tiles", scale=0.5).scale_of((10 * tile, 20 * tile), segmenter) == 0.5


@pytest.mark.parametrize("flip", [False, True])
def test_both_kinds_are_what_their_segmenters_give(segmenter: Segmenter, flip: bool) -> None:
    image = noise(200, 160)
    whole = segment(segmenter, image, InferenceMode(flip=flip))
    np.testing.assert_array_equal(whole.probabilities, segmenter.segment(image, flip=flip).probabilities)
    assert whole.runs == 1 + flip
    tiled = TiledSegmenter(segmenter, scale=0.5, overlap=0.5, flip=flip)
    found = segment(segmenter, image, InferenceMode("tiles", scale=0.5, overlap=0.5, flip=flip))
    np.testing.assert_array_equal(found.probabilities, tiled.segment(image).probabilities)
    assert found.runs == tiled.plan(200, 160).count * (1 + flip)


def test_a_photo_decoded_smaller_gets_the_tiles_of_the_photo_itself(segmenter: Segmenter) -> None:
    data = png(noise(300, 400))
    mode = InferenceMode("tiles", scale=0.25)
    full, small = segment_bytes(segmenter, data, mode=mode), segment_bytes(segmenter, data, mode=mode, largest_side=100)
    assert full.size == (300, 400)
    assert small.size == (75, 100)
    assert full.photo_size == small.photo_size == (300, 400)
    assert small.runs == full.runs > 1
