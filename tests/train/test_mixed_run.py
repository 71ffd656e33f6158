"""Training on several datasets: what is checked, estimated, recorded and measured, and a resume to the last bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import own_datasets
from tests.helpers.tiny_run import TINY, exact_config, tiny_config, untrained_run
from unet_core.architecture.config import Preprocessing
from unet_core.cli.parser import main
from unet_core.data.mixture import MixedSource
from unet_core.data.pipeline import open_source, target_coding
from unet_core.data.splits import DEFAULT_SPLIT
from unet_core.errors import UNetError
from unet_core.settings import get_settings
from unet_core.train import queue
from unet_core.train.callbacks import Recorder
from unet_core.train.checks import data_problems
from unet_core.train.config import TrainConfig
from unet_core.train.curves import differences
from unet_core.train.data_warnings import data_warnings
from unet_core.train.estimate import estimate
from unet_core.train.find_model import data_of, find_model, recipe_of, split_for
from unet_core.train.fit import train
from unet_core.train.meaning import DRAWN_LICENCE, origin_of, record_meaning
from unet_core.train.parts import parts_sentence
from unet_core.train.publish import publish
from unet_core.train.run_directory import RunDirectory
from unet_core.train.standardize import measured
from unet_core.zoo.manifest import load_manifest


@pytest.fixture
def cats(tmp_path: Path) -> str:
    """Sixteen photos with masks of background and cat."""
    return str(own_datasets.named(tmp_path / "cats-0123456789abcdef0123456789abcdef", ("background", "cat"), 16))


def mixture(cats: str, **changes: object) -> list[object]:
    share = {"source": cats, "share": 1, "classes": {"cat": "pet"}, "border": True}
    return [{"source": "synthetic", "share": 3}, share | changes]


def mixed_config(cats: str, **changes: object) -> TrainConfig:
    return tiny_config(data=mixture(cats), **changes)


# --- before it starts -------------------------------------------------------------------------------------------------


def test_every_dataset_must_be_there_and_fit(cats: str) -> None:
    assert data_problems(mixed_config(cats)) == ()
    (problem,) = data_problems(tiny_config(data=["synthetic", "/nowhere"]))
    assert "'/nowhere' is neither" in problem
    (problem,) = data_problems(tiny_config(data=mixture(cats, border=False)))
    assert "the masks of cats have no border" in problem
    (problem,) = data_problems(tiny_config(data=["synthetic", cats]))
    assert "cats has the class cat, which synthetic does not have" in problem


def test_what_is_drawn_and_what_is_measured_is_said(cats: str) -> None:
    assert parts_sentence(mixed_config(cats)) == (
        "Training draws its photos by share, 75 % synthetic + 25 % cats; validation, previews and test are of "
        "synthetic alone. The training, validation and test parts are drawn separately."
    )


def test_the_estimate_counts_the_training_photos_of_all_datasets(cats: str) -> None:
    own = len(open_source(cats, TINY).names("train"))
    drawn = estimate(tiny_config(limit=None)).photos
    assert drawn is not None
    assert estimate(mixed_config(cats, limit=None)).photos == drawn + own
    assert estimate(mixed_config(cats, limit=50)).photos == 50


def test_warnings_name_the_dataset_and_classes_that_it_never_shows(cats: str) -> None:
    named = own_datasets.named(Path(cats).parent / "three", ("background", "cat", "dog"), 16)
    found = data_warnings(tiny_config(model=TINY.replace(height=64, width=64), data=[str(named), cats]))
    assert found == (
        "No mask of cats has dog: where its photos show that, the network learns the class that the masks have there "
        "instead.",
    )
    (sentence,) = data_warnings(mixed_config(cats, model=TINY.replace(height=4, width=4)))
    assert sentence.startswith("cats: A typical object of the class cat is 1.")


def test_settings_that_differ_show_no_path(cats: str) -> None:
    found = differences([tiny_config(), mixed_config(cats)])
    assert found == {"data": ["synthetic", "75 % synthetic + 25 % cats"]}


@pytest.mark.slow
def test_each_dataset_counts_by_its_share_when_photos_are_standardized(cats: str) -> None:
    config = mixed_config(cats, model=TINY.replace(preprocessing=Preprocessing(scale="standardize")), limit=None)
    source = open_source(config.data, config.model, config.split)
    assert isinstance(source, MixedSource)
    means = []
    for number in range(2):
        photos = [
            example.decode()[0]
            for example, owner in zip(source.examples("train"), source.owners, strict=True)
            if owner == number
        ]
        means.append(np.array([(photo.mean(axis=(0, 1)) / 255, photo[..., 0].size) for photo in photos], dtype=object))
    pixels = [sum(3 - 2 * number for _ in found) * found[0][1] / len(found) for number, found in enumerate(means)]
    wanted = sum(found[:, 0].mean() * weight for found, weight in zip(means, pixels, strict=True)) / sum(pixels)
    found = measured(config, None, lambda: None).model.preprocessing.mean
    np.testing.assert_allclose(np.array(found), np.array(wanted, np.float64), atol=1e-4)


def test_a_deleted_dataset_keeps_its_runs_from_resuming_and_a_waiting_one_keeps_it(
    cats: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNET_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("UNET_WORKERS", "0")
    run = queue.submit(mixed_config(cats))
    assert [found.id for found in queue.pending_on(cats)] == [run.id]
    queue.stop(run)
    Path(cats).rename(tmp_path / "gone")
    with pytest.raises(UNetError, match="has been deleted: upload it again"):
        queue.resume(run)


# --- its model --------------------------------------------------------------------------------------------------------


def test_a_model_names_all_of_its_data_and_credits_them(cats: str) -> None:
    config = mixed_config(cats)
    origin = origin_of(config, open_source(config.data, config.model))
    assert origin.name == "75 % synthetic + 25 % cats"
    assert origin.licence == f"synthetic: {DRAWN_LICENCE}; cats: unknown"
    assert origin.pictures == "photos"
    assert "validated and tested on synthetic alone" in origin.description
    assert cats not in origin.to_json()
    assert origin_of(tiny_config(data=["oxford_iiit_pet", cats])).credit[0].startswith("O. M. Parkhi")


def test_a_recipe_names_datasets_without_their_paths(cats: str, tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "run")
    run.write_config(mixed_config(cats))
    recipe = recipe_of(run)
    assert [share["source"] for share in recipe["data"]] == ["synthetic", "cats"]
    assert TrainConfig.from_dict(recipe).data_title == mixed_config(cats).data_title
    assert (data_of(recipe), data_of({"data": "a"}), data_of({})) == (("synthetic", "cats"), ("a",), ())
    found = find_model(run.path)
    assert split_for(found, cats) == run.config().split
    assert split_for(found, "elsewhere") == DEFAULT_SPLIT


@pytest.mark.slow
def test_a_published_model_is_measured_on_its_first_dataset(
    cats: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(tmp_path / "weights"))
    config = mixed_config(cats, limit=None)
    run = untrained_run(tmp_path / "run")
    run.write_config(config)
    source = open_source(config.data, config.model)
    record_meaning(run, source, target_coding(source, 3))
    publish(run.path, "both")
    entry = load_manifest(get_settings()).entry("both")
    assert entry.data["photos"]["train"] == len(source.names("train"))
    assert main(["evaluate", "--model", "both", "--limit", "2", "--json"]) == 0


# --- trained ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_resumed_mixed_run_equals_an_uninterrupted_one(
    cats: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = exact_config(data=mixture(cats))
    train(config, tmp_path / "whole")
    original = Recorder.on_epoch_begin

    def broken(recorder: Recorder, epoch: int, logs: dict[str, float] | None = None) -> None:
        original(recorder, epoch, logs)
        if epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_epoch_begin", broken)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "broken")
    train(None, tmp_path / "broken", resume=True)
    whole, resumed = (RunDirectory.open(tmp_path / name) for name in ("whole", "broken"))
    assert whole.last_weights.read_bytes() == resumed.last_weights.read_bytes() or _equal(whole, resumed)
    log = "\n".join(whole.log_tail())
    assert "75 % Synthetic pets, seed 0; 25 % cats" in log
    assert "validation, previews and test are of synthetic alone" in log
    assert whole.test().of == 200
    assert whole.classes().names == ("pet", "background", "border")


def _equal(one: RunDirectory, other: RunDirectory) -> bool:
    first, second = (find_model(run.last_weights).load().get_weights() for run in (one, other))
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.slow
def test_the_command_line_trains_on_a_mixture(cats: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "config.json"
    path.write_text(tiny_config(epochs=1, test_limit=0, previews=0).to_json())
    shares = json.dumps(mixture(cats))
    assert main(["train", "--config", str(path), "--set", f"data={shares}", "--run", str(tmp_path / "run")]) == 0
    config = RunDirectory.open(tmp_path / "run").config()
    assert config.data_title == "75 % synthetic + 25 % cats"
    assert main(["train", "--config", str(path), "--set", 'data=["synthetic","/nowhere"]']) == 1
    assert "'/nowhere' is neither" in capsys.readouterr().err
