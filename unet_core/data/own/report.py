"""Inspection of a custom dataset before training: what it contains, how it is read, and what is wrong with it.

Reads every photo and mask once. Imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field

from unet_core.architecture.table import counted
from unet_core.classes import BACKGROUND
from unet_core.data.own.archive import UNPACKED_ENDINGS
from unet_core.data.own.coco import CocoMask
from unet_core.data.own.coding import (
    CLASS_FINDINGS,
    ClassNames,
    MaskCoding,
    MaskFacts,
    class_findings,
    infer_coding,
    mask_facts,
)
from unet_core.data.own.duplicates import SIMILARITY, group_ids, near_duplicates, photo_thumbnail
from unet_core.data.own.findings import Finding, Unused, error, named, unused, warning
from unet_core.data.own.layouts import DATASET_FILE, Layout, Pair, find_layout
from unet_core.data.own.mask_files import JoinedMask, MaskSource, read_bytes, read_mask
from unet_core.data.own.options import DEFAULT_OPTIONS, ReadOptions
from unet_core.data.sources import PARTS, DataError, SplitName
from unet_core.data.splits import TEST_FRACTION, VALIDATION_FRACTION, SplitScheme, deterministic_splits, held_out
from unet_core.errors import ConfigError
from unet_core.images.decode import ImageError, MaskImage, PhotoFacts, counted_bands, decode_image, photo_facts
from unet_core.settings import Settings, get_settings
from unet_core.strict import Strict

Progress = Callable[[int, int], None]  # pairs done, pairs in all

FEW_PAIRS = 20
SMALL_SIDE = 32
_WRONG_VALUES = ("values_out_of_range", "mixed_codings")
_IN_LAYOUT = ("duplicate_name", "pages_differ")  # errors of single files that are found before they are read
LEAVABLE = (
    *_WRONG_VALUES,
    *_IN_LAYOUT,
    "unreadable_photo",
    "unreadable_mask",
    "size_mismatch",
    "other_bands",
)  # with `skip_bad`
_STRICTER = (0.98, 0.99, 0.995, 0.999)  # similarities for datasets of similar photos, such as scans
_LARGEST_GROUP = 1 / 3  # of all photos; a larger one is a type of photo, not one picture


def _as_unused(value: Any) -> Any:
    """Accept what older reports contain: the file alone."""
    return {"path": value, "why": "not part of the masks"} if isinstance(value, str) else value


class PairReport(Strict):
    """One photo with its mask: relative paths, size, and the number of its group of near-duplicates.

    `shares` are those of the values or colours, in the order of the coding, so they do not depend on class names; empty
    if the masks cannot be read.
    """

    name: str
    photo: str
    mask: str
    width: int
    height: int
    shares: tuple[float, ...]
    group: int
    part: SplitName | None = None  # that its folder names
    page: int | None = None  # in a file with several pages
    turned: bool = False  # whether the photo has an EXIF orientation


class PhotoSizes(Strict):
    """Photo sizes as (width, height): the smallest, median and largest by number of pixels."""

    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]
    different: int


class ClassReport(Strict):
    """A class of the model: its share of all pixels and the number of masks that contain it."""

    id: int
    name: str
    colour: tuple[int, int, int]
    share: float
    masks: int


class DatasetReport(Strict):
    """The result of an inspection. Saved as JSON beside the dataset, it also stores the coding and the class names.

    `ignored` are files without a photo or mask, `left_out` those that cannot be used. `candidates` are sets of masks of
    which one must be chosen. `near_duplicates` are groups of names that show one picture and stay in one split.
    `counts` are photos by split.
    """

    version: Literal[1] = 1
    name: str
    layout: str
    layout_sentence: str
    pairs: tuple[PairReport, ...] = ()
    photos_without_mask: tuple[str, ...] = ()
    masks_without_photo: tuple[str, ...] = ()
    ignored: tuple[Annotated[Unused, BeforeValidator(_as_unused)], ...] = ()
    left_out: tuple[Unused, ...] = ()
    candidates: tuple[str, ...] = ()
    options: ReadOptions = DEFAULT_OPTIONS
    sizes: PhotoSizes | None = None
    bands: int = 3  # of the photos: 3 for RGB and grey values
    photo_modes: dict[str, int] = Field(default_factory=dict)
    mask_modes: dict[str, int] = Field(default_factory=dict)
    coding: MaskCoding | None = None
    near_duplicates: tuple[tuple[str, ...], ...] = ()
    counts: dict[SplitName, int] = Field(default_factory=dict)
    problems: tuple[Finding, ...] = ()
    fingerprint: str = ""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that must be fixed before training."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that a person should check."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")

    @property
    def usable(self) -> bool:
        """Whether a model can be trained on the dataset."""
        return not self.errors

    @property
    def channels(self) -> int:
        """Channels of the photos: 3 for RGB, with or without opacity, and for grey values, else their bands."""
        return channels_of(self.bands)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names by id."""
        return self.coding.names if self.coding else ()

    @property
    def classes(self) -> tuple[ClassReport, ...]:
        """The classes with their shares over all masks."""
        if self.coding is None:
            return ()
        # Codes that share a class are added up; masks are counted from the pairs, where a class counts once.
        shares: dict[int, float] = defaultdict(float)
        for entry in self.coding.classes:
            shares[entry.id] += entry.share  # IGNORE_ID collects what is not labelled
        held = np.array([self.class_shares(pair) for pair in self.pairs]).reshape(len(self.pairs), -1) > 0
        masks = held.sum(axis=0).tolist() or [0] * len(self.coding.names)
        return tuple(
            ClassReport(id=number, name=name, colour=colour, share=shares[number], masks=masks[number])
            for number, (name, colour) in enumerate(zip(self.coding.names, self.coding.colours))
        )

    def class_shares(self, pair: PairReport) -> tuple[float, ...]:
        """Return a pair's shares by class id, empty if the masks cannot be read; what is not labelled is left out."""
        if self.coding is None or not pair.shares:
            return ()
        shares = [0.0] * len(self.coding.names)
        for entry, share in zip(self.coding.classes, pair.shares):
            if not entry.ignored:
                shares[entry.id] += share
        return tuple(shares)

    @property
    def background(self) -> int:
        """Class id of the background: the class of that name, else the first class."""
        return self.class_names.index(BACKGROUND.name) if BACKGROUND.name in self.class_names else 0

    @property
    def has_own_parts(self) -> bool:
        """Whether the dataset's folders name a training split and another one."""
        parts = {pair.part for pair in self.pairs}
        return "train" in parts and len(parts - {None}) > 1

    def parts(
        self, validation_fraction: float = VALIDATION_FRACTION, scheme: SplitScheme = "official"
    ) -> dict[SplitName, tuple[str, ...]]:
        """Return names by split.

        "official" keeps the dataset's own splits; a missing one is held out from training. Without own splits, and with
        "percentage", all photos are split, see `deterministic_splits`.

        Raises:
            DataError: there are too few different photos.
        """
        if scheme != "official" or not self.has_own_parts:
            return _split(self.pairs, validation_fraction)
        parts: dict[SplitName, list[PairReport]] = {part: [] for part in PARTS}
        for pair in self.pairs:
            parts[pair.part or "train"].append(pair)
        missing: tuple[tuple[SplitName, float], ...] = (("test", TEST_FRACTION), ("validation", validation_fraction))
        for part, fraction in missing:
            if not parts[part]:
                chosen = set(held_out(*_to_split(parts["train"]), fraction))
                parts[part] = [pair for pair in parts["train"] if pair.name in chosen]
                parts["train"] = [pair for pair in parts["train"] if pair.name not in chosen]
        return {part: tuple(pair.name for pair in pairs) for part, pairs in parts.items()}

    def renamed(self, class_names: ClassNames) -> DatasetReport:
        """Return the report with other class names; codes with the same name become one class.

        Raises:
            DataError: there are no classes yet, or the names do not fit them.
        """
        if self.coding is None:
            raise DataError("The masks cannot be read, so there are no classes to name: fix the report's errors first.")
        coding = self.coding.renamed(class_names)
        report = self.replace(coding=coding)
        kept = [problem for problem in self.problems if problem.code not in CLASS_FINDINGS | {"empty_masks"}]
        return _with_parts(report, [*kept, *class_findings(coding, len(self.pairs)), *_empty_masks(report)])


