"""Files to download: probabilities, COCO annotations, statistics, cut-outs, and a ZIP of a batch."""

from __future__ import annotations

import csv
import io
import json
import re
import time
import unicodedata
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any, Literal, get_args

import numpy as np
from PIL import Image, ImageOps

from unet_core.images import render
from unet_core.images.render import Colour
from unet_core.segment.analysis import subject_key, subject_name, threshold_mask, uncertainty
from unet_core.segment.coco import CocoForm, CocoWriter, coco_document
from unet_core.segment.contact_sheet import Thumbnail, contact_sheet, thumbnail
from unet_core.segment.outline import foreground
from unet_core.segment.segmentation import Failure, Segmentation

Background = Literal["transparent", "white", "blurred"] | Colour
Colours = Sequence[Colour | None] | None  # by class id; None stands for the default ones
FileKind = Literal[
    "mask", "binary", "alpha", "overlay", "cutout", "animals", "probabilities", "rle", "polygons", "statistics", "sheet"
]

ALL_FILES: tuple[FileKind, ...] = get_args(FileKind)

_BLUR_SHARE = 1 / 40  # the blur's radius as a share of the photo's longer side
_BLUR_SIDE = 400  # pixels; the blurred background is computed at this size, since blur removes detail anyway
_NAME_LENGTH = 80
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
_STAGES = ("decode", "preprocess", "network", "postprocess", "total")

__all__ = [
    "ALL_FILES",
    "Background",
    "FileKind",
    "animal_png",
    "binary_mask",
    "binary_png",
    "coco_json",
    "contact_sheet",
    "cutout",
    "cutout_png",
    "probabilities_npz",
    "safe_stem",
    "statistics_csv",
    "unique_stems",
    "write_zip",
]


def probabilities_npz(segmentation: Segmentation) -> bytes:
    """Return the probabilities as a compressed NPZ, which `numpy.load` opens without pickle.

    It holds "probabilities" (h, w, C) float32, "classes" (C) text, "codes" (C) of mask files, "mask" (H, W) uint8 class
    ids and "size", the photo's height and width; for photos of more than a megapixel the probabilities have the
    network's size.
    """
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        probabilities=segmentation.probabilities,
        classes=np.array(segmentation.classes),
        codes=np.array(segmentation.pixel_classes.codes),
        mask=segmentation.mask,
        size=np.array(segmentation.size),
    )
    return buffer.getvalue()


def coco_json(photos: Sequence[tuple[str, Segmentation]], form: CocoForm = "rle") -> bytes:
    """Return the COCO annotations of photos (file name, segmentation) as JSON, run-length encoded or as polygons."""
    return _json(coco_document(photos, form))


def statistics_csv(photos: Iterable[Segmentation | Failure]) -> str:
    """Return one CSV line per photo: size, model, engine, share and pixels by class, uncertain share, times, error.

    Names that a spreadsheet would run as a formula are prefixed with an apostrophe.
    """
    return _table([_statistics(photo) for photo in photos])


def cutout(image: np.ndarray, alpha: np.ndarray, background: Background | np.ndarray = "transparent") -> np.ndarray:
    """Cut the subject out, in its own colours, and put it on another background.

    Args:
        image: the photo, (H, W, 3) uint8.
        alpha: the subject's outline, (H, W) float32 in 0…1, see `Segmentation.alpha`.
        background: "transparent", "white", "blurred" (the photo's own), a colour (red, green, blue), or a picture
            (h, w, 3) uint8, which is scaled to cover the photo.

    Returns:
        (H, W, 4) uint8 if transparent, else (H, W, 3).

    Raises:
        ImageError: photo and alpha differ in size.
        ValueError: the background is unknown.
    """
    colour = _colour(background)
    cut = render.cutout(foreground(image, alpha), alpha)
    if isinstance(background, str) and background == "transparent":
        return cut
    opacity = Image.fromarray(np.ascontiguousarray(cut[..., 3]))
    if isinstance(background, np.ndarray):
        behind = ImageOps.fit(Image.fromarray(background), opacity.size)
    elif colour is None:
        behind = Image.fromarray(_blurred_background(image, opacity))
    else:
        behind = Image.new("RGB", opacity.size, colour)
    return np.asarray(Image.composite(Image.fromarray(cut[..., :3]), behind, opacity))


def cutout_png(image: np.ndarray, alpha: np.ndarray, background: Background | np.ndarray = "transparent") -> bytes:
    """Return `cutout` as PNG, at the photo's size."""
    return render.png(cutout(image, alpha, background))


def binary_mask(segmentation: Segmentation, threshold: float = 0.5, *, border: bool | None = None) -> np.ndarray:
    """Return which pixels are subject, (H, W) bool.

    Args:
        segmentation: with probabilities.
        threshold: of the outline's opacity, or of the subject's probability, 0…1.
        border: None follows the outline; True counts the border of pets as pet, False does not: both go by the
            probabilities alone, see `analysis.threshold_mask`.

    Raises:
        ValueError: the threshold is not in 0…1.
    """
    if border is not None:
        return threshold_mask(segmentation, threshold, border=border, size=segmentation.size)
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold: must be 0 to 1. Received: {threshold}")
    return (segmentation.alpha >= threshold) & (segmentation.alpha > 0)


