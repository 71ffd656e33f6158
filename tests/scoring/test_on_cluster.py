"""`evaluate --cluster` gives the figures of one machine: in parts in this process, and with workers that are killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
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
from unet_core.scoring.evaluate import Comparison, Counts, Size, counted, measurement, report
from unet_core.scoring.on_cluster import OnCluster, Work, counted_on_cluster
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
        together = counted_on_cluster(OnCluster(cluster), work, source, "test", 29, shown.append)
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


# --- interrupted and continued ----------------------------------------------------------------------------------------


@dataclass
class Interrupted:
    """An evaluation of 24 photos that was interrupted after four parts of two, and the figures of one that was not."""

    segmenter: Segmenter
    kept: Path
    source: Source
    whole: Counts

    def counted(self, *, flip: bool = False, photos: int = 24) -> tuple[OnCluster, Counts]:
        """Measure on a smaller cluster, which would divide the photos in another way."""
        comparison = Comparison(self.segmenter.entry.config, target_coding(self.source, 3), SIZES, flip)
        with LocalCluster(1) as cluster:
            where = OnCluster(cluster, self.kept)
            work = Work(PackedModel.of(self.segmenter), comparison)
            return where, counted_on_cluster(where, work, self.source, "validation", photos)


@pytest.fixture
def interrupted(segmenter: Segmenter, tmp_path: Path) -> Interrupted:
    source = open_source("synthetic", segmenter.entry.config)
    comparison = Comparison(segmenter.entry.config, target_coding(source, 3), SIZES)

    def interrupt(done: int) -> None:
        if done >= 8:
            raise KeyboardInterrupt

    work = Work(PackedModel.of(segmenter), comparison)
    with LocalCluster(3) as cluster, pytest.raises(KeyboardInterrupt):
        counted_on_cluster(OnCluster(cluster, tmp_path / "kept"), work, source, "validation", 24, interrupt)
    whole = counted(segmenter.network, comparison, list(source.examples("validation"))[:24])
    return Interrupted(segmenter, tmp_path / "kept", source, whole)


def parts(kept: Path) -> list[Path]:
    return sorted(kept.glob("*/*.json"))


def test_a_second_call_counts_only_what_an_interrupted_one_has_not(interrupted: Interrupted) -> None:
    assert len(parts(interrupted.kept)) == 4
    where, found = interrupted.counted()
    assert (where.earlier, where.counted) == (8, 16)
    for one, other in zip(found.tallies, interrupted.whole.tallies, strict=True):
        assert one.plain() == other.plain()
    assert (found.images, found.coarse, len(found.seconds)) == (24, interrupted.whole.coarse, 24)
    assert not list(interrupted.kept.iterdir()), "a complete evaluation is measured again by the next call"


def test_a_damaged_part_is_counted_again(interrupted: Interrupted) -> None:
    damaged = parts(interrupted.kept)
    damaged[0].write_bytes(damaged[0].read_bytes()[:50])
    damaged[1].write_text("{}")
    where, found = interrupted.counted()
    assert (where.earlier, where.counted) == (4, 20)
    assert np.array_equal(found.tallies[0].confusion, interrupted.whole.tallies[0].confusion)


def test_parts_of_another_comparison_or_other_photos_are_not_taken(interrupted: Interrupted) -> None:
    assert interrupted.counted(flip=True)[0].earlier == 0
    assert interrupted.counted(photos=23)[0].earlier == 0
    assert len(parts(interrupted.kept)) == 4


def test_a_photo_that_has_changed_is_counted_again(segmenter: Segmenter, tmp_path: Path) -> None:
    folder = miniature_pets.write_folder(tmp_path / "own", 12)
    source = open_source(str(folder), segmenter.entry.config)
    comparison = Comparison(segmenter.entry.config, target_coding(source, 3), SIZES)
    work = Work(PackedModel.of(segmenter), comparison)
    total = len(source.names("train"))

    def interrupt(done: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with LocalCluster(3) as cluster:
        with pytest.raises(KeyboardInterrupt):
            counted_on_cluster(OnCluster(cluster, tmp_path / "kept"), work, source, "train", total, interrupt)
        first = next(iter(source.examples("train"))).photo
        first.write_bytes(first.read_bytes() + b" ")
        where = OnCluster(cluster, tmp_path / "kept")
        counted_on_cluster(where, work, source, "train", total)
    assert (where.earlier, where.counted) == (total - 1, 1)


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
        together = counted_on_cluster(OnCluster(cluster), work, source, "train", 600, kill_one)
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