def channels_of(bands: int, asked: int = 3) -> int:
    """Return the channels of photos with so many bands: a fourth one is opacity unless four channels are asked for."""
    return 3 if bands == 4 and asked != 4 else bands


def inspect_dataset(
    path: str | Path,
    *,
    settings: Settings | None = None,
    class_names: ClassNames | None = None,
    options: ReadOptions = DEFAULT_OPTIONS,
    progress: Progress | None = None,
) -> DatasetReport:
    """Inspect a folder of photos and masks; writes nothing.

    Args:
        path: the dataset's folder.
        settings: limits for each image.
        class_names: a name for each value or colour of the masks, in order, or by value or colour; values named here
            are classes even if most masks contain others. Equal names make one class.
        options: what a person decided about reading it.
        progress: called with pairs done and pairs in all.

    Raises:
        DataError: there is no such folder, or `class_names` do not fit the masks.
    """
    settings = settings or get_settings()
    root = Path(path)
    layout = find_layout(root, settings, options)
    read, file_problems = _read_all(layout, settings, options, progress)
    coding: MaskCoding | None = None
    problems: list[Finding] = []
    if read and not layout.candidates:
        masks = {one.mask.name: one.pair for one in read}
        coding, problems = infer_coding(
            [one.mask for one in read],
            lambda name: read_mask(masks[name].mask, settings, masks[name].page),
            class_names,
            layout.categories,
            layout.table,
            is_voc=layout.kind == "voc",
        )
    file_problems += _other_bands(read)
    problems = [*layout.findings, *problems]
    left_out = list(layout.left_out)
    if options.skip_bad:
        bad = _bad_files(read, file_problems, problems, coding)
        read = [one for one in read if one.photo_name not in bad and one.mask.name not in bad]
        file_problems, problems = [], [problem for problem in problems if problem.code not in LEAVABLE]
        left_out += [unused(file, why) for file, why in bad.items()]
        if bad:
            text = f"{counted(len(bad), 'file')} that cannot be used left out ({named(list(bad))})."
            problems.append(warning("left_out", text, bad))
    groups, similarity = _groups(read)
    own = dict(layout.own_parts)
    pairs = tuple(
        _pair_report(one, root, coding, int(group), own.get(one.pair.name)) for one, group in zip(read, groups)
    )
    report = DatasetReport(
        name=root.name,
        layout=layout.kind,
        layout_sentence=layout.sentence,
        pairs=pairs,
        photos_without_mask=layout.photos_without_mask,
        masks_without_photo=layout.masks_without_photo,
        ignored=layout.ignored,
        left_out=tuple(left_out),
        candidates=layout.candidates,
        options=options,
        sizes=_sizes(read),
        bands=_bands(read),
        photo_modes=dict(Counter(one.facts.mode for one in read)),
        mask_modes=dict(Counter(one.mask.mode for one in read)),
        coding=coding,
        near_duplicates=_duplicate_groups(pairs),
        fingerprint=fingerprint(root),
    )
    problems += [*_file_findings(file_problems), *_suspicions(report, layout, similarity)]
    return _with_parts(report, problems)


