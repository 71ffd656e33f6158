"""`predict`: photos to masks."""

from __future__ import annotations

import math
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_core.cli.arguments import add_command, add_engine
from unet_core.cli.output import FAILED, OK, Output
from unet_core.errors import ConfigError, UNetError
from unet_core.quiet_tensorflow import import_tensorflow_quietly
from unet_core.settings import Settings, get_settings

if TYPE_CHECKING:
    from unet_core.segment import InferenceMode, Segmenter


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "predict",
        run,
        "segment photos: for each a mask (1 pet, 2 background, 3 border) and an overlay as PNG",
        "cat.jpg --out masks",
        "photos/*.jpg --out masks --model pets_fast --json",
        "group.jpg --out masks --way tiles --scale 0.5 --overlap 25",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a photo: JPEG, PNG, WebP, GIF, BMP or TIFF")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results, made if missing")
    parser.add_argument("--model", metavar="NAME", help="a shipped model (default: the manifest's)")
    parser.add_argument(
        "--flip",
        action="store_true",
        help="horizontal-flip averaging: better, half as fast; no effect on a model with a zoomed second pass",
    )
    parser.add_argument(
        "--way",
        choices=("whole", "tiles"),
        default="whole",
        help="inference mode: the whole photo at once, or overlapping tiles, which keep small things of big photos "
        "(default: whole)",
    )
    parser.add_argument(
        "--scale",
        choices=("auto", "0.25", "0.5", "1"),
        help="of the photo that the tiles are cut from; auto keeps them few (default: auto)",
    )
    parser.add_argument(
        "--overlap",
        type=int,
        metavar="PERCENT",
        help="least share that neighbouring tiles have in common (default: 25)",
    )
    add_engine(parser)


def run(arguments: Namespace, output: Output) -> int:
    """Segment photos; one that cannot be used is reported in its own entry and the others are still done."""
    from tqdm import tqdm

    if arguments.engine == "keras":
        import_tensorflow_quietly()
    from unet_core.segment import Segmenter

    settings = get_settings()
    mode = _inference_mode(arguments)
    segmenter = Segmenter(arguments.model, arguments.engine, settings)
    folder = Path(arguments.out)
    _make_folder(folder)
    stems = result_stems(arguments.images, folder)
    entries = []
    for path, stem in tqdm(list(zip(arguments.images, stems)), unit="photo", disable=None, leave=False):
        try:
            entries.append(_predict_one(segmenter, path, folder, stem, mode, settings))
        except (UNetError, MemoryError) as error:
            entries.append({"path": path, "error": " ".join(str(error).split()) or "there is not enough memory"})
        except OSError as error:
            entries.append({"path": path, "error": f"{error.filename or path}: {error.strerror or error}"})
    failures = [entry for entry in entries if "error" in entry]
    output.result(entries, _text(entries))
    if failures:
        print(f"error: {len(failures)} of {len(entries)} photos could not be segmented", file=sys.stderr)
    return FAILED if failures else OK


def _inference_mode(arguments: Namespace) -> InferenceMode:
    from unet_core.segment import InferenceMode

    tiling = {"scale": arguments.scale, "overlap": arguments.overlap}
    given = [f"--{name}" for name, value in tiling.items() if value is not None]
    if given and arguments.way != "tiles":
        raise ConfigError(f"{' and '.join(given)}: only with --way tiles")
    scale = None if arguments.scale in (None, "auto") else float(arguments.scale)
    overlap = InferenceMode.overlap if arguments.overlap is None else arguments.overlap / 100
    return InferenceMode(arguments.way, scale, overlap, arguments.flip)


def _predict_one(
    segmenter: Segmenter, path: str, folder: Path, stem: str, mode: InferenceMode, settings: Settings
) -> dict[str, Any]:
    from unet_core.segment import segment_bytes

    segmentation = segment_bytes(segmenter, read_photo(Path(path), settings), Path(path).name, mode)
    mask_path, overlay_path = folder / f"{stem}_mask.png", folder / f"{stem}_overlay.png"
    mask_path.write_bytes(segmentation.to_trimap_png())
    overlay_path.write_bytes(segmentation.to_overlay_png())
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
        "mask": str(mask_path),
        "overlay": str(overlay_path),
    }


def read_photo(path: Path, settings: Settings) -> bytes:
    """Read a photo's file, up to the limit in the settings.

    Raises:
        ConfigError: it is no file, or it is too large.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: name the photos in it, such as {path}/*.jpg")
    if path.exists() and not path.is_file():  # a pipe or device never ends
        raise ConfigError(f"{path} is not a file")
    limit = math.floor(settings.max_upload_mb * 1e6)
    with open(path, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ConfigError(f"{path.name} is larger than the {settings.max_upload_mb:g} MB that are read")
    return data


def result_stems(images: list[str], folder: Path) -> list[str]:
    """Give each photo its own stem: a second photo of one name, or results that would overwrite a photo, get a number.

    A number never takes the name of another photo, so results are where their photo's name says.
    """
    photos = {os.path.realpath(image) for image in images}
    names = {Path(image).stem for image in images}

    def overwrites(stem: str) -> bool:
        return any(os.path.realpath(folder / f"{stem}_{kind}.png") in photos for kind in ("mask", "overlay"))

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
        lines.append(f"{entry['path']}: {shares} ({entry['milliseconds']:.0f} ms) → {entry['mask']}")
    return "\n".join(lines)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(f"{path} cannot be the folder for the results: there is a file of that name") from None
    except OSError as error:
        raise ConfigError(f"the folder {path} cannot be made: {error.strerror or error}") from None
