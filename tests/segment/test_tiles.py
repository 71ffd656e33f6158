"""Tiles against an oracle: a network that looks at single pixels must give the same whole or in any tiles."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.onnx_models import BY_COLOUR, install, pixel_config
from unet_core.architecture.config import Preprocessing
from unet_core.images.interpolate import resized_strips
from unet_core.segment import ImageError, Segmenter, class_probabilities, tiles
from unet_core.segment.inference import InferenceMode, network_runs, segment_bytes
from unet_core.segment.tiles import MAX_OVERLAP, Axis, TiledSegmenter
from unet_core.zoo.manifest import WeightsError

SOFT = BY_COLOUR / 4  # logits that leave room for doubt, so that a wrong share shows in the probabilities


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def expected(image: np.ndarray, scale: float, weights: np.ndarray = SOFT) -> np.ndarray:
    """The pixel function of the whole scaled photo, interpolated to the photo's size: (H, W, C)."""
    size = tuple(max(1, round(side * scale)) for side in image.shape[:2])
    pixels = image
    if size != image.shape[:2]:
        resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR, reducing_gap=3.0)
        pixels = np.asarray(resized)
    found = class_probabilities((pixels[None] / np.float32(255)) @ weights.T)[0]
    strips = [planes for _, _, planes in resized_strips(found, *image.shape[:2])]
    return np.moveaxis(np.concatenate(strips, axis=1), 0, -1)


def assert_equals(result, probabilities: np.ndarray) -> None:
    assert result.probabilities.shape == probabilities.shape
    assert np.allclose(result.probabilities, probabilities, atol=2e-6)
    top_two = np.sort(probabilities, axis=-1)[..., -2:]
    clear = top_two[..., 1] - top_two[..., 0] > 1e-5
    assert np.array_equal(result.mask[clear], probabilities.argmax(axis=-1)[clear])


@pytest.fixture(scope="module")
def segmenters(tmp_path_factory) -> dict[int, Segmenter]:
    """Segmenters by the pixels that their network loses at every edge; 24 × 32 goes in."""
    found = {}
    for lost in (0, 3, 9):
        config = pixel_config(height=24, width=32, preprocessing=Preprocessing())
        folder = tmp_path_factory.mktemp(f"lost{lost}")
        settings_of_model = install(folder, config, SOFT, lost=lost).replace(max_runs=100_000)
        found[lost] = Segmenter(engine="onnx", settings=settings_of_model)
    return found


# --- shares -----------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 300), st.integers(1, 70), st.floats(0, MAX_OVERLAP))
def test_shares_sum_to_one_at_every_pixel_and_fall_off_towards_a_tiles_edges(length, seen, overlap):
    axis = Axis.covering(length, seen, overlap)
    total = np.zeros(length)
    for start, weights in zip(axis.starts, axis.weights, strict=True):
        inside = np.arange(start, start + seen)
        within = (inside >= 0) & (inside < length)
        total[inside[within]] += weights[within]
        assert (weights[within] > 0).all()
        assert not weights[~within].any()
    assert np.allclose(total, 1, atol=1e-6)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 2000), st.integers(1, 200), st.floats(0, MAX_OVERLAP))
def test_neighbours_share_at_least_the_overlap_and_no_tile_is_superfluous(length, seen, overlap):
    starts = Axis.covering(length, seen, overlap).starts
    shared = min(round(overlap * seen), seen - 1)
    assert starts[0] <= 0
    assert starts[-1] + seen >= length
    assert all(0 < after - before <= seen - shared for before, after in pairwise(starts))
    fewer = len(starts) - 1
    assert fewer == 0 or seen + (fewer - 1) * (seen - shared) < length + 2 * (shared // 2)


def test_a_tile_counts_most_in_its_middle_and_hardly_at_its_edges():
    weights = Axis.covering(1000, 64, 0.5).weights[5]
    assert weights[32] > 0.99
    assert weights[0] < 0.01
    assert (np.diff(weights[:32]) > 0).all()


# --- the whole photo -------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 130),
    width=st.integers(1, 130),
    scale=st.sampled_from([1.0, 1.0, 0.37, 0.5, 0.9, 1.3, 2.0]),
    percent=st.integers(0, round(100 * MAX_OVERLAP)),
    lost=st.sampled_from([0, 3, 9]),
    flip=st.booleans(),
    batch_size=st.none() | st.integers(1, 5),
)
def test_tiles_give_exactly_the_function_of_the_whole_photo(
    segmenters, height, width, scale, percent, lost, flip, batch_size
):
    image = noise(height, width)
    tiled = TiledSegmenter(segmenters[lost], scale=scale, overlap=percent / 100, flip=flip, batch_size=batch_size)
    assert_equals(tiled.segment(image), expected(image, scale))


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (24, 32), (5, 7), (25, 33)])
@pytest.mark.parametrize("lost", [0, 9])
def test_narrow_and_small_photos_come_out_right(segmenters, size, lost):
    image = noise(*size)
    assert_equals(TiledSegmenter(segmenters[lost]).segment(image), expected(image, 1))


