"""Gates against Keras models in which the same values are changed, and against the unchanged ONNX file."""

from __future__ import annotations

import io
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tests.helpers import onnx_models
from unet_core.architecture.config import UNetConfig
from unet_core.explain.gates import GatedPhoto, GateError, Setting, agreement, gated_photo, outline_moved
from unet_core.explain.probe import Change, open_probe
from unet_core.images.probabilities import class_probabilities
from unet_core.images.samples import SAMPLES
from unet_core.models import build
from unet_core.segment.engine import OnnxEngine
from unet_core.settings import Settings, get_settings
from unet_core.zoo.export import export
from unet_core.zoo.manifest import ModelEntry, WeightsError, file_record, load_manifest, read_verified, verified_path

PLAIN = UNetConfig(
    height=64, width=64, depth=3, base_filters=4, normalization="batch", activation="leaky_relu", classes=3
)
VALID = PLAIN.replace(height=60, width=60, padding="valid", normalization="none", head_activation="softmax")
NO_SKIPS = PLAIN.replace(skip_mode="none")


def sample(name: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(SAMPLES[name].read())).convert("RGB"))


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    return sample("cat")


@pytest.fixture(scope="module")
def shipped(cat: np.ndarray) -> GatedPhoto:
    return gated_photo(load_manifest().entry("pets_fast"), cat, get_settings())


def with_gain(model: keras.Model, layer: str, place: int, gain: float | np.ndarray) -> keras.Model:
    """Return the model with input number `place` of a layer multiplied by `gain`; of a merge, 0 is the skip."""

    def call(own: keras.Layer, *inputs, **arguments):
        if own.name == layer:
            given = list(inputs[0]) if isinstance(inputs[0], (list, tuple)) else [inputs[0]]
            given[place] = given[place] * gain
            return own(given if len(given) > 1 else given[0], **arguments)
        return own(*inputs, **arguments)

    return keras.models.clone_model(model, call_function=call, clone_function=lambda own: own)


def exported(config: UNetConfig, folder: Path) -> tuple[keras.Model, ModelEntry, Settings]:
    keras.utils.set_random_seed(1)
    model = build(config)
    for weight in model.weights:
        if weight.name == "kernel":
            weight.assign(2 * weight)  # with a visible effect of every layer
    export(model, config, "onnx", folder / "plain.onnx")
    entry = ModelEntry(
        config=config, preprocessing=config.preprocessing, classes=("a", "b", "c"),
        files={"onnx": file_record(folder / "plain.onnx")},
    )  # fmt: skip
    return model, entry, Settings(weights_dir=folder)


def by_keras(model: keras.Model, found: GatedPhoto, activation: str) -> np.ndarray:
    return class_probabilities(keras.ops.convert_to_numpy(model(found.batch, training=False)), activation)[0]


# --- the same as Keras ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("config", [PLAIN, VALID], ids=["same", "valid and cropped"])
def test_a_gate_does_what_keras_does_with_the_same_values_changed(config: UNetConfig, cat, tmp_path: Path) -> None:
    model, entry, settings = exported(config, tmp_path)
    found = gated_photo(entry, cat, settings)
    assert [gate.name for gate in found.gates] == [
        "skip1", "skip2", "encoder1", "encoder2", "bottleneck", "decoder2", "decoder1",
    ]  # fmt: skip
    np.testing.assert_allclose(found.probabilities, by_keras(model, found, config.head_activation), atol=1e-4)
    for level in (1, 2):
        for state, gain in (("off", 0.0), ("half", 0.5)):
            expected = by_keras(with_gain(model, f"decoder{level}_concat", 0, gain), found, config.head_activation)
            np.testing.assert_allclose(found.changed({f"skip{level}": Setting(state)}), expected, atol=1e-4)
            assert not np.allclose(expected, found.probabilities, atol=1e-3)
    behind = next(layer.name for layer in model.layers if layer.name.startswith("decoder2_up"))
    expected = by_keras(with_gain(model, behind, 0, 0.0), found, config.head_activation)
    np.testing.assert_allclose(found.changed({"bottleneck": Setting("off")}), expected, atol=1e-4)


@pytest.mark.slow
def test_without_all_skips_the_shipped_model_gives_what_keras_gives(cat: np.ndarray) -> None:
    entry = load_manifest().entry("pets_fast")
    model = build(entry.config.replace(encoder_weights="none"))
    model.load_weights(verified_path(entry, "weights", get_settings()))
    found = gated_photo(entry, cat, get_settings())
    names = [gate.name for gate in found.gates if gate.is_skip]
    assert names == ["skip1", "skip2", "skip3", "skip4"]
    for name in names:
        model = with_gain(model, name.replace("skip", "decoder") + "_concat", 0, 0.0)
    expected = by_keras(model, found, "none")
    np.testing.assert_allclose(found.changed({name: Setting("off") for name in names}), expected, atol=1e-4)


@pytest.mark.slow
def test_single_channels_are_changed_alone(cat: np.ndarray, tmp_path: Path) -> None:
    model, entry, settings = exported(PLAIN, tmp_path)
    found = gated_photo(entry, cat, settings)
    gain = np.ones(4, np.float32)
    gain[found.strongest("skip1")[1:3]] = 0
    expected = by_keras(with_gain(model, "decoder1_concat", 0, gain), found, "none")
    np.testing.assert_allclose(found.changed({"skip1": Setting("off", (1, 3))}), expected, atol=1e-4)


