"""`evaluate`: a model's scores on a part of a dataset."""

from __future__ import annotations

import contextlib
import time
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_core.cli.arguments import (
    add_cluster,
    add_command,
    add_data,
    add_engine,
    add_limit,
    add_model,
    require_cluster,
    size,
)
from unet_core.cli.output import OK, Output, progress_bars, say_rate, table, wait_for_workers
from unet_core.errors import ConfigError
from unet_core.quiet_tensorflow import import_tensorflow_quietly
from unet_core.settings import get_settings

if TYPE_CHECKING:
    from unet_core.results.resolutions import Resolutions, Size
    from unet_core.scoring.on_cluster import OnCluster
    from unet_core.train.find_model import ModelSource
    from unet_core.train.use_model import Subject

_FIGURES = (
    "images",
    "image_size",
    "classes",
    "pixel_accuracy",
    "mean_iou",
    "mean_dice",
    "iou",
    "dice",
    "pet_iou",
    "pet_alone_iou",
    "confusion_matrix",
    "milliseconds_per_image",
)


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "evaluate",
        run,
        "measure a model: pixel accuracy, IoU and Dice per class, confusion matrix, time",
        "--model pets_fast --data oxford_iiit_pet --split test --json",
        "--model runs/first --split validation",
        "--model pets_fast --full",
        "--model pets_fast --sizes 128 256 own",
        "--model runs/first --data photos --cluster",
    )
    add_model(parser)
    add_data(parser, default=None)
    add_limit(parser)
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test", help="default: test")
    parser.add_argument(
        "--size",
        type=_size,
        default=(128, 128),
        metavar="N|HxW",
        help="compare masks at this size, independent of the model's input size (default: 128)",
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=_size_or_own,
        metavar="N|HxW|own",
        help="compare the same predictions at several sizes; own is each mask's own",
    )
    parser.add_argument(
        "--results", action="store_true", help="with --sizes: write the figures for the Results page of a shipped model"
    )
    parser.add_argument(
        "--flip",
        action="store_true",
        help="horizontal-flip averaging; no effect on a model with a zoomed second pass",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="write everything that the Results page shows (both parts, breeds, calibration, robustness) to a file",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="with --full: the file (default: UNET_WEIGHTS_DIR/results/NAME.json)"
    )
    add_cluster(
        parser,
        "predict on the workers of UNET_CLUSTER, which must reach the same data; the figures are the same, but for the "
        "time of a photo",
    )
    add_engine(parser)


def run(arguments: Namespace, output: Output) -> int:
    """Measure a model on a part of a dataset."""
    _check(arguments)
    import_tensorflow_quietly()
    from unet_core.train.use_model import evaluation, evaluation_header, evaluation_subject

    split, flip = arguments.split, arguments.flip
    subject = evaluation_subject(arguments.model, arguments.data, arguments.engine)
    path = None
    if arguments.sizes:
        return _at_sizes(subject, arguments, output)
    if arguments.full:
        figures, path = _evaluate_in_full(subject, arguments)
        document = {**evaluation_header(subject, split, flip), **figures, "results": str(path)}
    else:
        with _measuring(arguments) as (cluster, show):
            document = evaluation(
                subject,
                split,
                size=arguments.size,
                flip=flip,
                limit=arguments.limit,
                cluster=cluster,
                progress=show,
            )
    output.result(document, _text(document) + (f"\n{path}" if path else ""))
    return OK


def _check(arguments: Namespace) -> None:
    """Refuse options that do not go together.

    Raises:
        ConfigError: the text says which.
    """
    if arguments.results and not arguments.sizes:
        raise ConfigError("--results: needs --sizes; everything else on the Results page is written by --full")
    require_cluster(arguments, get_settings())
    for option in ("full", "results"):
        if arguments.cluster and getattr(arguments, option):
            raise ConfigError(
                f"--{option}: measured on one machine only, since its file says on which; leave out --cluster"
            )


@contextlib.contextmanager
def _measuring(arguments: Namespace) -> Iterator[tuple[OnCluster | None, Callable[[int, int], None]]]:
    """Yield the cluster, None without --cluster, and what shows the progress; in the end say a cluster's rate."""
    with _opened(arguments) as where, progress_bars("measuring on ", "photo") as draw:
        started = time.monotonic()
        yield where, lambda done, total: draw(arguments.split, done, total)
        seconds = time.monotonic() - started
    if where is not None:
        before = f"; {where.earlier:,} were done before" if where.earlier else ""
        say_rate(where.counted, seconds, f"{where.cluster.name}{before}")


@contextlib.contextmanager
def _opened(arguments: Namespace) -> Iterator[OnCluster | None]:
    from unet_core.jobs.cluster import open_cluster
    from unet_core.scoring.on_cluster import OnCluster

    if not arguments.cluster:
        yield None
        return
    settings = get_settings()
    with open_cluster(settings) as cluster:
        wait_for_workers(cluster)
        yield OnCluster(cluster, kept=settings.cache_dir / "evaluations")


