"""The app as the README starts it, on a free port, and a headless Chromium to use it with."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.tiny_model import write_tiny_model
from unet_core.settings import ROOT

BROWSERS = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_SECONDS = 60
WIDE, NARROW = (1440, 900), (390, 844)
PATIENCE = 30_000  # milliseconds


def missing(reason: str) -> None:
    """Skip with the reason, or fail where a browser is required."""
    if os.environ.get("UNET_REQUIRE_BROWSER") == "1":
        pytest.fail(f"UNET_REQUIRE_BROWSER=1, but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """A headless Chromium; skips with a reason where it or Playwright is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("Playwright is not installed: pip install -r requirements-dev.txt")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        missing("there is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


def serve(command: list[str], environment: dict[str, str], port: int, log: Path) -> Iterator[str]:
    """Run a Streamlit server and yield its address; at the end, no traceback may stand in its log."""
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait_until_up(f"http://localhost:{port}/_stcore/health", server, log)
            yield f"http://localhost:{port}"
        finally:
            server.terminate()
            server.wait(10)
    assert "Traceback" not in log.read_text(), log.read_text()[-3000:]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The app's own folders by name: "cache", "data", "datasets", "runs"."""
    own = tmp_path_factory.mktemp("own")
    # No dataset either: what the gallery shows would depend on how far the copy of it has come.
    return {name: own / name for name in ("cache", "data", "datasets", "runs")}


def serve_app(folders: dict[str, Path], own: Path, variables: dict[str, str] | None = None) -> Iterator[str]:
    """Run the app as the README says; with the shipped model, or a tiny one where there is none.

    Args:
        folders: the app's own, see the fixture.
        own: an empty folder for the server's log and the tiny model.
        variables: of its environment, beside those of this process.
    """
    environment = {**os.environ, **{f"UNET_{name.upper()}_DIR": str(folder) for name, folder in folders.items()}}
    if not (ROOT / "weights" / "manifest.json").exists():
        environment["UNET_WEIGHTS_DIR"] = str(write_tiny_model(own / "weights"))
    port = free_port()
    command = [sys.executable, "-m", *_readme_command(), "--server.headless", "true", "--server.port", str(port)]
    yield from serve(command, environment | (variables or {}), port, own / "log.txt")


@pytest.fixture(scope="session")
def app(browser: object, folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the app."""
    yield from serve_app(folders, tmp_path_factory.mktemp("server"))


@pytest.fixture
def visit(browser, app: str) -> Iterator[Callable]:
    """Open an address of the app in a fresh visitor's browser; at the end, nothing may have left this machine."""
    contexts, requests = [], []

    def open_address(path: str = "", size: tuple[int, int] = WIDE, theme: str = "light", *, touch: bool = False):
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=theme, has_touch=touch, is_mobile=touch
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: requests.append(request.url))
        page.goto(f"{app}/{path}")
        return page

    yield open_address
    for context in contexts:
        context.close()
    strangers = [url for url in requests if not url.startswith((app, app.replace("http", "ws"), "data:", "blob:"))]
    assert not strangers, f"requests that left this machine: {strangers[:3]}"


@pytest.fixture(scope="session")
def screenshots() -> Path | None:
    """Folder to put screenshots into, if UNET_SCREENSHOTS names one."""
    name = os.environ.get("UNET_SCREENSHOTS")
    if not name:
        return None
    folder = ROOT / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _readme_command() -> list[str]:
    """Return the last step of the README's command that starts the app, from "streamlit" on."""
    found = re.search(r"<!-- run-command -->\s*```\w*\n(.+)\n", (ROOT / "README.md").read_text())
    assert found, "README.md has no command after <!-- run-command -->"
    program, *arguments = found[1].split("&&")[-1].split()
    assert Path(program).name == "streamlit", f"the README starts the app with {program}"
    return ["streamlit", *arguments]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_up(address: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the app did not start: {log.read_text()[-2000:]}")
