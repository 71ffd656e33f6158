"""`predict`: masks for photos."""

from __future__ import annotations

import argparse
import os
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_core.cli.arguments import add_cluster, add_command, add_engine, add_model, require_cluster
from unet_core.cli.output import FAILED, OK, Output, say_rate, wait_for_workers
from unet_core.errors import ConfigError
from unet_core.jobs import storage
from unet_core.jobs.names import one_line
from unet_core.quiet_tensorflow import import_tensorflow_quietly
from unet_core.settings import Settings, get_settings

if TYPE_CHECKING:
    from unet_core.jobs.background_job import Report
    from unet_core.segment import InferenceMode
    from unet_core.segment.batch import Batch, Photo


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "predict",
        run,
        "segment photos: write for each, as PNG, a mask in the codes of the model's data (pets: 1 pet, 2 background, "
        "3 border), the subject's soft outline and an overlay",
        "cat.jpg --out masks",
        "photos --out masks --model pets_fast --json",
        "photos --out masks --model runs/first",
        "group.jpg --out masks --way tiles --scale 0.5 --overlap 25",
        "cat.jpg --out masks --cutout",
        "photos --out masks --cluster",
    )
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="a photo (JPEG, PNG, WebP, GIF, BMP or TIFF), a folder: all photos in it, without its subfolders, or a "
        "pattern such as 'photos/*.jpg'; also in object storage, such as s3://bucket/photos",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder or URL for the results")
    add_model(parser)
    parser.add_argument(
        "--flip",
        action="store_true",
        help="horizontal-flip averaging: more accurate, half as fast; no effect on a model with a zoomed second pass",
    )
    parser.add_argument(
        "--way",
        choices=("whole", "tiles"),
        default="whole",
        help="inference mode: the whole photo at once, or overlapping tiles, which keep small details of large photos "
        "(default: whole)",
    )
    parser.add_argument(
        "--scale",
        choices=("auto", "0.25", "0.5", "1"),
        help="scale of the photo that is cut into tiles; auto limits their number (default: auto)",
    )
    parser.add_argument(
        "--overlap",
        type=int,
        metavar="PERCENT",
        help="minimum overlap of neighbouring tiles (default: 25)",
    )
    parser.add_argument(
        "--cutout", action="store_true", help="also write the subject on a transparent background, in its own colours"
    )
    parser.add_argument(
        "--files",
        metavar="KINDS",
        help="which files to write, of mask, overlay, alpha and cutout (default: mask,overlay,alpha, of which overlays "
        "are by far the largest)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="do only what earlier calls with --resume or --cluster have not done; their records are in DIR/.unet",
    )
    add_cluster(
        parser, "segment on the workers of UNET_CLUSTER, which must reach the photos and DIR; resumes as --resume does"
    )
    parser.add_argument("--job", help=argparse.SUPPRESS)  # the folder in which the app's page watches
    add_engine(parser)


def run(arguments: Namespace, output: Output) -> int:
    """Segment photos; one that cannot be used is reported in its entry, and the others are still segmented."""
    if arguments.job is not None:
        return _run_job(arguments)
    from unet_core.segment.batch import find_photos

    settings = get_settings()
    batch = _batch(arguments, settings)
    photos = find_photos(arguments.images, batch.folder)
    entries, _ = _segment(batch, photos, settings, on_cluster=arguments.cluster)
    failures = _failures(entries)
    output.result(entries, "\n".join([_text(entries), *([batch.note] if batch.note else [])]))
    if failures:
        print(f"error: {len(failures)} of {len(entries)} photos could not be segmented", file=sys.stderr)
    return FAILED if failures else OK


def _run_job(arguments: Namespace) -> int:
    """Do the job of a visitor of the app, who may not reach files elsewhere by links among the photos."""
    from unet_core.segment import cluster_job
    from unet_core.segment.batch import find_photos

    folder = Path(arguments.job)
    with cluster_job.working(folder, arguments.out) as report:
        settings = get_settings()
        batch = _batch(arguments, settings)
        report(cluster_job.READING, 0, 0)
        found = find_photos(arguments.images, batch.folder)
        photos = [photo for photo in found if not os.path.islink(photo.path)]
        entries, earlier = _segment(batch, photos, settings, on_cluster=True, report=report)
        failures = _failures(entries)
        problems = [_problem(entry) for entry in failures[: cluster_job.MOST_NAMED]]
        links = len(found) - len(photos)
        cluster_job.note_end(
            folder, cluster_job.Ending(len(photos), earlier, len(failures), links, "\n".join(problems))
        )
    return OK


