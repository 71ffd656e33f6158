"""A run's environment: versions, devices, the code's commit. Stored with every run, so that it can be repeated."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from typing import Any

from unet_core.settings import ROOT

_PACKAGES = ("tensorflow", "keras", "numpy", "tensorflow-datasets", "onnxruntime", "pillow")


def describe_environment(seed: int) -> dict[str, Any]:
    """Return versions, device names, git commit and seed as plain values; imports TensorFlow."""
    import tensorflow as tf

    devices = [
        tf.config.experimental.get_device_details(device).get("device_name", device.name)
        for device in tf.config.list_physical_devices("GPU")
    ]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "gpus": devices,
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "seed": seed,
        "command": sys.argv,
    }


@cache
def processor_name() -> str:
    """Return the processor's model name, as far as the system reports it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        return names[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
        return result.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
