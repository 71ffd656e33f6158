"""`encoder-weights`: a pretrained encoder's weights as a file."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from unet_core.architecture.encoders import ENCODERS
from unet_core.cli.arguments import add_command
from unet_core.cli.output import OK, Output
from unet_core.quiet_tensorflow import import_tensorflow_quietly


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "encoder-weights",
        run,
        "write a pretrained encoder's ImageNet weights to a file, for offline use or for another program",
        "efficientnet_lite0 --out efficientnet_lite0.weights.h5",
        "mobilenet_v2 --width 0.35 --out mobilenet_v2_0.35.weights.h5",
    )
    parser.add_argument("encoder", choices=tuple(ENCODERS))
    parser.add_argument("--width", type=float, default=1.0, help="width multiplier of the encoder (default: 1.0)")
    parser.add_argument("--out", metavar="FILE", required=True, help="file to write, ending in .weights.h5")


def run(arguments: Namespace, output: Output) -> int:
    """Write an encoder's ImageNet weights to a file."""
    import_tensorflow_quietly()
    from unet_core.models.encoders import save_imagenet_weights

    parameters = save_imagenet_weights(arguments.encoder, arguments.width, arguments.out)
    document = {"encoder": arguments.encoder, "width": arguments.width, "path": arguments.out, "parameters": parameters}
    output.result(document, f"{arguments.out}: {parameters:,} parameters of {ENCODERS[arguments.encoder].title}")
    return OK
