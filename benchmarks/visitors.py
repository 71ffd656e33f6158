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
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from common import ROOT, described, machine, served, summary, write_figures
from PIL import Image, ImageEnhance, ImageOps

from tests.helpers.visitor import Visitor
from unet_core.settings import get_settings
from unet_core.train import queue
from unet_core.train.config import TrainConfig
from unet_core.zoo.manifest import load_manifest

PAGES = ("", "Architecture", "Results", "Data", "Train")
TOLERANCE = 0.01  # of a share: the page rounds to 0.1 %
CHART = """import streamlit as st
st.title("One chart")
st.line_chart({"value": [1, 3, 2, 4]})
"""


@dataclass
class Log:
    """What a group of visitors met."""

    page_seconds: list[float] = field(default_factory=list)
    photo_seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unread: int = 0
    right: int = 0
    visits: int = 0
    message_bytes: int = 0

    def figures(self) -> dict[str, Any]:
        """Return counts, and the median and 95th percentile of the waiting times in seconds."""
        return {
            "visits": self.visits,
            "right": self.right,
            "wrong": len(self.wrong),
            "unread": self.unread,
            "errors": len(self.errors),
            "photo_p50_s": quantile(self.photo_seconds, 0.5),
            "photo_p95_s": quantile(self.photo_seconds, 0.95),
            "page_p50_s": quantile(self.page_seconds, 0.5),
            "page_p95_s": quantile(self.page_seconds, 0.95),
            "kb_per_visit": round(self.message_bytes / 1000 / max(1, self.visits), 1),
            "first_errors": sorted(set(self.errors))[:4],
            "first_wrong": self.wrong[:4],
        }


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value below which `share` of the values lie, None if there are none."""
    return round(sorted(values)[min(len(values) - 1, int(len(values) * share))], 3) if values else None


# --- photos and the truth about them ----------------------------------------------------------------------------------


def make_photos(folder: Path, count: int = 24) -> list[Path]:
    """Write variations of the sample photo: cut, mirrored and tinted, so that no two have the same result."""
    from ui.home.live_example import sample_photo
    from unet_core.images.decode import decode_image

    original = Image.fromarray(decode_image(sample_photo().data))
    chance, paths = random.Random(0), []
    for number in range(count):
        width, height = original.size
        share = chance.uniform(0.55, 1.0)
        left, top = chance.uniform(0, 1 - share) * width, chance.uniform(0, 1 - share) * height
        photo = original.crop((int(left), int(top), int(left + share * width), int(top + share * height)))
        photo = ImageOps.mirror(photo) if number % 2 else photo
        photo = ImageEnhance.Brightness(photo).enhance(chance.uniform(0.8, 1.2))
        paths.append(folder / f"photo-{number:02}.jpg")
        photo.save(paths[-1], quality=90)
    return paths


def truth_of(photos: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Return each photo's shares by class as the library computes them."""
    import unet_core as unet

    return {photo.name: dict(unet.segment(photo).shares) for photo in photos}


# --- visitors ---------------------------------------------------------------------------------------------------------


async def visit(
    address: str,
    number: int,
    stop: float,
    photos: Sequence[Path],
    truth: Mapping[str, Mapping[str, float]],
    log: Log,
    page: str,
    others: Sequence[str],
) -> None:
    """Visit until the time `stop`, and write down what was met."""
    chance = random.Random(number)
    while time.monotonic() < stop:
        try:
            async with Visitor(address) as visitor:
                opened = await visitor.run(page)
                log.page_seconds.append(opened.seconds)
                photo = chance.choice(photos)
                started = time.perf_counter()
                state = await visitor.upload(opened.element("file_uploader"), photo)
                shown = await visitor.run(page, states=(state,))
                log.photo_seconds.append(time.perf_counter() - started)
                log.errors += opened.errors + shown.errors
                log.message_bytes += opened.message_bytes + shown.message_bytes
                _compare(shown.shares(("pet", "background", "border")), photo.name, truth, log)
                if others:
                    other = await visitor.run(chance.choice(others))
                    log.page_seconds.append(other.seconds)
                    log.errors += other.errors
            log.visits += 1
        except Exception as error:  # whatever a visitor may meet is a figure
            log.errors.append(f"{type(error).__name__}: {error}"[:200])
            await asyncio.sleep(0.5)


def _compare(found: Mapping[str, float], name: str, truth: Mapping[str, Mapping[str, float]], log: Log) -> None:
    wanted = truth.get(name)
    if not found:
        log.unread += 1
    elif wanted is None or all(abs(found.get(label, 0) - share) <= TOLERANCE for label, share in wanted.items()):
        log.right += 1
    else:
        log.wrong.append(f"{name}: {found} instead of {dict(wanted)}")


def crowd(
    address: str,
    visitors: int,
    seconds: float,
    photos: Sequence[Path],
    truth: Mapping[str, Mapping[str, float]],
    *,
    page: str = "Segment",
    others: Sequence[str] = (),
) -> Log:
    """Let `visitors` come at once for `seconds`; return what they met together."""
    log, stop = Log(), time.monotonic() + seconds

    async def everybody() -> None:
        await asyncio.gather(
            *(visit(address, number, stop, photos, truth, log, page, others) for number in range(visitors))
        )

    asyncio.run(everybody())
    return log


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
    run = queue.submit(TrainConfig(data="synthetic", epochs=500), settings=settings)
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
