"""The arguments that commands share, and how their values and files are read."""

from __future__ import annotations

import argparse
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import preset_config
from unet_core.cli.output import Output
from unet_core.errors import ConfigError
from unet_core.settings import Settings
from unet_core.strict import parse_json_object

Command = Callable[[Namespace, Output], int]  # returns the exit code


def add_command(subparsers: Any, name: str, run: Command, text: str, *examples: str) -> ArgumentParser:
    """Add a command with its help and its examples, and return its parser."""
    lines = "\n".join(f"  python -m unet_core {name} {example}".rstrip() for example in examples)
    parser = subparsers.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=f"examples:\n{lines}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=run)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    return parser


def add_architecture(parser: ArgumentParser, config_help: str = "an architecture as a JSON file") -> None:
    """Add --preset and --config, which choose an architecture."""
    parser.add_argument("--preset", metavar="NAME", help="a preset (see: python -m unet_core presets)")
    parser.add_argument("--config", metavar="FILE", help=config_help)


def add_model(parser: ArgumentParser) -> None:
    """Add --model, which chooses a trained model."""
    parser.add_argument(
        "--model",
        metavar="NAME|RUN|PATH",
        help="a shipped model, a run's folder or id, or its .weights.h5 (default: the manifest's default model)",
    )


def add_engine(parser: ArgumentParser) -> None:
    """Add --engine, which chooses what runs the model."""
    parser.add_argument(
        "--engine",
        choices=("auto", "onnx", "keras"),
        default="auto",
        help="what runs the model (default: auto, which is Keras on a GPU and ONNX Runtime otherwise)",
    )


def add_data(parser: ArgumentParser, default: str | None) -> None:
    """Add --data, which chooses a dataset."""
    parser.add_argument(
        "--data",
        default=default,
        metavar="DATA",
        help="oxford_iiit_pet, synthetic, or a folder or ZIP of photos and masks (default: oxford_iiit_pet)",
    )


def add_limit(parser: ArgumentParser) -> None:
    """Add --limit, which limits the number of photos."""
    parser.add_argument("--limit", type=positive, metavar="N", help="use at most N photos of each part of the dataset")


def add_cluster(parser: ArgumentParser, text: str) -> None:
    """Add --cluster, which computes on a cluster; `text` is its help."""
    parser.add_argument("--cluster", action="store_true", help=text)


def require_cluster(arguments: Namespace, settings: Settings) -> None:
    """Refuse --cluster where no cluster is set.

    Raises:
        ConfigError: there is none.
    """
    if arguments.cluster and not settings.cluster:
        raise ConfigError("--cluster: set UNET_CLUSTER to the address of a Dask scheduler, such as tcp://10.0.0.5:8786")


def size(text: str) -> tuple[int, int]:
    """Read a height and a width, such as 160x128."""
    match = re.fullmatch(r"\s*(\d{1,6})\s*[xX×]\s*(\d{1,6})\s*", text)
    if not match:
        raise ArgumentTypeError(f"must be height x width, such as 160x128. Received: {text!r}")
    return int(match[1]), int(match[2])


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"must be a whole number of at least 1. Received: {text!r}")
    return int(text)


def architecture(arguments: Namespace) -> tuple[UNetConfig, str | None]:
    """Return the architecture and the preset's name; with both options, the file overrides fields of the preset.

    Raises:
        ConfigError: neither option is given, the preset is unknown, or the file is not valid.
    """
    if arguments.config is not None and arguments.preset:
        changed = {**preset_config(arguments.preset).model_dump(), **read_json(arguments.config)}
        return UNetConfig.from_dict(changed), arguments.preset
    if arguments.config is not None:
        return UNetConfig.from_json(Path(arguments.config).read_bytes()), None
    if arguments.preset:
        return preset_config(arguments.preset), arguments.preset
    raise ConfigError("choose an architecture: --preset NAME (see: python -m unet_core presets) or --config FILE")


def read_json(path: str) -> dict[str, Any]:
    """Read a JSON file that contains one object.

    Raises:
        ConfigError: it contains something else.
        OSError: it cannot be read.
    """
    return parse_json_object(Path(path).read_bytes(), path)
