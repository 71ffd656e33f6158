"""How photos and masks are stored in a folder, and which mask belongs to which photo."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from unet_core.architecture.table import counted
from unet_core.data.own.annotations import PROGRAMS, AnnotationKind, path_of, translated
from unet_core.data.own.archive import IMAGE_ENDINGS, TEXT_ENDINGS, safe_name
from unet_core.data.own.class_tables import ClassTable, find_table
from unet_core.data.own.coco import CocoFile, CocoMask, coco_of, has_keypoints, is_coco, parsed_json
from unet_core.data.own.findings import Finding, Unused, error, named, unused, warning
from unet_core.data.own.mask_files import JoinedMask, MaskSource, about_values, image_size, pages_of
from unet_core.data.own.options import DEFAULT_OPTIONS, ReadOptions
from unet_core.data.own.pairing import ImageFile, Pairing, paired
from unet_core.data.own.words import part_of, place_of, role_of
from unet_core.data.sources import PARTS, DataError, SplitName
from unet_core.settings import Settings, get_settings

DATASET_FILE = "dataset.json"  # our report, in the dataset's folder

LayoutKind = Literal["folders", "side by side", "voc", "a folder each", AnnotationKind, "none"]
_ADVICE = "Put photos into images/ and their masks, under the same names, into masks/."
_MAX_CLASS_FILES = 20  # names of mask files that recur from photo to photo


@dataclass(frozen=True)
class Pair:
    """A photo and its mask, which is a file, several files or shapes; `name` is the photo's, without extension.

    `page` counts from 0 in files with several pages.
    """

    name: str
    photo: Path
    mask: MaskSource
    page: int | None = None


@dataclass(frozen=True)
class Layout:
    """The pairs of a folder and what is left over; names are relative paths with "/".

    Attributes:
        categories: class names by code from 1, of shapes and joined masks.
        table: class names that the dataset keeps beside its masks.
        own_parts: name and split, if the folder has train/, val/, test/.
        candidates: titles of the sets of masks of which one must be chosen.
    """

    root: Path
    kind: LayoutKind
    pairs: tuple[Pair, ...]
    photos_without_mask: tuple[str, ...] = ()
    masks_without_photo: tuple[str, ...] = ()
    ignored: tuple[Unused, ...] = ()
    left_out: tuple[Unused, ...] = ()
    categories: tuple[str, ...] = ()
    table: ClassTable | None = None
    own_parts: tuple[tuple[str, SplitName], ...] = ()
    candidates: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def sentence(self) -> str:
        """How the folder was read, in words."""
        return {
            "folders": "a folder of photos and a folder of masks, paired by name",
            "side by side": "masks beside their photos, distinguished by their names",
            "voc": "the Pascal VOC layout (JPEGImages, SegmentationClass)",
            "a folder each": "a folder for each photo with its masks",
            "none": "no photos with masks",
            **{kind: f"photos with {program}, drawn as masks" for kind, program in PROGRAMS.items()},
        }[self.kind]


@dataclass(frozen=True)
class _Files:
    """The files of a dataset: images, the parsed content of JSON files, other small texts, and all else."""

    root: Path
    images: list[ImageFile]
    contents: dict[Path, Any]
    texts: list[Path]
    others: list[Path]

    def relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def find_layout(root: Path, settings: Settings | None = None, options: ReadOptions = DEFAULT_OPTIONS) -> Layout:
    """Find photos and masks under `root` and pair them; opens a few images where names say nothing.

    Args:
        root: the dataset's folder.
        settings: limits for each image.
        options: which masks to take where several fit.

    Raises:
        DataError: there is no such folder.
    """
    settings = settings or get_settings()
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: choose a folder of photos and masks.")
    try:
        files = _walk(root)
        pairing = paired(files.images, partial(about_values, settings=settings), options.masks)
        annotations, read = ([], set[Path]()) if pairing.masks and pairing.by_name else _annotations(files, settings)
        table = find_table([*files.contents, *files.texts], files.contents, root)
    except DataError as problem:
        return Layout(root, "coco", (), findings=(error("coco_unreadable", str(problem)),))
    tables = {path for path in files.texts if table and path.name == PurePosixPath(table.file).name}
    ignored = _ignored(files, {*read, *tables, *([root / table.file] if table else [])})
    if annotations and not (pairing.masks and pairing.by_name):
        return _paired_shapes(files, annotations, ignored)
    if pairing.masks or pairing.masks_without_photo:
        return _paired_files(files, pairing, table, ignored, options, settings)
    found = counted(len(files.images), "photo")
    what = f"{found} but no mask" if files.images else "no photo"
    return Layout(
        root,
        "none",
        (),
        photos_without_mask=tuple(file.relative for file in files.images),
        ignored=ignored,
        findings=(error("no_pairs", f"The dataset contains {what}. {_ADVICE}{_unread(ignored)}"),),
    )


def _walk(root: Path) -> _Files:
    """List files in order; hidden files and folders are skipped."""
    images, texts, others = [], [], []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        for name in sorted(names):
            path, ending = Path(folder, name), os.path.splitext(name)[1].lower()
            if name.startswith("."):
                continue
            kind = images if ending in IMAGE_ENDINGS else texts if ending in TEXT_ENDINGS else others
            kind.append(path)
    contents = {path: parsed_json(path) for path in texts if path.suffix.lower() == ".json"}
    own_report = root / DATASET_FILE
    if is_report(contents.get(own_report)):
        del contents[own_report]
        texts.remove(own_report)
    shared = _shared_folders([path.relative_to(root).parts[:-1] for path in images])
    files = [ImageFile.of(path, path.relative_to(root).as_posix(), shared) for path in images]
    return _Files(root, files, contents, [path for path in texts if path not in contents], others)


def is_report(content: Any) -> bool:
    """Return whether the content of a JSON file is a report of ours, not somebody's annotations."""
    return isinstance(content, dict) and {"version", "layout", "layout_sentence", "problems"} <= content.keys()


