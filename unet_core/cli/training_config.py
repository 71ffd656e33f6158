"""The training configuration that `train` and `time-step` build from their arguments."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from unet_core.architecture.config import UNetConfig
from unet_core.cli.arguments import add_architecture, add_data, add_limit, architecture, positive, read_json
from unet_core.errors import ConfigError

if TYPE_CHECKING:
    from unet_core.train.config import TrainConfig

SHARED_FIELDS = {"data", "limit", "batch_size", "seed", "model.encoder_weights"}  # change earlier recipes too


def add_training(parser: ArgumentParser) -> None:
    """Add the arguments that choose and change a training configuration."""
    add_architecture(parser, "an architecture or a complete training configuration as a JSON file")
    parser.add_argument(
        "--recipe",
        metavar="NAME|FILE",
        help="a complete training configuration: a shipped recipe by name, or a JSON file",
    )
    add_data(parser, default=None)
    add_limit(parser)
    parser.add_argument("--epochs", type=positive, metavar="N")
    parser.add_argument("--batch-size", type=positive, metavar="N")
    parser.add_argument("--learning-rate", type=float, metavar="RATE")
    parser.add_argument("--seed", type=int, metavar="N")
    parser.add_argument("--time-limit", type=float, metavar="MINUTES", help="stop training after this many minutes")
    parser.add_argument(
        "--encoder-weights",
        metavar="FILE",
        help="weights that the encoder starts from: FILE (.weights.h5), imagenet or none",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change any field of the training configuration, such as loss=dice or model.depth=4; may be repeated",
    )


def train_config(arguments: Namespace) -> TrainConfig | None:
    """Return the training configuration of the arguments; None if they name only a run directory.

    Raises:
        ConfigError: the arguments contradict each other, or the configuration is not valid.
    """
    from unet_core.train.config import TrainConfig, default_train_config, with_fields
    from unet_core.train.recipe_files import load_recipe
    from unet_core.train.run_directory import RunDirectory

    named = [option for option in ("preset", "config", "recipe") if getattr(arguments, option)]
    if len(named) > 1:
        raise ConfigError(f"give only one of {', '.join('--' + option for option in named)}")
    changes = changed_fields(arguments)
    if arguments.recipe:
        config = _on_own_classes(load_recipe(arguments.recipe), arguments.data)
    elif arguments.config and "model" in read_json(arguments.config):
        config = TrainConfig.from_dict(read_json(arguments.config))
    elif named:
        model, _ = architecture(arguments)
        if arguments.preset and "model.classes" not in changes:
            changes = _classes_of_data(arguments.data, model) | changes
        config = default_train_config(model)
    elif changes and arguments.run and RunDirectory.exists(arguments.run):
        config = RunDirectory.open(arguments.run).config()
    else:
        return None
    return with_fields(config, changes)


def changed_fields(arguments: Namespace) -> dict[str, Any]:
    """Return the changed fields, by dotted name.

    Raises:
        ConfigError: a --set is not FIELD=VALUE.
    """
    given = {
        "data": arguments.data,
        "limit": arguments.limit,
        "epochs": arguments.epochs,
        "batch_size": arguments.batch_size,
        "learning_rate": arguments.learning_rate,
        "seed": arguments.seed,
        "time_limit_minutes": arguments.time_limit,
        "model.encoder_weights": arguments.encoder_weights,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    for assignment in arguments.set:
        field, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set: needs FIELD=VALUE. Received: {assignment!r}")
        try:
            changes[field.strip()] = json.loads(text)
        except ValueError:
            changes[field.strip()] = text
    if arguments.data == "synthetic" and arguments.preset:
        # Pretraining on photos does not help with synthetic pets: train from scratch, without a download.
        changes.setdefault("model.encoder_weights", "none")
        changes.setdefault("model.encoder_frozen", False)
        changes.setdefault("model.encoder_batchnorm_frozen", False)
    return changes


def _on_own_classes(recipe: TrainConfig, data: str | None) -> TrainConfig:
    """Return a recipe of this project, fitted to the classes of the user's dataset if `data` is one."""
    from unet_core.data.pipeline import open_source
    from unet_core.data.sources import photo_channels
    from unet_core.train.presets import adapted

    if data is None or not _is_own(data):
        return recipe
    source = open_source(data, recipe.model)
    background = 0 if recipe.model.classes == 1 else source.background
    augmentation = recipe.augmentation.replace(paste_background=background)
    channels = photo_channels(source)
    config = adapted(recipe, data, len(source.class_names), None if channels == 3 else channels)
    return config.replace(background_class=background, augmentation=augmentation)


def _is_own(data: str) -> bool:
    from unet_core.data.oxford.oxford_pets import NAME as OXFORD_PETS
    from unet_core.data.synthetic.pets import NAME as SYNTHETIC

    return data not in (OXFORD_PETS, SYNTHETIC)


def _classes_of_data(data: str | None, model: UNetConfig) -> dict[str, Any]:
    """Return the change that gives a preset as many classes as the user's dataset has, and its photos' bands.

    One-class presets stay unchanged: they separate the object from the rest.
    """
    from unet_core.data.pipeline import open_source
    from unet_core.data.sources import photo_channels

    if data is None or not _is_own(data):
        return {}
    source = open_source(data, model)
    changes = {} if model.classes == 1 else {"model.classes": len(source.class_names)}
    if (channels := photo_channels(source)) != 3:
        changes["model.channels"] = channels
    return changes
