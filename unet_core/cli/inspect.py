"""`inspect`: what a dataset of photos and masks contains, how it is read, and what is wrong with it."""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_core.cli.arguments import add_command
from unet_core.cli.output import OK, Output, progress_bars, table
from unet_core.errors import ConfigError
from unet_core.settings import get_settings

if TYPE_CHECKING:
    from unet_core.data.own.options import ReadOptions
    from unet_core.data.own.report import DatasetReport


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "inspect",
        run,
        "inspect a dataset before training: how photos and masks are read, and what is wrong with them",
        "photos/",
        "photos.zip --json",
        "DRIVE/ --masks 1st_manual --save",
    )
    parser.add_argument("path", metavar="PATH", help="a folder or ZIP of photos and masks")
    add_reading(parser)
    parser.add_argument(
        "--save", action="store_true", help="keep the report in the folder; training then reads the dataset in this way"
    )


def add_reading(parser: ArgumentParser) -> None:
    """Add what a person decides about reading a dataset, see `ReadOptions`."""
    parser.add_argument("--masks", metavar="NAME", help="the masks to take where several sets fit the same photos")
    parser.add_argument("--skip-bad", action="store_true", help="leave out pairs that cannot be used")
    parser.add_argument("--resize-masks", action="store_true", help="resize masks to their photo by nearest neighbour")
    parser.add_argument(
        "--orientation",
        choices=("upright", "stored"),
        default="upright",
        help="whether photos are turned as their EXIF orientation says (default: upright)",
    )


def reading_options(arguments: Namespace) -> ReadOptions:
    """Return the options of `add_reading`."""
    from unet_core.data.own.options import ReadOptions

    return ReadOptions(
        masks=arguments.masks,
        skip_bad=arguments.skip_bad,
        resize_masks=arguments.resize_masks,
        orientation=arguments.orientation,
    )


def keep_reading(arguments: Namespace, data: str) -> None:
    """Keep the options of `add_reading`, if there are any, in the report beside the dataset, where training reads them.

    Raises:
        ConfigError: the data are no folder.
        DataError: the folder cannot be written to.
    """
    from unet_core.data.own.options import DEFAULT_OPTIONS
    from unet_core.data.own.report import inspect_dataset, save_report

    options = reading_options(arguments)
    if options == DEFAULT_OPTIONS:
        return
    path = Path(data).expanduser()
    if not path.is_dir():
        raise ConfigError(f"--masks, --skip-bad, --resize-masks and --orientation need a folder. Received: {data!r}")
    save_report(inspect_dataset(path, options=options), path)


def run(arguments: Namespace, output: Output) -> int:
    """Inspect a dataset; exits with 0 whether or not it is usable."""
    from unet_core.data.own.archive import unpack_upload
    from unet_core.data.own.report import inspect_dataset, save_report

    options = reading_options(arguments)
    path = Path(arguments.path).expanduser()
    with tempfile.TemporaryDirectory() as unpacked, progress_bars() as watch:
        if path.is_file():
            if arguments.save:
                raise ConfigError("--save: needs a folder; unpack the archive first")
            with open(path, "rb") as file:
                path = unpack_upload(file, path.name, get_settings().replace(datasets_dir=Path(unpacked)))
        report = inspect_dataset(path, options=options, progress=lambda done, total: watch("read", done, total))
    if arguments.save:
        save_report(report, path)
    output.result(document_of(report), _text(report))
    return OK


def document_of(report: DatasetReport) -> dict[str, Any]:
    """Return a report as the command's JSON document."""
    background = report.class_names[report.background] if report.class_names else None
    return {
        "usable": report.usable,
        "pairs": len(report.pairs),
        "splits": report.counts,
        "classes": [
            {
                "name": entry.name,
                "value": entry.label if entry.label.startswith("#") else entry.code,
                "share": entry.share,
                "background": entry.name == background,
                "ignored": entry.ignored,
            }
            for entry in (report.coding.classes if report.coding else ())
        ],
        "coding": report.coding.sentence if report.coding else None,
        "layout": report.layout_sentence,
        "candidates": report.candidates,
        "ignored": [file.model_dump() for file in report.ignored],
        "left_out": [file.model_dump() for file in report.left_out],
        "warnings": [finding.message for finding in report.warnings],
        "errors": [finding.message for finding in report.errors],
    }


def _text(report: DatasetReport) -> str:
    document = document_of(report)
    splits = ", ".join(f"{count} {name}" for name, count in report.counts.items())
    lines = [
        f"{report.name}: {'usable' if report.usable else 'not usable'}, {len(report.pairs)} pairs"
        + (f" ({splits})" if splits else ""),
        f"Read as {report.layout_sentence}.",
    ]
    if report.coding is not None:
        rows = [
            (
                entry["name"],
                str(entry["value"]),
                f"{entry['share']:.1%}",
                "ignored" if entry["ignored"] else "background" if entry["background"] else "",
            )
            for entry in document["classes"]
        ]
        lines += [f"Masks: {report.coding.sentence.partition(':')[0]}.", table(("class", "value", "share", ""), rows)]
    lines += [f"error: {message}" for message in document["errors"]]
    lines += [f"warning: {message}" for message in document["warnings"]]
    for title, files in (("left out", report.left_out), ("not used", report.ignored)):
        lines += [f"{title}: {file.path} ({file.why})" for file in files[:20]]
        lines += [f"{title}: {len(files) - 20} more files"] if len(files) > 20 else []
    return "\n".join(lines)
