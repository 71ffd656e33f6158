"""A class that validation predictions never contain is named, in the log, the summary and the run directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.tiny_run import TINY, tiny_config
from tests.helpers.void_source import VoidSource
from unet_core.train import fit
from unet_core.train.fit import train
from unet_core.train.never_predicted import never_predicted, recorded
from unet_core.train.run_directory import RunDirectory


@pytest.fixture(autouse=True)
def quick_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit._Worker, "_export", lambda *_: None)


def test_a_class_is_lost_if_labels_have_it_and_predictions_do_not() -> None:
    matrix = np.array([[5, 0, 0, 0], [3, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 2]])
    assert never_predicted(matrix, ("ground", "tree", "padding", "cat")) == ("tree",)
    assert never_predicted(np.zeros((2, 2)), ("ground", "tree")) == ()


@pytest.mark.slow
def test_a_run_names_the_class_that_it_never_predicts(tmp_path: Path) -> None:
    weights = (1.0, 0.0)  # nothing is gained by the second class
    config = tiny_config(
        model=TINY.replace(classes=2),
        batch_size=4,
        loss="cross_entropy",
        class_weights=weights,
        test_limit=0,
        epochs=12,
        learning_rate=0.1,
    )
    summary = train(config, tmp_path, source=VoidSource())
    run = RunDirectory(tmp_path)
    assert recorded(run, "last") == ("square",)
    assert recorded(run, "best") == summary.never_predicted
    assert any("Never predicted on the validation photos: square" in line for line in run.log_tail())


@pytest.mark.slow
def test_a_run_that_predicts_every_class_names_none(tmp_path: Path) -> None:
    config = tiny_config(model=TINY.replace(classes=2), batch_size=4, test_limit=0, epochs=8)
    summary = train(config, tmp_path, source=VoidSource())
    assert summary.never_predicted == recorded(RunDirectory(tmp_path), "last") == ()


def test_a_damaged_record_names_nothing(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    (tmp_path / "never_predicted.json").write_text('{"last": "square", "best": [1, null]}')
    assert recorded(run, "last") == recorded(run, "best") == ()