def _bad_files(
    read: list[_ReadPair], file_problems: list[_FileProblem], problems: list[Finding], coding: MaskCoding | None
) -> dict[str, str]:
    """Return the files that cannot be used, and what is wrong with each."""
    bad = {problem.file: problem.sentence for problem in file_problems}
    for problem in problems:
        if problem.code in _IN_LAYOUT:
            bad |= dict.fromkeys(problem.files, problem.message)
    return bad | _with_wrong_values(read, problems, coding)


def _with_wrong_values(read: list[_ReadPair], problems: list[Finding], coding: MaskCoding | None) -> dict[str, str]:
    """Return the masks that contain values without a class, and what is wrong with each."""
    if coding is None or all(problem.code not in _WRONG_VALUES for problem in problems):
        return {}
    known = [entry.code for entry in coding.classes]
    return {
        one.mask.name: "it has values that are not classes"
        for one in read
        if not np.isin(coding.codes(_stored(one.mask)), known).all()
    }


def _with_parts(report: DatasetReport, problems: list[Finding]) -> DatasetReport:
    counts: dict[SplitName, int] = {}
    if not any(problem.severity == "error" for problem in problems):
        try:
            counts = {part: len(names) for part, names in report.parts().items()}
        except DataError as problem:
            problems = [*problems, error("too_few_pairs", str(problem))]
    ordered = sorted(problems, key=lambda problem: (problem.severity, problem.code))
    return report.replace(problems=tuple(ordered), counts=counts)


