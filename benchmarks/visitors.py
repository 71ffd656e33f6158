"""The app with many visitors at once: how many photos a minute, how long each waits, and what it costs in memory.

    python benchmarks/visitors.py ratio  [--visitors 8] [--seconds 15] [--rounds 3]
    python benchmarks/visitors.py room   [--visitors 25] [--seconds 60] [--training]
    python benchmarks/visitors.py soak   [--visitors 25] [--minutes 20] [--after 3]
    python benchmarks/visitors.py first

Every visitor has a WebSocket of its own and speaks Streamlit's protocol: it opens Segment, uploads a photo, reads the
shares of the classes that come back, opens another page, and starts again, without a pause. A result is wrong if its
shares differ by more than one percentage point from those of `unet_core.segment` for the same photo.

`ratio` alternates rounds on the app and on `bare_app.py`, both with the app's own server settings, uploads only. `room`
walks all pages, on request while a model is trained. `soak` samples the memory of the web process while visitors come
and after they have gone. `first` measures a server's first page and warm first paints against a page with one chart.

    --photos FOLDER  JPEG photos (default: variations of the sample photo)
    --json FILE      write the figures to this file
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from common import ROOT, described, machine, served, summary, write_figures

from tests.helpers.crowd import Log, crowd, make_photos, truth_of
from tests.helpers.visitor import Visitor
from unet_core.settings import get_settings
from unet_core.train import queue
from unet_core.train.presets import TRAINING_PRESETS
from unet_core.zoo.manifest import load_manifest

PAGES = ("", "Architecture", "Results", "Data", "Train")
CHART = """import streamlit as st
st.title("One chart")
st.line_chart({"value": [1, 3, 2, 4]})
"""


def memory_mb(process: subprocess.Popen) -> float:
    """Return the resident memory of a server's process, without its children, in MB."""
    return psutil.Process(process.pid).memory_info().rss / 1e6


# --- what is measured -------------------------------------------------------------------------------------------------


def ratio(arguments: argparse.Namespace, folder: Path, photos: Sequence[Path]) -> dict[str, Any]:
    """Visits in the same time on the app and on the bare page, alternating."""
    truth, rounds = truth_of(photos), []
    with served(folder) as (ours, our_server), bare(folder) as (theirs, their_server):
        crowd(ours, 2, 3, photos, truth)  # both load their model
        crowd(theirs, 2, 3, photos, {}, page="")
        for _ in range(arguments.rounds):
            with processor_seconds(our_server) as our_seconds:
                app = crowd(ours, arguments.visitors, arguments.seconds, photos, truth)
            with processor_seconds(their_server) as their_seconds:
                page = crowd(theirs, arguments.visitors, arguments.seconds, photos, {}, page="")
            rounds.append({"app": app.figures(), "bare": page.figures()})
            for name, log, seconds in (("app", app, our_seconds), ("bare", page, their_seconds)):
                rounds[-1][name]["processor_ms_per_visit"] = round(1000 * seconds[0] / max(1, log.visits))
                print(name, rounds[-1][name])
            print(f"ratio of visits {app.visits / max(1, page.visits):.2f}")
    visits = [(each["app"]["visits"], each["bare"]["visits"]) for each in rounds]
    return {"rounds": rounds, "ratio": round(statistics.median(app / max(1, page) for app, page in visits), 3)}


@contextmanager
def processor_seconds(process: subprocess.Popen) -> Iterator[list[float]]:
    """Yield a list that afterwards has the processor time that a server took in between, in seconds."""
    watched, taken = psutil.Process(process.pid), []
    before = sum(watched.cpu_times()[:2])
    yield taken
    taken.append(sum(watched.cpu_times()[:2]) - before)


def room(arguments: argparse.Namespace, folder: Path, photos: Sequence[Path]) -> dict[str, Any]:
    """Many visitors on all pages, on request beside a training."""
    truth = truth_of(photos)
    with served(folder, environment(folder)) as (address, process):
        crowd(address, 2, 3, photos, truth)
        with training(folder) if arguments.training else served_nothing():
            log = crowd(address, arguments.visitors, arguments.seconds, photos, truth, others=PAGES)
        figures = log.figures() | {"memory_mb": round(memory_mb(process))}
    print(figures)
    return figures