def _shared_folders(folders: Sequence[tuple[str, ...]]) -> int:
    """Count leading folders that all files share: the name of the archive says nothing about its files."""
    return min((_shared_start(folders[0], other) for other in folders), default=0)


def _shared_start(one: Sequence[str], other: Sequence[str]) -> int:
    """Count the leading elements that two sequences share."""
    different = (index for index, (left, right) in enumerate(zip(one, other)) if left != right)
    return next(different, min(len(one), len(other)))


# --- what is not used -------------------------------------------------------------------------------------------------

_KNOWN_UNREAD = {
    ".nii": "NIfTI volumes are not read: export the slices as PNG",
    ".gz": "compressed files are not read: unpack them",
    ".dcm": "DICOM files are not read: export them as PNG",
    ".mat": "MATLAB files are not read: export the masks as PNG",
    ".svg": "SVG files are not read: export the masks as PNG",
    ".h5": "HDF5 files are not read: export photos and masks as PNG",
    ".tfrecord": "TFRecord files are not read: export photos and masks as PNG",
    ".heic": "HEIC photos are not read: export them as JPEG",
    ".avif": "AVIF photos are not read: export them as JPEG",
    ".parquet": "Parquet files are not read: export photos and masks as PNG",
}


def _ignored(files: _Files, used: set[Path]) -> tuple[Unused, ...]:
    """Say of each file that is no image and was not used what it is."""
    found = []
    for path in sorted([*files.contents, *files.texts, *files.others]):
        if path not in used:
            found.append(unused(files.relative(path), _what_is(path, files.contents.get(path))))
    return tuple(found)


def _what_is(path: Path, content: Any) -> str:
    if isinstance(content, dict) and "annotations" in content and "images" in content:
        return "captions without shapes" if not is_coco(content) else "COCO annotations, which the masks replace"
    if isinstance(content, (dict, list)):
        return "JSON without annotations that can be read"
    return _KNOWN_UNREAD.get(path.suffix.lower(), "neither a photo nor annotations")


def _unread(ignored: Sequence[Unused]) -> str:
    listed = [file for file in ignored if file.why != "neither a photo nor annotations"]
    return f" Found and not read: {named([file.path for file in listed])} ({listed[0].why})." if listed else ""


# --- pairs of files ---------------------------------------------------------------------------------------------------


