"""`diagnose`: what an error message of Keras means for a U-Net, and what is in a network from source or a file."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_core.cli.arguments import add_architecture, add_command, architecture, size
from unet_core.cli.output import OK, Output, shape_text, table

if TYPE_CHECKING:
    from unet_core.foreign.messages import ErrorMessage
    from unet_core.foreign.mismatch import Dims
    from unet_core.foreign.network import ReadNetwork
    from unet_core.foreign.places import Place


MAX_TEXT = 2**20  # bytes of an error message or source


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "diagnose",
        run,
        "explain an error message of Keras, or read a network from source or a file: which layer, why, what to change",
        "error.txt",
        "error.txt --preset keras_basic --json",
        "my_unet.py --size 250x250",
        "model.json",
        "model.onnx --json",
        "- < traceback.txt",
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        help="a text with the message or traceback, or Python source, which is not run; - is stdin",
    )
    add_architecture(parser, "the network that failed, as a JSON file")
    parser.add_argument("--size", type=size, metavar="HxW", help="height and width of the network's input")


def run(arguments: Namespace, output: Output) -> int:
    """Explain what a file contains; a network that breaks is a result, not an error."""
    from unet_core.foreign.files import is_network, read_file
    from unet_core.foreign.source import looks_like_source, read_source

    data = sys.stdin.buffer.read() if arguments.file == "-" else Path(arguments.file).read_bytes()
    text = data[:MAX_TEXT].decode("utf-8", errors="replace")
    if is_network(data, arguments.file):
        network = read_file(data, arguments.file, arguments.size)
    elif looks_like_source(text):
        network = read_source(text, arguments.size)
    else:
        return _message(text, arguments, output)
    output.result(network.to_dict(), _network_text(network))
    return OK


def _message(text: str, arguments: Namespace, output: Output) -> int:
    from unet_core.foreign.messages import read_message
    from unet_core.foreign.places import find_places, known_networks

    own = architecture(arguments)[0] if arguments.preset or arguments.config else None
    message = read_message(text)
    places = find_places(message, known_networks(own))
    output.result(_document(message, places), _written(message, places))
    return OK


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


def _network_text(network: ReadNetwork) -> str:
    rows = [
        (
            layer.name,
            layer.kind,
            layer.label,
            shape_text(_sides(layer.output_shape)),
            _count(layer.params),
            str(layer.line),
        )
        for layer in network.layers
    ]
    lines = [table(("layer", "class", "arguments", "output", "parameters", "line"), rows), ""]
    failure = network.failure
    if failure is None:
        outputs = ", ".join(shape_text(_sides(shape)) for shape in network.output_shapes)
        known = "" if network.params_known else "at least "
        lines.append(f"works: output {outputs}, {known}{network.total_params:,} parameters")
    else:
        lines.append(f"breaks at {failure.layer}" + (f", line {failure.line}" if failure.line else ""))
        lines += [f"why: {failure.why}", *(f"- {change}" for change in failure.changes)]
        sizes = ", ".join(f"{height}x{width}" for height, width in failure.suggested_sizes)
        lines += [f"sizes that work: {sizes}"] if sizes else []
    lines += [f"assumed: {note}" for note in network.assumed] + [f"not read: {note}" for note in network.unread]
    return "\n".join(lines)


def _sides(shape: Dims | None) -> tuple[Any, ...]:
    return tuple("?" if side is None else side for side in shape or ())


def _count(params: int | None) -> str:
    return "?" if params is None else f"{params:,}"
