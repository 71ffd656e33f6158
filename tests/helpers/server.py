"""The app as a process of its own, with folders of its own and a tiny model."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.processes import wait_until
from tests.helpers.tiny_model import write_tiny_model
from unet_core.settings import ROOT

APP = ("-m", "streamlit", "run", "streamlit_app.py", "--server.headless", "true")


@dataclass(frozen=True)
class Server:
    """A running app: its address, its process and its log."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path


def free_port() -> int:
    """Return a TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def started(
    folder: Path,
    *,
    port: int | None = None,
    command: Sequence[str] = APP,
    environment: dict[str, str] | None = None,
    base: str = "",
) -> Iterator[Server]:
    """Run the app until the block ends.

    Args:
        folder: for its log, its data and its tiny model.
        port: by default a free one.
        command: what `python` runs; server options are added.
        environment: variables beside this process's own.
        base: the path below which the environment puts the app.
    """
    port, log = port or free_port(), folder / "log.txt"
    folders = {f"UNET_{name.upper()}_DIR": str(folder / name) for name in ("cache", "data", "datasets", "runs")}
    weights = {"UNET_WEIGHTS_DIR": str(write_tiny_model(folder / "weights"))}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *command, "--server.port", str(port), "--server.address", "127.0.0.1"],
            cwd=ROOT,
            env={**os.environ, **folders, **weights, **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_until(lambda: process.poll() is not None or is_healthy(server.address + base), "the server", 60)
        assert process.poll() is None, log.read_text()
        yield server
    finally:
        process.kill()
        process.wait()


def is_healthy(address: str) -> bool:
    """Return whether an app answers at this address."""
    try:
        return get(f"{address}/_stcore/health") == "ok"
    except OSError:
        return False


def get(address: str) -> str:
    """Return the text at an address."""
    with urllib.request.urlopen(address, timeout=30) as answer:
        return answer.read().decode()
