"""`evaluate --cluster` gives the figures of one machine: in parts in this process, and with workers that are killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import miniature_pets
from tests.helpers.dask_cluster import DaskProcesses
from tests.helpers.tiny_model import write_tiny_model
from unet_core.cli.parser import main
from unet_core.data.pipeline import open_source, target_coding
from unet_core.data.sources import Source
from unet_core.jobs.cluster import LocalCluster, Shared, open_cluster
from unet_core.scoring.evaluate import Comparison, Size, counted, measurement, report
from unet_core.scoring.on_cluster import Work, counted_on_cluster
from unet_core.segment.batch import PackedModel
from unet_core.segment.segmenter import Segmenter
from unet_core.settings import ROOT, get_settings

SIZES: tuple[Size, ...] = ((128, 128), (40, 64), "own")
TIMES = ("milliseconds_per_image", "device")  # all other figures are equal


@pytest.fixture
def segmenter(tmp_path: Path) -> Segmenter:
    return Segmenter(None, "onnx", get_settings({"UNET_WEIGHTS_DIR": str(write_tiny_model(tmp_path / "weights"))}))


class Sharing(LocalCluster):
    """This machine with three tasks at a time, and what was shared and submitted."""

    def __init__(self) -> None:
        super().__init__(3)
        self.shared: list[Any] = []
        self.tasks = 0

    def share(self, value: Any) -> Shared:
        self.shared.append(value)
        return super().share(value)

    def submit(self, *arguments: Any, **options: Any) -> Any:
        self.tasks += 1
        return super().submit(*arguments, **options)


@pytest.mark.parametrize("flip", [False, True])
def test_parts_add_up_to_what_one_process_counts(segmenter: Segmenter, flip: bool) -> None:
    source: Source = open_source("synthetic", segmenter.entry.config)
    comparison = Comparison(segmenter.entry.config, target_coding(source, 3), SIZES, flip)
    alone = counted(segmenter.network, comparison, list(source.examples("test"))[:29])
    shown: list[int] = []
    with Sharing() as cluster:
        work = Work(PackedModel.of(segmenter), comparison)
        together = counted_on_cluster(cluster, work, source, "test", 29, shown.append)
    assert cluster.shared == [work]
    assert cluster.tasks == 10
    assert shown == sorted(shown)
    assert (len(shown), shown[-1]) == (10, 29)
    assert (together.images, together.coarse, len(together.seconds)) == (29, alone.coarse, 29)
    for one, other in zip(together.tallies, alone.tallies, strict=True):
        assert np.array_equal(one.confusion, other.confusion)
        assert one.overlap(comparison.masks.foreground) == other.overlap(comparison.masks.foreground)
        assert one.overlap(comparison.masks.pet_alone) == other.overlap(comparison.masks.pet_alone)
    assert together.tallies[0].confusion.sum() == 29 * 128 * 128


def test_the_mean_over_photos_does_not_depend_on_which_part_ends_first(segmenter: Segmenter) -> None:
    source = open_source("synthetic", segmenter.entry.config)
    comparison = Comparison(segmenter.entry.config, target_coding(source, 3), ((128, 128),))
    examples = list(source.examples("test"))[:8]
    whole = counted(segmenter.network, comparison, examples)
    halves = [counted(segmenter.network, comparison, half) for half in (examples[:4], examples[4:])]
    halves[0].append(halves[1])
    found, wanted = (report(measurement(counts, comparison, (128, 128))) for counts in (halves[0], whole))
    assert {**found, TIMES[0]: 0} == {**wanted, TIMES[0]: 0}


# --- the command ------------------------------------------------------------------------------------------------------


def figures(text: str) -> dict[str, Any]:
    return {key: value for key, value in json.loads(text).items() if key not in TIMES}


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(write_tiny_model(tmp_path / "weights")))


@pytest.mark.parametrize("more", [["--flip", "--size", "64x96"], ["--sizes", "64", "own"]])
def test_the_command_gives_the_same_figures(
    weights: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, more: list[str]
) -> None:
    command = ["evaluate", "--data", "synthetic", "--split", "validation", "--limit", "11", "--json", *more]
    assert main(command) == 0
    wanted = figures(capsys.readouterr().out)
    monkeypatch.setenv("UNET_CLUSTER", "tcp://127.0.0.1:1")
    monkeypatch.setattr("unet_core.jobs.cluster.DaskCluster", lambda settings: LocalCluster(2))
    assert main([*command, "--cluster"]) == 0
    captured = capsys.readouterr()
    found = figures(captured.out)
    for document in (found, wanted):
        document.pop("measured", None)
    assert found == wanted
    assert "11 photos in " in captured.err
    assert " a second, on this machine" in captured.err


def test_what_a_cluster_cannot_do_is_a_sentence(
    weights: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def refusal(*options: str) -> str:
        assert main(["evaluate", "--data", "synthetic", *options, "--cluster"]) == 1
        return capsys.readouterr().err

    assert "--cluster: set UNET_CLUSTER to the address of a Dask scheduler" in refusal()
    monkeypatch.setenv("UNET_CLUSTER", "tcp://127.0.0.1:1")
    assert "--full: measured on one machine only" in refusal("--full")
    assert "--results: measured on one machine only" in refusal("--sizes", "64", "--results")


# --- with a scheduler and workers -------------------------------------------------------------------------------------


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[DaskProcesses]:
    with DaskProcesses(tmp_path, environment={"UNET_THREADS": "1"}) as processes:
        yield processes


@pytest.mark.slow
def test_a_killed_worker_loses_nothing_and_doubles_nothing(segmenter: Segmenter, dask: DaskProcesses) -> None:
    for _ in range(2):
        dask.start_worker()
    source = open_source("synthetic", segmenter.entry.config)
    comparison = Comparison(segmenter.entry.config, target_coding(source, 3), ((128, 128),))
    shown: list[int] = []

    def kill_one(done: int) -> None:
        shown.append(done)
        if len(shown) == 1:
            dask.workers[0].kill()
            dask.start_worker(wait=False)

    with open_cluster(get_settings({"UNET_CLUSTER": dask.address})) as cluster:
        work = Work(PackedModel.of(segmenter), comparison)
        together = counted_on_cluster(cluster, work, source, "train", 600, kill_one)
    assert shown == sorted(set(shown))
    assert (len(shown), shown[-1]) == (8, 600)
    alone = counted(segmenter.network, comparison, list(source.examples("train"))[:600])
    found, wanted = (report(measurement(counts, comparison, (128, 128))) for counts in (together, alone))
    assert {**found, TIMES[0]: 0} == {**wanted, TIMES[0]: 0}
    assert np.sum(found["confusion_matrix"]) == 600 * 128 * 128


@pytest.mark.slow
def test_the_command_and_its_workers_read_their_own_copies(tmp_path: Path, dask: DaskProcesses) -> None:
    write_tiny_model(tmp_path / "weights")
    data = miniature_pets.prepare(tmp_path / "data")

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        environment = {"PYTHONPATH": str(ROOT), "UNET_WEIGHTS_DIR": "weights", "UNET_DATA_DIR": str(data)}
        return subprocess.run(
            [sys.executable, "-m", "unet_core", "evaluate", "--split", "train", "--json", *options],
            cwd=tmp_path,
            env={**os.environ, **environment, "UNET_CLUSTER": dask.address},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    dask.start_worker(environment={"UNET_DATA_DIR": str(tmp_path / "none")})
    refused = run("--cluster")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "lacks the dataset" in refused.stderr
    assert f"is not in {tmp_path / 'none'}" in refused.stderr
    assert "Traceback" not in refused.stderr
    dask.workers[0].kill()
    shutil.copytree(data, tmp_path / "copy")
    dask.start_worker(environment={"UNET_DATA_DIR": str(tmp_path / "copy")})
    assert figures(run("--cluster").stdout) == figures(run().stdout)
