from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from tests.helpers.tiny_run import TINY, untrained_run
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import preset_config
from unet_core.cli.parser import main
from unet_core.models import UNet, build
from unet_core.segment import Segmenter
from unet_core.settings import get_settings
from unet_core.train import publish as publishing
from unet_core.train.find_model import find_model
from unet_core.train.publish import publish
from unet_core.zoo import export as exporting
from unet_core.zoo.export import ExportError, export
from unet_core.zoo.manifest import WeightsError, load_manifest
from unet_core.zoo.meaning import DataOrigin

SMALL = UNetConfig(height=32, width=48, depth=3, base_filters=4)


def with_lively_weights(config: UNetConfig) -> keras.Model:
    """Build a model whose every variable matters: biases, scales and moving statistics are not at their start."""
    keras.utils.set_random_seed(0)
    model = build(config)
    random = np.random.default_rng(0)
    for variable in model.weights:
        if variable.name in ("bias", "beta", "moving_mean"):
            variable.assign(random.normal(0, 0.1, variable.shape))
        elif variable.name in ("gamma", "moving_variance"):
            variable.assign(random.uniform(0.7, 1.4, variable.shape))
    return model


@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({"upsampling": "nearest", "up_convolution": False}, marks=pytest.mark.slow),
        pytest.param(
            {"upsampling": "bilinear", "normalization": "batch", "convolution": "separable"}, marks=pytest.mark.slow
        ),
        pytest.param({"activation": "gelu", "normalization": "layer", "pooling": "strided"}, marks=pytest.mark.slow),
        pytest.param({"activation": "swish", "normalization": "group", "pooling": "average"}, marks=pytest.mark.slow),
        pytest.param({"padding": "valid", "height": 100, "width": 100, "skip_mode": "resize"}, marks=pytest.mark.slow),
        pytest.param({"height": 33, "width": 50, "skip_mode": "pad"}, marks=pytest.mark.slow),
        pytest.param(
            {"kernel_size": 4, "normalization": "batch", "normalization_position": "after_activation", "channels": 5},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"preprocessing": {"scale": "standardize", "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.3)}},
            marks=pytest.mark.slow,
        ),
        {"classes": 1, "head_activation": "sigmoid", "activation": "leaky_relu"},
    ],
)
def test_onnx_computes_what_keras_computes(changes: dict[str, object], tmp_path: Path) -> None:
    config = SMALL.replace(**changes)
    model = with_lively_weights(config)
    written = export(model, config, "onnx", tmp_path / "model.onnx")
    assert written.difference <= written.tolerance
    session = onnxruntime.InferenceSession(written.path)
    (image,), (logits,) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(float)", ["batch", *config.input_shape])
    assert (logits.name, logits.shape[0], logits.shape[-1]) == ("logits", "batch", config.classes)
    photos = np.random.default_rng(1).uniform(0, 1, (3, *config.input_shape)).astype(np.float32)
    expected = np.asarray(model(photos, training=False))
    np.testing.assert_allclose(session.run(None, {"image": photos})[0], expected, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_onnx_holds_no_detours(tmp_path: Path) -> None:
    config = SMALL.replace(upsampling="nearest", up_convolution=False, convolution="separable", normalization="batch")
    written = export(with_lively_weights(config), config, "onnx", tmp_path / "model.onnx")
    operations = Counter(node.op_type for node in onnx.load(written.path).graph.node)
    assert operations["Transpose"] <= 2, "channels move once in and once out"
    assert not {"Tile", "Einsum", "Loop", "Gather", "Shape"} & operations.keys()
    assert operations["Resize"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["mobilenet_v2", "efficientnet_b0", "efficientnet_lite0"])
def test_a_pretrained_encoder_exports(encoder: str, tmp_path: Path) -> None:
    config = preset_config("pets_fast").replace(
        encoder=encoder, encoder_weights="none", height=64, width=64,
        encoder_width=0.35 if encoder == "mobilenet_v2" else 1.0,
    )  # fmt: skip
    written = export(build(config), config, "onnx", tmp_path / "model.onnx")
    assert written.bytes < 1.1 * 4 * build(config).count_params()


@pytest.mark.slow
def test_keras_needs_nothing_of_this_project_and_has_no_optimizer(tmp_path: Path) -> None:
    model = with_lively_weights(TINY)
    model.compile("adam", "mse")
    model.train_on_batch(np.zeros((1, *TINY.input_shape)), np.zeros((1, 16, 16, 3)))
    written = export(model, TINY, "keras", tmp_path / "model.keras")
    loaded = keras.saving.load_model(written.path)
    assert getattr(loaded, "optimizer", None) is None
    photos = np.ones((1, *TINY.input_shape), np.float32)
    np.testing.assert_allclose(loaded(photos), model(photos, training=False), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["litert", "tflite"])
def test_litert_computes_what_keras_computes(tmp_path: Path, name: str) -> None:
    written = export(with_lively_weights(TINY), TINY, name, tmp_path / "model.tflite")
    assert written.format == "litert"
    assert written.difference <= written.tolerance


def test_a_file_that_computes_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = exporting._run_keras
    monkeypatch.setattr(
        exporting, "_run_keras", lambda path, images: [output + 0.01 for output in original(path, images)]
    )
    with pytest.raises(ExportError, match="does not compute what Keras computes"):
        export(build(TINY), TINY, "keras", tmp_path / "model.keras")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("format", "name"), [("onnx", "model.keras"), ("litert", "model"), ("h5", "model.h5")])