def binary_png(segmentation: Segmentation, threshold: float = 0.5, *, border: bool | None = None) -> bytes:
    """Return `binary_mask` as an 8-bit greyscale PNG: 255 is the subject, 0 the rest."""
    return render.alpha_png(binary_mask(segmentation, threshold, border=border))


def animal_png(segmentation: Segmentation, number: int) -> bytes:
    """Return one animal alone on a transparent background, cropped to it, as PNG.

    Raises:
        ValueError: there is no such animal.
    """
    alpha = segmentation.animals.alpha_of(number)
    rows, columns = np.flatnonzero((alpha > 0).any(axis=1)), np.flatnonzero((alpha > 0).any(axis=0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return cutout_png(segmentation.image[part], alpha[part])


def safe_stem(name: str) -> str:
    """Return a file name's stem that is valid on any file system: no folders, control or reserved characters, short.

    An empty result becomes "photo".
    """
    base = PurePosixPath(unicodedata.normalize("NFC", name).replace("\\", "/")).name
    stem = PurePosixPath(base).stem if not base.startswith(".") else base.lstrip(".").split(".")[0]
    stem = "".join("_" if character in '<>:"/|?*' or not character.isprintable() else character for character in stem)
    stem = stem.encode("utf-8", "replace")[:_NAME_LENGTH].decode("utf-8", "ignore").strip(" .")
    return f"{stem}_" if stem.casefold() in _RESERVED else stem or "photo"


def unique_stems(taken: set[str] | None = None) -> Callable[[str], str]:
    """Return a function that gives each name a unique safe stem, ignoring case: cat, cat-2, …"""
    taken = set() if taken is None else taken

    def stem_of(name: str) -> str:
        base = stem = safe_stem(name)
        number = 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{base}-{number}"
        taken.add(stem.casefold())
        return stem

    return stem_of


def write_zip(
    target: IO[bytes],
    photos: Iterable[Segmentation | Failure],
    kinds: Collection[FileKind] = ALL_FILES,
    *,
    background: Background = "transparent",
    opacity: float = 0.45,
    outline: bool = True,
    colours: Colours = None,
    keep: Collection[int] | None = None,
    threshold: float = 0.5,
    border: bool | None = None,
) -> None:
    """Write the results of a batch as one ZIP, photo by photo, so that only one photo is in memory at a time.

    Args:
        target: written sequentially; need not be seekable.
        photos: preferably a generator; a failure appears in the statistics and on the contact sheet only.
        kinds: the files to write, see `ALL_FILES`.
        background: of the cut-outs.
        opacity, outline, colours: of the overlays, see `render.overlay`; the model's colours by default.
        keep: ids of the classes in the cut-outs, by default all but the background.
        threshold, border: of the black-and-white masks, see `binary_mask`.

    Raises:
        ValueError: a kind or the background is unknown.
    """
    unknown = set(kinds) - set(ALL_FILES)
    if unknown:
        raise ValueError(f"kinds: must be among {', '.join(ALL_FILES)}. Received: {', '.join(sorted(unknown))}")
    _colour(background)
    style = _Style(opacity, outline, colours, threshold, border)
    stem_of = unique_stems()
    rows: list[dict[str, Any]] = []
    thumbs: list[Thumbnail] = []
    forms: tuple[CocoForm, ...] = ("rle", "polygons")
    writers = {form: CocoWriter(form) for form in forms if form in kinds}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for photo in photos:
            stem = stem_of(photo.name)
            for member, data in _files(photo, stem, kinds, background, style, keep):
                _add(archive, member, data)
            for writer in writers.values():
                if isinstance(photo, Segmentation):
                    writer.add(photo.name, photo)
            if "statistics" in kinds:
                rows.append({"file": stem, **_statistics(photo)})
            if "sheet" in kinds:
                thumbs.append(thumbnail(photo, opacity=style.opacity, colours=style.colours))
            del photo
        for form, writer in writers.items():
            _add(archive, f"annotations_{form}.json", _json(writer.document()))
        if rows:
            _add(archive, "statistics.csv", _table(rows).encode())
        if thumbs:
            _add(archive, "contact_sheet.pdf", contact_sheet(thumbs, "pdf"))
            _add(archive, "contact_sheet.png", contact_sheet(thumbs, "png"))


@dataclass(frozen=True)
class _Style:
    """How overlays are drawn, see `render.overlay`, and where black-and-white masks are cut, see `binary_mask`."""

    opacity: float
    outline: bool
    colours: Colours
    threshold: float
    border: bool | None


def _files(
    photo: Segmentation | Failure,
    stem: str,
    kinds: Collection[FileKind],
    background: Background,
    style: _Style,
    keep: Collection[int] | None,
) -> Iterator[tuple[str, bytes]]:
    """Yield a photo's own files lazily."""
    if isinstance(photo, Failure):
        return
    if "mask" in kinds:
        yield f"{stem}_mask.png", photo.to_mask_png()
    if "overlay" in kinds:
        colours = photo.pixel_classes.colours if style.colours is None else style.colours
        yield (
            f"{stem}_overlay.png",
            render.overlay_png(photo.image, photo.mask, opacity=style.opacity, outline=style.outline, colours=colours),
        )
    if "binary" in kinds:
        yield f"{stem}_binary.png", binary_png(photo, style.threshold, border=style.border)
    if "alpha" in kinds:
        yield f"{stem}_alpha.png", photo.to_alpha_png()
    if "cutout" in kinds:
        alpha = photo.alpha if keep is None else photo.alpha_of(keep)
        yield f"{stem}_cutout.png", cutout_png(photo.image, alpha, background)
    if "animals" in kinds and photo.animals.count > 1:
        for number in range(1, photo.animals.count + 1):
            yield f"{stem}_{subject_name(photo.pixel_classes)}-{number}.png", animal_png(photo, number)
    if "probabilities" in kinds:
        yield f"{stem}_probabilities.npz", probabilities_npz(photo)


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, time.localtime()[:6])
    is_compressed = name.endswith((".png", ".npz", ".pdf"))
    entry.compress_type = zipfile.ZIP_STORED if is_compressed else zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)


