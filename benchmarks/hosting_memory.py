"""The memory of the web process and of the processes it starts, after each thing that a visitor can do but training.

    python benchmarks/hosting_memory.py [--photos FOLDER] [--json FILE]

Proportional set size, in MB (Linux only): pages shared by several processes are counted once. The largest sum is
sampled several times a second, so a process that lives for a moment counts too.

    --photos FOLDER  JPEG photos (default: variations of the sample photo)
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from common import described, machine, served, summary, write_figures
from visitors import environment, make_photos

from tests.helpers.visitor import Visitor

SAMPLE_SECONDS = 0.15
SETTLE_SECONDS = 0.7  # after a page was read: what it starts in the background
AT_ONCE = 8

PAGES = (
    *(("Architecture", f"tab={tab}") for tab in ("Layers", "Shape+doctor", "Feature+maps", "Code", "Compare")),
    ("", ""),
    ("Segment", "sample=cat"),
    ("Train", ""),
    *(
        ("Results", f"figures={section}")
        for section in ("Compare", "Classes+and+breeds", "Everyday+photos", "Reliability", "Gallery", "Measure+here")
    ),
    *(
        ("Data", f"data=synthetic&section={section}")
        for section in ("Browse", "Statistics", "Augmentation", "Pitfalls")
    ),
)
TENSORFLOW = "engine=TensorFlow"


class Watch:
    """Samples the memory of a process and of those it started, until it ends."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self._ended, self._peak = psutil.Process(process.pid), threading.Event(), 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            with contextlib.suppress(psutil.Error, OSError):
                self._peak = max(self._peak, sum(self._sizes()))

    def _sizes(self) -> list[float]:
        sizes = [_pss_mb(self._process.pid)]
        for child in self._process.children(recursive=True):
            with contextlib.suppress(OSError):  # it has just ended
                sizes.append(_pss_mb(child.pid))
        return sizes

    def figures(self, what: str) -> dict[str, object]:
        """Return what is used now and the largest sum since the last call."""
        web = self._sizes()[0]
        peak, self._peak = max(self._peak, web), 0.0
        print(f"{what:<48} web process {web:6.0f} MB   all, at most {peak:6.0f} MB", flush=True)
        return {"after": what, "web_mb": round(web), "all_peak_mb": round(peak)}

    def end(self) -> None:
        """Stop sampling."""
        self._ended.set()
        self._thread.join()


def _pss_mb(process_id: int) -> float:
    lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


async def _read(address: str, page: str, query: str) -> None:
    async with Visitor(address) as visitor:
        await visitor.run(page, query)
        await asyncio.sleep(SETTLE_SECONDS)


async def _segment(address: str, photo: Path, query: str = "", stay: float = 0.0) -> None:
    async with Visitor(address) as visitor:
        page = await visitor.run("Segment", query)
        state = await visitor.upload(page.element("file_uploader"), photo)
        await visitor.run("Segment", query, (state,))
        await asyncio.sleep(stay)


async def measure(address: str, watch: Watch, photos: Sequence[Path]) -> list[dict[str, object]]:
    """Do one thing after the other and return the memory after each."""
    found = [watch.figures("the start")]
    for page, query in PAGES:
        await _read(address, page, query)
    found.append(watch.figures("every page and section"))
    for photo in photos[:AT_ONCE]:
        await _segment(address, photo)
    found.append(watch.figures(f"{AT_ONCE} photos, one after the other"))
    await asyncio.gather(*(_segment(address, photo, stay=2) for photo in photos[:AT_ONCE]))
    found.append(watch.figures(f"{AT_ONCE} visitors segment a photo at the same time"))
    await _segment(address, photos[0], TENSORFLOW, stay=1)
    found.append(watch.figures("the TensorFlow engine"))
    return found


def main() -> None:
    """Run the app in folders of its own, measure, and print."""
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("--photos", type=Path, help="a folder of JPEG photos (default: variations of the sample photo)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    about = machine(("streamlit", "onnxruntime", "tensorflow"))
    print(described(about))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = sorted(arguments.photos.glob("*.jpg")) if arguments.photos else make_photos(folder)
        with served(folder, environment(folder)) as (address, process):
            watch = Watch(process)
            time.sleep(1)
            found = asyncio.run(measure(address, watch, photos))
            watch.end()
    write_figures({"machine": about, "memory": found}, arguments.json)


if __name__ == "__main__":
    main()