def _split(pairs: Sequence[PairReport], validation_fraction: float) -> dict[SplitName, tuple[str, ...]]:
    names, shares, groups = _to_split(pairs)
    return deterministic_splits(names, shares, groups, validation_fraction=validation_fraction)


def _to_split(pairs: Sequence[PairReport]) -> tuple[list[str], np.ndarray, list[int]]:
    shares = np.array([pair.shares for pair in pairs], np.float64).reshape(len(pairs), -1)
    return [pair.name for pair in pairs], shares, [pair.group for pair in pairs]


# --- reading ------------------------------------------------------------------------------------------------------


class _FileProblem(NamedTuple):
    code: str
    file: str
    sentence: str


@dataclass(frozen=True)
class _ReadPair:
    """A pair whose photo and mask could be read."""

    pair: Pair
    photo_name: str
    facts: PhotoFacts
    thumbnail: np.ndarray
    mask: MaskFacts


def _read_all(
    layout: Layout, settings: Settings, options: ReadOptions, progress: Progress | None
) -> tuple[list[_ReadPair], list[_FileProblem]]:
    """Return the pairs that could be read, and what is wrong with them and with the others."""
    pairs, problems = [], []
    read = partial(_read_pair, root=layout.root, settings=settings, options=options)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(read, layout.pairs)
        for done, (pair, found) in enumerate(results, start=1):
            pairs += [] if pair is None else [pair]
            problems += found
            if progress is not None:
                progress(done, len(layout.pairs))
    return pairs, problems


def _read_pair(
    pair: Pair, root: Path, settings: Settings, options: ReadOptions
) -> tuple[_ReadPair | None, list[_FileProblem]]:
    page = "" if pair.page is None else f", page {pair.page + 1}"
    photo_name, mask_name = f"{_relative(pair.photo, root)}{page}", f"{_relative(pair.mask, root)}{page}"
    facts = thumbnail = mask = None
    problems = []
    upright = options.orientation == "upright"
    try:
        data = read_bytes(pair.photo, settings)
        small = decode_image(
            data,
            name=pair.photo.name,
            max_side=64,
            page=pair.page,
            upright=upright,
            any_bands=True,
            settings=settings,
        )
        thumbnail = photo_thumbnail(small)
        facts = photo_facts(data, name=pair.photo.name, upright=upright, settings=settings)
    except (ImageError, OSError) as problem:
        problems.append(_FileProblem("unreadable_photo", photo_name, _sentence(problem, pair.photo)))
    if facts is not None and isinstance(pair.mask, CocoMask) and _differ(facts, pair.mask):
        # Before it is drawn: the file may claim any size.
        return None, [_FileProblem("size_mismatch", photo_name, _size_mismatch(pair, facts, pair.mask))]
    try:
        mask = mask_facts(read_mask(pair.mask, settings, pair.page), mask_name)
    except (ImageError, DataError, OSError) as problem:
        problems.append(_FileProblem("unreadable_mask", mask_name, _sentence(problem, pair.mask)))
    if facts is None or thumbnail is None or mask is None:
        return None, problems
    if _differ(facts, mask) and not options.resize_masks:
        problems.append(_FileProblem("size_mismatch", photo_name, _size_mismatch(pair, facts, mask)))
    return _ReadPair(pair, photo_name, facts, thumbnail, mask), problems


