"""`catalogue`: index a dataset for the Data page."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from unet_core.cli.arguments import add_command, add_data
from unet_core.cli.output import OK, Output, progress_bars
from unet_core.quiet_tensorflow import import_tensorflow_quietly


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "catalogue",
        run,
        "index a dataset: one file with its statistics and thumbnails, for the Data page",
        "--data oxford_iiit_pet",
        "--data synthetic --json",
    )
    add_data(parser, default="oxford_iiit_pet")


def run(arguments: Namespace, output: Output) -> int:
    """Index a dataset."""
    if arguments.data == "oxford_iiit_pet":
        import_tensorflow_quietly()
    from unet_core.data.catalogue import Catalogue, build_catalogue

    with progress_bars() as watch:
        path = build_catalogue(arguments.data, progress=lambda done, total: watch("read", done, total))
    found = Catalogue.open(arguments.data).statistics()
    output.result(
        {"path": str(path), "photos": found.photos, "splits": found.split_counts, "shares": found.class_shares},
        f"{path}: {found.photos:,} photos, {path.stat().st_size / 1e6:.0f} MB",
    )
    return OK
