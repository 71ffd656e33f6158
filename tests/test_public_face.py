from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import unet_core as unet
from tests.helpers import own_datasets
from tests.helpers.tiny_model import write_tiny_model
from tests.helpers.tiny_run import TINY, tiny_config, untrained_run
from unet_core.images.samples import cat_png

ROOT = Path(__file__).resolve().parents[1]
NAMES = {
    "ConfigError",
    "Preprocessing",
    "TrainConfig",
    "UNetConfig",
    "UNetError",
    "build",
    "diagnose",
    "evaluate",
    "export",
    "preset",
    "presets",
    "segment",
    "trace",
    "train",
}


def python(program: str) -> str:
    """Run a program in a fresh interpreter and return what it prints."""
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder with one tiny ONNX model."""
    folder = write_tiny_model(tmp_path / "weights")
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(folder))
    return folder


# --- the names --------------------------------------------------------------------------------------------------------


def test_the_public_names_are_these() -> None:
    assert set(unet.__all__) == NAMES
    assert set(dir(unet)) >= NAMES


def test_every_public_name_can_be_called_and_says_what_it_does() -> None:
    for name in unet.__all__:
        assert callable(getattr(unet, name)), name
        assert getattr(unet, name).__doc__, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'segmentation'"):
        _ = unet.segmentation


def test_importing_the_package_and_tracing_bring_neither_tensorflow_nor_keras() -> None:
    program = (
        "import sys, unet_core as unet; light = set(sys.modules); "
        "assert unet.trace(unet.preset('ronneberger2015'), size=(572, 572)).output_shape == (388, 388, 2); "
        "unet.TrainConfig(model=unet.UNetConfig(depth=4), data='photos/'); unet.segment; unet.train; "
        "print({'numpy', 'pydantic'} & light, {'tensorflow', 'keras'} & set(sys.modules))"
    )
    assert python(program) == "set() set()"


def test_segmenting_with_a_shipped_model_needs_no_tensorflow() -> None:
    program = (
        "import sys, unet_core as unet; from unet_core.images.samples import cat_png; "
        "found = unet.segment(cat_png(), engine='onnx'); "
        "print(found.mask.shape, {'tensorflow', 'keras'} & set(sys.modules))"
    )
    assert python(program) == "(300, 451) set()"


@pytest.mark.parametrize(
    "imports",
    [
        "import unet_core as unet; from unet_core.segment import Segmenter; import unet_core.train.config",
        "from unet_core.segment import Segmenter; import unet_core.train.config; import unet_core as unet",
        "import unet_core.segment, unet_core.train; from unet_core import segment, train; import unet_core as unet",
        "import unet_core as unet; unet.segment; unet.train; from unet_core.segment import Segmenter",
        "from unet_core import segment, train; from unet_core.segment import Segmenter; import unet_core as unet",
    ],
)
def test_segment_and_train_are_functions_and_packages_in_any_order_of_imports(imports: str) -> None:
    program = (
        f"{imports}; import sys, unet_core.segment, unet_core.train; "
        "assert unet.segment is sys.modules['unet_core.segment'] and unet.train is sys.modules['unet_core.train']; "
        "from unet_core.segment.segmenter import Segmenter as same; assert unet.segment.Segmenter is same; "
        "print(callable(unet.segment), callable(unet.train))"
    )
    assert python(program) == "True True"


def test_every_name_is_what_its_module_defines() -> None:
    from unet_core.train import fit, use_model

    assert inspect.signature(unet.segment) == inspect.signature(use_model.segment)
    assert inspect.signature(unet.train) == inspect.signature(fit.train)
    assert (unet.evaluate, unet.export) == (use_model.evaluate, use_model.export)
    assert issubclass(unet.ConfigError, unet.UNetError)


# --- build ------------------------------------------------------------------------------------------------------------


def test_a_model_is_built_in_either_style() -> None:
    functional, subclassed = unet.build(TINY), unet.build(TINY, style="subclassed")
    assert type(functional).__name__ == "Functional"
    assert type(subclassed).__name__ == "UNet"
    assert functional.count_params() == subclassed.count_params()
    assert unet.build(TINY, size=(32, 24)).input_shape == (None, 32, 24, 3)
    with pytest.raises(unet.ConfigError, match="style: must be one of functional, subclassed. Received: 'sequential'"):
        unet.build(TINY, style="sequential")


# --- segment ----------------------------------------------------------------------------------------------------------


def test_a_photo_may_be_a_file_bytes_an_image_or_an_array(weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "cat.png"
    file.write_bytes(cat_png())
    image = Image.open(file)
    found = unet.segment(file)
    assert (found.mask.shape, found.mask.dtype) == ((300, 451), np.uint8)
    assert found.classes == ("pet", "background", "border")
    assert found.probabilities.shape == (300, 451, 3)
    assert sum(found.shares.values()) == pytest.approx(1)
    for photo in (str(file), cat_png(), image, image.convert("RGBA"), np.asarray(image.convert("RGB"))):
        assert np.array_equal(unet.segment(photo).mask, found.mask)
    assert not np.array_equal(unet.segment(file, flip=True).probabilities, found.probabilities)


def test_an_image_is_turned_upright_as_its_file_is(weights: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = tmp_path / "turned.png"
    Image.new("RGB", (40, 20), (200, 60, 40)).save(file, exif=exif)
    assert unet.segment(file).mask.shape == unet.segment(Image.open(file)).mask.shape == (40, 20)


def test_what_cannot_be_segmented_is_a_unet_error(weights: Path) -> None:
    for photo, model in ((b"no photo", None), (np.zeros((4, 4)), None), (cat_png(), "nothing")):
        with pytest.raises(unet.UNetError):
            unet.segment(photo, model)


def test_a_run_segments_by_its_folder_its_id_and_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_RUNS_DIR", str(tmp_path))
    run = untrained_run(tmp_path / "first")
    by_folder = unet.segment(cat_png(), run.path)
    assert (by_folder.engine, by_folder.mask.shape) == ("keras", (300, 451))
    for model in (str(run.path), "first", run.best_weights):
        assert np.array_equal(unet.segment(cat_png(), model).probabilities, by_folder.probabilities)
    with pytest.raises(unet.UNetError, match="--format onnx"):
        unet.segment(cat_png(), "first", engine="onnx")


@pytest.mark.slow
def test_an_exported_run_segments_with_onnx_but_not_for_other_weights(tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "first")
    written = unet.export(run.path, "onnx", run.path / "exports" / "model.onnx")
    assert written.difference <= written.tolerance
    found = unet.segment(cat_png(), run.path)
    assert found.engine == "onnx"
    keras = unet.segment(cat_png(), run.path, engine="keras")
    assert np.allclose(found.probabilities, keras.probabilities, atol=1e-4)
    assert unet.segment(cat_png(), run.last_weights).engine == "keras"
    assert unet.export(run.path, "tflite", tmp_path / "first.tflite").format == "litert"


# --- train and evaluate -----------------------------------------------------------------------------------------------


def test_evaluate_refuses_an_unknown_split(weights: Path) -> None:
    with pytest.raises(unet.ConfigError, match="split: must be one of train, validation, test. Received: 'dev'"):
        unet.evaluate(data="synthetic", split="dev")


@pytest.mark.slow
def test_a_run_is_trained_and_evaluated(tmp_path: Path) -> None:
    summary = unet.train(tiny_config(epochs=1), tmp_path / "run")
    assert (summary.state, summary.epochs) == ("finished", 1)
    assert unet.train(None, tmp_path / "run", resume=True).epochs == 1
    found = unet.evaluate(tmp_path / "run", limit=3)
    assert (found["data"], found["split"], found["images"]) == ("synthetic", "test", 3)


# --- README -----------------------------------------------------------------------------------------------------------


def readme_program() -> str:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## From Python\n")[1]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]


def results_of(program: str) -> dict[str, Any]:
    """Run the lines of a program; those that only compute a value are kept under their text."""
    names: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for line in filter(None, (line.split("  #")[0].strip() for line in program.splitlines())):
        if re.match(r"import |\w+ = ", line):
            exec(line, names)
        else:
            values[line] = eval(line, names)
    return {**names, **values}


def test_the_readmes_program_explores_builds_and_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.open(ROOT / "docs" / "segment.png").convert("RGB").resize((64, 64)).save("cat.jpg")
    found = results_of(readme_program().split("run = ")[0])
    assert found["unet.trace(config, size=(572, 572)).output_shape"] == (388, 388, 2)
    assert "# (388, 388, 2)" in readme_program()
    assert found["model"].output_shape == (None, 388, 388, 2)
    mask, shares = found["found.mask, found.shares"]
    assert mask.shape == (64, 64)
    assert shares.keys() == {"pet", "background", "border"}


@pytest.mark.slow
def test_the_readmes_program_trains_evaluates_and_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own_datasets.folder(tmp_path / "photos", 12)
    small = 'data="photos/", epochs=1, batch_size=4, previews=0'
    program = readme_program().replace('data="photos/"', small)
    config = "config = unet.UNetConfig(height=32, width=32, depth=2, base_filters=4, classes=2)\n"
    found = results_of("import unet_core as unet\n" + config + "run = " + program.split("run = ")[1])
    assert found["run"].state == "finished"
    assert 0 <= found['unet.evaluate("runs/first", split="test")["mean_iou"]'] <= 1
    assert Path("first.onnx").stat().st_size == found['unet.export("runs/first", "onnx", "first.onnx")'].bytes
