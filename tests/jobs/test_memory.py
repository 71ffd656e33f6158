"""The memory of a process."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="how Linux counts")
def test_a_workers_peak_memory_is_its_own_and_not_that_of_the_process_that_started_it():
    worker = "from unet_core.jobs.memory import peak_memory_mb; print(peak_memory_mb())"
    # Both are processes of their own, so that this test process grows by nothing.
    starter = f"import subprocess, sys; kept = b'x' * 500_000_000; subprocess.run([sys.executable, '-c', {worker!r}])"
    found = subprocess.run([sys.executable, "-c", starter], capture_output=True, text=True, check=True, timeout=60)
    assert 5 < float(found.stdout) < 300
