"""What a cluster costs and withstands: photos a second beside the local command, and a run whose workers are killed.

    python benchmarks/cluster.py overhead [--photos 400] [--json FILE]
    python benchmarks/cluster.py kills [--photos 2000] [--kills 10] [--namespaces] [--json FILE]
    python benchmarks/cluster.py photo [--json FILE]

"overhead" compares `predict` with `predict --cluster`: one worker on all cores beside the local command on all cores,
and two workers on a core each beside one worker on one core. The times are of the whole command, its start included.
"kills" ends a worker at random ten times while two work, and compares all files and the report with the local
command's, byte for byte. With --namespaces (root on Linux) the scheduler and each worker are hosts of
their own on one machine.
"photo" measures what one photo costs: processor seconds on one core, bytes, the command's memory, and how many tasks a
scheduler hands out; docs/scale.md calculates with it.
The first two start the scheduler and the workers themselves; nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, as_json, described, machine, summary, write_figures
from PIL import Image

from tests.helpers.dask_cluster import HERE, DaskProcesses, Host, network_namespaces
from unet_core.images import samples
from unet_core.jobs.cluster import open_cluster, run_all
from unet_core.machine import available_cores
from unet_core.segment.batch import (
    DEFAULT_KINDS,
    Batch,
    Entry,
    LoadedModel,
    PackedModel,
    Photo,
    find_photos,
    segment_photo,
)
from unet_core.segment.inference import InferenceMode
from unet_core.segment.segmenter import Segmenter
from unet_core.settings import get_settings

_PACKAGES = ("distributed", "onnxruntime", "pillow", "numpy")


def main() -> None:
    """Run one of the measurements and print its figures."""
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("what", choices=("overhead", "kills", "photo"))
    parser.add_argument("--photos", type=int, help="default: 400 for overhead, 2000 for kills")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--namespaces", action="store_true", help="each process on a host of its own")
    parser.add_argument("--model", help="a shipped model (default: the manifest's)")
    parser.add_argument("--seed", type=int, default=0, help="of the kills")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    about = machine(_PACKAGES)
    print(described(about), flush=True)
    if options.what == "photo":
        report = {"machine": about, "photo": one_photo(options.model)}
        print(as_json(report["photo"]))
        write_figures(report, options.json)
        return
    with tempfile.TemporaryDirectory(prefix="unet-cluster-") as name:
        folder = Path(name)
        count = options.photos or {"overhead": 400, "kills": 2000}[options.what]
        make_photos(folder / "photos", count)
        model = ("--model", options.model) if options.model else ()
        found = overhead(folder, count, model) if options.what == "overhead" else kills(folder, count, model, options)
    report = {"machine": about, "photos": count, **found}
    print(as_json(found))
    write_figures(report, options.json)


def make_photos(folder: Path, count: int) -> None:
    """Write photos of 451 × 300 pixels, no two of which are equal."""
    folder.mkdir()
    cat = np.asarray(Image.open(io.BytesIO(samples.cat_png())).convert("RGB"), np.int16)
    for number in range(count):
        shifted = np.roll(cat, number % cat.shape[1], axis=1) + number // cat.shape[1]
        Image.fromarray(np.clip(shifted, 0, 255).astype(np.uint8)).save(folder / f"{number:06}.jpg")


def command(folder: Path, out: str, model: Sequence[str], cluster: str = "") -> subprocess.Popen[str]:
    """Start `predict` on all photos, on this machine or a cluster."""
    arguments = ["predict", "photos", "--out", out, "--json", *model, *(["--cluster"] if cluster else [])]
    return subprocess.Popen(
        [sys.executable, "-m", "unet_core", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "UNET_CLUSTER": cluster},
        stdout=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Return the report of a command once it has ended."""
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"predict ended with {process.returncode}")
    return json.loads(out)


# --- one photo --------------------------------------------------------------------------------------------------------


