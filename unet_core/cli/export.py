"""`export`: a trained model as ONNX, Keras or LiteRT."""

from __future__ import annotations

import contextlib
import dataclasses
from argparse import Namespace
from typing import Any

from unet_core.cli.arguments import add_command, add_model
from unet_core.cli.output import OK, Output
from unet_core.errors import ConfigError
from unet_core.quiet_tensorflow import import_tensorflow_quietly


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "export",
        run,
        "export a trained model to ONNX, Keras or LiteRT; the file is compared with Keras before it is kept",
        "--model pets_fast --format tflite --out pets_fast.tflite",
        "--model runs/first --format onnx --out first.onnx",
    )
    add_model(parser)
    parser.add_argument(
        "--format",
        choices=("onnx", "keras", "litert", "tflite", "zip"),
        required=True,
        help="litert and tflite are the same format; zip is everything: the ONNX and Keras files, the classes, the "
        "licence, and a program that uses them without this one",
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="file to write, ending in .onnx, .keras, .tflite or .zip (default for a run: in its folder `exports`)",
    )

    parser.add_argument(
        "--end-to-end",
        action="store_true",
        help="ONNX only: with scaling and argmax inside, from pixels 0 to 255 (uint8) to class ids (uint8)",
    )


def run(arguments: Namespace, output: Output) -> int:
    """Export a trained model to a file; for a run, by default into its own folder."""
    from unet_core.train.downloads import export_job
    from unet_core.train.find_model import find_model
    from unet_core.train.run_directory import export_file

    import_tensorflow_quietly()
    from unet_core.train.use_model import export

    source = find_model(arguments.model)
    path, job = arguments.out, contextlib.nullcontext()
    if path is None:
        if source.run is None:
            raise ConfigError("choose the file to write with --out PATH")
        path = export_file(source.run, arguments.format)
        if arguments.end_to_end:  # the file in the run's folder is the one that the app uses
            raise ConfigError("choose the file to write with --out PATH")
        if arguments.format in ("onnx", "keras", "zip"):
            job = export_job(source.run, arguments.format).running()
    with job:
        written = export(arguments.model, arguments.format, path, end_to_end=arguments.end_to_end)
    document = {"model": source.name, **dataclasses.asdict(written)}
    output.result(
        document,
        f"{written.path}: {written.bytes / 1e6:.2f} MB, differs from Keras by at most {written.difference:.1e}",
    )
    return OK
