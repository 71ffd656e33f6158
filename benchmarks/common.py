"""What the benchmarks share: the description of the machine, the app as a server, and the file of the figures."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from unet_core.machine import available_cores  # noqa: E402
from unet_core.train.environment import processor_name  # noqa: E402

CHROMIUM = "/usr/bin/chromium"
_START_SECONDS = 120


def summary(docstring: str | None) -> str:
    """Return the first line of a module's docstring, for its help text."""
    return (docstring or "").partition("\n")[0]


def machine(packages: Sequence[str]) -> dict[str, Any]:
    """Return the machine of a measurement: processor, cores, load, system, Python and the packages' versions."""
    return {
        "processor": processor_name(),
        "cores": available_cores(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,  # over 1 minute; 0 = idle
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in packages},
    }


def described(about: Mapping[str, Any]) -> str:
    """Return what `machine` returned as two lines of text."""
    versions = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    gpus = f", {about['gpus']} GPUs" if "gpus" in about else ""
    place = f"{about['processor']}, {about['cores']} cores{gpus}, load {about['load']}"
    return f"{place}\nPython {about['python']}, {versions}"


def as_json(report: Mapping[str, object]) -> str:
    """Return the figures as indented JSON."""
    return json.dumps(report, indent=2, ensure_ascii=False)


def write_figures(report: Mapping[str, object], file: Path | None) -> None:
    """Write the figures as JSON to a file, if one is given."""
    if file is not None:
        file.write_text(as_json(report) + "\n", encoding="utf-8")


def free_port() -> int:
    """Return a TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    script: Path = ROOT / "streamlit_app.py",
    arguments: Sequence[str] = (),
) -> Iterator[tuple[str, subprocess.Popen]]:
    """Run the app, or another script with the app's server settings, on a free port; its log goes to `folder`.

    Yields its address and its process.

    Raises:
        RuntimeError: it did not start; the text ends with its log.
    """
    port = free_port()
    address, log = f"http://localhost:{port}", folder / f"{script.stem}.log"
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless", "true"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--server.port", str(port), "--", *arguments],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not _is_up(address):
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError(f"the app did not start: {log.read_text()[-2000:]}")
                time.sleep(0.2)
            yield address, process
        finally:
            process.terminate()
            process.wait(_START_SECONDS)  # slow on a busy machine, and the figures are not written yet


def _is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
            return True
    except OSError:
        return False