def one_photo(model: str | None) -> dict[str, Any]:
    """Return what one photo costs, for two sizes and with and without overlays, and what the command itself can do."""
    segmenter = Segmenter(model, "onnx", get_settings().replace(threads=1))
    dog = Image.open(ROOT / "unet_core" / "images" / "sample_photos" / "dog.webp").convert("RGB")
    found, line = {}, ""
    for size, times in (((500, 375), 40), ((4000, 3000), 6)):
        with tempfile.TemporaryDirectory(prefix="unet-photo-") as name:
            path = Path(name) / "dog.jpg"
            dog.resize(size, Image.Resampling.LANCZOS).save(path, quality=90)
            for kinds in (DEFAULT_KINDS, ("mask",)):
                batch = Batch(LoadedModel(segmenter), InferenceMode(), name, kinds=kinds)
                photo = Photo(str(path), "dog", "")
                entry = segment_photo(batch, segmenter, photo)
                line = line or json.dumps(entry)
                figures = _photo_costs(batch, segmenter, photo, entry, times)
                found[f"{size[0]} × {size[1]}, {', '.join(kinds)}"] = {"bytes_read": path.stat().st_size, **figures}
    content = len(PackedModel.of(segmenter).content)
    return {"model": segmenter.model, "bytes_of_the_model": content, "photos": found, "command": _command_costs(line)}


def _photo_costs(batch: Batch, segmenter: Segmenter, photo: Photo, entry: Entry, times: int) -> dict[str, Any]:
    start = time.process_time()
    for _ in range(times):
        segment_photo(batch, segmenter, photo)
    return {
        "processor_seconds": round((time.process_time() - start) / times, 4),
        "bytes_written": {kind: Path(entry[kind]).stat().st_size for kind in batch.kinds},
        "bytes_of_the_report": len(json.dumps(entry)),
    }


def _command_costs(line: str, files: int = 20_000, tasks: int = 500) -> dict[str, Any]:
    """Return the command's time and memory for each photo, and the tasks a second of a scheduler with one worker."""
    with tempfile.TemporaryDirectory(prefix="unet-list-") as name:
        for number in range(files):
            Path(name, f"{number:09}.jpg").touch()
        start = time.process_time()
        find_photos([name], "masks")
        listing = time.process_time() - start
        tracemalloc.start()
        photos = find_photos([name], "masks")
        entries = {photo: json.loads(line) for photo in photos}  # as they arrive from workers
        memory = tracemalloc.get_traced_memory()[0] / len(entries)
        tracemalloc.stop()
        some = photos[:200]
        with (
            workers(Path(name), [sorted(os.sched_getaffinity(0))], threads=1) as dask,
            open_cluster(get_settings({"UNET_CLUSTER": dask.address})) as cluster,
        ):
            start = time.perf_counter()
            for task in run_all(cluster, len, ((some,) for _ in range(tasks))):
                task.result()
            rate = tasks / (time.perf_counter() - start)
    return {
        "processor_seconds_to_list_a_million_photos": round(listing / files * 1e6, 1),
        "bytes_of_memory_a_photo": round(memory),
        "tasks_of_200_photos_a_second": round(rate, 1),
    }


# --- overhead ---------------------------------------------------------------------------------------------------------


def overhead(folder: Path, count: int, model: Sequence[str]) -> dict[str, Any]:
    """Return photos per second of the local command and of a cluster's workers, and their ratios."""

    def rate(out: str, cluster: str = "") -> float:
        start = time.perf_counter()
        finished(command(folder, out, model, cluster))
        return count / (time.perf_counter() - start)

    local = rate("local")
    cores = sorted(os.sched_getaffinity(0))
    with workers(folder, [cores], threads=0) as dask:
        whole = rate("whole", dask.address)
    with workers(folder, [cores[:1]], threads=1) as dask:
        one = rate("one", dask.address)
    with workers(folder, [cores[:1], cores[1:2]], threads=1) as dask:
        two = rate("two", dask.address)
    return {
        "photos_per_second": {
            "local command, all cores": round(local, 2),
            "one worker, all cores": round(whole, 2),
            "one worker, one core": round(one, 2),
            "two workers, one core each": round(two, 2),
        },
        "one worker to the local command (aim: 0.9)": round(whole / local, 3),
        "two workers to one (aim: 1.7)": round(two / one, 3),
    }


