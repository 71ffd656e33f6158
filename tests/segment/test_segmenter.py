"""From a photo to its segmentation, with models whose right answer is known from the photo's colours."""

from __future__ import annotations

import io
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from tests.helpers.onnx_models import BY_COLOUR, install, pixel_config, pixel_model
from unet_core import machine
from unet_core.architecture.config import Preprocessing
from unet_core.classes import BACKGROUND, BORDER, CLASS_NAMES, PET
from unet_core.images.interpolate import argmax_planes, resized_argmax, resized_strips
from unet_core.images.preprocess import fitted_box, network_input, scale
from unet_core.segment import (
    ImageError,
    KerasEngine,
    OnnxEngine,
    Segmentation,
    Segmenter,
    class_probabilities,
    detect_gpu,
    engine,
    get_engine,
    segment_bytes,
)
from unet_core.segment.inference import try_segment_bytes
from unet_core.segment.passes import TwoPasses
from unet_core.segment.tiles import TiledSegmenter
from unet_core.zoo.manifest import WeightsError, file_record, load_manifest, write_entry

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def painted(height: int, width: int) -> np.ndarray:
    """A photo without symmetry: left half red (pet), right half green (background), a blue corner (border)."""
    image = np.empty((height, width, 3), np.uint8)
    image[:, : width // 2] = RED
    image[:, width // 2 :] = GREEN
    image[: height // 4, : width // 4] = BLUE
    return image


def truth(image: np.ndarray) -> np.ndarray:
    return image.argmax(axis=-1).astype(np.uint8)


def agreement(mask: np.ndarray, expected: np.ndarray) -> float:
    return float((mask == expected).mean())


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def segmenter(tmp_path):
    return Segmenter(engine="onnx", settings=install(tmp_path))


# --- the whole way ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(32, 32), (300, 451), (451, 300), (20, 20), (1, 1), (1, 5000), (3, 64), (1100, 1300)])
def test_mask_has_the_photos_size_and_the_right_classes(segmenter, size):
    image = painted(*size)
    result = segmenter.segment(image)
    assert result.mask.shape == result.size == size
    assert result.mask.dtype == np.uint8
    if min(size) >= 20:
        assert agreement(result.mask, truth(image)) > 0.96
    assert np.allclose(result.probabilities.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize(("colour", "name"), [(RED, "pet"), (GREEN, "background"), (BLUE, "border")])
def test_shares_name_the_classes(segmenter, colour, name):
    result = segmenter.segment(np.full((50, 60, 3), colour, np.uint8))
    assert result.shares == {other: float(other == name) for other in CLASS_NAMES}


def test_shares_count_the_masks_pixels(segmenter):
    result = segmenter.segment(painted(400, 500))
    assert list(result.shares) == list(result.classes) == list(CLASS_NAMES)
    for class_id, name in enumerate(CLASS_NAMES):
        assert result.shares[name] == pytest.approx((result.mask == class_id).mean())


def test_small_photos_keep_full_probabilities_and_big_ones_the_networks(segmenter):
    small = segmenter.segment(painted(900, 1000))
    assert small.probabilities.shape == (900, 1000, 3)
    assert np.array_equal(small.probabilities.argmax(axis=-1), small.mask)
    assert segmenter.segment(painted(1001, 1000)).probabilities.shape == (32, 32, 3)


def test_trimap_holds_the_datasets_codes(segmenter):
    result = segmenter.segment(painted(60, 80))
    codes = {PET.id: 1, BACKGROUND.id: 2, BORDER.id: 3}
    assert np.array_equal(result.trimap, np.vectorize(codes.get)(result.mask))
    written = np.asarray(Image.open(io.BytesIO(result.to_trimap_png())))
    assert np.array_equal(written, result.trimap)


def test_pictures_have_the_photos_size(segmenter):
    image = painted(60, 80)
    result = segmenter.segment(image)
    for data in (result.to_overlay_png(), result.to_cutout_png()):
        assert Image.open(io.BytesIO(data)).size == (80, 60)


def test_timings_are_milliseconds_that_add_up(segmenter):
    timings = segmenter.segment(painted(60, 80)).timings
    assert list(timings) == ["preprocess", "network", "postprocess", "total"]
    assert timings["total"] == pytest.approx(sum(timings.values()) / 2, rel=0.01)
    timings = segment_bytes(segmenter, png(painted(60, 80))).timings
    assert list(timings) == ["decode", "preprocess", "network", "postprocess", "total"]
    assert all(value > 0 for value in timings.values())
    assert timings["total"] == pytest.approx(sum(timings.values()) / 2, rel=0.01)


def test_result_says_what_computed_it(segmenter):
    result = segmenter.segment(painted(60, 80))
    assert (result.model, result.engine, result.device) == ("pixels", "onnx", segmenter.device)
    assert result.device.startswith("CPU (")


def test_the_same_photo_gives_the_same_result(segmenter):
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    first, second = segmenter.segment(image), segmenter.segment(image)
    assert np.array_equal(first.mask, second.mask)
    assert np.array_equal(first.probabilities, second.probabilities)


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_arrays_that_are_no_photo_are_refused(segmenter, image):
    with pytest.raises(ImageError, match="uint8"):
        segmenter.segment(image)


# --- several photos ---------------------------------------------------------------------------------------------------


def test_one_bad_photo_never_stops_the_others(segmenter):
    photos = [("a.png", png(painted(40, 50))), ("b.jpg", b"text"), ("c.png", b""), ("d.png", png(painted(50, 40)))]
    results = [try_segment_bytes(segmenter, data, name) for name, data in photos]
    assert [result.name for result in results] == ["a.png", "b.jpg", "c.png", "d.png"]
    assert [isinstance(result, Segmentation) for result in results] == [True, False, False, True]
    assert results[0].size == results[0].image.shape[:2] == (40, 50)
    assert results[1].message.startswith("b.jpg is not a photo")
    assert results[2].message.startswith("c.png is empty")


@pytest.mark.parametrize("failure", [MemoryError(), RuntimeError("unforeseen")])
def test_an_unforeseen_failure_does_not_stop_the_others_either(segmenter, monkeypatch, failure):
    segment = segmenter.segment

    def failing(image, **options):
        if image.shape[0] == 40:
            raise failure
        return segment(image, **options)

    monkeypatch.setattr(segmenter, "segment", failing)
    bad = try_segment_bytes(segmenter, png(painted(40, 50)), "a.png")
    good = try_segment_bytes(segmenter, png(painted(50, 40)), "b.png")
    assert bad.message.startswith("a.png ")
    assert "unforeseen" not in bad.message
    assert isinstance(good, Segmentation)


def test_largest_side_bounds_what_is_returned(segmenter):
    result = segment_bytes(segmenter, png(painted(400, 800)), "a.png", largest_side=100)
    assert result.image.shape == (50, 100, 3)
    assert result.size == (50, 100)
    assert result.photo_size == (400, 800)


def test_two_sessions_at_once_get_their_own_results(tmp_path):
    settings = install(tmp_path)
    wrong = []

    def session(colour, class_id):
        own = Segmenter(engine="onnx", settings=settings)
        image = np.full((64, 64, 3), colour, np.uint8)
        wrong.extend(1 for _ in range(30) if not (own.segment(image).mask == class_id).all())

    threads = [threading.Thread(target=session, args=case) for case in ((RED, 0), (GREEN, 1), (BLUE, 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# --- kinds of models --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "gain"), [("unit", 1), ("symmetric", 1), ("raw", 1 / 255)])
def test_photos_are_scaled_as_the_model_was_trained(tmp_path, how, gain):
    config = pixel_config(preprocessing=Preprocessing(scale=how))
    segmenter = Segmenter(settings=install(tmp_path, config, BY_COLOUR * gain))
    image = painted(64, 64)
    assert agreement(segmenter.segment(image).mask, truth(image)) > 0.96
    assert (
        scale(np.array([0, 255], np.uint8), Preprocessing(scale=how)).tolist()
        == {
            "unit": [0, 1],
            "symmetric": [-1, 1],
            "raw": [0, 255],
        }[how]
    )


@pytest.mark.parametrize("size", [(60, 200), (200, 60), (64, 64), (1, 500)])
def test_padding_keeps_proportions_and_leaves_no_trace_in_the_result(tmp_path, size):
    # Black pixels, as in the padding, would be border: with a negative weight on every colour.
    weights = np.array([[8, 0, 0], [0, 8, 0], [-8, -8, 0]], np.float32)
    config = pixel_config(preprocessing=Preprocessing(resize="pad"))
    segmenter = Segmenter(settings=install(tmp_path, config, weights))
    image = np.empty((*size, 3), np.uint8)
    image[:, : size[1] // 2], image[:, size[1] // 2 :] = RED, GREEN
    result = segmenter.segment(image)
    assert result.mask.shape == size
    assert result.shares["border"] == 0
    assert agreement(result.mask, truth(image)) > 0.96


def test_padded_photo_is_centred():
    assert fitted_box(100, 200, (32, 32)) == (8, 0, 16, 32)
    assert fitted_box(200, 100, (32, 32)) == (0, 8, 32, 16)
    assert fitted_box(1, 5000, (32, 32)) == (15, 0, 1, 32)


@pytest.mark.parametrize("lost", [1, 6, 12])
@pytest.mark.parametrize("resize", ["stretch", "pad"])
def test_valid_padding_still_predicts_the_whole_photo(tmp_path, lost, resize):
    config = pixel_config(height=48, width=40, preprocessing=Preprocessing(resize=resize))
    segmenter = Segmenter(settings=install(tmp_path, config, lost=lost))
    image = painted(120, 100)
    result = segmenter.segment(image)
    assert result.mask.shape == (120, 100)
    assert agreement(result.mask, truth(image)) > 0.93


def test_valid_padding_sees_mirrored_surroundings():
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    pixels, box = network_input(image, pixel_config(height=30, width=28), (20, 20))
    assert pixels.shape == (30, 28, 3)
    assert box == (0, 0, 20, 20)
    centre = scale(image, Preprocessing())
    assert np.array_equal(pixels[5:25, 4:24], centre)
    assert np.array_equal(pixels[4, 4:24], centre[1])  # mirrored at the edge row, which is not repeated
    assert np.array_equal(pixels[5:25, 24], centre[:, -2])


def test_grey_models_get_grey_photos(tmp_path):
    config = pixel_config(channels=1, classes=2)
    settings = install(tmp_path, config, np.array([[10], [-10]]), classes=("light", "dark"), bias=0)
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 255
    result = Segmenter(settings=settings).segment(image)
    assert (result.mask[:, 25:] == 0).all()
    assert result.classes == ("light", "dark")


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_models_of_more_bands_take_arrays_with_these_bands(tmp_path, kind, tiled):
    weights = np.zeros((2, 5))
    weights[:, 4] = 9, -9  # by the last band alone
    config = pixel_config(channels=5, classes=2)
    segmenter = Segmenter(settings=install(tmp_path, config, weights, classes=("bright", "dark"), bias=(-4.5, 4.5)))
    image = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (40, 60, 5)).astype(kind)
    image[..., 4] = 0
    image[:, 30:, 4] = np.iinfo(kind).max
    result = (TiledSegmenter(segmenter) if tiled else segmenter).segment(image)
    assert (result.mask[:, 33:] == 0).all()
    assert (result.mask[:, :27] == 1).all()
    assert (result.image.shape, result.image.dtype) == ((40, 60, 3), np.uint8)
    assert Image.open(io.BytesIO(result.to_overlay_png())).size == (60, 40)


def test_models_of_more_bands_refuse_ordinary_photos(tmp_path):
    segmenter = Segmenter(settings=install(tmp_path, pixel_config(channels=4), np.ones((3, 4))))
    with pytest.raises(ImageError, match=r"takes arrays \(height, width, 4\)"):
        segmenter.segment(painted(20, 20))


@pytest.mark.parametrize("classes", [("pet",), ("pet", "background")])
def test_one_class_head_gives_the_class_and_the_rest(tmp_path, classes):
    config = pixel_config(classes=1)
    settings = install(tmp_path, config, np.array([[12, -12, 0]]), classes=classes)
    image = np.empty((64, 64, 3), np.uint8)
    image[:, :32], image[:, 32:] = RED, GREEN
    result = Segmenter(settings=settings).segment(image)
    assert result.classes == ("pet", "background")
    assert agreement(result.mask, truth(image)) > 0.96
    assert result.shares["pet"] == pytest.approx(0.5, abs=0.03)
    assert result.probabilities.shape == (64, 64, 2)


# --- probabilities ----------------------------------------------------------------------------------------------------


def test_softmax_of_logits_matches_its_definition():
    logits = np.random.default_rng(0).normal(0, 3, (2, 4, 5, 3))
    expected = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    assert np.allclose(class_probabilities(logits.astype(np.float32)), expected, atol=1e-6)


@pytest.mark.parametrize("classes", [1, 3])
def test_huge_logits_neither_overflow_nor_warn(classes):
    logits = np.linspace(-1e30, 1e30, 2 * 2 * classes).reshape(1, 2, 2, classes).astype(np.float32)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        probabilities = class_probabilities(logits)
    assert np.isfinite(probabilities).all()
    assert np.allclose(probabilities.sum(axis=-1), 1)


def test_heads_with_an_activation_are_not_activated_again():
    soft = np.array([0.2, 0.5, 0.3], np.float32).reshape(1, 1, 1, 3)
    assert np.allclose(class_probabilities(soft, "softmax"), soft)
    one = np.array([0.8], np.float32).reshape(1, 1, 1, 1)
    assert np.allclose(class_probabilities(one, "sigmoid").ravel(), [0.8, 0.2])
    assert np.allclose(class_probabilities(one, "none").ravel(), [1 / (1 + np.exp(-0.8)), 1 / (1 + np.exp(0.8))])


def test_several_sigmoids_are_brought_to_a_sum_of_one():
    several = np.array([[0.8, 0.8, 0.4], [0, 0, 0]], np.float32).reshape(1, 1, 2, 3)
    assert np.allclose(class_probabilities(several, "sigmoid")[0, 0], [[0.4, 0.4, 0.2], [1 / 3, 1 / 3, 1 / 3]])


@pytest.mark.parametrize("size", [(50, 70), (9, 200), (300, 5), (1, 1), (700, 900)])
def test_interpolation_equals_pillows(size):
    probabilities = np.random.default_rng(0).random((16, 24, 3)).astype(np.float32)
    expected = [
        np.asarray(Image.fromarray(np.ascontiguousarray(probabilities[..., c])).resize(size[::-1], Image.BILINEAR))
        for c in range(3)
    ]
    strips = list(resized_strips(probabilities, *size))
    assert [top for top, _, _ in strips] == [0, *(bottom for _, bottom, _ in strips[:-1])]
    assert np.allclose(np.concatenate([planes for _, _, planes in strips], axis=1), expected, atol=1e-5)


def test_argmax_takes_the_lower_class_on_a_tie_as_numpy_does():
    planes = np.random.default_rng(0).integers(0, 3, (4, 30, 40)).astype(np.float32)
    assert np.array_equal(argmax_planes(planes), planes.argmax(axis=0))


@pytest.mark.parametrize(
    ("source", "target"), [((7, 9), (31, 40)), ((5, 5), (5, 23)), ((8, 6), (8, 6)), ((1, 1), (4, 3)), ((6, 1), (20, 9))]
)
@pytest.mark.parametrize("smooth", [False, True])
def test_the_quick_argmax_is_that_of_the_resized_probabilities(source, target, smooth):
    random = np.random.default_rng(0)
    probabilities = random.random((*source, 3), np.float32)
    if smooth:  # regions that agree, as in a real mask
        probabilities = np.sort(probabilities, axis=0)
    strips = [argmax_planes(planes) for _, _, planes in resized_strips(probabilities, *target)]
    assert np.array_equal(resized_argmax(probabilities, *target), np.concatenate(strips))


def test_the_quick_argmax_leaves_shrinking_to_the_other_way():
    assert resized_argmax(np.ones((8, 8, 3), np.float32), 20, 4) is None


def test_flip_averages_with_the_mirrored_photo(segmenter, monkeypatch):
    """An engine that always finds the pet on the left contradicts itself on the mirrored photo."""

    def biased(batch):
        logits = np.zeros((*batch.shape[:3], 3), np.float32)
        logits[:, :, :16, 0], logits[:, :, 16:, 1] = 4, 4
        return logits

    monkeypatch.setattr(segmenter.network, "predict", biased)
    image = np.zeros((32, 32, 3), np.uint8)
    plain = segmenter.segment(image).probabilities
    flipped = segmenter.segment(image, flip=True).probabilities
    assert np.allclose(flipped, (plain + plain[:, ::-1]) / 2)


class Leaning:
    """An engine whose logits lean to one side, which cancels out over a photo and its mirror image."""

    def __init__(self, engine, ramp):
        self.engine, self.ramp, self.runs = engine, ramp, []
        self.name, self.device, self.output_size = engine.name, engine.device, engine.output_size

    def predict(self, batch):
        self.runs = [*self.runs, len(batch)]
        return self.engine.predict(batch) + self.ramp


def test_a_model_with_a_second_look_mirrors_inputs_by_itself_and_only_once(tmp_path):
    settings = install(tmp_path)
    plain = Segmenter(engine="onnx", settings=settings)
    twice = Segmenter("twice", "onnx", settings, entry=plain.entry.replace(second_look=True))
    leaning = Leaning(plain.network, np.linspace(-1, 1, 32, dtype=np.float32)[:, None])
    twice.network = TwoPasses(leaning, background=1)
    batch = np.random.default_rng(0).uniform(-1, 1, (3, *plain.entry.config.input_shape)).astype(np.float32)
    np.testing.assert_allclose(twice.network.predict(batch), plain.network.predict(batch), atol=1e-5)
    runs = len(leaning.runs)
    twice.segment(np.zeros((32, 32, 3), np.uint8), flip=True)
    assert leaning.runs[runs:] == [1, 1], "asking for flips does not double them"


def test_flip_leaves_a_model_alone_that_does_not_care(segmenter):
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    assert np.allclose(
        segmenter.segment(image, flip=True).probabilities, segmenter.segment(image).probabilities, atol=1e-6
    )


def test_values_that_are_not_numbers_are_reported(tmp_path):
    segmenter = Segmenter(settings=install(tmp_path, weights=BY_COLOUR * np.nan))
    with pytest.raises(WeightsError, match="not numbers"):
        segmenter.segment(painted(40, 40))


# --- engines ----------------------------------------------------------------------------------------------------------


def test_onnx_engine_takes_any_batch(tmp_path):
    onnx_engine = OnnxEngine(pixel_model(pixel_config()), pixel_config(), threads=1)
    batch = np.random.default_rng(0).random((5, 32, 32, 3), np.float32)
    together = onnx_engine.predict(batch)
    assert together.shape == (5, 32, 32, 3)
    assert np.array_equal(together[3:4], onnx_engine.predict(batch[3:4]))
    assert onnx_engine.device == "CPU (1 core)"


@pytest.mark.parametrize("content", [b"", b"garbage", pixel_model(pixel_config())[:-50]])
def test_broken_onnx_model_is_a_sentence(content):
    with pytest.raises(WeightsError, match="export it again"):
        OnnxEngine(content, pixel_config())


@pytest.mark.parametrize("change", [{"classes": 4}, {"height": 48}, {"channels": 1}])
def test_onnx_model_that_is_not_the_configurations_is_refused(change):
    with pytest.raises(WeightsError, match="export it again"):
        OnnxEngine(pixel_model(pixel_config()), pixel_config(**change))


def test_all_sessions_share_one_engine(tmp_path, monkeypatch):
    settings = install(tmp_path)
    loads = []
    original = engine._load
    monkeypatch.setattr(engine, "_load", lambda *arguments: loads.append(1) or original(*arguments))
    found = []
    threads = [threading.Thread(target=lambda: found.append(Segmenter(settings=settings).network)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    assert len(loads) == 1


def test_runs_that_meet_use_one_thread_each_and_so_do_those_that_follow(monkeypatch):
    found, clock, used = OnnxEngine(pixel_model(pixel_config()), pixel_config(), threads=2), [100.0], []
    monkeypatch.setattr(engine.time, "monotonic", lambda: clock[0])
    batch = np.zeros((1, pixel_config().height, pixel_config().width, 3), np.float32)

    class Watched:
        def __init__(self, name, session, meeting=None):
            self.name, self.session, self.meeting = name, session, meeting

        def run(self, *given):
            used.append(self.name)
            if self.meeting:
                meeting, self.meeting = self.meeting, None
                meeting()
            return self.session.run(*given)

    found._together = Watched("one thread", found._together)
    found._alone = Watched("all threads", found._alone, lambda: found.predict(batch))
    found.predict(batch)
    found.predict(batch)
    clock[0] += 2
    found.predict(batch)
    assert used == ["all threads", "one thread", "one thread", "all threads"]


def test_few_engines_are_kept(tmp_path):
    for number in range(engine.MAX_ENGINES + 2):
        settings = install(tmp_path, name=f"model{number}", bias=number)
        Segmenter(f"model{number}", settings=settings)
    assert len(engine._engines) == engine.MAX_ENGINES


def test_unknown_engine_names_those_there_are(tmp_path):
    with pytest.raises(ValueError, match="auto, onnx, keras"):
        Segmenter(engine="torch", settings=install(tmp_path))


def test_unknown_model_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="choose one of pixels"):
        Segmenter("nobody", settings=install(tmp_path))


def test_auto_takes_onnx_where_there_is_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "detect_gpu", lambda: None)
    assert Segmenter(settings=install(tmp_path)).engine == "onnx"


class _Fake:
    name = "keras"
    output_size = (32, 32)

    def __init__(self, device):
        self.device = device


@pytest.mark.parametrize(
    ("keras_device", "chosen"), [("GPU (NVIDIA H200)", "keras"), ("CPU (2 cores)", "onnx"), (None, "onnx")]
)
def test_auto_takes_keras_only_where_it_really_has_the_gpu(tmp_path, monkeypatch, keras_device, chosen):
    settings = install(tmp_path)
    path = tmp_path / "pixels.weights.h5"
    path.write_bytes(b"weights")
    entry = load_manifest(settings).entry()
    write_entry("pixels", entry.replace(files={**entry.files, "weights": file_record(path)}), tmp_path)
    original = engine._load

    def load(entry, name, *rest):
        if name == "onnx":
            return original(entry, name, *rest)
        if keras_device is None:
            raise WeightsError("unusable")
        return _Fake(keras_device)

    monkeypatch.setattr(engine, "detect_gpu", lambda: "NVIDIA H200")
    monkeypatch.setattr(engine, "_load", load)
    assert get_engine(load_manifest(settings).entry(), "auto", settings).name == chosen


def test_gpu_is_found_by_the_drivers_files(tmp_path):
    assert machine._gpu_from_driver(tmp_path) is None
    information = tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0/information"
    information.parent.mkdir(parents=True)
    information.write_text("Model: \t\t NVIDIA H200\nIRQ: 7\n")
    assert machine._gpu_from_driver(tmp_path) is None  # no device node: hidden from this container
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    assert machine._gpu_from_driver(tmp_path) == "NVIDIA H200"


@pytest.mark.parametrize(
    ("answer", "name"), [("echo NVIDIA T4", "NVIDIA T4"), ("exit 9", None), ("true", None), ("sleep 5", None)]
)
def test_gpu_is_found_by_nvidia_smi_which_may_fail(tmp_path, monkeypatch, answer, name):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(machine, "_NVIDIA_SMI_SECONDS", 0.5)
    assert machine._gpu_from_nvidia_smi() == name


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_hidden_gpu_counts_as_none(monkeypatch, hidden):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setattr(machine, "_gpu_from_driver", lambda root: "NVIDIA H200")
    assert detect_gpu.__wrapped__() is None


def test_containers_quota_bounds_the_cores(monkeypatch):
    monkeypatch.setattr(machine, "_cgroup_cores", lambda: 0.7)
    assert machine.available_cores() == 1
    assert machine.cpu_label() == "CPU (1 core)"
    assert machine.cpu_label(2) == "CPU (2 cores)"


PROGRAM = """
import sys
import numpy as np
from pathlib import Path
from unet_core.segment import Segmenter, detect_gpu
from unet_core.settings import Settings
detect_gpu()
segmenter = Segmenter(engine="onnx", settings=Settings(weights_dir=Path(sys.argv[1])))
result = segmenter.segment(np.full((40, 50, 3), (255, 0, 0), np.uint8))
result.to_trimap_png()
assert result.shares["pet"] == 1, result.shares
loaded = {"tensorflow", "keras", "onnx", "torch", "jax", "streamlit"} & set(sys.modules)
assert not loaded, loaded
"""


def test_segmenting_with_onnx_imports_neither_tensorflow_nor_keras(tmp_path):
    install(tmp_path)
    finished = subprocess.run([sys.executable, "-c", PROGRAM, tmp_path], capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr


# --- Keras ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keras_model():
    import keras

    from unet_core import models

    keras.utils.set_random_seed(0)
    config = pixel_config(height=32, width=48, base_filters=4, normalization="batch", depth=3)
    return config, models.build(config)


@pytest.fixture
def keras_settings(tmp_path, keras_model):
    config, model = keras_model
    settings = install(tmp_path, config)
    path = tmp_path / "pixels.weights.h5"
    model.save_weights(path)
    entry = load_manifest(settings).entry()
    write_entry("pixels", entry.replace(files={**entry.files, "weights": file_record(path)}), tmp_path)
    return settings


def test_keras_engine_computes_what_the_model_does(keras_settings, keras_model):
    config, model = keras_model
    batch = np.random.default_rng(0).random((3, *config.input_shape), np.float32)
    keras_engine = KerasEngine(keras_settings.weights_dir / "pixels.weights.h5", config)
    assert keras_engine.output_size == (32, 48)
    assert np.allclose(keras_engine.predict(batch), model(batch, training=False), atol=1e-5)


def test_keras_engine_leaves_the_dtype_policy_alone(keras_settings, keras_model):
    import keras

    KerasEngine(keras_settings.weights_dir / "pixels.weights.h5", keras_model[0], mixed_precision=True)
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.slow
def test_photos_are_segmented_with_keras_too(keras_settings):
    result = Segmenter(engine="keras", settings=keras_settings).segment(painted(60, 90))
    assert result.engine == "keras"
    assert result.mask.shape == (60, 90)
    assert np.allclose(result.probabilities.sum(axis=-1), 1, atol=1e-5)


def test_keras_weights_of_another_network_are_a_sentence(keras_settings, keras_model):
    path = keras_settings.weights_dir / "pixels.weights.h5"
    with pytest.raises(WeightsError, match=r"does not fit its configuration.*export it again"):
        KerasEngine(path, keras_model[0].replace(base_filters=8))
    path.write_bytes(b"no HDF5 at all")
    with pytest.raises(WeightsError, match="does not fit its configuration"):
        KerasEngine(path, keras_model[0])


def test_altered_keras_weights_are_refused_before_tensorflow_reads_them(keras_settings, monkeypatch):
    path = keras_settings.weights_dir / "pixels.weights.h5"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(engine, "KerasEngine", None)  # would fail if it were called
    with pytest.raises(WeightsError, match="SHA-256 differs"):
        Segmenter(engine="keras", settings=keras_settings)


def test_missing_tensorflow_is_a_sentence(keras_settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(WeightsError, match="use the engine 'onnx'"):
        KerasEngine(keras_settings.weights_dir / "pixels.weights.h5", pixel_config())


@pytest.mark.slow
def test_onnx_and_keras_engines_agree(keras_settings, keras_model):
    import tensorflow as tf
    import tf2onnx

    config, model = keras_model
    signature = [tf.TensorSpec([None, *config.input_shape], tf.float32, name="image")]
    converted, _ = tf2onnx.convert.from_function(
        tf.function(lambda image: {"logits": model(image, training=False)}, input_signature=signature),
        input_signature=signature,
        opset=17,
    )
    folder = keras_settings.weights_dir
    (folder / "pixels.onnx").write_bytes(converted.SerializeToString())
    entry = load_manifest(keras_settings).entry()
    write_entry("pixels", entry.replace(files={**entry.files, "onnx": file_record(folder / "pixels.onnx")}), folder)
    image = np.random.default_rng(0).integers(0, 256, (70, 100, 3), np.uint8)
    onnx_result, keras_result = (
        Segmenter(engine=name, settings=keras_settings).segment(image) for name in ("onnx", "keras")
    )
    assert np.abs(onnx_result.probabilities - keras_result.probabilities).max() < 1e-4
    assert agreement(onnx_result.mask, keras_result.mask) >= 0.999