def _bands(read: list[_ReadPair]) -> int:
    """Return the bands of most photos; RGB photos, some of them with opacity, have 3."""
    found = Counter(one.facts.bands for one in read)
    return 3 if not found or found.keys() == {3, 4} else found.most_common(1)[0][0]


def _other_bands(read: list[_ReadPair]) -> list[_FileProblem]:
    """Return the photos whose bands are not those of most: no network takes both."""
    bands = _bands(read)
    ordinary = {3, 4}
    return [
        _FileProblem(
            "other_bands",
            one.photo_name,
            f"{one.pair.photo.name} has {counted_bands(one.facts.bands)} and most photos have {bands}: give all photos "
            "the same bands.",
        )
        for one in read
        if one.facts.bands != bands and not {one.facts.bands, bands} <= ordinary
    ]


def _sentence(problem: Exception, file: MaskSource) -> str:
    if isinstance(problem, OSError) and isinstance(file, Path):
        return f"{file.name} cannot be opened ({problem.strerror}): check its permissions."
    return str(problem)


def _differ(facts: PhotoFacts, mask: MaskFacts | CocoMask) -> bool:
    return (facts.width, facts.height) != (mask.width, mask.height)


def _size_mismatch(pair: Pair, facts: PhotoFacts, mask: MaskFacts | CocoMask) -> str:
    photo, shape = f"{facts.width}×{facts.height}", f"{mask.width}×{mask.height}"
    text = f"{pair.photo.name} and its mask differ in size ({photo} and {shape} pixels): "
    if facts.quarter_turned and (facts.height, facts.width) == (mask.width, mask.height):
        return text + (
            "the photo is stored rotated, with an EXIF orientation, the mask is not; save the photo upright, or read "
            "the photos as they are stored (on the command line: --orientation stored)."
        )
    if (facts.height, facts.width) == (mask.width, mask.height):
        return text + "the mask is transposed, rows and columns exchanged; save it again."
    return text + (
        "save the mask in exactly the size of its photo, or have masks resized by nearest neighbour (on the command "
        "line: --resize-masks)."
    )


def _file_findings(problems: list[_FileProblem]) -> list[Finding]:
    """Merge the same kind of problem with many files into one finding: the first one's sentence, and how many more."""
    by_code: dict[str, list[_FileProblem]] = {}
    for problem in problems:
        by_code.setdefault(problem.code, []).append(problem)
    findings = []
    for code, alike in by_code.items():
        more = f" ({counted(len(alike) - 1, 'more file')} with the same problem.)" if len(alike) > 1 else ""
        findings.append(error(code, alike[0].sentence + more, [problem.file for problem in alike]))
    return findings


def _relative(file: MaskSource, root: Path) -> str:
    if isinstance(file, JoinedMask):
        return file.paths[0].relative_to(root).as_posix()
    return file.source if isinstance(file, CocoMask) else file.relative_to(root).as_posix()


def _pair_report(
    one: _ReadPair, root: Path, coding: MaskCoding | None, group: int, part: SplitName | None
) -> PairReport:
    return PairReport(
        name=one.pair.name,
        photo=one.photo_name,
        mask=_relative(one.pair.mask, root),
        width=one.facts.width,
        height=one.facts.height,
        shares=() if coding is None else _shares(one.mask, coding),
        group=group,
        part=part,
        page=one.pair.page,
        turned=one.facts.orientation > 1,
    )


def _shares(mask: MaskFacts, coding: MaskCoding) -> tuple[float, ...]:
    """Return the share of each of the coding's entries in a mask; pixels between classes have none."""
    mask = mask.opacity if coding.from_alpha and mask.opacity is not None else mask
    shares = np.zeros(len(coding.classes))
    if mask.kind == "colour" and coding.kind != "colours":
        return tuple(shares)
    places = {entry.code: place for place, entry in enumerate(coding.classes)}
    for code, count in zip(coding.codes(_stored(mask))[0].tolist(), mask.counts):
        if code in places:
            shares[places[code]] += count
    return tuple(round(float(share), 6) for share in shares / (mask.width * mask.height))


