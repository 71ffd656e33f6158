"""A Dask scheduler and workers, each a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.helpers.processes import wait_until
from tests.helpers.server import free_port
from unet_core.settings import ROOT


class DaskProcesses:
    """A scheduler and its workers, ended with the `with` block.

    Args:
        folder: for logs and the workers' files.
        options: of the scheduler and the workers, such as those for TLS.
        environment: variables beside this process's own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        protocol: str = "tcp",
        options: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"{protocol}://127.0.0.1:{self.port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._options = options
        self._environment = environment or {}
        self._started = 0
        self.scheduler = self.start_scheduler()

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """Start the scheduler, also again on the same port, and wait until it listens."""
        self.scheduler = self._start("scheduler", "--host", self.address.rpartition(":")[0], "--port", str(self.port))
        log = self._log()
        wait_until(
            lambda: b"Scheduler at:" in log.read_bytes() or self.scheduler.poll() is not None, "the scheduler", 60
        )
        assert self.scheduler.poll() is None, log.read_text()
        return self.scheduler

    def start_worker(
        self,
        *options: str,
        wait: bool = True,
        environment: dict[str, str] | None = None,
        folder: Path = ROOT,
    ) -> int:
        """Start a worker with one thread, and return its process id.

        Args:
            options: of `dask worker`.
            wait: until it has registered.
            environment: variables beside those of all workers.
            folder: where it is started.
        """
        places = ("--local-directory", str(self.folder / f"worker{self._started}"))
        host = self.address.rpartition(":")[0]
        standard = ("--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--host", host, *places)
        process = self._start("worker", self.address, *standard, *options, environment=environment, folder=folder)
        self.workers.append(process)
        if wait:
            self._wait_for(b"Registered to:", process)
        return process.pid

    def _wait_for(self, words: bytes, process: subprocess.Popen[bytes]) -> None:
        log = self._log()
        wait_until(lambda: words in log.read_bytes() or process.poll() is not None, words.decode(), 60)
        assert process.poll() is None, log.read_text()

    def _start(
        self, kind: str, *arguments: str, environment: dict[str, str] | None = None, folder: Path = ROOT
    ) -> subprocess.Popen[bytes]:
        self._started += 1
        with self._log().open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", kind, *arguments, "--dashboard-address", "127.0.0.1:0", *self._options],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self._environment, **(environment or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _log(self) -> Path:
        return self.folder / f"dask{self._started}.log"

    def logs(self) -> str:
        """Return what all processes have printed."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("dask*.log")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()