def test_a_wrong_ending_or_format_is_refused(format: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="must"):
        export(build(TINY), TINY, format, tmp_path / name)


# --- finding and publishing -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_published_run_is_a_shipped_model(tmp_path: Path) -> None:
    settings = get_settings().replace(weights_dir=tmp_path / "weights")
    run = untrained_run(tmp_path / "run", TINY)
    entry, _ = publish(run.path, "tiny", settings=settings)
    assert load_manifest(settings).models["tiny"] == entry
    assert entry.config.encoder_weights == "none"
    assert entry.metrics["validation_in_training"] == {"mean_iou": 0.25}
    assert entry.latency["milliseconds"] > 0
    assert str(tmp_path) not in entry.to_json(), "no path of this machine is published"
    assert not list(settings.weights_dir.glob(".tiny*")), "nothing half-written is left"
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    onnx_result = Segmenter("tiny", "onnx", settings).segment(photo)
    keras_result = Segmenter("tiny", "keras", settings).segment(photo)
    np.testing.assert_allclose(onnx_result.probabilities, keras_result.probabilities, atol=1e-4)


@pytest.mark.slow
def test_runs_can_be_averaged_into_one_model(tmp_path: Path) -> None:
    settings = get_settings().replace(weights_dir=tmp_path / "weights")
    runs = [untrained_run(tmp_path / name, TINY) for name in ("first", "second")]
    for run in runs:
        build(TINY).save_weights(run.best_weights)
    entry, _ = publish(runs[0].path, "both", average_with=[runs[1].path], settings=settings)
    assert len(entry.recipe["averaged_with"]) == 1
    first, second = (find_model(str(run.path)).load().get_weights() for run in runs)
    for mine, one, other in zip(find_model("both", settings).load().get_weights(), first, second, strict=True):
        np.testing.assert_allclose(mine, (one + other) / 2, atol=1e-6)
    runs[1].write_config(runs[1].config().replace(model=TINY.replace(base_filters=8)))
    with pytest.raises(WeightsError, match="differs in base filters|differs in .*filters"):
        publish(runs[0].path, "both", average_with=[runs[1].path], settings=settings)


