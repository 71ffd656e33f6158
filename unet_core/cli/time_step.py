"""`time-step`: how long a training step takes on this machine."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from typing import Any

from unet_core.cli.arguments import add_command
from unet_core.cli.output import OK, Output
from unet_core.cli.training_config import add_training, train_config
from unet_core.errors import ConfigError
from unet_core.quiet_tensorflow import import_tensorflow_quietly


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "time-step",
        run,
        "time a few training steps, to estimate how long a run takes on this machine",
        "--recipe pets_5min",
        "--preset machinecurve2022 --batch-size 50 --json",
    )
    add_training(parser)
    parser.set_defaults(run=None)
    # The earlier name; without `help`, the list of commands leaves it out.
    subparsers.add_parser("calibrate", parents=[parser], add_help=False, description=parser.description)


def run(arguments: Namespace, output: Output) -> int:
    """Time a training step."""
    from unet_core.train.estimate import estimate
    from unet_core.train.step_timing import time_step

    config = train_config(arguments)
    if config is None:
        raise ConfigError("name what to measure: --preset NAME, --recipe NAME or --config FILE")
    import_tensorflow_quietly()
    found = time_step(config)
    expected = estimate(config)
    text = f"{1000 * found.step_seconds:.0f} ms a step of {config.batch_size} photos, {found.memory_mb:.0f} MB"
    if expected.seconds is not None:
        epochs = f"{config.epochs} epoch{'s' if config.epochs > 1 else ''}"
        text += f"; {epochs} in about {expected.seconds / 60:.1f} min"
    output.result({**dataclasses.asdict(found), "estimate": dataclasses.asdict(expected)}, text)
    return OK
