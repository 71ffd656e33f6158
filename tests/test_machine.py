"""The memory that this process may use: the machine's, or its container's limit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from unet_core import machine

V2 = {"memory.max": "2000000000\n", "memory.current": "900000000\n", "memory.stat": "anon 5\ninactive_file 300000000\n"}
V1 = {
    "memory/memory.limit_in_bytes": "1000000000",
    "memory/memory.usage_in_bytes": "400000000",
    "memory/memory.stat": "cache 9\ntotal_inactive_file 100000000\n",
}
UNLIMITED = {**V2, "memory.max": "max\n"}


@pytest.fixture(autouse=True)
def big_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(total=64e9, available=50e9)
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: memory)


@pytest.mark.parametrize(
    ("files", "total", "free"),
    [(V2, 2_000, 1_400), (V1, 1_000, 700), (UNLIMITED, 64_000, 50_000), ({}, 64_000, 50_000)],
    ids=["version 2", "version 1", "unlimited", "no container"],
)
def test_memory_is_that_of_the_container_if_it_has_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], total: float, free: float
):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    assert machine.memory_mb() == total
    assert machine.free_memory_mb() == free
