"""Measure the live camera: pictures a second and latency in a real browser over loopback, alone and beside others.

    python benchmarks/live.py [--seconds 10] [--json FILE]

Chromium plays a film of the sample photo as its camera. Beside it, visitors upload photos without pause
(see benchmarks/visitors.py), whose times are compared with and without the camera.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import CHROMIUM, as_json, described, machine, served, summary, write_figures

from tests.helpers.film import film
from tests.helpers.visitor import Visitor
from unet_core.images.samples import cat_png

_FRAMES = 60
_WARM_UP_SECONDS = 4


def main() -> int:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("--seconds", type=float, default=10, help="length of each measurement (default: 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    arguments = parser.parse_args()
    about = machine(["streamlit", "onnxruntime"])
    print(described(about))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, photo = film(folder / "cat.mjpeg", _FRAMES), folder / "cat.png"
        photo.write_bytes(cat_png())
        with served(folder) as (address, _):
            alone = asyncio.run(_photos(address, photo, arguments.seconds))
            report: dict[str, Any] = {"machine": about, "seconds": arguments.seconds}
            report |= _live(address, path, photo, arguments.seconds)
            report["photos without live"] = alone
    print(as_json({key: value for key, value in report.items() if key != "machine"}))
    write_figures(report, arguments.json)
    return 0


def _live(address: str, film: Path, photo: Path, seconds: float) -> dict[str, Any]:
    """Return the camera's figures alone and beside a visitor who uploads photos, and that visitor's."""
    from playwright.sync_api import sync_playwright

    switches = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*switches, f"--use-file-for-fake-video-capture={film}"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{address}/Segment")
        page.get_by_text("Camera", exact=True).click()
        camera = page.locator("section[aria-label='Live camera'][data-state=running]")
        camera.wait_for()
        time.sleep(_WARM_UP_SECONDS)
        alone = _figures(camera, lambda: time.sleep(seconds))
        times: list[dict[str, float]] = []
        with_photos = _figures(camera, lambda: times.append(_in_thread(address, photo, seconds)))
        browser.close()
    return {"live alone": alone, "live beside photos": with_photos, "photos beside live": times[0]}


def _in_thread(address: str, photo: Path, seconds: float) -> dict[str, float]:
    """Run the visitor beside Playwright, which has an event loop of its own in this thread."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(_photos(address, photo, seconds))).result()


def _figures(camera: Any, wait: Any) -> dict[str, float]:
    """Return pictures a second while `wait` runs, and the latency in milliseconds at its end."""
    first, start = int(camera.get_attribute("data-pictures")), time.perf_counter()
    wait()
    count, elapsed = int(camera.get_attribute("data-pictures")) - first, time.perf_counter() - start
    return {
        "pictures a second": round(count / elapsed, 1),
        "latency, ms": float(camera.get_attribute("data-latency")),
    }


async def _photos(address: str, photo: Path, seconds: float) -> dict[str, float]:
    """Upload a photo again and again as new visitors, and return how long its result takes, in seconds."""
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or not times:
        async with Visitor(address) as visitor:
            page = await visitor.run("Segment")
            start = time.perf_counter()
            state = await visitor.upload(page.element("file_uploader"), photo)
            seen = await visitor.run("Segment", states=(state,))
            times.append(time.perf_counter() - start)
            assert not seen.errors, seen.errors
    return {"photos": len(times), "median, s": round(statistics.median(times), 3), "longest, s": round(max(times), 3)}


if __name__ == "__main__":
    sys.exit(main())
