"""Processes beside a server's own in which photos are decoded, segmented and drawn.

Python runs one thread at a time, so in a full room the pages and the photos of all visitors would take turns on one
core, whatever the machine has. A process of its own also keeps a server's memory small, and a file that ends it ends
nothing else.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from unet_core.jobs.served import ChildEnded, ChildTooSlow, Message, ServedChild
from unet_core.machine import free_memory_mb
from unet_core.segment.network import EngineName, Network, run
from unet_core.settings import Settings
from unet_core.zoo.manifest import ModelEntry, WeightsError

PHOTO_SECONDS = 120.0  # for one photo; no file that the limits allow takes as long
NEEDED_MB = 250  # of free memory, for a process to be started

_LIMITS = {"weights_dir", "max_upload_mb", "max_megapixels", "max_runs", "threads"}


class PhotoProcesses:
    """A number of processes, each started when those before it are busy; one that has idled ends.

    Args:
        count: how many at most; there are fewer where memory is short.
    """

    def __init__(self, count: int) -> None:
        module = "unet_core.segment.photo_server"
        self._children = [ServedChild(module, needs_mb=NEEDED_MB, quiet=False) for _ in range(count)]
        self._free = list(reversed(self._children))  # whichever worked last is next: it runs, and is warm
        self._changed = threading.Condition()

    def ask(self, values: Mapping[str, Any], *arrays: np.ndarray) -> Message:
        """Return a process's answer; raises as `ServedChild.ask`."""
        with self._changed:
            self._changed.wait_for(self._can_ask)
            child = self._free.pop()
        try:
            return child.ask(values, *arrays, seconds=PHOTO_SECONDS)
        finally:
            with self._changed:
                self._free.append(child)
                self._changed.notify()

    def _can_ask(self) -> bool:
        """Return whether a process is free: one that runs, the first, or another one that memory suffices for."""
        if not self._free:
            return False
        return self._free[-1].pid is not None or not self.pids or free_memory_mb() > NEEDED_MB

    @property
    def pids(self) -> list[int]:
        """The numbers of the processes that run."""
        return [child.pid for child in self._children if child.pid is not None]

    def wake(self) -> None:
        """Start one if none runs and there is memory for it."""
        with self._changed:
            if self._free and not self.pids:
                with contextlib.suppress(OSError):  # the next question says so
                    self._free[-1].start()

    def close(self) -> None:
        """End them; the next question starts another one."""
        for child in self._children:
            child.close()


_processes: PhotoProcesses | None = None


def use_photo_processes(count: int) -> None:
    """From now on segment this process's photos in up to `count` others; 0 segments them here."""
    global _processes
    if _processes is not None:
        _processes.close()
    _processes = PhotoProcesses(count) if count else None


def wake() -> None:
    """Start a process if none runs, as after some idle minutes: the next photo finds it ready, or nearly so."""
    if _processes is not None:
        _processes.wake()


class DistantNetwork:
    """A network that is loaded in the photos' process; whoever calls `predict` loads it in this one too.

    Args:
        processes: which.
        model: the model as `photo_server` reads it.
        about: its device and output size.
        load: loads it here.
    """

    name: EngineName = "onnx"

    def __init__(
        self, processes: PhotoProcesses, model: str, about: Mapping[str, Any], load: Callable[[], Network]
    ) -> None:
        self.model, self._processes, self._load = model, processes, load
        self.device: str = about["device"]
        self.output_size: tuple[int, int] = (about["output_size"][0], about["output_size"][1])
        self._loading = threading.Lock()

    @cached_property
    def _here(self) -> Network:
        return self._load()

    @property
    def here(self) -> Network | None:
        """The network in this process, None if nobody needed it."""
        return self.__dict__.get("_here")

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Run the network in this process, see `Network.predict`."""
        return self.predict_both(batch)[0]

    def predict_both(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Run the network in this process, see `NetworkOfKinds.predict_both`."""
        with self._loading:
            network = self._here
        return run(network, batch)

    def ask(self, values: Mapping[str, Any], *arrays: np.ndarray) -> Message:
        """Return the answer of the photos' process to a question about this model; raises as `ServedChild.ask`."""
        return self._processes.ask({**values, "model": self.model}, *arrays)


def distant_network(entry: ModelEntry, settings: Settings, load: Callable[[], Network]) -> DistantNetwork | None:
    """Load an ONNX model in the photos' process; None if there is none, or it cannot be started.

    Raises:
        WeightsError: the model cannot be used.
    """
    processes = _processes
    if processes is None:
        return None
    slim = entry.read_by("onnx").replace(recipe={}, data={}, metrics={}, latency={})
    limits = settings.model_dump(mode="json", include=_LIMITS)
    model = json.dumps({"entry": slim.model_dump(mode="json"), "settings": limits})
    try:
        about = processes.ask({"model": model}).values
    except (OSError, ChildEnded, ChildTooSlow):
        return None
    if "error" in about:
        raise WeightsError(about["error"])
    return DistantNetwork(processes, model, about, load)