def test_uneven_losses_stay_in_place_in_the_mirror(tmp_path, monkeypatch):
    class OneMoreAtTheRight:
        name, device, output_size = "onnx", "CPU", (24, 27)

        def predict(self, batch):
            return batch[:, :, 2:29] @ SOFT.T  # loses 2 columns at the left, 3 at the right

    config = pixel_config(height=24, width=32, preprocessing=Preprocessing())
    segmenter = Segmenter(engine="onnx", settings=install(tmp_path, config, SOFT))
    monkeypatch.setattr(segmenter, "network", OneMoreAtTheRight())
    image = noise(60, 90)
    assert_equals(TiledSegmenter(segmenter, flip=True).segment(image), expected(image, 1))


def test_an_output_larger_than_its_input_is_shrunk_to_it(tmp_path, monkeypatch):
    class Doubled:
        name, device, output_size = "onnx", "CPU", (48, 64)

        def predict(self, batch):
            return (batch @ SOFT.T).repeat(2, axis=1).repeat(2, axis=2)

    config = pixel_config(height=24, width=32, preprocessing=Preprocessing())
    segmenter = Segmenter(engine="onnx", settings=install(tmp_path, config, SOFT))
    monkeypatch.setattr(segmenter, "network", Doubled())
    image = np.full((60, 90, 3), (200, 100, 0), np.uint8)
    assert_equals(TiledSegmenter(segmenter).segment(image), expected(image, 1))


def test_a_network_that_looks_around_sees_the_mirrored_photo_at_its_edges(tmp_path, monkeypatch):
    class MeanOfNine:
        name, device, output_size = "onnx", "CPU", (22, 30)

        def predict(self, batch):
            windows = np.lib.stride_tricks.sliding_window_view(batch, (3, 3), axis=(1, 2))
            return windows.mean(axis=(-2, -1)) @ SOFT.T

    config = pixel_config(height=24, width=32, preprocessing=Preprocessing())
    segmenter = Segmenter(engine="onnx", settings=install(tmp_path, config, SOFT))
    monkeypatch.setattr(segmenter, "network", MeanOfNine())
    image = noise(70, 95)
    around = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="reflect").astype(np.float32) / 255
    whole = class_probabilities(MeanOfNine().predict(around[None]))[0]
    assert_equals(TiledSegmenter(segmenter).segment(image), whole)


def test_grey_networks_get_grey_tiles(tmp_path):
    config = pixel_config(channels=1, preprocessing=Preprocessing(scale="symmetric"))
    weights = np.array([[3], [0], [-3]], np.float32)
    image = noise(50, 70)
    result = TiledSegmenter(Segmenter(engine="onnx", settings=install(tmp_path, config, weights))).segment(image)
    grey = np.asarray(Image.fromarray(image).convert("L"), np.float32)[..., None] / 127.5 - 1
    assert_equals(result, class_probabilities(grey[None] @ weights.T)[0])


def test_photos_beyond_a_million_pixels_keep_averaged_probabilities(segmenters, monkeypatch):
    monkeypatch.setattr(tiles, "FULL_PROBABILITIES_PIXELS", 1000)
    image = noise(121, 83)
    result = TiledSegmenter(segmenters[0]).segment(image)
    whole = expected(image, 1)
    assert result.probabilities.shape == (31, 21, 3)
    assert np.allclose(result.probabilities[3, 5], whole[12:16, 20:24].mean(axis=(0, 1)), atol=1e-5)
    assert np.allclose(result.probabilities[30, 20], whole[120:, 80:].mean(axis=(0, 1)), atol=1e-5)
    assert np.array_equal(result.mask.shape, image.shape[:2])


def test_tiles_agree_with_the_whole_photo_where_one_tile_is_enough(tmp_path):
    segmenter = Segmenter(engine="onnx", settings=install(tmp_path, weights=SOFT))
    image = noise(32, 32)
    assert_equals(TiledSegmenter(segmenter, overlap=0).segment(image), segmenter.segment(image).probabilities)
    assert TiledSegmenter(segmenter, overlap=0).plan(32, 32).count == 1