def _paired_files(
    files: _Files,
    pairing: Pairing,
    table: ClassTable | None,
    ignored: tuple[Unused, ...],
    options: ReadOptions,
    settings: Settings,
) -> Layout:
    findings = _duplicates(pairing)
    if pairing.candidates:  # also where the chosen name fits several
        findings.append(_choose(pairing.candidates))
    elif options.masks is not None and not pairing.masks:
        findings.append(error("no_such_masks", f"No masks are called {options.masks!r}: see the list of candidates."))
    names = _pair_names(list(pairing.masks))
    sources, categories, joined = _mask_sources(pairing)
    findings += joined
    pairs, paged = _by_page(pairing, names, sources, settings)
    findings += paged
    bare = tuple(photo.relative for photo in pairing.photos_without_mask)
    alone = tuple(mask.relative for mask in pairing.masks_without_photo)
    findings += _unmatched(bare, alone, pairs) if pairs or not findings else []
    own = _own_parts((photo.folders, names[photo]) for photo in pairing.masks)
    others = [unused(file.relative, "not part of the masks") for file in pairing.others]
    others += [unused(file.relative, "other masks of the same photos") for file in pairing.unchosen]
    left_out = [unused(name, "no mask") for name in bare] + [unused(name, "no photo") for name in alone]
    return Layout(
        files.root,
        _kind(pairing),
        tuple(sorted(pairs, key=lambda pair: pair.name)),
        bare,
        alone,
        (*ignored, *others),
        tuple(left_out),
        categories,
        table,
        _of_pages(own, pairs),
        pairing.candidates,
        tuple(findings),
    )


def _kind(pairing: Pairing) -> LayoutKind:
    if not pairing.masks:
        return "folders"
    photo, masks = next(iter(pairing.masks.items()))
    if any("segmentationclass" in folder.lower() for folder in masks[0].folders):
        return "voc"
    if len({photo.folders for photo in pairing.masks}) == len(pairing.masks) > 1:
        return "a folder each"
    return "side by side" if photo.folders == masks[0].folders else "folders"


def _choose(candidates: Sequence[str]) -> Finding:
    listed = " and ".join(candidates)
    return error(
        "several_candidates",
        f"Several sets of masks fit the same photos: {listed}. Choose the one that holds the classes "
        f"(on the command line: --masks {candidates[0].split('/')[-1]}).",
        candidates,
    )


def _duplicates(pairing: Pairing) -> list[Finding]:
    """Report photos of one name in one folder, of which none can have the mask."""
    seen: dict[tuple[tuple[str, ...], str], ImageFile] = {}
    findings = []
    for file in (*pairing.masks, *pairing.photos_without_mask):
        other = seen.setdefault((file.folders, file.stem), file)
        if other is not file:
            both = sorted([other.relative, file.relative])
            text = f"{' and '.join(both)} have the same name: remove one of them."
            findings.append(error("duplicate_name", text, both))
    return findings


def _mask_sources(pairing: Pairing) -> tuple[dict[ImageFile, MaskSource], tuple[str, ...], list[Finding]]:
    """Join several masks of a photo: files that are classes, or else objects of one class."""
    several = {photo: masks for photo, masks in pairing.masks.items() if len(masks) > 1}
    if not several and not pairing.class_of:
        return {photo: masks[0].path for photo, masks in pairing.masks.items()}, (), []
    class_of = pairing.class_of or _recurring(pairing)
    names = tuple(sorted(set(class_of.values()), key=str.casefold)) or ("object",)
    sources: dict[ImageFile, MaskSource] = {
        photo: JoinedMask(
            tuple(mask.path for mask in masks),
            tuple(names.index(class_of[mask]) + 1 if class_of else 1 for mask in masks),
            photo.relative,
        )
        for photo, masks in pairing.masks.items()
    }
    what = f"each as the class of its name ({named(names)})" if class_of else "as objects of one class"
    count = counted(len(several) or len(sources), "photo has", "photos have")
    text = f"{count} several masks: they are joined, {what}, on a background of 0."
    return sources, names, [warning("several_masks", text, [photo.relative for photo in several])]


def _recurring(pairing: Pairing) -> dict[ImageFile, str]:
    """Return the class of each mask if names recur from photo to photo: cat.png and dog.png, x_cat and x_dog."""
    names = {mask: _own_name(mask, photo) for photo, masks in pairing.masks.items() for mask in masks}
    counts = Counter(names.values())
    often = [name for name, count in counts.items() if 2 * count >= len(pairing.masks)]
    numbers = all(any(character.isdecimal() for character in name) or role_of([name]) == "mask" for name in counts)
    return {} if len(often) < len(counts) or len(counts) > _MAX_CLASS_FILES or numbers else names