def _statistics(photo: Segmentation | Failure) -> dict[str, Any]:
    row: dict[str, Any] = {"photo": photo.name}
    if isinstance(photo, Failure):
        return {**row, "error": photo.message}
    height, width = photo.size
    row |= {"width": width, "height": height}
    row |= {"model": photo.model, "engine": photo.engine, "device": photo.device}
    counts = np.bincount(photo.mask.reshape(-1), minlength=len(photo.classes))
    for name, count in zip(photo.classes, counts.tolist()):
        row |= {f"share_{name}": f"{count / (height * width):.6f}", f"pixels_{name}": count}
    row["share_uncertain"] = f"{uncertainty(photo).share:.6f}"
    name, presence = subject_key(photo.pixel_classes), photo.presence
    row |= {f"{name}_found": {None: "not sure", True: "yes", False: "no"}[presence.found]}
    row |= {f"{name}_probability": _likely(presence.probability)}
    row |= {f"{name}_kind": presence.kind or "", f"{name}_kind_probability": _likely(presence.kind_probability)}
    row |= {"coverage": f"{photo.coverage:.6f}", "pieces": photo.animals.count}
    return row | {f"{stage}_ms": f"{photo.timings[stage]:.2f}" for stage in _STAGES if stage in photo.timings}


def _likely(probability: float | None) -> str:
    return "" if probability is None else f"{probability:.4f}"


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """Write rows as CSV, columns in order of first occurrence, the error last."""
    columns = list(dict.fromkeys(column for row in rows for column in row if column != "error"))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*columns, "error"], restval="", lineterminator="\r\n")
    writer.writerow({column: _without_formula(column) for column in writer.fieldnames})
    writer.writerows({column: _without_formula(value) for column, value in row.items()} for row in rows)
    return buffer.getvalue()


def _without_formula(value: Any) -> Any:
    if not isinstance(value, str) or not re.match(r"[\s]*[=+\-@]|[\t\r]", value):
        return value
    return f"'{value}"


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _colour(background: Background | np.ndarray) -> Colour | None:
    """Return the colour of a plain background, None for the others."""
    if isinstance(background, np.ndarray):
        return None
    if isinstance(background, str) and background in ("transparent", "blurred"):
        return None
    if background == "white":
        return (255, 255, 255)
    if not isinstance(background, tuple) or len(background) != 3 or not all(0 <= value <= 255 for value in background):
        raise ValueError(
            f"background: must be transparent, white, blurred or a colour (red, green, blue). Received: {background!r}"
        )
    return background


def _blurred_background(image: np.ndarray, opacity: Image.Image) -> np.ndarray:
    """Blur what is behind the subject, without the subject's own colours, which would leave a halo."""
    width, height = opacity.size
    scale = min(1.0, _BLUR_SIDE / max(width, height))
    small = max(1, round(width * scale)), max(1, round(height * scale))
    photo = np.asarray(Image.fromarray(image).resize(small, Image.Resampling.BOX, reducing_gap=2.0), np.float32)
    weight = 1 - np.asarray(opacity.resize(small, Image.Resampling.BOX), np.float32) / 255
    radius = max(1.0, max(small) * _BLUR_SHARE)
    total = _blurred(weight, radius)
    planes = [_blurred(photo[..., channel] * weight, radius) / np.maximum(total, 1e-6) for channel in range(3)]
    far = total < 1e-3  # deep inside the subject, where the background does not show
    blurred = np.where(far[..., None], photo, np.stack(planes, axis=-1))
    picture = Image.fromarray(np.rint(blurred.clip(0, 255)).astype(np.uint8))
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def _blurred(plane: np.ndarray, radius: float) -> np.ndarray:
    from skimage.filters import gaussian  # takes a while to import

    return gaussian(plane, radius, mode="nearest", preserve_range=True)