@contextlib.contextmanager
def workers(folder: Path, cores: Sequence[Sequence[int]], threads: int) -> Iterator[DaskProcesses]:
    """Start a scheduler and a worker for each set of cores."""
    place = Path(tempfile.mkdtemp(dir=folder))
    with DaskProcesses(place, environment={"UNET_THREADS": str(threads)}) as dask:
        for numbers in cores:
            pinned = ("taskset", "--cpu-list", ",".join(map(str, numbers)))
            dask.start_worker(host=Host(prefix=pinned))
        yield dask


# --- kills ------------------------------------------------------------------------------------------------------------


def kills(folder: Path, count: int, model: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    """Kill workers at random while two work; return what was found to be equal to the local command's results."""
    start = time.perf_counter()
    local = finished(command(folder, "local", model))
    seconds = time.perf_counter() - start
    chance = random.Random(options.seed)
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(network_namespaces(3)) if options.namespaces else [HERE, HERE, HERE]
        place = folder / "dask"
        place.mkdir()
        threads = {"UNET_THREADS": "1"} if available_cores() <= 2 else {}
        dask = stack.enter_context(DaskProcesses(place, host=hosts[0], environment=threads))
        free = itertools.cycle(hosts[1:])
        for _ in range(2):
            dask.start_worker(host=next(free))
        running = command(folder, "killed", model, dask.address)
        done = _kill(folder / "killed", count, dask, free, chance, running, options.kills)
        found = finished(running)
    wrong = _differences(folder, local, found)
    if wrong:
        raise SystemExit(f"{len(wrong)} differences, such as {wrong[:5]}")
    return {
        "hosts": "network namespaces" if options.namespaces else "processes",
        "workers_killed_when_so_many_photos_were_done": done,
        "results": 3 * count,
        "equal_to_the_local_command": True,
        "local_seconds": round(seconds, 1),
    }


def _kill(
    out: Path,
    count: int,
    dask: DaskProcesses,
    hosts: Iterator[Host],
    chance: random.Random,
    running: subprocess.Popen[str],
    times: int,
) -> list[int]:
    """Kill one of two workers at random moments, and start another in its place; return how many photos were done."""
    done = []
    for moment in sorted(chance.uniform(0.03, 0.9) for _ in range(times)):
        while (masks := sum(1 for _ in out.glob("*_mask.png"))) < moment * count:
            if running.poll() is not None:
                raise SystemExit("the command ended before the last kill")
            time.sleep(0.1)
        alive = [worker for worker in dask.workers if worker.poll() is None]
        chance.choice(alive).kill()
        dask.start_worker(wait=False, host=next(hosts))
        done.append(masks)
        print(f"killed a worker after {masks} photos", flush=True)
    return done


def _differences(folder: Path, local: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[str]:
    """Return the files that are not in both folders with the same bytes, and the photos whose entries differ."""
    names = {path.name for path in (folder / "local").iterdir()}
    others = {path.name for path in (folder / "killed").iterdir() if path.name != ".unet"}
    wrong = sorted(names ^ others)
    wrong += [
        name
        for name in sorted(names & others)
        if (folder / "local" / name).read_bytes() != (folder / "killed" / name).read_bytes()
    ]
    varying = ("milliseconds", "device", "mask", "overlay", "alpha")

    def comparable(entry: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in entry.items() if key not in varying}

    pairs = itertools.zip_longest(local, found, fillvalue={})
    wrong += [str(one.get("path")) for one, other in pairs if comparable(one) != comparable(other)]
    return wrong


if __name__ == "__main__":
    main()
