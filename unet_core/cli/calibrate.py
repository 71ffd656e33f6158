"""`calibrate`: how long a training step takes here."""

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
        "calibrate",
        run,
        "measure a few training steps, so that the time of a run on this machine is known before it starts",
        "--recipe pets_5min",
        "--preset machinecurve2022 --batch-size 50 --json",
    )
    add_training(parser)
    parser.set_defaults(run=None)


def run(arguments: Namespace, output: Output) -> int:
    """Measure a training step."""
    from unet_core.train.calibration import calibrate
    from unet_core.train.estimate import estimate

    config = train_config(arguments)
    if config is None:
        raise ConfigError("name what to measure: --preset NAME, --recipe NAME or --config FILE")
    import_tensorflow_quietly()
    found = calibrate(config)
    expected = estimate(config)
    text = f"{1000 * found.step_seconds:.0f} ms a step of {config.batch_size} photos, {found.memory_mb:.0f} MB"
    if expected.seconds is not None:
        text += f"; {config.epochs} epochs take about {expected.seconds / 60:.1f} min"
    output.result({**dataclasses.asdict(found), "estimate": dataclasses.asdict(expected)}, text)
    return OK
