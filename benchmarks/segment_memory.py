"""How much memory the web process takes after the Segment page was used with twenty 12-megapixel photos, repeatedly.

    python benchmarks/segment_memory.py [--photos 20] [--rounds 4] [--megapixels 12] [--megabytes 4.5] [--json FILE]

Starts the app as a server, and a headless Chromium as a visitor. A round uploads all photos at once, waits for their
cards, draws them as overlays, opens three of them in turn, downloads a view of one and the contact sheet, and
removes all photos. The resident memory of the server process is recorded: the largest value after a round's use, and
its growth from round to round. Needs Playwright and Chromium (requirements-dev.txt).
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from common import CHROMIUM, as_json, served, summary, write_figures  # noqa: E402

from unet_core.images.samples import cat_png  # noqa: E402

TARGET_MB = 400
GROWTH_MB = 20  # from the second round on; the first one includes one-time loading
PATIENCE = 600_000  # milliseconds


def main() -> None:
    """Measure, print a line per round, and write JSON if requested."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        folders = {f"UNET_{name.upper()}_DIR": f"{folder}/{name}" for name in ("cache", "datasets", "runs", "data")}
        photos = write_photos(Path(folder) / "photos", arguments.photos, arguments.megapixels, arguments.megabytes)
        with served(Path(folder), folders) as (address, process):
            report = used(address, process, photos, arguments.rounds)
    after = [each["used_mb"] for each in report["rounds"]]
    report |= {
        "photos": len(photos),
        "megabytes_in_all": report["uploaded_mb"],
        "largest_after_use_mb": max(after),
        "growth_after_first_mb": round(after[-1] - after[min(1, len(after) - 1)], 1),
        "target_mb": TARGET_MB,
    }
    report["met"] = report["largest_after_use_mb"] <= TARGET_MB and report["growth_after_first_mb"] <= GROWTH_MB
    print(as_json(report))
    write_figures(report, arguments.json)
    sys.exit(0 if report["met"] else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("--photos", type=int, default=20, help="photos per round (default: 20)")
    parser.add_argument("--rounds", type=int, default=4, help="number of rounds (default: 4)")
    parser.add_argument("--megapixels", type=float, default=12, help="of a photo (default: 12)")
    parser.add_argument("--megabytes", type=float, default=4.5, help="approximate size of a photo file (default: 4.5)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args()


def write_photos(folder: Path, count: int, megapixels: float, megabytes: float) -> list[Path]:
    """Write JPEG files, each with its own grain: the sample cat, enlarged."""
    folder.mkdir()
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    size = round(megapixels * 1e6 / height), height
    cat = Image.open(io.BytesIO(cat_png())).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    pixels = np.asarray(cat).astype(np.int16)
    grain = np.random.default_rng(0).normal(0, 4, (*size[::-1], 1)).astype(np.int16)
    paths = []
    quality = None
    for number in range(count):
        picture = Image.fromarray((pixels + np.roll(grain, 37 * number, axis=0)).clip(0, 255).astype(np.uint8))
        quality = quality or _quality(picture, megabytes)
        paths.append(folder / f"photo-{number + 1}.jpg")
        picture.save(paths[-1], quality=quality)
    return paths


def _quality(picture: Image.Image, megabytes: float) -> int:
    """Return the highest JPEG quality whose file is no larger than requested."""
    for quality in range(97, 50, -1):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= megabytes * 1e6:
            return quality
    return 50


def used(address: str, process: subprocess.Popen, photos: list[Path], rounds: int) -> dict:
    """Use the page as a visitor does and return the server's memory."""
    from playwright.sync_api import sync_playwright

    report: dict = {"uploaded_mb": round(sum(path.stat().st_size for path in photos) / 1e6, 1), "rounds": []}
    with sync_playwright() as playwright, Peak(process.pid) as peak:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}/Segment")
        _settle(page)
        report["start_mb"] = resident_mb(process.pid)
        for number in range(rounds):
            page.set_input_files("input[type=file]", [str(path) for path in photos])
            _cards(page).nth(len(photos) - 1).wait_for(state="attached")
            _settle(page)
            _use(page)
            time.sleep(2)  # freed memory is returned to the system after a moment
            found = {"round": number + 1, "used_mb": resident_mb(process.pid)}
            page.get_by_role("button", name="Remove all").click()
            page.get_by_text("No photo at hand?").wait_for()
            _settle(page)
            time.sleep(2)  # freed memory is returned to the system after a moment
            found |= {"emptied_mb": resident_mb(process.pid), "peak_mb": peak.taken()}
            report["rounds"].append(found)
            print(found, flush=True)
        browser.close()
    return report


def _use(page) -> None:
    """Open three photos one after the other, and download the view of one and the contact sheet."""
    page.get_by_role("radio", name="overlays", exact=True).click()
    page.wait_for_url("**cards=overlays*")
    _settle(page)
    for number in range(3):
        _cards(page).nth(number).click()
        page.get_by_role("button", name="All photos").wait_for()
        _settle(page)
        if number == 0:
            _download(page, "Download this view")
        page.get_by_role("button", name="All photos").click()
        _cards(page).nth(1).wait_for()
        _settle(page)
    _download(page, "Contact sheet (PNG)")


def _cards(page):
    """Return the pictures of the photos that have been segmented."""
    return page.get_by_role("list", name="Photos").locator("img")


def _download(page, label: str) -> None:
    with page.expect_download() as pending:
        page.get_by_role("button", name=label).first.click()
    pending.value.path()


def _settle(page) -> None:
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(500)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process in megabytes (10⁶ bytes)."""
    return round(psutil.Process(pid).memory_info().rss / 1e6, 1)


class Peak(threading.Thread):
    """Samples a process's memory many times per second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._largest, self._ended = pid, 0.0, threading.Event()

    def run(self) -> None:
        """Sample until the end."""
        while not self._ended.wait(0.02):
            self._largest = max(self._largest, resident_mb(self._pid))

    def taken(self) -> float:
        """Return the largest value since the last call."""
        largest, self._largest = self._largest, 0.0
        return largest

    def __enter__(self) -> Peak:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


if __name__ == "__main__":
    main()
