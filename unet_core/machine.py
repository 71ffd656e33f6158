"""The CPU cores, memory and GPU of this machine, detected without importing TensorFlow."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

import psutil

TENSORFLOW_MB = 750  # memory of a process that imports TensorFlow for one answer

_CGROUP = Path("/sys/fs/cgroup")  # in a container: its own limits
_NVIDIA_SMI_SECONDS = 5


def available_cores() -> int:
    """Return how many cores this process may use, given its CPU affinity and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_cores()
    return cores if quota is None else max(1, min(cores, round(quota)))


def _cgroup_cores() -> float | None:
    try:
        limit, period = (_CGROUP / "cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def memory_mb() -> float:
    """Return the memory of this machine, or its container's limit if that is less, in MB."""
    return min([psutil.virtual_memory().total, *(limit for limit, _ in _cgroup_memory())]) / 1e6


def free_memory_mb() -> float:
    """Return how much memory processes may still take, given the container's limit, in MB."""
    return min([psutil.virtual_memory().available, *(limit - used for limit, used in _cgroup_memory())]) / 1e6


def _cgroup_memory() -> list[tuple[int, int]]:
    """Return the container's limit and its use without droppable files, in bytes; an empty list without a limit.

    Both versions of Linux' control groups are read.
    """
    for folder, limit, used, cached in (
        (_CGROUP, "memory.max", "memory.current", "inactive_file"),
        (_CGROUP / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            numbers = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            taken = int((folder / used).read_text()) - int(numbers[cached])
            return [(int((folder / limit).read_text()), taken)]
        except (OSError, ValueError, KeyError):
            continue  # no such file, or the limit is "max"
    return []


def cpu_label(cores: int | None = None) -> str:
    """Name the CPU as a device, for example "CPU (2 cores)"."""
    cores = cores or available_cores()
    return f"CPU ({cores} core{'s' * (cores != 1)})"


@functools.cache
def detect_gpu() -> str | None:
    """Return the name of an NVIDIA GPU that this process may use, or None.

    Asks the driver's files and `nvidia-smi`, never TensorFlow, whose import costs seconds and 500 MB.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1", "none", "NoDevFiles"):
        return None
    return _gpu_from_driver(Path("/")) or _gpu_from_nvidia_smi()


def _gpu_from_driver(root: Path) -> str | None:
    """Read the GPU's name from the Linux driver; its device node must be visible too, since containers may hide it."""
    if not any((root / "dev").glob("nvidia[0-9]*")):
        return None
    for information in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        try:
            text = information.read_text(errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith("Model:"):
                return line.removeprefix("Model:").strip()
    return None


def _gpu_from_nvidia_smi() -> str | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=_NVIDIA_SMI_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    names = output.stdout.strip().splitlines()
    return names[0].strip() if names else None
