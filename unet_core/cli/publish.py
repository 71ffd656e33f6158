"""`publish`: turns a run's best model into a shipped model."""

from __future__ import annotations

import json
import re
from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

from unet_core.cli.arguments import add_command
from unet_core.cli.output import OK, Output, progress_bars
from unet_core.quiet_tensorflow import import_tensorflow_quietly


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "publish",
        run,
        "measure a run's best model and add it to the weights folder and its manifest",
        "runs/pets_fast --name pets_fast --default",
    )
    parser.add_argument("run", metavar="RUN", help="a run: its folder or id, or a .weights.h5 in it")
    parser.add_argument(
        "--name", required=True, type=_model_name, help="name of the model; an existing one is replaced"
    )
    parser.add_argument("--default", action="store_true", help="make this the default model")
    parser.add_argument(
        "--average-with",
        metavar="RUN",
        nargs="+",
        default=[],
        help="further runs of the same architecture, whose weights are averaged with the run's",
    )
    parser.add_argument(
        "--second-look",
        action="store_true",
        help="segment every photo with a zoomed second pass: more accurate, but the network runs at least twice",
    )
    parser.add_argument("--title", help="displayed title (default: that of the preset with this name)")
    parser.add_argument("--description", help="displayed description, one sentence")
    parser.add_argument("--licence", help="licence of the weights (default: that of the run's data)")
    parser.add_argument(
        "--recipe",
        metavar="FILE",
        type=_json_object,
        help="JSON on how the weights were trained, where the run's own files do not say it: added to the recipe",
    )
    parser.add_argument(
        "--measure",
        nargs="*",
        choices=("validation", "test"),
        default=["validation", "test"],
        help="parts of the run's dataset to measure on (default: both; give none if the dataset is missing)",
    )


def run(arguments: Namespace, output: Output) -> int:
    """Add a run's best model to the weights folder."""
    import_tensorflow_quietly()
    from unet_core.train.publish import publish

    with progress_bars("measuring on ", "photo") as draw:
        entry, exported = publish(
            arguments.run,
            arguments.name,
            title=arguments.title,
            description=arguments.description,
            licence=arguments.licence,
            average_with=arguments.average_with,
            second_look=arguments.second_look,
            make_default=arguments.default,
            measure_on=arguments.measure,
            recipe=arguments.recipe,
            progress=draw,
        )
    output.result(
        {"name": arguments.name, "difference": exported.difference, "entry": entry.model_dump(mode="json")},
        f"{arguments.name}: {', '.join(f'{file.name} ({file.bytes / 1e6:.2f} MB)' for file in entry.files.values())}",
    )
    return OK


def _model_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", text):
        raise ArgumentTypeError(f"may contain only letters, digits and . _ + - characters. Received: {text!r}")
    return text


def _json_object(path: str) -> dict[str, Any]:
    try:
        values = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(f"cannot be read as JSON. Received: {path!r} ({error})") from None
    if not isinstance(values, dict):
        raise ArgumentTypeError(f"must hold a JSON object. Received: {path!r}")
    return values
