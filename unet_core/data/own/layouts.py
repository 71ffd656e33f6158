"""How photos and masks are stored in a folder, and which mask belongs to which photo. Opens no image."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal

from unet_core.architecture.table import counted
from unet_core.data.own.archive import IMAGE_ENDINGS
from unet_core.data.own.coco import CocoFile, CocoMask, read_coco
from unet_core.data.own.findings import Finding, error, named, warning
from unet_core.data.sources import PARTS, DataError, SplitName
from unet_core.settings import Settings, get_settings

DATASET_FILE = "dataset.json"  # our report, in the dataset's folder

LayoutKind = Literal["folders", "side by side", "voc", "coco", "none"]
_Role = Literal["photo", "mask", "other"]


def _word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PHOTO_WORDS = _word_set("image images img imgs photo photos picture pictures jpegimages input inputs rgb leftimg8bit")
_MASK_WORDS = _word_set(
    "mask masks label labels annotation annotations annot annots seg segs segmentation segmentations segmentationclass "
    "segmentationclasspng segmentationclassraw trimap trimaps gt gts groundtruth target targets matte mattes labelids"
)
_OTHER_WORDS = _word_set(
    "segmentationobject segmentationobjectpng segmentationclassvisualization overlay overlays preview previews "
    "visualization visualizations"
)
_PART_WORDS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_ADVICE = "Put photos into images/ and their masks, under the same names, into masks/."


@dataclass(frozen=True)
class Pair:
    """A photo and its mask, which is a file or COCO shapes; `name` is the photo's, without extension."""

    name: str
    photo: Path
    mask: Path | CocoMask


@dataclass(frozen=True)
class Layout:
    """The pairs of a folder and what is left over; names are relative paths with "/"."""

    root: Path
    kind: LayoutKind
    pairs: tuple[Pair, ...]
    photos_without_mask: tuple[str, ...] = ()
    masks_without_photo: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()  # COCO only, by number from 1
    own_parts: tuple[tuple[str, SplitName], ...] = ()  # name and split, if the folder has train/, val/, test/
    findings: tuple[Finding, ...] = ()

    @property
    def sentence(self) -> str:
        """How the folder was read, in words."""
        return {
            "folders": "a folder of photos and a folder of masks, paired by name",
            "side by side": "masks beside their photos, distinguished by their names",
            "voc": "the Pascal VOC layout (JPEGImages, SegmentationClass)",
            "coco": "photos with COCO annotations (JSON), drawn as masks",
            "none": "no photos with masks",
        }[self.kind]


@dataclass(frozen=True)
class _File:
    path: Path
    relative: str  # from the dataset's root
    folders: tuple[str, ...]  # without those that all files share
    stem: str
    role: _Role

    @property
    def place(self) -> tuple[str, ...]:
        """The folders without the words that only distinguish photos from masks."""
        return tuple(kept for folder in self.folders if (kept := _without_role(folder)))


def find_layout(root: Path, settings: Settings | None = None) -> Layout:
    """Find photos and masks under `root` and pair them.

    Raises:
        DataError: there is no such folder.
    """
    settings = settings or get_settings()
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: choose a folder of photos and masks.")
    paths, others = _walk(root)
    files = _classified(root, paths)
    if any(file.role == "mask" for file in files):
        return _paired_files(root, files)
    try:
        annotations = [found for path in others if (found := read_coco(path, settings.max_megapixels * 1e6))]
    except DataError as problem:
        return Layout(root, "coco", (), findings=(error("coco_unreadable", str(problem)),))
    if annotations:
        return _paired_coco(root, files, annotations)
    what = f"{counted(len(files), 'photo')} but no mask" if files else "no photo"
    return Layout(
        root,
        "none",
        (),
        photos_without_mask=tuple(file.relative for file in files),
        findings=(error("no_pairs", f"The dataset contains {what}. {_ADVICE}"),),
    )


def _walk(root: Path) -> tuple[list[Path], list[Path]]:
    """Return images and JSON files in order; hidden files and folders are skipped."""
    images, others = [], []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        for name in sorted(names):
            ending = os.path.splitext(name)[1].lower()
            if name.startswith(".") or (name == DATASET_FILE and Path(folder) == root):
                continue
            if ending in IMAGE_ENDINGS:
                images.append(Path(folder, name))
            elif ending == ".json":
                others.append(Path(folder, name))
    return images, others


# --- photo or mask ------------------------------------------------------------------------------------------------


def _classified(root: Path, paths: list[Path]) -> list[_File]:
    relatives = [PurePosixPath(path.relative_to(root).as_posix()) for path in paths]
    shared = _shared_folders(relatives)
    files = []
    for path, relative in zip(paths, relatives):
        folders = relative.parts[shared:-1]
        files.append(_File(path, str(relative), folders, _stem(relative.name), _folder_role(folders)))
    if not any(file.role == "mask" for file in files):
        files = _beside_each_other(files)
    if any(file.role == "photo" for file in files):
        return files
    # Photos need no separate folder if masks have one.
    return [
        replace(file, role="photo") if file.role == "other" and not _has_word(file.folders, _OTHER_WORDS) else file
        for file in files
    ]


