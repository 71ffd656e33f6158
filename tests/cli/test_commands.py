from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers.tiny_model import write_tiny_model
from tests.helpers.tiny_run import TINY, tiny_config, untrained_run
from unet_core.architecture.presets import PRESETS
from unet_core.cli.parser import COMMANDS, main
from unet_core.errors import ConfigError, UNetError
from unet_core.images import samples
from unet_core.segment import batch
from unet_core.settings import get_settings
from unet_core.train.run_directory import RunDirectory

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document that stdout holds; anything beside it fails here."""
        return json.loads(self.out)


Run = Callable[..., Result]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process."""

    def call(*arguments: object) -> Result:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder with one tiny ONNX model."""
    folder = write_tiny_model(tmp_path / "weights")
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(folder))
    return folder


def write_photo(path: Path, colour: tuple[int, int, int] = (200, 60, 40), size: tuple[int, int] = (60, 40)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def assert_one_line(result: Result, *words: str) -> None:
    assert result.code != 0
    assert result.out == ""
    assert len(result.err.strip().splitlines()) == 1, result.err
    for word in words:
        assert word in result.err


# --- presets and trace ------------------------------------------------------------------------------------------------


def test_presets_are_listed_with_shapes_and_parameters(run: Run) -> None:
    listed = {entry["name"]: entry for entry in run("presets", "--json").document}
    assert listed.keys() == PRESETS.keys()
    paper = listed["ronneberger2015"]
    assert paper["input_shape"] == [572, 572, 1]
    assert paper["output_shape"] == [388, 388, 2]
    assert paper["total_params"] == 31_030_658
    assert {"title", "description", "config"} <= paper.keys()
    assert "ronneberger2015" in run("presets").out


def test_trace_lists_every_layer(run: Run) -> None:
    traced = run("trace", "--preset", "ronneberger2015", "--json").document
    assert traced["preset"] == "ronneberger2015"
    assert traced["valid"]
    assert traced["problem"] is None
    assert traced["total_params"] == sum(layer["params"] for layer in traced["layers"]) == 31_030_658
    assert [skip["crop"][0] for skip in traced["skips"]] == [4, 16, 40, 88]


def test_a_size_that_does_not_fit_is_a_result_with_sizes_that_do(run: Run) -> None:
    result = run("trace", "--preset", "keras_basic", "--size", "250x250", "--json")
    assert result.code == 0
    assert not result.document["valid"]
    assert [248, 248] in result.document["problem"]["suggested_sizes"]
    assert "sizes that work: 248x248" in run("trace", "--preset", "keras_basic", "--size", "250x250").out


def test_trace_reads_a_config_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "unet.json"
    file.write_text(TINY.to_json())
    traced = run("trace", "--config", file, "--json").document
    assert traced["preset"] is None
    assert traced["input_shape"] == [16, 16, 3]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trace", "--preset", "nothing"], ["no preset 'nothing'", "ronneberger2015"]),
        (["trace", "--preset", "pets", "--size", "12by12"], ["--size", "160x128"]),
        (["trace", "--preset", "pets", "--size", "0x5"], ["size"]),
        (["trace"], ["--preset NAME"]),
        (["trace", "--config", "missing.json"], ["missing.json", "No such file"]),
        (["nothing"], ["invalid choice"]),
        ([], ["COMMAND"]),
        (["train", "--epochs", "0", "--preset", "pets"], ["--epochs", "at least 1"]),
        (["train"], ["--preset NAME"]),
        (["train", "--preset", "pets", "--recipe", "pets_fast"], ["only one of"]),
        (["train", "--preset", "pets", "--set", "epochs"], ["FIELD=VALUE"]),
        (["train", "--preset", "pets", "--set", "nothing.at=1"], ["nothing.at", "no such field"]),
        (["train", "--preset", "pets", "--set", "loss=hinge"], ["loss", "hinge"]),
        (["evaluate", "--size", "0"], ["--size"]),
        (["publish", "run", "--name", "../x"], ["--name"]),
    ],
)
def test_a_mistake_is_one_line(run: Run, arguments: list[str], words: list[str]) -> None:
    assert_one_line(run(*arguments, *(["--json"] if arguments else [])), *words)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"dept": 3}', b'{"depth": 99}', b"\xff\xff"])
def test_a_bad_config_file_is_one_line(run: Run, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "unet.json"
    file.write_bytes(content)
    assert_one_line(run("trace", "--config", file, "--json"), "UNetConfig")


def test_a_damaged_run_or_recipe_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"\xff\xff")
    assert_one_line(run("evaluate", "--model", tmp_path), "no weights yet")
    assert_one_line(run("train", "--recipe", tmp_path / "config.json"), "not valid JSON")
    assert_one_line(run("train", "--run", tmp_path, "--epochs", 2), "not valid JSON")


@pytest.mark.parametrize("error", [ValueError("operands could not be broadcast"), KeyError("name"), TypeError()])
def test_an_error_of_the_program_is_no_mistake_of_the_user(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("unet_core.architecture.trace.trace", broken)
    result = run("trace", "--preset", "pets", "--json")
    assert (result.code, result.out) == (3, "")
    assert result.err.startswith("Traceback (most recent call last)")
    assert "in broken" in result.err
    last = result.err.splitlines()[-1]
    assert last.startswith(f"error: {type(error).__name__}: ")
    assert "please report it" in last


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (UNetError("choose\nanother"), "choose another"),
        (PermissionError(13, "Permission denied", "a.json"), "a.json: Permission denied"),
        (MemoryError(), "there is not enough memory"),
    ],
)
def test_what_the_user_can_correct_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    def refused(*_: object) -> None:
        raise error

    monkeypatch.setattr("unet_core.architecture.trace.trace", refused)
    result = run("trace", "--preset", "pets", "--json")
    assert (result.code, result.out, result.err) == (1, "", f"error: {sentence}\n")


def test_a_setting_that_is_no_number_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UNET_THREADS", "many")
    assert_one_line(run("predict", write_photo(tmp_path / "cat.png"), "--out", tmp_path), "threads", "many")


def test_help_explains_with_examples(run: Run) -> None:
    for module in COMMANDS:
        command = module.__name__.rpartition(".")[2].replace("_", "-")
        result = run(command, "--help")
        assert result.code == 0
        assert f"python -m unet_core {command}" in result.out.split("examples:")[1]


# --- predict ----------------------------------------------------------------------------------------------------------


def test_predict_writes_mask_and_overlay_at_the_photos_size(run: Run, weights: Path, tmp_path: Path) -> None:
    photo = tmp_path / "cat.png"
    photo.write_bytes(samples.cat_png())
    result = run("predict", photo, "--out", tmp_path / "masks", "--json")
    assert result.code == 0
    (entry,) = result.document
    assert (entry["path"], entry["width"], entry["height"], entry["engine"]) == (str(photo), 451, 300, "onnx")
    assert entry["milliseconds"] > 0
    assert sum(entry["shares"].values()) == pytest.approx(1, abs=1e-5)
    assert entry["shares"].keys() == {"pet", "background", "border"}
    mask = Image.open(tmp_path / "masks" / "cat_mask.png")
    assert (mask.size, mask.mode) == ((451, 300), "L")
    assert set(np.unique(mask)) <= {1, 2, 3}
    assert Image.open(tmp_path / "masks" / "cat_overlay.png").size == (451, 300)
    alpha = Image.open(tmp_path / "masks" / "cat_alpha.png")
    assert (alpha.size, alpha.mode) == ((451, 300), "L")
    assert entry["coverage"] == pytest.approx(np.asarray(alpha).mean() / 255, abs=0.002)
    assert isinstance(entry["pet_found"], bool)
    assert not (tmp_path / "masks" / "cat_cutout.png").exists()


def test_predict_says_cat_or_dog_where_the_model_tells_them_apart(run: Run, tmp_path: Path) -> None:
    photo = tmp_path / "cat.png"
    photo.write_bytes(samples.cat_png())
    (entry,) = run("predict", photo, "--out", tmp_path, "--model", "pets", "--engine", "onnx", "--json").document
    assert (entry["pet_found"], entry["pet_kind"]) == (True, "cat")
    assert 0.5 < entry["pet_kind_probability"] <= 1
    assert "cat.png: cat; pet " in run("predict", photo, "--out", tmp_path, "--model", "pets", "--engine", "onnx").out
    (entry,) = run("predict", photo, "--out", tmp_path, "--model", "pets_fast", "--engine", "onnx", "--json").document
    assert (entry["pet_kind"], entry["pet_kind_probability"]) == (None, None)


def test_predict_writes_a_cut_out_on_request(run: Run, weights: Path, tmp_path: Path) -> None:
    run("predict", write_photo(tmp_path / "cat.png"), "--out", tmp_path / "masks", "--cutout")
    cut = Image.open(tmp_path / "masks" / "cat_cutout.png")
    assert cut.mode == "RGBA"
    assert np.array_equal(np.asarray(cut)[..., 3], np.asarray(Image.open(tmp_path / "masks" / "cat_alpha.png")))


def test_predict_writes_only_the_files_that_are_asked_for(run: Run, weights: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "cat.png")
    result = run("predict", photo, "--out", tmp_path / "masks", "--files", "alpha,mask")
    assert result.out.strip().endswith("cat_mask.png")
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == ["cat_alpha.png", "cat_mask.png"]
    assert_one_line(run("predict", photo, "--out", tmp_path, "--files", "mask,outline"), "--files", "outline", "cutout")


def test_predict_continues_where_it_stopped(run: Run, weights: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write_photo(tmp_path / name)
    options = ("--out", tmp_path / "masks", "--resume", "--json")
    first = run("predict", f"{tmp_path}/*.png", *options)
    assert first.code == 0
    (tmp_path / "masks" / "b_mask.png").unlink()
    kept = (tmp_path / "masks" / "a_mask.png").stat().st_mtime_ns
    second = run("predict", f"{tmp_path}/*.png", *options)
    assert second.document[0] == first.document[0]
    assert [entry["path"] for entry in second.document] == [entry["path"] for entry in first.document]
    assert (tmp_path / "masks" / "b_mask.png").exists()
    assert (tmp_path / "masks" / "a_mask.png").stat().st_mtime_ns == kept


def test_predict_on_a_cluster_that_is_not_set_is_one_line(run: Run, weights: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "cat.png")
    assert_one_line(run("predict", photo, "--out", tmp_path, "--cluster"), "--cluster", "UNET_CLUSTER")


def test_a_broken_photo_is_reported_in_its_entry_and_the_others_are_done(
    run: Run, weights: Path, tmp_path: Path
) -> None:
    good, broken = write_photo(tmp_path / "good.png"), tmp_path / "broken.jpg"
    broken.write_text("not a photo")
    missing = tmp_path / "missing.jpg"
    (tmp_path / "empty").mkdir()
    result = run("predict", broken, missing, good, tmp_path / "empty", "--out", tmp_path / "masks", "--json")
    assert result.code == 1
    first, second, third, fourth = result.document
    assert first.keys() == second.keys() == {"path", "error"}
    assert "No such file" in second["error"]
    assert third["shares"]
    assert "is a folder without photos" in fourth["error"]
    assert (tmp_path / "masks" / "good_mask.png").exists()


def test_predict_segments_the_photos_of_a_folder_and_nothing_else_in_it(
    run: Run, weights: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    for name in ("b.png", "a.PNG", "below/c.png", ".hidden.png"):
        write_photo(folder / name)
    (folder / "notes.txt").write_text("no photo")
    result = run("predict", folder, "--out", tmp_path / "masks", "--json")
    assert result.code == 0
    assert [Path(entry["path"]).name for entry in result.document] == ["a.PNG", "b.png"]
    assert (tmp_path / "masks" / "a_mask.png").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--scale", "0.5"), ("--scale", "--way tiles")),
        (("--overlap", "10"), ("--overlap", "--way tiles")),
        (("--way", "tiles", "--overlap", "90"), ("overlap", "0.75")),
        (("--way", "tiles", "--scale", "3"), ("--scale",)),
    ],
)
def test_an_inference_mode_that_cannot_be_is_one_line(
    run: Run, weights: Path, tmp_path: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_one_line(run("predict", write_photo(tmp_path / "cat.png"), "--out", tmp_path, *options), *words)


def test_photos_of_one_name_do_not_overwrite_each_other(run: Run, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    photos = [write_photo(tmp_path / "cat.png"), write_photo(tmp_path / "a" / "cat.png", (10, 200, 30))]
    entries = run("predict", *photos, "--out", tmp_path / "masks", "--json").document
    assert [Path(entry["mask"]).name for entry in entries] == ["cat_mask.png", "cat_2_mask.png"]
    assert len(list((tmp_path / "masks").iterdir())) == 6


def test_results_never_replace_a_photo(run: Run, weights: Path, tmp_path: Path) -> None:
    photos = [write_photo(tmp_path / "cat.png"), write_photo(tmp_path / "cat_mask.png")]
    before = photos[1].read_bytes()
    entries = run("predict", *photos, "--out", tmp_path, "--json").document
    assert photos[1].read_bytes() == before
    assert Path(entries[0]["mask"]).name == "cat_2_mask.png"


def test_a_photo_over_the_limit_is_not_even_read(
    run: Run, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNET_MAX_UPLOAD_MB", "0.001")
    photo = tmp_path / "big.jpg"
    photo.write_bytes(b"0" * 5000)
    result = run("predict", photo, "--out", tmp_path / "masks", "--json")
    assert result.code == 1
    assert "MB" in result.document[0]["error"]


def test_an_unknown_model_or_altered_weights_are_one_line(run: Run, weights: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "cat.png")
    assert_one_line(run("predict", photo, "--out", tmp_path, "--model", "nothing", "--json"), "nothing", "tiny")
    (weights / "tiny.onnx").write_bytes(b"swapped")
    assert_one_line(run("predict", photo, "--out", tmp_path, "--json"), "not the one in the manifest")


def test_the_help_is_there_at_once() -> None:
    heavy = {"tensorflow", "keras", "streamlit", "onnxruntime", "numpy", "PIL", "scipy", "skimage", "matplotlib"}
    program = f"import sys; from unet_core.cli.parser import main; main(['--help']); print({heavy} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("command", ["presets", "trace", "predict"])
def test_tensorflow_is_not_imported(command: str, weights: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "cat.png")
    arguments = {
        "presets": ["presets", "--json"],
        "trace": ["trace", "--preset", "pets_fast", "--json"],
        "predict": ["predict", str(photo), "--out", str(tmp_path), "--engine", "onnx", "--json"],
    }[command]
    program = (
        "import sys; from unet_core.cli.parser import main; "
        f"code = main({arguments!r}); "
        "sys.exit(code or 10 * bool({'tensorflow', 'keras', 'streamlit'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    json.loads(result.stdout)


# --- train, evaluate, export ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_train_evaluate_and_export_a_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, folder = tmp_path / "unet.json", tmp_path / "run"
    config.write_text(TINY.to_json())
    options = ["--data", "synthetic", "--limit", "16", "--batch-size", "8", "--set", "augmentation.enabled=false"]
    result = run("train", "--config", config, "--epochs", "1", "--run", folder, *options, "--json")
    assert result.code == 0, result.err
    assert result.document["state"] == "finished"
    assert result.document["best"]["val_mean_iou"] >= 0
    assert not RunDirectory.open(folder).config().augmentation.enabled

    assert_one_line(run("train", "--run", folder, "--json"), "--resume")
    result = run("train", "--run", folder, "--resume", "--epochs", "2", "--json")
    assert result.document["epochs"] == 2

    result = run("evaluate", "--model", folder, "--limit", "3", "--json")
    found = result.document
    assert (found["data"], found["split"], found["images"], found["image_size"]) == ("synthetic", "test", 3, [128, 128])
    assert {"pixel_accuracy", "mean_iou", "iou", "dice", "pet_iou", "confusion_matrix"} <= found.keys()
    with_onnx = run("evaluate", "--model", folder, "--limit", "3", "--engine", "onnx", "--json").document
    assert with_onnx["engine"] == "onnx"
    assert with_onnx["mean_iou"] == pytest.approx(found["mean_iou"], abs=1e-3)

    result = run("export", "--model", folder, "--format", "onnx", "--out", tmp_path / "m.onnx", "--json")
    assert result.document["bytes"] == (tmp_path / "m.onnx").stat().st_size

    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(tmp_path / "weights"))
    result = run("publish", folder, "--name", "mine", "--default", "--measure", "--json")
    assert result.document["entry"]["classes"] == ["pet", "background", "border"]
    photo = write_photo(tmp_path / "photo.png")
    assert run("predict", photo, "--out", tmp_path, "--json").document[0]["model"] == "mine"


@pytest.mark.slow
def test_train_starts_a_queued_run(run: Run, tmp_path: Path) -> None:
    RunDirectory.create(tmp_path, tiny_config(epochs=1, limit=8))
    assert run("train", "--run", tmp_path, "--json").document["state"] == "finished"


def test_training_on_a_missing_dataset_is_one_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_DATA_DIR", str(tmp_path / "nowhere"))
    result = run("train", "--preset", "keras_basic", "--epochs", "1", "--run", tmp_path / "run", "--json")
    assert result.code == 1
    assert result.out == ""
    assert "python -m unet_core download" in result.err.strip().splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_export_of_nothing_is_one_line(run: Run, weights: Path, tmp_path: Path) -> None:
    options = ("--format", "onnx", "--out", tmp_path / "m.onnx")
    assert_one_line(run("export", "--model", "tiny", *options), "no Keras weights")
    assert_one_line(run("export", "--model", tmp_path, *options), "not a run")


def test_a_shipped_model_is_evaluated_with_onnx(run: Run, weights: Path) -> None:
    found = run("evaluate", "--data", "synthetic", "--split", "validation", "--limit", "2", "--flip", "--json").document
    assert (found["model"], found["engine"], found["images"], found["flip"]) == ("tiny", "onnx", 2, True)


@pytest.mark.slow
def test_the_real_process_prints_one_document_and_errors_in_one_line(tmp_path: Path) -> None:
    untrained_run(tmp_path / "run")
    command = [sys.executable, "-m", "unet_core", "export", "--model", str(tmp_path / "run"), "--format"]
    for format, ending in (("onnx", "onnx"), ("keras", "keras"), ("litert", "tflite")):
        arguments = [*command, format, "--out", str(tmp_path / f"m.{ending}"), "--json"]
        result = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
        assert json.loads(result.stdout)["format"] == format
    arguments = [*command, "onnx", "--out", str(tmp_path / "m.wrong")]
    result = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"error: out: the file for onnx must end in .onnx. Received: {tmp_path}/m.wrong\n"


def test_a_photo_that_lies_in_the_results_folder_is_not_overwritten_through_a_link(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    for name in ("cat.jpg", "cat_mask.png"):
        (real / name).write_bytes(b"a photo")
    stems = batch.result_stems([str(real / "cat.jpg"), str(real / "cat_mask.png")], str(tmp_path / "link"))
    assert stems == ["cat_2", "cat_mask"]


def test_results_are_where_the_photos_name_says() -> None:
    assert batch.result_stems(["a/cat.jpg", "b/cat.png", "cat_2.png"], "out") == ["cat", "cat_3", "cat_2"]


def test_a_pipe_is_no_photo_and_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ConfigError, match="is not a file"):
        batch.read_photo(str(tmp_path / "pipe.jpg"), get_settings())


def test_a_config_file_changes_the_preset_that_is_named_with_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "change.json").write_bytes(b'\xef\xbb\xbf{"classes": 5}')  # as Windows' editor writes it
    assert main(["trace", "--preset", "keras_basic", "--config", str(tmp_path / "change.json"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["preset"], document["output_shape"]) == ("keras_basic", [256, 256, 5])
    assert main(["trace", "--preset", "nope", "--config", str(tmp_path / "change.json")]) == 1
