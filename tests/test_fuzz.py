"""A short form of benchmarks/fuzz.py: changed files of every kind are read or refused in a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from unet_core.settings import ROOT

INPUTS = 200


@pytest.mark.slow
def test_changed_files_of_every_kind_are_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "benchmarks/fuzz.py", "--inputs", str(INPUTS), "--seed", "5", "--json", str(figures)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    targets = json.loads(figures.read_text())["targets"]
    assert sum(counts["inputs"] for counts in targets.values()) == INPUTS
    assert all(counts.get("big", 0) == 0 for counts in targets.values()), done.stdout