def _at_sizes(subject: Subject, arguments: Namespace, output: Output) -> int:
    """Measure a model at several sizes.

    Raises:
        ConfigError: the figures are to be written, but the model is not a shipped one.
    """
    from unet_core.results.files import write_result
    from unet_core.results.resolutions import resolutions, resolutions_path

    source = subject.source
    if arguments.results and source.entry is None:
        raise ConfigError("--results: the Results page shows the shipped models; leave it out for other models")
    sizes = " ".join(size if isinstance(size, str) else f"{size[0]}x{size[1]}" for size in arguments.sizes)
    command = f"python -m unet_core evaluate --model {source.name} --split {arguments.split} --sizes {sizes} --results"
    command += f" --limit {arguments.limit}" if arguments.limit else ""
    with _measuring(arguments) as (cluster, show):
        found = resolutions(
            subject,
            arguments.split,
            arguments.sizes,
            flip=arguments.flip,
            limit=arguments.limit,
            cluster=cluster,
            command=command,
            progress=show,
        )
    written = {}
    if arguments.results:
        written["results"] = str(write_result(resolutions_path(source.name, get_settings()), found))
    output.result(found.model_dump(mode="json") | written, _sizes_text(found))
    return OK


def _sizes_text(found: Resolutions) -> str:
    rows = [
        (
            "own size" if at.size == "own" else f"{at.size[0]}x{at.size[1]}",
            *(
                "–" if value is None else f"{value:.4f}"
                for value in (at.pixel_accuracy, at.mean_iou, at.pet_iou, at.photo_iou)
            ),
        )
        for at in found.sizes
    ]
    coarse = f"{found.coarse_masks:,} of {found.images:,} masks are enlarged from {found.detail}x{found.detail}"
    return f"{found.model} on {found.data} ({found.split}, {found.images:,} photos; {coarse})\n" + table(
        ("compared at", "accuracy", "mean IoU", "pet and border", "the same, mean over photos"), rows
    )


def _evaluate_in_full(subject: Subject, arguments: Namespace) -> tuple[dict[str, Any], Path]:
    """Measure everything about a model and write its result file.

    Returns:
        The scores of the chosen split as `evaluate` returns them, and the file.

    Raises:
        ConfigError: --full does not measure the split, or --out is missing for a run.
    """
    source, data = subject.source, subject.data
    if arguments.split not in ("test", "validation"):
        raise ConfigError("--full measures the test and validation parts: omit --split, or choose one of them")
    if arguments.out is None and source.entry is None:
        raise ConfigError(f"{source.name} is not a shipped model: choose the result file with --out FILE.json")
    from unet_core.results.evaluation import full_evaluation
    from unet_core.results.files import result_path, write_result

    path = Path(arguments.out) if arguments.out else result_path(source.name, get_settings())
    with progress_bars("measuring on ", "photo") as draw:
        found = full_evaluation(
            source,
            subject.network,
            data,
            size=arguments.size,
            flip=arguments.flip,
            limit=arguments.limit,
            command=_command(source, data, arguments),
            progress=draw,
        )
    write_result(path, found)
    part = found.parts.get(arguments.split)
    if part is None:
        raise ConfigError(f"{data} has no {arguments.split} part; the other parts are in {path}")
    return part.model_dump(mode="json", include=set(_FIGURES)), path


def _command(source: ModelSource, data: str, arguments: Namespace) -> str:
    """Return the command that reproduces this, without options at their defaults."""
    from unet_core.results.files import command_for

    words = [command_for(source.name)]
    if data != "oxford_iiit_pet":
        words.append(f"--data {Path(data).name}")
    if tuple(arguments.size) != (128, 128):
        words.append(f"--size {arguments.size[0]}x{arguments.size[1]}")
    words += ["--flip"] * bool(arguments.flip)
    words += [f"--limit {arguments.limit}"] * bool(arguments.limit)
    return " ".join(words)


def _text(document: dict[str, Any]) -> str:
    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.4f}"

    height, width = document["image_size"]
    lines = [
        f"{document['model']} on {document['data']} ({document['split']}, {document['images']:,} photos, "
        f"compared at {height}x{width})",
        f"pixel accuracy {number(document['pixel_accuracy'])}, mean IoU {number(document['mean_iou'])}",
        table(
            ("class", "IoU", "Dice"),
            [(name, number(document["iou"][name]), number(document["dice"][name])) for name in document["classes"]],
        ),
    ]
    for key, label in (("pet_iou", "pet, including border"), ("pet_alone_iou", "pet alone")):
        if document[key]:
            lines.append(
                f"{label}: IoU {number(document[key]['dataset'])} over all pixels, "
                f"{number(document[key]['per_image_mean'])} mean over photos"
            )
    lines += document.get("warnings", ())
    lines.append(f"{document['milliseconds_per_image']:.1f} ms per photo, {document['engine']} on {document['device']}")
    return "\n".join(lines)


def _size_or_own(text: str) -> Size:
    return "own" if text == "own" else _size(text)


def _size(text: str) -> tuple[int, int]:
    sides = (int(text), int(text)) if text.isdecimal() else size(text)
    if not all(1 <= side <= 4096 for side in sides):
        raise ArgumentTypeError(f"each side must be 1 to 4096. Received: {text!r}")
    return sides