def _shared_folders(relatives: list[PurePosixPath]) -> int:
    """Count leading folders that all files share: the name of the archive says nothing about its files."""
    folders = [relative.parts[:-1] for relative in relatives]
    return min((_shared_start(folders[0], other) for other in folders), default=0)


def _shared_start(one: Sequence[str], other: Sequence[str]) -> int:
    """Count the leading elements that two sequences share."""
    different = (index for index, (left, right) in enumerate(zip(one, other)) if left != right)
    return next(different, min(len(one), len(other)))


def _words(folder: str) -> list[str]:
    lower = folder.lower()
    whole = re.sub(r"[^a-z0-9]", "", lower)
    return [whole] if whole in _MASK_WORDS | _PHOTO_WORDS | _OTHER_WORDS else re.split(r"[^a-z0-9]+", lower)


def _has_word(folders: Iterable[str], words: frozenset[str]) -> bool:
    return any(word in words for folder in folders for word in _words(folder))


def _folder_role(folders: tuple[str, ...]) -> _Role:
    """Decide by the innermost folder with a meaningful name."""
    for folder in reversed(folders):
        words = set(_words(folder))
        if words & _OTHER_WORDS:
            return "other"
        if words & _MASK_WORDS:
            return "mask"
        if words & _PHOTO_WORDS:
            return "photo"
    return "other"


def _without_role(folder: str) -> str:
    kept = [word for word in _words(folder) if word and word not in _MASK_WORDS | _PHOTO_WORDS]
    return "_".join(kept)


def _beside_each_other(files: list[_File]) -> list[_File]:
    """Recognize `x_mask.png` beside `x.jpg` as its mask; without any such pair nothing changes."""
    stems = {(file.folders, file.stem.casefold()) for file in files}
    bases = {file: _plain_stem(file.stem, _MASK_WORDS) for file in files}
    is_mask = {file: base != file.stem.casefold() for file, base in bases.items()}
    if not any(is_mask[file] and (file.folders, bases[file]) in stems for file in files):
        return files
    return [replace(file, role="mask" if is_mask[file] else "photo") for file in files]


def _stem(name: str) -> str:
    """Return a file's name without extension; `x.jpg.png` is a mask of `x.jpg`."""
    stem, inner = os.path.splitext(os.path.splitext(name)[0])
    whole = stem if inner.lower() in IMAGE_ENDINGS else stem + inner
    return unicodedata.normalize("NFC", whole)


def _plain_stem(stem: str, words: frozenset[str]) -> str:
    """Remove a leading `mask_` and a trailing `_mask`, for all `words`."""
    either = "|".join(sorted(words, key=len, reverse=True))
    plain = stem.casefold()
    plain = re.sub(rf"^(?:{either})[_\-. ]+(?=.)", "", plain)
    return re.sub(rf"(?<=.)[_\-. ]+(?:{either})$", "", plain)


# --- pairs --------------------------------------------------------------------------------------------------------


def _paired_files(root: Path, files: list[_File]) -> Layout:
    findings: list[Finding] = []
    photos = _distinct([file for file in files if file.role == "photo"], findings)
    masks = _distinct([file for file in files if file.role == "mask"], findings)
    matched = _matched(photos, masks)
    names = _pair_names(list(matched))
    pairs = tuple(Pair(names[photo], photo.path, mask.path) for photo, mask in matched.items())
    used = set(matched.values())
    bare = tuple(photo.relative for photo in photos if photo not in matched)
    alone = tuple(mask.relative for mask in masks if mask not in used)
    folders = {word for file in files for folder in file.folders for word in _words(folder)}
    kind: LayoutKind = "folders" if any(_folder_role(mask.folders) == "mask" for mask in masks) else "side by side"
    kind = "voc" if "segmentationclass" in folders else kind
    findings += _unmatched(bare, alone, pairs, kind)
    own = _own_parts((photo.folders, names[photo]) for photo in matched)
    return Layout(
        root,
        kind,
        tuple(sorted(pairs, key=lambda pair: pair.name)),
        bare,
        alone,
        tuple(file.relative for file in files if file.role == "other"),
        own_parts=own,
        findings=tuple(findings),
    )


def _distinct(files: list[_File], findings: list[Finding]) -> list[_File]:
    seen: dict[tuple[tuple[str, ...], str], _File] = {}
    for file in files:
        other = seen.setdefault((file.folders, file.stem), file)
        if other is not file:
            both = [other.relative, file.relative]
            findings.append(
                error("duplicate_name", f"{' and '.join(both)} have the same name: remove one of them.", both)
            )
    return list(seen.values())


def _matched(photos: list[_File], masks: list[_File]) -> dict[_File, _File]:
    """Pair photos with masks by folder and full name, then by less and less of both, while it is unambiguous."""
    keys: tuple[Callable[..., object], ...] = (
        lambda file, words: (file.place, file.stem),
        lambda file, words: (file.place, file.stem.casefold()),
        lambda file, words: (file.place, _plain_stem(file.stem, words)),
        lambda file, words: _plain_stem(file.stem, words),
    )
    found: dict[_File, _File] = {}
    for key in keys:
        taken = set(found.values())
        open_photos = _by_key((photo for photo in photos if photo not in found), partial(key, words=_PHOTO_WORDS))
        open_masks = _by_key((mask for mask in masks if mask not in taken), partial(key, words=_MASK_WORDS))
        for value, candidates in open_photos.items():
            partners = open_masks.get(value, [])
            if len(candidates) == len(partners) == 1:
                found[candidates[0]] = partners[0]
    return found


