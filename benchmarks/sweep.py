"""A sweep of tiny runs on a cluster of this machine compared with the same runs one by one: results and time.

    python benchmarks/sweep.py [--runs 8] [--workers 2] [--json FILE]

The scheduler and the workers are processes of their own; both ways train the same trials with the same seeds. The
scores of every epoch must be equal, or the program fails. Tiny runs show what starting costs: most of their time is
the start of TensorFlow.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from common import described, machine, summary, write_figures  # noqa: E402

from tests.helpers.dask_cluster import DaskProcesses  # noqa: E402
from tests.helpers.tiny_run import tiny_config  # noqa: E402
from unet_core.jobs.tables import Row  # noqa: E402
from unet_core.settings import Settings  # noqa: E402
from unet_core.train.sweep import Trial, plan_rungs, plan_trials, run_sweep, sweep_runs  # noqa: E402

NEEDS = "training=1"
TIMED = {"seconds", "elapsed", "images_per_second"}


def measure(runs: int, workers: int) -> dict[str, Any]:
    """Train `runs` trials one by one and on `workers` workers, and compare them."""
    trials = plan_trials(tiny_config(previews=0), {"learning_rate": [0.001 * (place + 1) for place in range(runs)]})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        here = Settings(runs_dir=folder / "here", cache_dir=folder / "cache")
        alone, alone_seconds = _trained(trials, here)
        with DaskProcesses(folder, environment={"UNET_CACHE_DIR": str(folder / "cache")}) as dask:
            for _ in range(workers):
                dask.start_worker("--resources", NEEDS)
            there = here.replace(runs_dir=folder / "there", cluster=dask.address, cluster_training=NEEDS)
            shared, shared_seconds = _trained(trials, there)
    return {
        "machine": machine(("tensorflow", "keras", "distributed")),
        "runs": runs,
        "workers": workers,
        "equal": alone == shared and len(alone) == runs,
        "seconds_one_by_one": round(alone_seconds, 1),
        "seconds_on_the_cluster": round(shared_seconds, 1),
    }


def _trained(trials: list[Trial], settings: Settings) -> tuple[dict[str, list[Row]], float]:
    """Return the epochs of each trial, by its configuration, without what the clock decides; and the seconds."""
    began = time.perf_counter()
    run_sweep("tiny", trials, plan_rungs(trials, False), settings, say=lambda text: print(text, file=sys.stderr))
    seconds = time.perf_counter() - began
    return {run.config().to_json(): _scores(run.metrics.rows()) for run in sweep_runs("tiny", settings)}, seconds


def _scores(rows: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name not in TIMED} for row in rows]


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    report = measure(arguments.runs, arguments.workers)
    print(described(report["machine"]))
    for name, value in report.items():
        if name != "machine":
            print(f"{name.replace('_', ' ')}: {value}")
    write_figures(report, arguments.json)
    if not report["equal"]:
        raise SystemExit("the scores differ")


if __name__ == "__main__":
    main()