@pytest.mark.slow
def test_a_network_without_skips_has_gates_on_its_blocks_only(cat: np.ndarray, tmp_path: Path) -> None:
    _, entry, settings = exported(NO_SKIPS, tmp_path)
    assert not any(gate.is_skip for gate in gated_photo(entry, cat, settings).gates)


# --- the shipped model ------------------------------------------------------------------------------------------------


def test_open_gates_change_nothing(shipped: GatedPhoto) -> None:
    entry, settings = load_manifest().entry("pets_fast"), get_settings()
    own = OnnxEngine(read_verified(entry, "onnx", settings), entry.config).predict(shipped.batch)
    np.testing.assert_allclose(shipped.probabilities, class_probabilities(own)[0], atol=1e-4)
    everything = {gate.name: Setting("on") for gate in shipped.gates}
    np.testing.assert_array_equal(shipped.changed(everything), shipped.probabilities)


def test_without_the_deepest_skip_the_dog_is_lost_and_without_the_finest_only_its_outline_frays() -> None:
    shown = gated_photo(load_manifest().entry("pets_fast"), sample("dog"), get_settings())
    pet = shown.probabilities.argmax(axis=-1) != 1
    deepest, finest = (shown.changed({name: Setting("off")}).argmax(axis=-1) != 1 for name in ("skip4", "skip1"))
    assert agreement(pet, deepest) < 0.1
    assert 0.9 < agreement(pet, finest) < 1


@pytest.mark.parametrize("name", list(SAMPLES))
def test_the_default_model_makes_up_for_one_skip_but_not_for_all(name: str) -> None:
    manifest = load_manifest()
    shown = gated_photo(manifest.entry(manifest.default), sample(name), get_settings())
    pet = shown.probabilities.argmax(axis=-1) != 1

    def left(*names: str) -> float:
        return agreement(pet, shown.changed(dict.fromkeys(names, Setting("off"))).argmax(axis=-1) != 1)

    finest, second, third, deepest = (f"skip{number}" for number in (1, 2, 3, 4))
    assert 0.9 < left(finest) < 1, "the outline frays"
    assert 0.5 < left(deepest) < 0.9, "a part of the pet is lost"
    assert left(finest, second, third, deepest) < 0.3, "most of it is"


def test_noise_keeps_each_channels_mean_and_spread_and_is_always_the_same(shipped: GatedPhoto) -> None:
    one, two = (shipped.changed({"skip2": Setting("noise")}) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, shipped.probabilities)
    probe = open_probe(load_manifest().entry("pets_fast"), get_settings())
    change = shipped._change("skip2", Setting("noise", (0, 8)))
    channels = shipped.strongest("skip2")
    _, read = probe.run(shipped.batch, {"skip2": change}, read=["skip2"])
    _, before = probe.run(shipped.batch, read=["skip2"])
    np.testing.assert_array_equal(read["skip2"][0][channels[8:]], before["skip2"][0][channels[8:]])
    for channel in channels[:8]:
        now = read["skip2"][0][channel]
        assert now.mean() == pytest.approx(shipped.means["skip2"][channel], abs=0.1)
        assert now.std() == pytest.approx(shipped.deviations["skip2"][channel], rel=0.1)
        assert not np.array_equal(now, before["skip2"][0][channel])


def test_what_a_network_does_not_have_is_refused(shipped: GatedPhoto, cat: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(GateError, match="gate: must be one of skip1"):
        shipped.changed({"attic": Setting("off")})
    with pytest.raises(GateError, match="state: must be one of on"):
        shipped.changed({"skip1": Setting("loud")})  # pyright: ignore[reportArgumentType]
    with pytest.raises(GateError, match="channels of skip1: must be within 0 to 48"):
        shipped.changed({"skip1": Setting("off", (0, 49))})
    probe = open_probe(load_manifest().entry("pets_fast"), get_settings())
    with pytest.raises(ValueError, match="gate: must be one of"):
        probe.run(shipped.batch, {"head": Change(np.ones((1, 1, 1)), np.ones((1, 1, 1)))})
    settings = onnx_models.install(tmp_path)
    with pytest.raises(WeightsError, match="export it again"):
        gated_photo(load_manifest(settings).entry("pixels"), cat, settings)


# --- how much changed -------------------------------------------------------------------------------------------------


def test_agreement_is_the_iou_of_two_masks() -> None:
    one, other = np.zeros((2, 10, 10), bool)
    assert agreement(one, other) == 1
    one[:4], other[2:6] = True, True
    assert agreement(one, other) == pytest.approx(20 / 60)


def test_an_outline_moves_by_a_share_of_the_longer_side() -> None:
    before, after = np.zeros((2, 40, 80), bool)
    before[:, :30] = True
    after[:, :34] = True
    assert outline_moved(before, after) == pytest.approx(4 / 80)
    assert outline_moved(before, before) == 0
    specks = np.zeros_like(before)
    specks[5, 5:8] = True
    assert outline_moved(before, specks) is None
    assert outline_moved(before, np.zeros_like(before)) is None
