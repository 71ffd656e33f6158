"""Films the explainer in a headless browser: a photo's way through a network, a skip connection off, a bug found.

    python docs/film.py [--out docs/explainer.webp]

Starts the app as a server and writes an animated WebP. Needs Playwright and Chromium (requirements-dev.txt).
"""

from __future__ import annotations

import argparse
import base64
import io
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from common import CHROMIUM, served, summary  # noqa: E402

WINDOW = {"width": 1280, "height": 960}
WIDTH = 860  # pixels of the film
A_SECOND = 8  # pictures
LAST = 1500  # milliseconds that the last picture stays
PATIENCE = 60_000  # milliseconds
SPEED = "2"  # of the pictures that go through the network


def main() -> None:
    """Film all scenes and write the file."""
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "explainer.webp", help="the film")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folders = {f"UNET_{name.upper()}_DIR": f"{folder}/{name}" for name in ("cache", "datasets", "runs", "data")}
        with served(Path(folder), folders) as (address, _):
            pictures = filmed(address)
    written = encoded(pictures)
    arguments.out.write_bytes(written)
    print(f"{arguments.out}: {len(pictures)} pictures, {len(written) / 1e6:.1f} MB")


def filmed(address: str) -> list[tuple[float, bytes]]:
    """Play the scenes; return the browser's pictures as JPEG with their times in seconds."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=WINDOW)
        page.set_default_timeout(PATIENCE)
        found: list[tuple[float, bytes]] = []
        for scene in (play, switch_off, find_the_bug):
            page.goto(f"{address}/Architecture?{ADDRESSES[scene]}")
            settle(page)
            found += recorded(page, scene)
        browser.close()
    return found


def recorded(page: Any, scene: Any) -> list[tuple[float, bytes]]:
    """Return what the browser paints during a scene."""
    session = page.context.new_cdp_session(page)
    found: list[tuple[float, bytes]] = []

    def take(event: dict[str, Any]) -> None:
        found.append((event["metadata"]["timestamp"], base64.b64decode(event["data"])))
        session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    session.on("Page.screencastFrame", take)
    session.send("Page.startScreencast", {"format": "jpeg", "quality": 90, "everyNthFrame": 1})
    scene(page)
    page.wait_for_timeout(1500)
    session.send("Page.stopScreencast")
    session.detach()
    found.append((time.time(), page.screenshot(type="jpeg", quality=90)))
    return found


def play(page: Any) -> None:
    """Play a photo's way through the network to its mask."""
    page.get_by_role("combobox", name="Speed").select_option(SPEED)
    page.get_by_role("button", name="Play", exact=True).click()
    last = time.monotonic() + 40
    while (
        page.get_by_role("slider", name="Step").evaluate("step => Number(step.value) < Number(step.max)")
        and time.monotonic() < last
    ):
        page.wait_for_timeout(250)


def switch_off(page: Any) -> None:
    """Switch skip connections off, the deepest and then the finest."""
    for name in ("Deepest off", "All on", "Finest off"):
        page.get_by_role("button", name=name, exact=True).click()
        settle(page)
        page.wait_for_timeout(2500)


def find_the_bug(page: Any) -> None:
    """Paste a network whose shapes break."""
    page.get_by_role("button", name=EXAMPLE, exact=True).click()
    settle(page)
    page.wait_for_timeout(2500)


EXAMPLE = "The paper's network"
ADDRESSES = {
    play: "tab=Experiment",
    switch_off: "tab=Experiment&experiment=Switch+it+off",
    find_the_bug: "tab=Find+your+bug",
}


def settle(page: Any) -> None:
    """Wait until the page has run."""
    page.wait_for_timeout(700)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def encoded(pictures: list[tuple[float, bytes]]) -> bytes:
    """Return the pictures as an animated WebP, `A_SECOND` a second, without those that show nothing new."""
    frames: list[Image.Image] = []
    durations: list[int] = []
    shown_until = 0.0
    for (when, data), (following, _) in zip(pictures, [*pictures[1:], (pictures[-1][0], b"")]):
        if durations and when < shown_until:
            continue
        shown_until = when + 1 / A_SECOND
        image = Image.open(io.BytesIO(data)).convert("RGB")
        frames.append(image.resize((WIDTH, round(WIDTH * image.height / image.width)), Image.Resampling.LANCZOS))
        durations.append(round(1000 * min(2.0, max(1 / A_SECOND, following - when))))
    durations[-1] = LAST
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "WEBP", save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=60, method=4
    )
    return buffer.getvalue()


if __name__ == "__main__":
    main()
