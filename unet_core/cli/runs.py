"""`runs`: list the training runs, or stop one."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from unet_core.cli.arguments import add_command
from unet_core.cli.output import OK, Output, table

if TYPE_CHECKING:
    from unet_core.train.run_directory import RunDirectory


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "runs",
        run,
        "list the training runs in UNET_RUNS_DIR with their status and best score",
        "",
        "--stop 20260102-120000-pets",
    )
    parser.add_argument("--stop", metavar="RUN", help="first stop this run, or remove it from the queue")


def run(arguments: Namespace, output: Output) -> int:
    """List the training runs, or stop one."""
    from unet_core.train import queue

    if arguments.stop:
        queue.stop(queue.find_run(arguments.stop))
    entries = [_entry(found) for found in queue.all_runs()]
    rows = [
        (
            entry["run"],
            entry["state"] + (f" {entry['place']}" if entry["place"] else ""),
            f"{entry['epoch']}/{entry['epochs']}",
            "–" if entry["best_val_mean_iou"] is None else f"{entry['best_val_mean_iou']:.4f}",
        )
        for entry in entries
    ]
    output.result(entries, table(("run", "state", "epochs", "best mean IoU"), rows))
    return OK


def _entry(run: RunDirectory) -> dict[str, Any]:
    from unet_core.train import queue
    from unet_core.train.run_directory import best_epoch

    status, rows = run.status(), run.metrics.rows()
    best = best_epoch(rows)
    return {
        "run": run.id,
        "name": run.label().name,
        "state": status.state,
        "reason": status.reason,
        "place": queue.position(run),
        "epoch": status.epoch,
        "epochs": status.epochs,
        "best_val_mean_iou": next((row["val_mean_iou"] for row in rows if row["epoch"] == best), None),
    }
