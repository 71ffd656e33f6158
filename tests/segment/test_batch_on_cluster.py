"""`predict --cluster` with a scheduler and workers as processes, some of which are killed."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers.dask_cluster import DaskProcesses
from tests.helpers.pages import readme_block
from tests.helpers.processes import wait_until
from tests.helpers.server import free_port
from tests.helpers.tiny_model import write_tiny_model
from unet_core.images import samples
from unet_core.settings import ROOT

pytestmark = pytest.mark.slow

PHOTOS = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, photos, one of them damaged, and their results of the local command in `local`."""
    place = tmp_path_factory.mktemp("batch")
    write_tiny_model(place / "weights")
    (place / "photos").mkdir()
    cat = np.asarray(Image.open(io.BytesIO(samples.cat_png())).convert("RGB"), np.int16)
    for number in range(PHOTOS):
        shifted = np.clip(np.roll(cat, number, axis=1) + number, 0, 255).astype(np.uint8)
        Image.fromarray(shifted).save(place / "photos" / f"{number:03}.jpg")
    (place / "photos" / "007.jpg").write_bytes(b"damaged")
    return place


@pytest.fixture(scope="module")
def local(folder: Path) -> list[dict[str, Any]]:
    return report(command(folder, "local"))


def command(folder: Path, out: str, *options: str, cluster: str = "") -> subprocess.Popen[str]:
    arguments = ["predict", "photos", "--out", out, "--json", *options, *(["--cluster"] if cluster else [])]
    return subprocess.Popen(
        [sys.executable, "-m", "unet_core", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "UNET_WEIGHTS_DIR": "weights", "UNET_CLUSTER": cluster},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def report(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err  # because of the damaged photo
    assert "photos could not be segmented" in err
    return json.loads(out)


def assert_same(folder: Path, out: str, found: list[dict[str, Any]], local: list[dict[str, Any]]) -> None:
    """Check that each photo's results are there once, with the bytes and the report of the local command."""
    names = sorted(path.name for path in (folder / "local").iterdir())
    assert len(names) == 3 * (PHOTOS - 1)
    assert sorted(path.name for path in (folder / out).iterdir() if path.name != ".unet") == names
    for name in names:
        assert (folder / out / name).read_bytes() == (folder / "local" / name).read_bytes(), name

    def comparable(entry: dict[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in entry.items() if key not in ("milliseconds", "device")}
        return kept | {kind: Path(kept[kind]).name for kind in ("mask", "overlay", "alpha") if kind in kept}

    assert [comparable(entry) for entry in found] == [comparable(entry) for entry in local]


def masks(folder: Path, out: str) -> int:
    return len(list((folder / out).glob("*_mask.png")))


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[DaskProcesses]:
    with DaskProcesses(tmp_path, environment={"UNET_THREADS": "1"}) as processes:
        yield processes


def test_killed_workers_lose_nothing_and_double_nothing(
    folder: Path, local: list[dict[str, Any]], dask: DaskProcesses
) -> None:
    for _ in range(2):
        dask.start_worker()
    running = command(folder, "killed", cluster=dask.address)
    for count, victim in ((PHOTOS // 5, 0), (PHOTOS // 2, 1)):
        wait_until(lambda count=count: masks(folder, "killed") >= count or running.poll() is not None, "results")
        assert running.poll() is None, "it ended before the kill"
        dask.workers[victim].kill()
        dask.start_worker(wait=False)
    assert_same(folder, "killed", report(running), local)

    written = {path: path.stat().st_mtime_ns for path in (folder / "killed").glob("*.png")}
    again = command(folder, "killed", cluster=dask.address)
    assert_same(folder, "killed", report(again), local)
    assert {path: path.stat().st_mtime_ns for path in (folder / "killed").glob("*.png")} == written


def test_a_killed_command_is_continued_by_the_next_one_and_the_scheduler_may_restart(
    folder: Path, local: list[dict[str, Any]], dask: DaskProcesses
) -> None:
    dask.start_worker()
    first = command(folder, "restarted", cluster=dask.address)
    wait_until(lambda: len(list((folder / "restarted" / ".unet").glob("*.json"))) >= 2, "a record")
    first.kill()
    first.communicate()
    records = [json.loads(path.read_text()) for path in (folder / "restarted" / ".unet").glob("*.json")]
    stems = [stem for record in records for _, stem, _, _ in record["photos"]]
    done = {path: path.stat().st_mtime_ns for stem in stems for path in (folder / "restarted").glob(f"{stem}_*.png")}
    assert len(done) == 3 * len(stems) > 0
    second = command(folder, "restarted", cluster=dask.address)
    wait_until(lambda: masks(folder, "restarted") >= PHOTOS // 2 or second.poll() is not None, "results")
    assert second.poll() is None, "it ended before the scheduler did"
    dask.scheduler.kill()
    dask.scheduler.wait()
    dask.start_scheduler()
    dask.start_worker()
    assert_same(folder, "restarted", report(second), local)
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_a_full_disk_on_one_worker_is_a_sentence_and_the_next_call_does_the_rest(
    folder: Path, local: list[dict[str, Any]], dask: DaskProcesses, tmp_path: Path
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "sitecustomize.py").write_text(
        "import errno, os\n"
        "replace = os.replace\n"
        "def refuse(source, target, **options):\n"
        "    if str(target).endswith('.png'):\n"
        "        raise OSError(errno.ENOSPC, 'No space left on device', str(target))\n"
        "    replace(source, target, **options)\n"
        "os.replace = refuse\n"
    )
    dask.start_worker()
    dask.start_worker(environment={"PYTHONPATH": f"{full}{os.pathsep}{ROOT}"})
    found = report(command(folder, "full", cluster=dask.address))
    errors = [entry["error"] for entry in found if "error" in entry]
    refused = [error for error in errors if error.endswith("_mask.png: No space left on device")]
    assert 0 < len(refused) == len(errors) - 1 < PHOTOS - 1
    dask.workers[1].kill()
    assert_same(folder, "full", report(command(folder, "full", cluster=dask.address)), local)


@pytest.mark.parametrize("mark", ["cluster", "cluster-tls"])
def test_the_readmes_commands_segment_a_folder_and_measure_a_model(
    folder: Path, local: object, tmp_path: Path, mark: str
) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("001.jpg", "002.jpg"):
        shutil.copy(folder / "photos" / name, tmp_path / "photos")
    (tmp_path / "unet_core").symlink_to(ROOT / "unet_core")
    script = readme_block(mark).replace(".venv/bin/python", sys.executable).replace("8786", str(free_port()))
    with (tmp_path / "log").open("wb") as log:
        shell = subprocess.Popen(
            ["bash", "-euc", script],
            cwd=tmp_path,
            env={**os.environ, "UNET_WEIGHTS_DIR": str(folder / "weights")},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        code = shell.wait(timeout=120)
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
    printed = (tmp_path / "log").read_text()
    assert code == 0, printed
    assert ("mean IoU" in printed) == ("evaluate" in script)
    assert (tmp_path / "masks" / "001_mask.png").read_bytes() == (folder / "local" / "001_mask.png").read_bytes()


def test_the_command_without_workers_says_what_it_waits_for(folder: Path, dask: DaskProcesses) -> None:
    running = command(folder, "waiting", cluster=dask.address)
    assert running.stderr is not None
    assert f"has no worker now: start one with `dask worker {dask.address}`" in running.stderr.readline()
    running.kill()
    running.communicate()
