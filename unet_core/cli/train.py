"""`train`: a training run, or the rest of one."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from unet_core.cli.arguments import add_command
from unet_core.cli.inspect import add_reading, keep_reading
from unet_core.cli.output import OK, Output
from unet_core.cli.training_config import SHARED_FIELDS, add_training, changed_fields, train_config
from unet_core.errors import ConfigError, UNetError
from unet_core.quiet_tensorflow import import_tensorflow_quietly
from unet_core.settings import get_settings

if TYPE_CHECKING:
    from unet_core.architecture.config import UNetConfig
    from unet_core.train.config import TrainConfig
    from unet_core.train.fit import Summary


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "train",
        run,
        "train a model; everything about the run is stored in its run directory",
        "--preset pets_fast --data oxford_iiit_pet --epochs 10 --run runs/first",
        "--recipe pets_fast --run runs/pets_fast",
        "--preset machinecurve2022 --data synthetic --epochs 2 --limit 64 --set augmentation.enabled=false",
        "--preset machinecurve2022 --data my_photos.zip --epochs 20",
        "--run runs/first --resume",
    )
    add_training(parser)
    add_reading(parser)
    parser.add_argument("--run", metavar="DIR", help="the run directory (default: a new one in UNET_RUNS_DIR)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --run after its last whole epoch")


def run(arguments: Namespace, output: Output) -> int:
    """Train a model, or continue a run."""
    if arguments.data:
        keep_reading(arguments, arguments.data)
    config = train_config(arguments)
    if config is None and not arguments.run:
        raise ConfigError("name what to train: --preset NAME, --recipe NAME or --config FILE, or --run DIR --resume")
    from unet_core.train.checks import check_start
    from unet_core.train.data_warnings import data_warnings
    from unet_core.train.run_directory import RunDirectory, new_run_folder

    named = arguments.preset or arguments.recipe or arguments.config
    run_dir = Path(arguments.run) if arguments.run else new_run_folder(Path(named).stem)
    import_tensorflow_quietly()
    from unet_core.train.fit import train

    def leave(summary: Summary) -> NoReturn:
        """Report how the run ended and end the process, whose main thread may be busy for a long time."""
        output.result(dataclasses.asdict(summary), _text(summary))
        with contextlib.suppress(Exception):
            _start_next()
        sys.stderr.flush()
        os._exit(OK)

    verbose = 1 if sys.stderr.isatty() else 2
    try:
        with _terminate_as_interrupt():
            if config is not None:
                config = _after_earlier_recipes(config, arguments, run_dir.parent, verbose)
                if not RunDirectory.exists(run_dir):
                    check_start(config, folder=run_dir)
                for sentence in data_warnings(config):
                    print(f"note: {sentence}", file=sys.stderr)
            summary = train(config, run_dir, resume=arguments.resume, verbose=verbose, leave=leave)
    except KeyboardInterrupt:
        advice = f"interrupted; continue with: python -m unet_core train --run {run_dir} --resume"
        raise KeyboardInterrupt(advice) from None
    finally:
        with contextlib.suppress(UNetError, OSError):  # a waiting run must not fail the one that has ended
            _start_next()
    output.result(dataclasses.asdict(summary), _text(summary))
    return OK


def _start_next() -> None:
    """Start the next run of the queue; on a cluster, the machine's worker does."""
    from unet_core.train import queue

    if not get_settings().cluster_training:
        queue.advance()


def _after_earlier_recipes(config: TrainConfig, arguments: Namespace, folder: Path, verbose: int) -> TrainConfig:
    """Train the recipes that `config` builds on, each in a run of its name in `folder`; finished ones are reused.

    Raises:
        RunError: an earlier recipe did not finish.
    """
    import keras

    from unet_core.train.config import with_fields
    from unet_core.train.find_model import is_shipped
    from unet_core.train.fit import train
    from unet_core.train.recipe_files import load_recipe, recipe_names
    from unet_core.train.run_directory import RunDirectory, RunError

    for field in ("start_from", "distill_from"):
        name = getattr(config, field)
        if name not in recipe_names() or is_shipped(name, get_settings()):
            continue  # a shipped model's weights are there already
        path = folder / name
        started = RunDirectory.exists(path)
        done = started and RunDirectory.open(path).status().state == "finished"
        if not done and not arguments.resume:  # a resumed run no longer needs them
            print(f"{field}: first the recipe {name}, in {path}", file=sys.stderr)
            recipe = load_recipe(name)
            earlier = with_fields(recipe, _shared_changes(arguments, config.model, recipe.model))
            earlier = _after_earlier_recipes(earlier, arguments, folder, verbose)
            summary = train(earlier, path, resume=started, verbose=verbose)
            keras.utils.clear_session()  # releases its memory
            if summary.state != "finished":
                raise RunError(f"{path} was {summary.state}: resume it first, because this run builds on it")
        config = config.replace(**{field: str(path)})
    return config


def _shared_changes(arguments: Namespace, model: UNetConfig, earlier: UNetConfig) -> dict[str, Any]:
    """Return what the options change in an earlier recipe too; a file of encoder weights fits one encoder alone."""
    shared = {field: value for field, value in changed_fields(arguments).items() if field in SHARED_FIELDS}
    if (earlier.encoder, earlier.encoder_width) != (model.encoder, model.encoder_width):
        shared.pop("model.encoder_weights", None)
    return shared


def _text(summary: Summary) -> str:
    from unet_core.train.never_predicted import sentence
    from unet_core.train.run_directory import RunDirectory
    from unet_core.train.silent_depth import sentence as silent_sentence

    epochs = f"{summary.epochs} epoch{'' if summary.epochs == 1 else 's'}"
    text = f"{summary.state} after {epochs} in {summary.seconds / 60:.1f} min"
    text += f" ({summary.reason})" if summary.reason else ""
    best = summary.best.get("val_mean_iou")
    if best is not None:
        text += f"; best validation mean IoU {best:.4f} in epoch {summary.best_epoch}"
    if summary.never_predicted:
        text += f"\n{sentence(summary.never_predicted)}."
    if summary.silent_layer:
        text += f"\n{silent_sentence(summary.silent_layer, RunDirectory(summary.run).config().model)}."
    return f"{text}\n{summary.run}"


@contextlib.contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C: the status is written, and the run can be resumed."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
