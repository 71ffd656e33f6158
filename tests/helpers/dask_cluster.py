"""A Dask scheduler and workers, each a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.helpers.processes import wait_until
from tests.helpers.server import free_port
from unet_core.settings import ROOT


@dataclass(frozen=True)
class Host:
    """Where a process is started: its address there, and what its command begins with."""

    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()


HERE = Host()


@contextlib.contextmanager
def network_namespaces(count: int) -> Iterator[list[Host]]:
    """Make hosts of their own on this machine, each with its own network, connected by a bridge; needs root on Linux.

    Raises:
        OSError: the system does not allow it.
    """
    bridge = f"un{os.getpid()}"
    names = [f"{bridge}h{number}" for number in range(count)]
    hosts = [Host(f"10.199.77.{10 + number}", ("ip", "netns", "exec", name)) for number, name in enumerate(names)]
    try:
        _ip(f"link add {bridge} type bridge", f"addr add 10.199.77.1/24 dev {bridge}", f"link set {bridge} up")
        for number, (name, host) in enumerate(zip(names, hosts)):
            _ip(f"netns add {name}", f"link add {bridge}v{number} type veth peer name eth0 netns {name}")
            _ip(f"link set {bridge}v{number} master {bridge} up", f"-n {name} link set lo up")
            _ip(f"-n {name} addr add {host.address}/24 dev eth0", f"-n {name} link set eth0 up")
        yield hosts
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", bridge], check=False, capture_output=True)


def _ip(*commands: str) -> None:
    for command in commands:
        found = subprocess.run(["ip", *command.split()], check=False, capture_output=True, text=True)
        if found.returncode:
            raise OSError(f"ip {command}: {found.stderr.strip()}")


class DaskProcesses:
    """A scheduler and its workers, ended with the `with` block.

    Args:
        folder: for logs and the workers' files.
        options: of the scheduler and the workers, such as those for TLS.
        environment: variables beside this process's own.
        host: where the scheduler is started.
    """

    def __init__(
        self,
        folder: Path,
        *,
        protocol: str = "tcp",
        options: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        host: Host = HERE,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"{protocol}://{host.address}:{self.port}"
        self._protocol = protocol
        self._host = host
        self.workers: list[subprocess.Popen[bytes]] = []
        self._options = options
        self._environment = environment or {}
        self._started = 0
        self.scheduler = self.start_scheduler()

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """Start the scheduler, also again on the same port, and wait until it listens."""
        self.scheduler = self._start(self._host, "scheduler", "--port", str(self.port))
        self._wait_for(b"Scheduler at:", self.scheduler)
        return self.scheduler

    def start_worker(
        self,
        *options: str,
        wait: bool = True,
        environment: dict[str, str] | None = None,
        folder: Path = ROOT,
        host: Host = HERE,
    ) -> int:
        """Start a worker with one thread, and return its process id.

        Args:
            options: of `dask worker`.
            wait: until it has registered.
            environment: variables beside those of all workers.
            folder: in which it is started.
            host: where it is started.
        """
        places = ("--local-directory", str(self.folder / f"worker{self._started}"))
        standard = (self.address, "--nthreads", "1", "--no-nanny", "--memory-limit", "0", *places)
        process = self._start(host, "worker", *standard, *options, environment=environment, folder=folder)
        self.workers.append(process)
        if wait:
            self._wait_for(b"Registered to:", process)
        return process.pid

    def _wait_for(self, words: bytes, process: subprocess.Popen[bytes]) -> None:
        log = self._log()
        wait_until(lambda: words in log.read_bytes() or process.poll() is not None, words.decode(), 60)
        assert process.poll() is None, log.read_text()

    def _start(
        self,
        host: Host,
        kind: str,
        *arguments: str,
        environment: dict[str, str] | None = None,
        folder: Path = ROOT,
    ) -> subprocess.Popen[bytes]:
        self._started += 1
        listening = ("--host", f"{self._protocol}://{host.address}", "--dashboard-address", f"{host.address}:0")
        with self._log().open("wb") as output:
            return subprocess.Popen(
                [*host.prefix, sys.executable, "-m", "dask", kind, *arguments, *listening, *self._options],
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