@pytest.mark.slow
def test_what_another_program_did_is_added_to_the_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(tmp_path / "weights"))
    run = untrained_run(tmp_path / "run", TINY)
    run.metrics.path.unlink()  # another program has no epochs of ours
    run.write_origin(DataOrigin(description="pets, and photos of a street"))
    told, wrong = tmp_path / "recipe.json", tmp_path / "list.json"
    told.write_text('{"program": "train.py", "minutes": 6.8}')
    wrong.write_text("[1]")
    arguments = ["publish", str(run.path), "--name", "tiny", "--measure", "--json", "--recipe"]
    assert main([*arguments, str(told)]) == 0
    entry = json.loads(capsys.readouterr().out)["entry"]
    assert (entry["recipe"]["program"], entry["recipe"]["minutes"]) == ("train.py", 6.8)
    assert entry["recipe"]["config"]["model"]["height"] == TINY.height
    assert "validation_in_training" not in entry["metrics"]
    assert entry["data"]["description"] == "pets, and photos of a street"
    for path in (wrong, tmp_path / "none.json"):
        assert main([*arguments, str(path)]) != 0
        assert "--recipe" in capsys.readouterr().err


@pytest.mark.slow
def test_a_second_look_is_refused_where_the_background_is_another_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = get_settings().replace(weights_dir=tmp_path / "weights")
    run = untrained_run(tmp_path / "run", TINY)
    entry, _ = publish(run.path, "tiny", second_look=True, settings=settings)
    assert entry.passes == 2
    before = (settings.weights_dir / "tiny.onnx").stat().st_mtime_ns
    coding = SimpleNamespace(class_names=("background", "cat", "dog"))
    monkeypatch.setattr(publishing, "target_coding", lambda *_: coding)
    with pytest.raises(WeightsError, match="second_look.*background, cat, dog"):
        publish(run.path, "tiny", second_look=True, settings=settings)
    assert (settings.weights_dir / "tiny.onnx").stat().st_mtime_ns == before, "shipped files stay unchanged"
    assert sorted(path.name for path in settings.weights_dir.iterdir() if not path.name.endswith(".lock")) == [
        *("manifest.json", "tiny.onnx", "tiny.weights.h5")
    ]


def test_a_recipe_published_with_a_local_encoder_file_names_only_the_file(tmp_path: Path) -> None:
    from unet_core.train.find_model import recipe_of

    model = preset_config("pets_fast").replace(encoder_weights=str(tmp_path / "encoder.weights.h5"))
    run = untrained_run(tmp_path / "run", TINY)
    run.write_config(run.config().replace(model=model, data=str(tmp_path / "my_pets")))
    recipe = recipe_of(run)
    assert recipe["model"]["encoder_weights"] == "encoder.weights.h5"
    assert recipe["data"] == "my_pets"


def test_a_model_is_found_by_run_file_or_name(tmp_path: Path) -> None:
    settings = get_settings().replace(weights_dir=tmp_path / "weights", runs_dir=tmp_path)
    run = untrained_run(tmp_path / "run", TINY)
    assert find_model(str(run.path), settings).weights == run.best_weights
    assert find_model("run", settings).weights == run.best_weights
    assert find_model(str(run.last_weights), settings).weights == run.last_weights
    with pytest.raises(WeightsError, match="manifest.json is missing"):
        find_model("nothing", settings)


@pytest.mark.slow
def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "run", TINY)
    run.write_config(run.config().replace(model=TINY.replace(base_filters=8)))
    with pytest.raises(WeightsError, match="does not fit"):
        find_model(str(run.path)).load()


def test_a_run_without_weights_says_so(tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "run", TINY)
    run.best_weights.unlink()
    run.last_weights.unlink()
    with pytest.raises(WeightsError, match="no weights yet"):
        find_model(str(run.path))


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "keras"])
def test_a_subclassed_model_is_exported_too(format: str, tmp_path: Path) -> None:
    model = UNet(SMALL)
    suffix = {"onnx": ".onnx", "keras": ".keras"}[format]
    exported = export(model, SMALL, format, tmp_path / f"model{suffix}")
    assert exported.difference <= 1e-4
    if format == "keras":
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        image = np.random.default_rng(0).uniform(0, 1, (1, *SMALL.input_shape)).astype(np.float32)
        np.testing.assert_allclose(loaded(image), model(image), atol=1e-5)
