"""`outline`: how well a model's outlines, and its "no pet found", hold on photos with true masks."""

from __future__ import annotations

import csv
import json
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from unet_core.cli.arguments import add_command, add_engine, add_model
from unet_core.cli.output import OK, Output, progress_bars
from unet_core.errors import ConfigError
from unet_core.settings import get_settings

SHOWN_BESIDE = 0.01  # share of a photo from which something is said to be there


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "outline",
        run,
        "compare the subject's outline with true masks at the photos' size, and count photos in which it is missed or "
        "found falsely",
        "--data photos/",
        "--data photos/ --part 300 150 --model pets_fast --json",
        "--data photos/ --part 300 150 --calibrate presence.json",
        "--data photos/ --results 'Photos of our shelter'",
    )
    add_model(parser)
    parser.add_argument("--data", required=True, metavar="FOLDER", help="a folder or ZIP of photos and masks")
    parser.add_argument(
        "--part",
        nargs=2,
        type=int,
        metavar=("WITH", "WITHOUT"),
        help="only the first photos with and without the subject, in the order of the SHA-256 of their names "
        "(default: all)",
    )
    parser.add_argument(
        "--calibrate",
        metavar="FILE",
        help='fit "no pet found" on the photos outside the part and write it as JSON; the part is then scored with it',
    )
    parser.add_argument(
        "--results",
        metavar="TEXT",
        help="write the figures for the Results page, which calls the photos TEXT",
    )
    parser.add_argument(
        "--beside",
        metavar="FILE:COLUMN",
        help="with --results: photos for which COLUMN of a CSV file with the column id is over 0.01 are a kind of "
        "their own, such as photos.csv:person",
    )
    parser.add_argument(
        "--earlier",
        metavar="FILE",
        help="with --results: the same file of an earlier version of the model, to count failures before and after",
    )
    add_engine(parser)


def run(arguments: Namespace, output: Output) -> int:
    """Score outlines."""
    from unet_core.data.pipeline import open_source
    from unet_core.results.evaluation import provenance
    from unet_core.results.files import read_file, write_result
    from unet_core.results.whole_photos import WholePhotos, photos_path, whole_photos
    from unet_core.scoring.outline import all_examples, calibrated, outline_report, part_of, score_outlines
    from unet_core.segment.segmenter import Segmenter
    from unet_core.train.find_model import find_model

    if arguments.calibrate and not arguments.part:
        raise ConfigError("--calibrate needs --part: what it is fitted on is not what it is judged by")
    if (arguments.beside or arguments.earlier) and not arguments.results:
        raise ConfigError("--beside and --earlier need --results")
    beside = _shown_beside(arguments.beside) if arguments.beside else {}
    earlier = read_file(Path(arguments.earlier), WholePhotos) if arguments.earlier else None
    started, settings = time.perf_counter(), get_settings()
    model = find_model(arguments.model, settings)
    if arguments.results and model.entry is None:
        raise ConfigError("--results: the Results page shows the shipped models; leave it out for other models")
    segmenter = model.segmenter(arguments.engine, settings)
    source = open_source(arguments.data, model.config)
    chosen, rest = list(all_examples(source)), []
    if arguments.part:
        subjects, others = arguments.part
        chosen, rest = part_of(chosen, subjects, others, source.classes.background or 0)
    calibration = None
    with progress_bars("comparing outlines ", "photo") as draw:

        def scores_of(segmenter: Segmenter, name: str, examples: list[Any]) -> Any:
            return score_outlines(segmenter, source, examples, lambda done, total: draw(name, done, total))

        if arguments.calibrate:
            calibration = calibrated(
                scores_of(segmenter, "calibration", rest), f"{len(rest)} photos of {source.description}"
            )
            Path(arguments.calibrate).write_text(json.dumps(calibration.model_dump(mode="json"), indent=1) + "\n")
            entry = segmenter.entry.replace(presence=calibration)
            segmenter = Segmenter(segmenter.model, arguments.engine, settings, entry=entry)
        scores = scores_of(segmenter, "photos", chosen)
    report = {"model": model.name, "data": Path(arguments.data).name, **outline_report(scores)}
    written = {"calibration": arguments.calibrate} if calibration else {}
    if arguments.results:
        command = f"python -m unet_core outline --data {report['data']}{_part(arguments)} --model {model.name}"
        command += f" --beside {Path(arguments.beside).name}" if arguments.beside else ""
        measured = provenance(command, time.perf_counter() - started, segmenter.engine, segmenter.device)
        figures = whole_photos(
            scores, model.name, segmenter.entry, arguments.results, measured, beside=beside, earlier=earlier
        )
        written["results"] = str(write_result(photos_path(model.name, settings), figures))
    output.result(report | written, _text(report))
    return OK


def _shown_beside(written: str) -> dict[str, set[str]]:
    """Return the names of the photos for which a column of a table is over 0.01, by the column's name.

    Raises:
        ConfigError: the table cannot be read, or has no such column.
    """
    path, _, column = written.rpartition(":")
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {column: {row["id"] for row in rows if float(row[column]) > SHOWN_BESIDE}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"--beside: needs a CSV file and a column of numbers beside its column id, as FILE:COLUMN. Received: "
            f"{written!r} ({type(error).__name__})"
        ) from None


def _part(arguments: Namespace) -> str:
    return f" --part {arguments.part[0]} {arguments.part[1]}" if arguments.part else ""


def _text(report: dict[str, Any]) -> str:
    iou = report["outline_iou"]
    lines = [f"{report['model']} on {report['data']}: {report['photos']} photos, not sure of {report['not_sure']}"]
    if report["with_subject"]:
        lines.append(
            f"{report['with_subject']} with the subject: missed {report['missed']}; outline IoU {iou['mean']:.3f} mean "
            f"and {iou['median']:.3f} median, {iou['below_0.5']} below 0.5"
        )
    if report["without_subject"]:
        lines.append(
            f"{report['without_subject']} without it: found falsely in {report['found_falsely']}; more than a tenth of "
            f"the photo masked in {report['masked_over_tenth']}"
        )
    return "\n".join(lines)
