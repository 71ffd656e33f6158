"""`download`: the Oxford-IIIT Pet dataset."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from unet_core.cli.arguments import add_command
from unet_core.cli.output import OK, Output, progress_bars
from unet_core.quiet_tensorflow import import_tensorflow_quietly
from unet_core.settings import get_settings


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "download",
        run,
        "download the Oxford-IIIT Pet dataset (about 800 MB) into UNET_DATA_DIR",
        "",
        "--dir /big/disk/tensorflow_datasets",
    )
    parser.add_argument("--dir", metavar="DIR", help="the folder (default: UNET_DATA_DIR)")


def run(arguments: Namespace, output: Output) -> int:
    """Download the Oxford-IIIT Pet dataset."""
    import_tensorflow_quietly()
    from unet_core.data.oxford import download_job

    folder = Path(arguments.dir) if arguments.dir else get_settings().data_dir
    with progress_bars() as watch:
        found = download_job.download(folder, lambda sentence: print(sentence, file=sys.stderr), watch)
    counts = ", ".join(f"{count:,} {name}" for name, count in found.splits.items())
    output.result(
        {"folder": str(found.folder), "version": found.version, "splits": found.splits, "bytes": found.bytes},
        f"{found.folder}: {counts} photos",
    )
    return OK
