"""`predict`: masks for photos."""

from __future__ import annotations

import math
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_core.cli.arguments import add_command, add_engine, add_model
from unet_core.cli.output import FAILED, OK, Output
from unet_core.errors import ConfigError, UNetError
from unet_core.images.files import is_photo
from unet_core.quiet_tensorflow import import_tensorflow_quietly
from unet_core.settings import Settings, get_settings

if TYPE_CHECKING:
    from unet_core.segment import InferenceMode, Segmentation, Segmenter

KINDS = ("mask", "overlay", "alpha", "cutout")  # of the files written for a photo


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
    )
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="a photo (JPEG, PNG, WebP, GIF, BMP or TIFF), or a folder: all photos in it, without its subfolders",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results, created if missing")
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
    add_engine(parser)


def run(arguments: Namespace, output: Output) -> int:
    """Segment photos; one that cannot be used is reported in its entry, and the others are still segmented."""
    from tqdm import tqdm

    from unet_core.train.find_model import find_model

    settings = get_settings()
    mode = _inference_mode(arguments)
    source = find_model(arguments.model, settings)
    if arguments.engine == "keras" or source.needs_keras:
        import_tensorflow_quietly()
    segmenter, note = source.segmenter(arguments.engine, settings), source.origin.note
    folder = Path(arguments.out)
    _make_folder(folder)
    images = photos_of(arguments.images)
    entries = []
    for path, stem in tqdm(list(zip(images, result_stems(images, folder))), unit="photo", disable=None, leave=False):
        try:
            entries.append(
                _predict_one(segmenter, path, folder, stem, mode, settings, cutout=arguments.cutout)
                | ({"note": note} if note else {})
            )
        except (UNetError, MemoryError) as error:
            entries.append({"path": path, "error": " ".join(str(error).split()) or "there is not enough memory"})
        except OSError as error:
            entries.append({"path": path, "error": f"{error.filename or path}: {error.strerror or error}"})
    failures = [entry for entry in entries if "error" in entry]
    output.result(entries, "\n".join([_text(entries), *([note] if note else [])]))
    if failures:
        print(f"error: {len(failures)} of {len(entries)} photos could not be segmented", file=sys.stderr)
    return FAILED if failures else OK


def _inference_mode(arguments: Namespace) -> InferenceMode:
    from unet_core.segment import InferenceMode

    tiling = {"scale": arguments.scale, "overlap": arguments.overlap}
    given = [f"--{name}" for name, value in tiling.items() if value is not None]
    if given and arguments.way != "tiles":
        raise ConfigError(f"{' and '.join(given)}: needs --way tiles")
    scale = None if arguments.scale in (None, "auto") else float(arguments.scale)
    overlap = InferenceMode.overlap if arguments.overlap is None else arguments.overlap / 100
    return InferenceMode(arguments.way, scale, overlap, arguments.flip)


def _predict_one(
    segmenter: Segmenter,
    path: str,
    folder: Path,
    stem: str,
    mode: InferenceMode,
    settings: Settings,
    *,
    cutout: bool,
) -> dict[str, Any]:
    from unet_core.segment import segment_bytes

    segmentation = segment_bytes(segmenter, read_photo(Path(path), settings), Path(path).name, mode)
    files = {
        "mask": segmentation.to_mask_png,
        "overlay": segmentation.to_overlay_png,
        "alpha": segmentation.to_alpha_png,
        **({"cutout": segmentation.to_cutout_png} if cutout else {}),
    }
    written = {}
    for kind, make in files.items():
        target = folder / f"{stem}_{kind}.png"
        target.write_bytes(make())
        written[kind] = str(target)
    height, width = segmentation.size
    return {
        "path": path,
        "width": width,
        "height": height,
        "model": segmentation.model,
        "engine": segmentation.engine,
        "device": segmentation.device,
        "milliseconds": round(segmentation.timings["total"], 3),
        "shares": {name: round(share, 6) for name, share in segmentation.shares.items()},
        "coverage": round(segmentation.coverage, 6),
        **_presence(segmentation),
        **written,
    }


def _presence(segmentation: Segmentation) -> dict[str, Any]:
    """Return whether the photo shows the subject; what the model is not sure of counts as found."""
    from unet_core.segment.analysis import subject_key

    name, presence = subject_key(segmentation.pixel_classes), segmentation.presence
    probability = None if presence.probability is None else round(presence.probability, 4)
    is_sure = presence.found is not None
    return {f"{name}_found": presence.found is not False, f"{name}_probability": probability, "sure": is_sure}


def photos_of(paths: list[str]) -> list[str]:
    """Return the photos themselves, and those in folders sorted by name; a folder without any stays, as an error."""
    found: list[str] = []
    for path in paths:
        inside = sorted(os.listdir(path)) if Path(path).is_dir() and os.access(path, os.R_OK | os.X_OK) else []
        photos = [str(Path(path) / name) for name in inside if is_photo(name) and (Path(path) / name).is_file()]
        found += photos or [path]
    return found


def read_photo(path: Path, settings: Settings) -> bytes:
    """Read a photo file, up to the size limit in the settings.

    Raises:
        ConfigError: it is not a file, or it is too large.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder without photos")
    if path.exists() and not path.is_file():  # reading a pipe or device may never end
        raise ConfigError(f"{path} is not a file")
    limit = math.floor(settings.max_upload_mb * 1e6)
    with open(path, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ConfigError(f"{path.name} is larger than the limit of {settings.max_upload_mb:g} MB")
    return data


def result_stems(images: list[str], folder: Path) -> list[str]:
    """Return a unique stem for each photo's results, numbered if names clash or a photo would be overwritten.

    A numbered stem is never the name of another photo.
    """
    photos = {os.path.realpath(image) for image in images}
    names = {Path(image).stem for image in images}

    def overwrites(stem: str) -> bool:
        return any(os.path.realpath(folder / f"{stem}_{kind}.png") in photos for kind in KINDS)

    taken: set[str] = set()
    stems = []
    for image in images:
        base = stem = Path(image).stem
        number = 1
        while stem in taken or overwrites(stem) or (stem != base and stem in names):
            number += 1
            stem = f"{base}_{number}"
        taken.add(stem)
        stems.append(stem)
    return stems


def _text(entries: list[dict[str, Any]]) -> str:
    lines = []
    for entry in entries:
        if "error" in entry:
            lines.append(f"{entry['path']}: error: {entry['error']}")
            continue
        shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in entry["shares"].items())
        missing = next((name for name, value in entry.items() if name.endswith("_found") and not value), None)
        shown = f"no {missing.removesuffix('_found')} found; {shares}" if missing else shares
        lines.append(f"{entry['path']}: {shown} ({entry['milliseconds']:.0f} ms) → {entry['mask']}")
    return "\n".join(lines)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(f"{path} cannot be the results folder: a file has that name") from None
    except OSError as error:
        raise ConfigError(f"the folder {path} cannot be created: {error.strerror or error}") from None