def _own_name(mask: ImageFile, photo: ImageFile) -> str:
    """Return a mask's name without its photo's."""
    same = mask.stem.casefold().startswith(photo.stem.casefold())
    return (mask.stem[len(photo.stem) :] if same else mask.stem).strip("_-. ")


def _by_page(
    pairing: Pairing, names: Mapping[ImageFile, str], sources: Mapping[ImageFile, MaskSource], settings: Settings
) -> tuple[list[Pair], list[Finding]]:
    """Make each page of a photo with several pages a pair, with the same page of its mask."""
    pairs: list[Pair] = []
    differing = []
    stacks = 0
    for photo, mask in sources.items():
        count = pages_of(photo.path, settings)
        if count > 1 and isinstance(mask, Path) and pages_of(mask, settings) == count:
            digits = len(str(count))
            pairs += [Pair(f"{names[photo]}-page{page + 1:0{digits}}", photo.path, mask, page) for page in range(count)]
            stacks += 1
            continue
        if count > 1:
            differing.append(photo.relative)
        pairs.append(Pair(names[photo], photo.path, mask))
    findings = []
    if stacks:
        text = f"{counted(stacks, 'file has', 'files have')} several pages: each page is a photo of its own."
        findings.append(warning("several_pages", text))
    if differing:
        text = f"{named(differing)}: several pages, but not as many in the mask; save one photo a file."
        findings.append(error("pages_differ", text, differing))
    return pairs, findings


def _of_pages(own: Sequence[tuple[str, SplitName]], pairs: Sequence[Pair]) -> tuple[tuple[str, SplitName], ...]:
    """Return the split of each pair; the pages of a photo have their photo's."""
    parts = dict(own)
    found: list[tuple[str, SplitName]] = []
    for pair in pairs:
        name = pair.name if pair.page is None else pair.name.rpartition("-page")[0]
        if name in parts:
            found.append((pair.name, parts[name]))
    return tuple(found)


def _pair_names(photos: list[ImageFile]) -> dict[ImageFile, str]:
    """Name pairs by folder and stem; if that is not unique, by the full path."""
    names = {photo: "/".join((*place_of(photo.folders), photo.stem)) for photo in photos}
    counts = Counter(names.values())
    return {photo: name if counts[name] == 1 else photo.relative for photo, name in names.items()}


def _unmatched(bare: tuple[str, ...], alone: tuple[str, ...], pairs: Sequence[Pair]) -> list[Finding]:
    if not pairs:
        return [error("no_pairs", f"No mask has the same name as a photo. {_ADVICE}", (*bare, *alone))]
    findings = []
    if bare:
        text = f"{counted(len(bare), 'photo')} without a mask ({named(bare)}): not used."
        findings.append(warning("photo_without_mask", text, bare))
    if alone:
        text = f"{counted(len(alone), 'mask')} without a photo ({named(alone)}): not used."
        findings.append(warning("mask_without_photo", text, alone))
    return findings


def _own_parts(photos: Iterable[tuple[Iterable[str], str]]) -> tuple[tuple[str, SplitName], ...]:
    """Return the split that each photo's folders name, if the dataset has more than one."""
    found: list[tuple[str, SplitName]] = []
    for folders, name in photos:
        if part := part_of(folders):
            found.append((name, part))
    return tuple(sorted(found)) if len({part for _, part in found} & set(PARTS)) > 1 else ()


# --- shapes -----------------------------------------------------------------------------------------------------------


class _Named:
    """Finds photos by the names that annotations give them; names are only compared, never opened."""

    def __init__(self, files: _Files, settings: Settings) -> None:
        self._settings = settings
        self._by_name: dict[str, list[ImageFile]] = defaultdict(list)
        self._sizes: dict[ImageFile, tuple[int, int] | None] = {}
        for file in files.images:
            self._by_name[safe_name(file.path.name)].append(file)
            self._by_name["/" + safe_name(file.stem)].append(file)

    def photo(self, name: str, annotation: Path) -> ImageFile | None:
        """Return the photo of a name, which may be a path, an address or lack its ending."""
        wanted = PurePosixPath(path_of(name)).parts
        if not wanted:
            return None
        last = safe_name(wanted[-1])
        candidates = self._by_name.get(last) or self._by_name.get("/" + last) or []

        def agreement(file: ImageFile) -> tuple[int, int]:
            parts = PurePosixPath(file.relative).parts
            return _shared_start(parts[-2::-1], wanted[-2::-1]), _shared_start(file.path.parts, annotation.parts)

        return max(candidates, key=agreement, default=None)

    def size(self, name: str, annotation: Path) -> tuple[int, int] | None:
        """Return a photo's width and height, None if it is missing or cannot be read."""
        photo = self.photo(name, annotation)
        if photo is None:
            return None
        if photo not in self._sizes:
            self._sizes[photo] = image_size(photo.path, self._settings)
        return self._sizes[photo]