def soak(arguments: argparse.Namespace, folder: Path, photos: Sequence[Path]) -> dict[str, Any]:
    """The memory of the web process by the minute, with visitors and after they have left."""
    truth, curve = truth_of(photos), []
    with served(folder, environment(folder)) as (address, process):
        started = time.monotonic()

        def sample(what: str) -> None:
            curve.append((round((time.monotonic() - started) / 60, 1), what, round(memory_mb(process))))
            print(*curve[-1])

        sample("started")

        async def once_each() -> None:
            async with Visitor(address) as visitor:
                for page in (*PAGES, "Segment"):
                    await visitor.run(page)

        asyncio.run(once_each())
        sample("every page opened")
        total = Log()
        for _ in range(arguments.minutes):
            log = crowd(address, arguments.visitors, 60, photos, truth, others=PAGES)
            total.errors += log.errors
            total.wrong += log.wrong
            total.visits += log.visits
            sample("visited")
        for _ in range(arguments.after):
            time.sleep(60)
            sample("left")
    return {"curve": curve, "visits": total.visits, "errors": len(total.errors), "wrong": len(total.wrong)}


def first(arguments: argparse.Namespace, folder: Path, photos: Sequence[Path]) -> dict[str, Any]:
    """Seconds until a fresh server's first page is complete, and until the first element of a warm page arrives."""
    cold = []
    for _ in range(arguments.rounds):
        with served(folder) as (address, _):
            cold.append(asyncio.run(_opened(address, "")).seconds)
    chart = folder / "chart.py"
    chart.write_text(CHART, encoding="utf-8")
    warm: dict[str, list[float]] = {}
    with served(folder) as (ours, _), served(folder, script=chart) as (theirs, _):
        for number in range(arguments.rounds + 1):
            for name, address, page in [("one chart", theirs, ""), *((page or "Home", ours, page) for page in PAGES)]:
                seen = asyncio.run(_opened(address, page))
                if number:
                    warm.setdefault(name, []).append(seen.seconds)
    figures = {"cold_s": round(statistics.median(cold), 2)}
    figures |= {f"warm {name}": round(statistics.median(values), 3) for name, values in warm.items()}
    print(figures)
    return figures


async def _opened(address: str, page: str) -> Any:
    async with Visitor(address) as visitor:
        return await visitor.run(page)


@contextmanager
def bare(folder: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """Serve the bare page with the app's default model."""
    settings = get_settings()
    manifest = load_manifest(settings)
    file = manifest.models[manifest.default].files["onnx"].name
    script = ROOT / "benchmarks" / "bare_app.py"
    with served(folder, script=script, arguments=[str(settings.weights_dir / file)]) as server:
        yield server


def environment(folder: Path) -> dict[str, str]:
    """Folders of the server's own, so that nothing of this machine's user is read or written."""
    return {f"UNET_{name.upper()}_DIR": str(folder / name) for name in ("cache", "datasets", "runs")}


@contextmanager
def training(folder: Path) -> Iterator[None]:
    """Train the demo's network on drawn pets for as long as the visitors come, as the app would."""
    settings = get_settings(environment(folder))
    config = TRAINING_PRESETS["demo_60s"].config.replace(epochs=500, time_limit_minutes=10)
    run = queue.submit(config, settings=settings)
    try:
        deadline = time.monotonic() + 120
        while not run.metrics.rows() and time.monotonic() < deadline:
            time.sleep(0.5)
        yield
        if run.status().state != "running":
            raise RuntimeError(f"the training ended early: {run.status()}")
    finally:
        queue.stop(run, settings)


@contextmanager
def served_nothing() -> Iterator[None]:
    """Do nothing."""
    yield


def main() -> None:
    """Measure, print, and write JSON if requested."""
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("what", choices=("ratio", "room", "soak", "first"))
    parser.add_argument("--visitors", type=int, help="visitors at once (default: 8 for ratio, else 25)")
    parser.add_argument("--seconds", type=float, default=15, help="length of a round (default: 15)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of ratio and first (default: 3)")
    parser.add_argument("--minutes", type=int, default=20, help="minutes of visits in soak (default: 20)")
    parser.add_argument("--after", type=int, default=3, help="minutes after the visits in soak (default: 3)")
    parser.add_argument("--training", action="store_true", help="train a model during room")
    parser.add_argument("--photos", type=Path, help="a folder of JPEG photos")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    arguments.visitors = arguments.visitors or (8 if arguments.what == "ratio" else 25)
    about = machine(["streamlit", "onnxruntime"])
    print(described(about))
    measure = {"ratio": ratio, "room": room, "soak": soak, "first": first}[arguments.what]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = sorted(arguments.photos.glob("*.jpg"))[:60] if arguments.photos else make_photos(folder)
        found = measure(arguments, folder, photos)
    write_figures({"machine": about, "what": arguments.what, "visitors": arguments.visitors, **found}, arguments.json)


if __name__ == "__main__":
    main()
