"""`trace`: every layer of an architecture."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from unet_core.cli.arguments import add_architecture, add_command, architecture, size
from unet_core.cli.output import OK, Output, shape_text, table

if TYPE_CHECKING:
    from unet_core.architecture.trace import Trace


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "trace",
        run,
        "show every layer's shape, parameters and cost, and where an input size fails",
        "--preset ronneberger2015",
        "--preset keras_basic --size 250x250 --json",
        "--config my_unet.json",
    )
    add_architecture(parser)
    parser.add_argument("--size", type=size, metavar="HxW", help="height and width of the input, such as 160x128")


def run(arguments: Namespace, output: Output) -> int:
    """Trace an architecture at an input size; a size that fails is a result, not an error."""
    from unet_core.architecture.trace import trace

    config, preset = architecture(arguments)
    traced = trace(config, arguments.size)
    output.result(traced.to_dict(preset), _text(traced))
    return OK


def _text(traced: Trace) -> str:
    rows = [
        (layer.name, layer.op, shape_text(layer.output_shape), f"{layer.params:,}", f"{layer.macs / 1e6:,.1f}")
        for layer in traced.layers
    ]
    lines = [table(("layer", "operation", "output", "parameters", "million MACs"), rows), ""]
    if traced.problem is None:
        lines.append(
            f"{shape_text(traced.input_shape)} → {shape_text(traced.output_shape)}, {traced.total_params:,} "
            f"parameters, {traced.total_macs / 1e9:,.2f} billion multiply-accumulates"
        )
    else:
        lines.append(f"does not fit: {traced.problem.message}")
        sizes = ", ".join(f"{height}x{width}" for height, width in traced.problem.suggested_sizes)
        lines += [f"sizes that work: {sizes}"] if sizes else []
    return "\n".join(lines)