def _annotations(
    files: _Files, settings: Settings
) -> tuple[list[tuple[AnnotationKind, CocoFile, Callable[[str], ImageFile | None]]], set[Path]]:
    """Read all annotation files; also return which files these are."""
    named_photos = _Named(files, settings)
    pixels = settings.max_megapixels * 1e6
    found: list[tuple[AnnotationKind, CocoFile, Callable[[str], ImageFile | None]]] = []
    read = {path for path, content in files.contents.items() if is_coco(content)}
    keypoints = {path for path in read if has_keypoints(files.contents[path])}
    read = read - keypoints or read  # they repeat the shapes of people that another file has
    for path in sorted(read):
        size_of = partial(named_photos.size, annotation=path)
        annotation = coco_of(files.contents[path], path, pixels, size_of)
        found.append(("coco", annotation, partial(named_photos.photo, annotation=path)))
    if found:
        return found, read
    contents, read = translated(files.contents, files.texts, partial(named_photos.size, annotation=files.root))
    for content in contents:
        size_of = partial(named_photos.size, annotation=content.path)
        annotation = coco_of(content.as_coco(), content.path, pixels, size_of)
        found.append((content.kind, annotation, partial(named_photos.photo, annotation=content.path)))
    return found, read


def _renumbered(mask: CocoMask, own: Sequence[str], common: Sequence[str]) -> CocoMask:
    """Count a mask's categories as all annotation files do together: files of one dataset may list other ones."""
    if tuple(own) == tuple(common):
        return mask
    return replace(mask, shapes=tuple((common.index(own[number - 1]) + 1, shape) for number, shape in mask.shapes))


def _paired_shapes(
    files: _Files,
    annotations: Sequence[tuple[AnnotationKind, CocoFile, Callable[[str], ImageFile | None]]],
    ignored: tuple[Unused, ...],
) -> Layout:
    root, kind, findings = files.root, annotations[0][0], list[Finding]()
    categories = tuple(dict.fromkeys(name for _, file, _ in annotations for name in file.categories))
    masks: dict[ImageFile, CocoMask] = {}
    missing: list[str] = []
    left_out: list[Unused] = []
    for _, annotation, photo_of in annotations:
        for name, mask in annotation.masks.items():
            photo = photo_of(name)
            if photo is None:
                missing.append(name)
            elif photo in masks:
                text = f"{photo.relative} is annotated twice: remove one annotation."
                findings.append(error("duplicate_name", text, [photo.relative]))
            else:
                masks[photo] = _renumbered(mask, annotation.categories, categories)
        for why, (count, first) in annotation.left_out.items():
            shapes = f"{first} and {count - 1} more" if count > 1 else first
            left_out.append(unused(f"{files.relative(annotation.path)}: {shapes}", why))
            text = f"{counted(count, 'shape is', 'shapes are')} left out: {shapes} has {why}."
            findings.append(warning("shapes_left_out", text))
    if missing and masks:
        text = f"{counted(len(missing), 'annotated photo is', 'annotated photos are')} missing ({named(missing)})."
        findings.append(warning("mask_without_photo", text, missing))
    bare = tuple(file.relative for file in files.images if file not in masks)
    if bare and masks:
        text = f"{counted(len(bare), 'photo')} not in the annotations: not used."
        findings.append(warning("photo_without_mask", text, bare))
    names = _pair_names(list(masks))
    pairs = tuple(sorted((Pair(names[photo], photo.path, mask) for photo, mask in masks.items()), key=lambda p: p.name))
    if not pairs:
        text = f"The annotations name none of the photos, but {named(missing)}: export them with the photos' names."
        findings.append(error("no_pairs", text, missing))
    left_out += [unused(name, "the photo is missing") for name in missing]
    left_out += [unused(name, "not annotated") for name in bare]
    own = _own_parts((photo.folders, names[photo]) for photo in masks)
    return Layout(
        root, kind, pairs, bare, tuple(missing), ignored, tuple(left_out), categories, None, own, (), tuple(findings)
    )
