"""`sweep`: many runs of one training configuration with some fields varied, and how they compare."""

from __future__ import annotations

import dataclasses
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_core.cli.arguments import add_command, positive
from unet_core.cli.inspect import add_reading, keep_reading
from unet_core.cli.output import FAILED, OK, Output, table
from unet_core.cli.training_config import add_training, train_config
from unet_core.errors import ConfigError
from unet_core.jobs.process import interruptible

if TYPE_CHECKING:
    from unet_core.train.config import TrainConfig
    from unet_core.train.sweep import SweepReport, Trial


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "sweep",
        run,
        "train one configuration with fields varied, and compare the runs; a second call trains only the missing",
        "--recipe demo_60s --grid learning_rate=0.001,0.003,0.01 --grid loss=dice,cross_entropy_dice",
        "--preset pets_fast --random learning_rate=1e-4..1e-2:log --random model.depth=3..5 --trials 12 --name first",
        "--recipe demo_60s --random learning_rate=1e-4..1e-1:log --trials 27 --halving",
        "--name first",
        "--name first --stop",
    )
    add_training(parser)
    add_reading(parser)
    _add_variation(parser)
    parser.set_defaults(run=None)


def _add_variation(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="FIELD=A,B,C",
        help="values of any field of the training configuration; every combination is tried; may be repeated",
    )
    parser.add_argument(
        "--random",
        action="append",
        default=[],
        metavar="FIELD=LOW..HIGH[:log]",
        help="draw the field at random, evenly or by its logarithm; may be repeated",
    )
    parser.add_argument("--trials", type=positive, metavar="N", help="draws of the random fields")
    parser.add_argument("--draw-seed", type=int, default=0, metavar="N", help="seed of the draws (default: 0)")
    parser.add_argument(
        "--halving",
        action="store_true",
        help="successive halving: after a few epochs the best third goes on, to three times as many, and so on",
    )
    parser.add_argument("--name", help="of the sweep (default: what is trained and what varies)")
    parser.add_argument(
        "--stop", action="store_true", help="stop the runs of the sweep --name, which keep their weights"
    )


def run(arguments: Namespace, output: Output) -> int:
    """Train a sweep, or stop one, and compare its runs."""
    from unet_core.train.sweep import stop_sweep, sweep_report

    if arguments.stop:
        if not arguments.name:
            raise ConfigError("--stop: name the sweep, with --name")
        stop_sweep(arguments.name)
    elif arguments.grid or arguments.random:
        return _train(arguments, output)
    if not arguments.name:
        raise ConfigError("name what varies (--grid, --random), or a sweep to compare (--name)")
    report = sweep_report(arguments.name)
    output.result(dataclasses.asdict(report), _text(report))
    return OK


def _train(arguments: Namespace, output: Output) -> int:
    from unet_core.train.sweep import plan_rungs, run_sweep, stop_sweep

    if arguments.data:
        keep_reading(arguments, arguments.data)
    base = train_config(arguments)
    if base is None:
        raise ConfigError("name what to train: --preset NAME, --recipe NAME or --config FILE")
    trials = _trials(arguments, base)
    rungs = plan_rungs(trials, arguments.halving)
    fields = ", ".join(trials[0].values)
    name = arguments.name or f"{Path(arguments.preset or arguments.recipe or arguments.config).stem} by {fields}"
    _say(f"sweep {name!r}: {len(trials)} trials of {fields}")
    try:
        with interruptible():
            report = run_sweep(name, trials, rungs, say=_say)
    except KeyboardInterrupt:
        stop_sweep(name)
        raise KeyboardInterrupt("stopped; the same command continues") from None
    output.result(dataclasses.asdict(report), _text(report))
    if report.unfinished:
        _say(f"error: {report.unfinished} trials did not end: the same command continues them")
        return FAILED
    return OK


def _trials(arguments: Namespace, base: TrainConfig) -> list[Trial]:
    from unet_core.train.sweep import plan_trials, read_grid, read_range

    if bool(arguments.random) != bool(arguments.trials):
        raise ConfigError("--random and --trials go together: the fields to draw, and how many times")
    grid, ranges = [read_grid(text) for text in arguments.grid], [read_range(text) for text in arguments.random]
    fields = [field for field, _ in [*grid, *ranges]]
    if twice := {field for field in fields if fields.count(field) > 1}:
        raise ConfigError(f"{', '.join(sorted(twice))}: give all values of a field at once")
    return plan_trials(base, dict(grid), dict(ranges), arguments.trials or 1, arguments.draw_seed)


def _text(report: SweepReport) -> str:
    from unet_core.train.sweep import written

    rows = [
        (
            trial.run,
            *(written(trial.values[field]) for field in report.fields),
            "paused" if trial.paused else trial.state,
            f"{trial.epochs}/{trial.of_epochs}",
            *("–" if score is None else f"{score:.4f}" for score in (trial.score, trial.test_mean_iou)),
        )
        for trial in report.trials
    ]
    lines = table(("run", *report.fields, "state", "epochs", "validation IoU", "test IoU"), rows)
    why = [f"{trial.run}: {trial.reason}" for trial in report.trials if trial.state == "failed"]
    return "\n".join([lines, *why])


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