def _stored(mask: MaskFacts) -> MaskImage:
    """Return the codes as a mask of one row, in the type in which they were read."""
    wide = mask.codes.max() > 255
    kind = np.uint32 if mask.kind == "colour" else np.uint16 if wide else np.uint8
    return MaskImage(mask.codes.astype(kind).reshape(1, -1), mask.kind, mask.mode, mask.palette, mask.lossy)


# --- suspicious data --------------------------------------------------------------------------------------------------


def _groups(read: list[_ReadPair]) -> tuple[np.ndarray, float]:
    """Group near-duplicates, with a stricter similarity if all photos are alike; return groups and similarity."""
    if not read:
        return np.empty(0, np.int64), SIMILARITY
    thumbnails = np.stack([one.thumbnail for one in read])
    similarity = SIMILARITY
    groups = group_ids(len(read), near_duplicates(thumbnails, similarity))
    for stricter in _STRICTER:
        if np.bincount(groups).max() <= max(3, _LARGEST_GROUP * len(read)):
            break
        similarity = stricter
        groups = group_ids(len(read), near_duplicates(thumbnails, similarity))
    return groups, similarity


def _duplicate_groups(pairs: Sequence[PairReport]) -> tuple[tuple[str, ...], ...]:
    members: dict[int, list[str]] = {}
    for pair in pairs:
        members.setdefault(pair.group, []).append(pair.name)
    return tuple(tuple(names) for names in members.values() if len(names) > 1)