def _batch(arguments: Namespace, settings: Settings) -> Batch:
    """Return what is done with each photo, with the loaded model, and make the folder of the results."""
    from unet_core.segment.batch import Batch, LoadedModel, PackedModel
    from unet_core.train.find_model import find_model

    mode = _inference_mode(arguments)
    require_cluster(arguments, settings)
    source = find_model(arguments.model, settings)
    if arguments.engine == "keras" or source.needs_keras:
        import_tensorflow_quietly()
    segmenter = source.segmenter(arguments.engine, settings)
    batch = Batch(
        PackedModel.of(segmenter) if arguments.cluster else LoadedModel(segmenter),
        mode,
        storage.checked(arguments.out),
        kinds=_kinds(arguments),
        base=os.getcwd() if arguments.cluster else "",
        record=arguments.cluster or arguments.resume,
        note=source.origin.note,
    )
    if not storage.is_url(batch.folder):
        _make_folder(Path(batch.folder))
    return batch


def _segment(
    batch: Batch,
    photos: list[Photo],
    settings: Settings,
    *,
    on_cluster: bool,
    report: Report = lambda phase, done, total: None,
) -> tuple[list[dict[str, Any]], int]:
    """Segment the photos here or on the cluster; return their entries in their order, and how many were done before."""
    from tqdm import tqdm

    from unet_core.jobs.cluster import LocalCluster, open_cluster
    from unet_core.segment.batch import recorded, segment_all
    from unet_core.segment.cluster_job import SEGMENTING, WAITING

    entries = recorded(batch, photos)
    missing = [photo for photo in photos if photo not in entries]
    started = time.monotonic()
    with (
        open_cluster(settings) if on_cluster else LocalCluster() as cluster,
        tqdm(total=len(photos), initial=len(entries), unit="photo", disable=None, leave=False) as bar,
    ):
        if missing:
            wait_for_workers(cluster, lambda: report(WAITING, len(entries), len(photos)))

        def tell() -> None:
            report(SEGMENTING if cluster.slots else WAITING, len(entries), len(photos))

        tell()
        for part in segment_all(cluster, batch, missing, while_waiting=tell):
            entries |= part
            bar.update(len(part))
            tell()
    earlier = len(photos) - len(missing)
    if on_cluster:
        before = f"; {earlier:,} were done before" if earlier else ""
        say_rate(len(missing), time.monotonic() - started, f"{cluster.name}{before}")
    return [entries[photo] for photo in photos], earlier


def _failures(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for entry in entries if "error" in entry]


def _problem(entry: dict[str, Any]) -> str:
    """Return a photo's name and what is wrong with it, in a line."""
    name, problem = os.path.basename(entry["path"]), entry["error"]
    return one_line(problem if problem.startswith(name) else f"{name}: {problem}", 300)


def _kinds(arguments: Namespace) -> tuple[str, ...]:
    from unet_core.segment.batch import DEFAULT_KINDS, KINDS

    chosen = set(DEFAULT_KINDS if arguments.files is None else arguments.files.split(","))
    if unknown := chosen - set(KINDS):
        raise ConfigError(f"--files: choose from {', '.join(KINDS)}. Received: {', '.join(sorted(unknown))}")
    return tuple(kind for kind in KINDS if kind in chosen or (kind == "cutout" and arguments.cutout))


def _inference_mode(arguments: Namespace) -> InferenceMode:
    from unet_core.segment import InferenceMode

    tiling = {"scale": arguments.scale, "overlap": arguments.overlap}
    given = [f"--{name}" for name, value in tiling.items() if value is not None]
    if given and arguments.way != "tiles":
        raise ConfigError(f"{' and '.join(given)}: needs --way tiles")
    scale = None if arguments.scale in (None, "auto") else float(arguments.scale)
    overlap = InferenceMode.overlap if arguments.overlap is None else arguments.overlap / 100
    return InferenceMode(arguments.way, scale, overlap, arguments.flip)


def _text(entries: list[dict[str, Any]]) -> str:
    from unet_core.segment.batch import KINDS

    lines = []
    for entry in entries:
        if "error" in entry:
            lines.append(f"{entry['path']}: error: {entry['error']}")
            continue
        shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in entry["shares"].items())
        missing = next((name for name, value in entry.items() if name.endswith("_found") and not value), None)
        named = next((value for name, value in entry.items() if name.endswith("_kind")), None)
        said = f"no {missing.removesuffix('_found')} found" if missing else named
        shown = f"{said}; {shares}" if said else shares
        written = next(entry[kind] for kind in KINDS if kind in entry)
        lines.append(f"{entry['path']}: {shown} ({entry['milliseconds']:.0f} ms) → {written}")
    return "\n".join(lines)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(f"{path} cannot be the results folder: a file has that name") from None
    except OSError as error:
        raise ConfigError(f"the folder {path} cannot be created: {error.strerror or error}") from None