def test_shares_timings_and_origin_are_told_as_for_the_whole_photo(segmenters):
    buffer = io.BytesIO()
    Image.fromarray(noise(60, 90)).save(buffer, "PNG")
    found = segment_bytes(segmenters[0], buffer.getvalue(), "noise.png", InferenceMode("tiles", scale=1))
    assert found.name == "noise.png"
    assert list(found.timings) == ["decode", "preprocess", "network", "postprocess", "total"]
    assert found.timings["total"] == pytest.approx(sum(found.timings.values()) / 2, rel=0.02)
    assert found.shares == {
        name: pytest.approx((found.mask == number).mean()) for number, name in enumerate(found.classes)
    }
    assert (found.model, found.engine, found.device) == ("pixels", "onnx", segmenters[0].device)


# --- what it costs ---------------------------------------------------------------------------------------------------


def test_progress_counts_the_planned_tiles_and_can_end_the_work(segmenters):
    tiled = TiledSegmenter(segmenters[3], batch_size=4)
    seen = []
    tiled.segment(noise(100, 130), progress=lambda done, total: seen.append((done, total)))
    counts = [done for done, _ in seen]
    assert counts == sorted(set(counts))
    assert (counts[0], counts[-1]) == (0, tiled.plan(100, 130).count)
    assert {total for _, total in seen} == {counts[-1]}

    def stop(done, total):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        tiled.segment(noise(100, 130), progress=stop)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_memory_grows_with_the_photos_width_not_with_its_height(segmenters, scale):
    def beyond_the_result(height: int) -> float:
        image = np.zeros((height, 400, 3), np.uint8)
        tracemalloc.start()
        try:
            result = TiledSegmenter(segmenters[0], scale=scale).segment(image)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        scaled = image.nbytes * scale**2 * (scale != 1)
        return (peak - result.mask.nbytes - result.probabilities.nbytes - scaled) / 1e6

    short, tall = beyond_the_result(200), beyond_the_result(2000)
    assert tall < 1.2 * short + 0.5


def test_runs_of_the_network_hold_no_more_tiles_than_asked_for(segmenters, monkeypatch):
    tiled = TiledSegmenter(segmenters[0], flip=True, batch_size=3)
    sizes, predict = [], tiled.segmenter.network.predict
    monkeypatch.setattr(tiled.segmenter.network, "predict", lambda batch: sizes.append(len(batch)) or predict(batch))
    tiled.segment(noise(60, 150))
    assert max(sizes) == 3


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"scale": 0}, "scale"),
        ({"scale": float("nan")}, "scale"),
        ({"overlap": -0.1}, "overlap"),
        ({"overlap": 0.9}, "overlap"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(segmenters, values, field):
    with pytest.raises(ValueError, match=f"{field}: .* Received"):
        TiledSegmenter(segmenters[0], **values)


def test_enlarging_beyond_the_megapixels_allowed_is_refused_before_any_work(segmenters):
    with pytest.raises(ImageError, match="smaller scale"):
        TiledSegmenter(segmenters[0], scale=100).plan(1000, 1000)


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_arrays_that_are_no_photo_are_refused(segmenters, image):
    with pytest.raises(ImageError, match="uint8"):
        TiledSegmenter(segmenters[0]).segment(image)


def test_outputs_that_are_no_numbers_are_refused(tmp_path):
    segmenter = Segmenter(engine="onnx", settings=install(tmp_path, bias=float("nan")))
    with pytest.raises(WeightsError, match="not numbers"):
        TiledSegmenter(segmenter).segment(noise(40, 40))


def test_neither_tensorflow_nor_keras_is_imported():
    code = "import sys, unet_core.segment.tiles; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_photo_that_needs_too_many_runs_is_refused_before_it_is_decoded(segmenters, monkeypatch):
    segmenter = segmenters[0]
    monkeypatch.setattr(segmenter, "settings", segmenter.settings.replace(max_runs=10))
    mode = InferenceMode("tiles", scale=1.0)
    assert network_runs(segmenter, mode, (24, 32)) == 4  # they extend beyond the edges
    assert network_runs(segmenter, InferenceMode(), (5000, 5000)) == 1
    buffer = io.BytesIO()
    Image.new("RGB", (2000, 1000)).save(buffer, "PNG")
    monkeypatch.setattr("unet_core.segment.inference.decode_image", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(ImageError, match="more than the 10 allowed: choose a smaller scale"):
        segment_bytes(segmenter, buffer.getvalue(), "large.png", mode)