def _sizes(read: list[_ReadPair]) -> PhotoSizes | None:
    if not read:
        return None
    sizes = sorted(((one.facts.width, one.facts.height) for one in read), key=lambda size: (size[0] * size[1], size))
    return PhotoSizes(smallest=sizes[0], median=sizes[len(sizes) // 2], largest=sizes[-1], different=len(set(sizes)))


def _suspicions(report: DatasetReport, layout: Layout, similarity: float) -> list[Finding]:
    findings = []
    count = len(report.pairs)
    if count < 3 and not any(finding.code == "no_pairs" for finding in layout.findings):
        text = (
            f"The dataset has {counted(count, 'usable photo')} with a mask; add more: the three splits need at least 3."
        )
        findings.append(error("too_few_pairs", text))
    elif 3 <= count < FEW_PAIRS:
        text = f"Only {counted(count, 'photo')}: a model will overfit and do badly on other photos. Add more."
        findings.append(warning("few_pairs", text))
    small = [pair.photo for pair in report.pairs if min(pair.width, pair.height) < SMALL_SIDE]
    if small:
        text = f"{named(small)}: a side of less than {SMALL_SIDE} pixels. Use larger photos if you can."
        findings.append(warning("small_photos", text, small))
    findings += _empty_masks(report)
    findings += _turned_photos(report)
    findings += _duplicate_findings(report, layout, similarity)
    return findings


def _turned_photos(report: DatasetReport) -> list[Finding]:
    """Warn of photos that an EXIF orientation turns or mirrors: masks drawn on the stored pixels do not fit them."""
    turned = [pair.photo for pair in report.pairs if pair.turned]
    if not turned or report.options.orientation == "stored":
        return []
    text = (
        f"{counted(len(turned), 'photo with an EXIF orientation is', 'photos with an EXIF orientation are')} turned as "
        f"it says ({named(turned)}). If the masks were drawn on the stored pixels, they no longer fit: compare both on "
        "the Data page, and read the photos as they are stored (on the command line: --orientation stored)."
    )
    return [warning("turned_photos", text, turned)]


def _empty_masks(report: DatasetReport) -> list[Finding]:
    background = report.background
    empty = [
        pair.mask
        for pair in report.pairs
        if any(shares := report.class_shares(pair)) and not any((*shares[:background], *shares[background + 1 :]))
    ]
    if not empty:
        return []
    name = report.class_names[report.background]
    many = counted(len(empty), "mask contains", "masks contain")
    text = f"{many} only {name}: correct if the photo shows nothing else, otherwise add the missing annotation."
    return [warning("empty_masks", text, empty)]


def _duplicate_findings(report: DatasetReport, layout: Layout, similarity: float) -> list[Finding]:
    findings = []
    if similarity > SIMILARITY:
        text = (
            "All photos are similar, as scans or video frames are, so only nearly identical ones count as duplicates. "
            "Photos of one patient or video may end up in different splits, which makes test scores too high."
        )
        findings.append(warning("photos_alike", text))
    if report.near_duplicates:
        groups = counted(len(report.near_duplicates), "group")
        files = [name for group in report.near_duplicates for name in group]
        stays = "" if report.has_own_parts else ": each group stays in one split"
        text = f"{groups} of near-duplicate photos ({named(files)}){stays}."
        findings.append(warning("near_duplicates", text, files))
    own = dict(layout.own_parts)
    if own:
        text = "The dataset's own training, validation and test folders are kept."
        missing = [part for part in ("validation", "test") if part not in own.values()]
        if missing:
            text += f" There is no {' and no '.join(missing)} split, so photos for it are held out from training."
        findings.append(warning("own_split", text))
    crossing = [
        name for group in report.near_duplicates if len({own.get(name) for name in group}) > 1 for name in group
    ]
    if own and crossing:
        text = (
            f"{counted(len(crossing), 'photo has', 'photos have')} a near-duplicate in another of the dataset's own "
            f"splits ({named(crossing)}): test scores on those are too high. Split the dataset again to avoid it."
        )
        findings.append(warning("duplicates_across_parts", text, crossing))
    return findings


# --- beside the dataset -------------------------------------------------------------------------------------------


def fingerprint(root: Path) -> str:
    """Return a hash that changes when a photo, mask or JSON file is added, removed, renamed or modified."""
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix.lower() in UNPACKED_ENDINGS and path != root / DATASET_FILE:
                facts = path.stat()
                digest.update(
                    f"{path.relative_to(root)}\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode(errors="replace")
                )
    return digest.hexdigest()


def save_report(report: DatasetReport, folder: str | Path) -> Path:
    """Write a report, with its coding and class names, as `dataset.json` beside the photos, for training to read.

    Raises:
        DataError: the folder cannot be written to.
    """
    path = Path(folder) / DATASET_FILE
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        temporary.write_text(report.to_json(indent=None), encoding="utf-8")
        os.replace(temporary, path)
    except OSError as problem:
        raise DataError(f"{path} cannot be written ({problem.strerror}): use a folder that you may write to.") from None
    return path


def saved_report(folder: str | Path) -> DatasetReport | None:
    """Return the report stored beside a dataset, None if there is none or it cannot be read."""
    try:
        return DatasetReport.from_json((Path(folder) / DATASET_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, ConfigError):
        return None


def current_report(
    folder: str | Path,
    *,
    settings: Settings | None = None,
    options: ReadOptions | None = None,
    progress: Progress | None = None,
) -> DatasetReport:
    """Return the saved report if the files have not changed, else inspect again with the saved class names.

    `options`, if given, replace those of the saved report.

    Raises:
        DataError: there is no such folder.
    """
    saved = saved_report(folder)
    wanted = options or (DEFAULT_OPTIONS if saved is None else saved.options)
    if saved is not None and saved.options == wanted and saved.fingerprint == fingerprint(Path(folder)):
        return saved
    names: ClassNames | None = None
    if saved is not None and saved.coding is not None:
        names = {entry.label: entry.name for entry in saved.coding.classes}
    inspect = partial(inspect_dataset, folder, settings=settings, options=wanted, progress=progress)
    try:
        return inspect(class_names=names)
    except DataError:
        if names is None:
            raise
        return inspect()  # the names were for other masks
