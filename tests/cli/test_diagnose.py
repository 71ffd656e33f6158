from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.test_commands import ROOT, Run, assert_one_line, run  # noqa: F401 - a fixture
from tests.foreign.test_files import small_u
from ui.architecture.pasted_examples import EXAMPLES

MESSAGE = (
    "A `Concatenate` layer requires inputs with matching shapes except for the concatenation axis. "
    "Received: input_shape=[(None, 62, 62, 512), (None, 63, 63, 256)]"
)


def test_an_error_message_is_explained(run: Run, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "error.txt").write_text(MESSAGE)
    done = run("diagnose", tmp_path / "error.txt", "--json")
    found = done.document
    assert (done.code, found["kind"], found["shapes"]) == (0, "merge", [[62, 62, 512], [63, 63, 256]])
    (place,) = found["networks"]
    assert (place["layer"], place["failing_sizes"]) == ("decoder3_concat", [252, 253, 254, 255])
    text = run("diagnose", tmp_path / "error.txt").out
    assert "63 is odd" in text
    assert "sizes that work: 248×248, 256×256" in text


def test_the_network_that_failed_comes_first(run: Run, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "error.txt").write_text(MESSAGE)
    found = run("diagnose", tmp_path / "error.txt", "--preset", "keras_basic", "--json").document
    assert found["networks"][0]["network"] == "Your network"


def test_stdin_is_read_and_an_unknown_text_is_one_line(
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"loss: nan")))
    assert run("diagnose", "-", "--json").document["kind"] == "nan"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"\xff\xfe hello")))
    assert_one_line(run("diagnose", "-"), "no error message that is known here")
    assert_one_line(run("diagnose", "missing.txt"), "missing.txt")


def test_source_is_read_and_not_run(run: Run, tmp_path: Path) -> None:  # noqa: F811
    path = tmp_path / "my_unet.py"
    path.write_text("import os\nos.remove(__file__)\n" + EXAMPLES["Code with a bug"])
    found = run("diagnose", path, "--json").document
    assert path.exists()
    assert (found["problem"]["layer"], found["problem"]["line"]) == ("concatenate", 22)
    assert found["problem"]["suggested_sizes"] == [[296, 296], [304, 304]]
    text = run("diagnose", path, "--size", "64x96").out
    assert "works: output 64×96×3, 1,925,667 parameters" in text
    path.write_text("def f(:")
    assert_one_line(run("diagnose", path), "no complete Python source")


def test_a_network_file_is_read(run: Run, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "model.json").write_text(json.dumps(small_u()))
    found = run("diagnose", tmp_path / "model.json", "--size", "33x32", "--json").document
    assert found["problem"]["layer"] == "merge"
    text = run("diagnose", ROOT / "weights" / "pets_fast.onnx").out
    assert "works: output 192×192×3" in text
    (tmp_path / "model.h5").write_bytes(b"\x89HDF")
    assert_one_line(run("diagnose", tmp_path / "model.h5"), "may run code")
