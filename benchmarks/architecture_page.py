"""How long the Architecture page takes to appear and to react to a change, in a real browser on this machine.

    python benchmarks/architecture_page.py [--rounds 10] [--json FILE]

"first paint" is the time from the request to the drawn U diagram, in a new visitor's browser; the very first one also
imports what the page needs. "change" is the time from choosing another preset to its number of parameters on the page.
"script" is the processor time of one run of the page's script alone, by section. architecture_speed.py measures the
trace and what is derived from it. Needs Playwright and Chromium.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from common import CHROMIUM, served, summary, write_figures  # noqa: E402
from streamlit.testing.v1 import AppTest  # noqa: E402

from ui.architecture import options  # noqa: E402
from ui.shared import frame  # noqa: E402
from unet_core.train.environment import processor_name  # noqa: E402

PRESETS = {"Subclassed U-Net": "1\u202f862\u202f849", "The U-Net paper (2015)": "31\u202f030\u202f658"}  # parameters


def main() -> None:
    """Measure, print, and write JSON if requested."""
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("--rounds", type=int, default=10, help="number of repetitions (default: 10)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    report = {
        "machine": processor_name(),
        "load": round(os.getloadavg()[0], 1),  # over one minute; 0 = idle
        "rounds": arguments.rounds,
        "script_cpu_ms": {tab: script_cpu(tab, arguments.rounds) for tab in options.SECTIONS},
        **in_the_browser(arguments.rounds),
    }
    for name, value in report.items():
        print(f"{name}: {value}")
    write_figures(report, arguments.json)


def script_cpu(tab: str, rounds: int) -> float:
    """Return the median processor time of one run of the page with warm caches, in milliseconds."""
    logging.disable(logging.WARNING)
    app = AppTest.from_file(str(ROOT / frame.HOME.script), default_timeout=60)
    app.switch_page(frame.ARCHITECTURE.script)
    app.query_params.update(tab=tab, layer="encoder2_conv1")
    app.run()
    values = []
    for _ in range(rounds):
        start = time.process_time()
        app.run()
        values.append(1000 * (time.process_time() - start))
    return round(statistics.median(values), 1)


def in_the_browser(rounds: int) -> dict[str, Any]:
    """Return the times of first paints and changes, in milliseconds."""
    from playwright.sync_api import sync_playwright

    program = CHROMIUM if Path(CHROMIUM).exists() else shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        paints = [first_paint(browser, address) for _ in range(rounds + 1)]
        changes = changed(browser, address, rounds)
        browser.close()
    return {
        "first_paint_of_the_server_ms": round(paints[0]),
        "first_paint_ms": round(statistics.median(paints[1:])),
        "first_paint_fastest_ms": round(min(paints[1:])),
        "change_ms": round(statistics.median(changes)),
        "change_fastest_ms": round(min(changes)),
    }


def first_paint(browser: Any, address: str) -> float:
    """Return the milliseconds until a new visitor sees the diagram."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    start = time.perf_counter()
    page.goto(f"{address}/Architecture")
    page.locator(".view svg.u-diagram[width]").wait_for(timeout=60_000)
    taken = 1000 * (time.perf_counter() - start)
    context.close()
    return taken


def changed(browser: Any, address: str, rounds: int) -> list[float]:
    """Return the milliseconds that each change of the preset takes."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{address}/Architecture")
    page.locator(".view svg.u-diagram[width]").wait_for(timeout=60_000)
    taken = []
    for number in range(rounds):
        title, parameters = list(PRESETS.items())[number % 2]
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        page.get_by_role("combobox", name="Preset").click()
        option = page.get_by_role("option", name=title, exact=True)
        option.wait_for()
        start = time.perf_counter()
        option.click()
        page.get_by_text(parameters, exact=True).first.wait_for()
        taken.append(1000 * (time.perf_counter() - start))
    return taken


if __name__ == "__main__":
    main()