def _by_key(files: Iterable[_File], key: Callable[[_File], object]) -> dict[object, list[_File]]:
    groups: dict[object, list[_File]] = {}
    for file in files:
        groups.setdefault(key(file), []).append(file)
    return groups


def _pair_names(photos: list[_File]) -> dict[_File, str]:
    """Name pairs by folder and stem; if that is not unique, by the full path."""
    names = {photo: "/".join((*photo.place, photo.stem)) for photo in photos}
    counts: dict[str, int] = {}
    for name in names.values():
        counts[name] = counts.get(name, 0) + 1
    return {photo: name if counts[name] == 1 else photo.relative for photo, name in names.items()}


def _unmatched(
    bare: tuple[str, ...], alone: tuple[str, ...], pairs: tuple[Pair, ...], kind: LayoutKind
) -> list[Finding]:
    findings = []
    if not pairs:
        findings.append(error("no_pairs", f"No mask has the same name as a photo. {_ADVICE}", (*bare, *alone)))
        return findings
    if bare and kind == "voc":
        findings.append(
            warning(
                "photo_without_mask",
                f"{counted(len(bare), 'photo')} in JPEGImages without a mask: not used. Add masks to use them.",
                bare,
            )
        )
    elif bare:
        findings.append(
            error("photo_without_mask", f"{named(bare)}: no mask of the same name; add it or remove the photo.", bare)
        )
    if alone:
        findings.append(
            error("mask_without_photo", f"{named(alone)}: no photo of the same name; add it or remove the mask.", alone)
        )
    return findings


def _own_parts(photos: Iterable[tuple[Iterable[str], str]]) -> tuple[tuple[str, SplitName], ...]:
    """Return the split that each photo's folders name, if the dataset has more than one."""
    found = []
    for folders, name in photos:
        words = [word for folder in folders for word in re.split(r"[^a-z0-9]+", folder.lower())]
        part = next((_PART_WORDS[word] for word in words if word in _PART_WORDS), None)
        if part is not None:
            found.append((name, part))
    return tuple(sorted(found)) if len({part for _, part in found} & set(PARTS)) > 1 else ()


# --- COCO ---------------------------------------------------------------------------------------------------------


def _paired_coco(root: Path, files: list[_File], annotations: list[CocoFile]) -> Layout:
    findings: list[Finding] = []
    categories = annotations[0].categories
    if any(file.categories != categories for file in annotations):
        listed = [file.path.relative_to(root).as_posix() for file in annotations]
        text = f"{named(listed)} list different categories: export them with the same ones."
        return Layout(root, "coco", (), findings=(error("categories_differ", text, listed),))
    by_name = _by_key(files, lambda file: file.path.name)
    masks: dict[_File, CocoMask] = {}
    missing = []
    for annotation in annotations:
        for name, mask in annotation.masks.items():
            photo = _photo_of(name, annotation.path, by_name)
            if photo is None:
                missing.append(name)
            elif photo in masks:
                findings.append(
                    error(
                        "duplicate_name",
                        f"{photo.relative} is annotated twice: remove one annotation.",
                        [photo.relative],
                    )
                )
            else:
                masks[photo] = mask
    if missing:
        text = f"{named(missing)}: annotated, but the photo is missing; add it or remove it from the JSON file."
        findings.append(error("mask_without_photo", text, missing))
    bare = tuple(file.relative for file in files if file not in masks)
    if bare:
        findings.append(
            warning("photo_without_mask", f"{counted(len(bare), 'photo')} not in the JSON file: not used.", bare)
        )
    names = _pair_names(list(masks))
    pairs = tuple(sorted((Pair(names[photo], photo.path, mask) for photo, mask in masks.items()), key=lambda p: p.name))
    if not pairs:
        findings.append(
            error("no_pairs", "The JSON file lists none of the photos: export it again with their file names.", missing)
        )
    own = _own_parts((photo.folders, names[photo]) for photo in masks)
    return Layout(
        root, "coco", pairs, bare, tuple(missing), categories=categories, own_parts=own, findings=tuple(findings)
    )


def _photo_of(name: str, annotation: Path, by_name: dict[object, list[_File]]) -> _File | None:
    """Find the photo that a JSON file names; the name is only compared, never opened."""
    wanted = PurePosixPath(name.replace("\\", "/")).parts
    candidates = by_name.get(wanted[-1], []) if wanted else []

    def agreement(file: _File) -> tuple[int, int]:
        parts = PurePosixPath(file.relative).parts
        return _shared_start(parts[::-1], wanted[::-1]), _shared_start(file.path.parts, annotation.parts)

    return max(candidates, key=agreement, default=None)
