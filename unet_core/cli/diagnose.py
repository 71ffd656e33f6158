"""`diagnose`: what an error message of Keras or TensorFlow means for a U-Net."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_core.cli.arguments import add_architecture, add_command, architecture
from unet_core.cli.output import OK, Output, shape_text

if TYPE_CHECKING:
    from unet_core.foreign.messages import ErrorMessage
    from unet_core.foreign.places import Place


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "diagnose",
        run,
        "explain an error message of Keras or TensorFlow: which layer, why, which sizes work, what to change",
        "error.txt",
        "error.txt --preset keras_basic --json",
        "- < traceback.txt",
    )
    parser.add_argument("file", metavar="FILE", help="a text with the message or the whole traceback; - reads stdin")
    add_architecture(parser, "the network that failed, as a JSON file")


def run(arguments: Namespace, output: Output) -> int:
    """Explain the message in a file."""
    from unet_core.foreign.messages import read_message
    from unet_core.foreign.places import find_places, known_networks

    own = architecture(arguments)[0] if arguments.preset or arguments.config else None
    message = read_message(_text(arguments.file))
    places = find_places(message, known_networks(own))
    output.result(_document(message, places), _written(message, places))
    return OK


def _text(file: str) -> str:
    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    return data.decode("utf-8", errors="replace")


def _document(message: ErrorMessage, places: tuple[Place, ...]) -> dict[str, Any]:
    return {
        "kind": message.kind,
        "title": message.title,
        "shapes": message.shapes,
        "why": message.why,
        "changes": message.changes,
        "layer": message.layer or None,
        "line": message.frame or None,
        "networks": [
            {
                "network": place.network,
                "layer": place.problem.layer,
                "cause": place.problem.cause,
                "failing_sizes": place.sizes,
                "suggested_sizes": place.problem.suggested_sizes,
            }
            for place in places
        ],
    }


def _written(message: ErrorMessage, places: tuple[Place, ...]) -> str:
    lines = [message.title]
    lines += [f"at {message.frame}"] if message.frame else []
    lines += [f"layer: {message.layer}"] if message.layer else []
    lines += ["", f"why: {message.why}", "", "what to change:", *(f"- {change}" for change in message.changes)]
    for place in places:
        failing = ", ".join(map(str, place.sizes))
        working = ", ".join(shape_text(size) for size in place.problem.suggested_sizes)
        lines += ["", f"{place.network}: fails so at {place.problem.layer} with square inputs of {failing}"]
        lines += [f"sizes that work: {working}"] if working else []
    return "\n".join(lines)
