"""Which mask belongs to which photo, in folders of any arrangement.

Files are put into sets: those of one folder, or those in one folder with the same ending such as `_mask`; a folder for
each photo is taken together with its neighbours. A set holds photos or masks by its name, or else by its content. Sets
whose file names agree, apart from what all names of a set share, belong together.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unet_core.data.own.words import Role, part_of, place_of, plain_stem, role_of, stem_of, words_of

_AGREE = 0.5  # of the smaller set's names must have a partner
_VARIANTS = 0.6  # of a folder's files must have a partner of another ending
_MANY_FOLDERS = 200  # from here on, folders are compared only where their places are equal
_FOLDER_FOR_EACH = 2  # folders of equal content that make a pattern
_SEPARATOR = re.compile(r"[_\-. ]+")
_NUMBERED = re.compile(r"([A-Za-z])[_\-. ]*\d+$")

Values = Callable[[Path], int | None]  # how many different values an image has, about; None if it cannot be read


@dataclass(frozen=True)
class ImageFile:
    """An image of the dataset; `folders` are without those that all files share."""

    path: Path
    relative: str
    folders: tuple[str, ...]
    stem: str

    @classmethod
    def of(cls, path: Path, relative: str, shared: int) -> ImageFile:
        """Describe a file, whose first `shared` folders are those of all files."""
        parts = tuple(relative.split("/"))
        return cls(path, relative, parts[shared:-1], stem_of(parts[-1]))


@dataclass(eq=False)
class FileSet:
    """Files that are all photos or all masks; `names` says what each shows, which a photo and its mask share."""

    folders: tuple[str, ...]
    variant: str  # what the files' names have in common, if the folder has other files too
    names: dict[ImageFile, str]
    role: Role | None = None
    named: bool = False  # whether the name gives the role
    cores: dict[ImageFile, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.role = role_of([*self.folders, self.variant])
        self.named = self.role is not None
        self.cores = dict(zip(self.names, _cores(list(self.names.values()))))

    @property
    def title(self) -> str:
        """Its folder within the dataset, with the files' common ending."""
        folder = "/".join(self.folders) or "."
        if self.variant.startswith("/"):
            return f"{folder}{self.variant}"
        return f"{folder}/*{self.variant}" if self.variant else folder


@dataclass(frozen=True)
class Pairing:
    """Photos with their masks, several if a photo has several, and what remains.

    `candidates` are the titles of the sets of which each could be the truth, and `chosen` those that are read.
    """

    masks: dict[ImageFile, tuple[ImageFile, ...]]
    photos_without_mask: tuple[ImageFile, ...]
    masks_without_photo: tuple[ImageFile, ...]
    others: tuple[ImageFile, ...]
    candidates: tuple[str, ...] = ()
    unchosen: tuple[ImageFile, ...] = ()
    class_of: dict[ImageFile, str] = field(default_factory=dict)  # by mask, where folders are classes
    by_name: bool = True  # whether the masks' names say that they are masks


def paired(files: Sequence[ImageFile], values: Values, chosen: str | None = None) -> Pairing:
    """Pair photos and masks.

    Args:
        files: all images.
        values: called for a few files of sets whose names say nothing.
        chosen: the set to take as masks where several fit: its title, or a part of it that no other has.
    """
    sets = _sets(files)
    _decide_roles(sets, values)
    photos = [one for one in sets if one.role == "photo"]
    masks = [one for one in sets if one.role == "mask"]
    others = [one for one in sets if one.role == "other"]
    matches = _matches(photos, masks)
    if not matches or chosen is not None:
        matches = _matches(photos, [*masks, *others]) or matches
    by_title: dict[str, dict[ImageFile, list[ImageFile]]] = defaultdict(lambda: defaultdict(list))
    for mask, (photo, of) in matches.items():
        by_title[_identity(of)][photo].append(mask)
    classes = _classes({of.title for _, of in matches.values()}, matches)
    if classes:
        by_title = {"": _merged(by_title.values())}
    titles = _candidates(by_title)
    if chosen is not None:
        titles = _named(titles, chosen)
    wanted = dict(by_title[titles[0]]) if titles else {}
    covered = _merged(found for title, found in by_title.items() if title not in titles)
    for photo, found in covered.items():  # other sets' masks of photos that have none in the chosen set
        if photo not in wanted and chosen is None:
            wanted[photo] = found
    used = {mask for found in wanted.values() for mask in found}
    return Pairing(
        {photo: tuple(sorted(found, key=lambda file: file.relative)) for photo, found in wanted.items()},
        tuple(file for one in photos for file in one.names if file not in wanted),
        tuple(file for one in masks for file in one.names if file not in matches),
        tuple(file for one in others for file in one.names if file not in used),
        tuple(titles) if len(titles) > 1 else (),
        tuple(mask for mask in matches if mask not in used),
        {mask: classes[mask] for mask in used} if classes else {},
        any(one.named for one in masks if not used.isdisjoint(one.names)),
    )


def _merged(found: Iterable[dict[ImageFile, list[ImageFile]]]) -> dict[ImageFile, list[ImageFile]]:
    merged: dict[ImageFile, list[ImageFile]] = {}
    for one in found:
        for photo, masks in one.items():
            merged.setdefault(photo, []).extend(masks)
    return merged


# --- sets -------------------------------------------------------------------------------------------------------------


def _sets(files: Sequence[ImageFile]) -> list[FileSet]:
    folders: dict[tuple[str, ...], dict[ImageFile, str]] = defaultdict(dict)
    patterns = _folder_for_each(files)
    for file in files:
        pattern, name = patterns.get(file.folders, (file.folders, ""))
        folders[pattern][file] = f"{name}/{file.stem}" if name else file.stem
    found = []
    for pattern, names in folders.items():
        if "*" in pattern:
            found += _in_pattern(pattern, names)
        else:
            any_words = role_of(pattern) is None and not _is_mirrored(pattern, folders)
            found += [FileSet(pattern, variant, members) for variant, members in _variants(names, any_words).items()]
    return found


def _is_mirrored(folder: tuple[str, ...], folders: dict[tuple[str, ...], dict[ImageFile, str]]) -> bool:
    """Return whether another folder has files of the same names, so that these are whole names."""
    if len(folders) > _MANY_FOLDERS:
        return True
    names = {name.casefold() for name in folders[folder].values()}
    others = ({name.casefold() for name in files.values()} for other, files in folders.items() if other != folder)
    return any(2 * len(names & other) >= len(names) for other in others)


def _folder_for_each(files: Sequence[ImageFile]) -> dict[tuple[str, ...], tuple[tuple[str, ...], str]]:
    """Find folders that belong to one photo each: return each one's pattern, with "*", and the photo's name."""
    stems: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for file in files:
        stems[file.folders].add(file.stem)
    siblings: dict[tuple[tuple[str, ...], tuple[str, ...]], list[tuple[str, ...]]] = defaultdict(list)
    for folders in stems:
        for place, name in enumerate(folders):
            if role_of([name]) is None and part_of([name]) is None:
                siblings[folders[:place], folders[place + 1 :]].append(folders)
    found: dict[tuple[str, ...], tuple[tuple[str, ...], str]] = {}
    for (before, after), alike in siblings.items():
        if len(alike) < _FOLDER_FOR_EACH or not _one_photo_each(before, after, alike, stems):
            continue
        for folders in alike:
            name = folders[len(before)]
            found.setdefault(folders, ((*before, "*", *after), re.sub(r"_json$", "", name)))
    return found


def _one_photo_each(
    before: tuple[str, ...],
    after: tuple[str, ...],
    alike: list[tuple[str, ...]],
    stems: dict[tuple[str, ...], set[str]],
) -> bool:
    if not after:  # x/img.png and x/label.png: the same names in each folder
        common = set.intersection(*(stems[folders] for folders in alike))
        return 1 < len(common) <= len(alike)
    names = [folders[len(before)] for folders in alike]
    inside = _photo_folders(before, stems)
    photos = [stems.get((*before, name, *inner), set()) for name in names for inner in inside]
    return role_of(after) is not None and bool(photos) and all(len(one) <= 1 for one in photos) and any(photos)


def _photo_folders(before: tuple[str, ...], stems: dict[tuple[str, ...], set[str]]) -> set[tuple[str, ...]]:
    start = len(before)
    inner = {folders[start + 1 :] for folders in stems if folders[:start] == before and len(folders) > start + 1}
    return {one for one in inner if role_of(one) == "photo"}


def _in_pattern(pattern: tuple[str, ...], names: dict[ImageFile, str]) -> list[FileSet]:
    """Split the files of many folders by their own names, if these are the same in all folders."""
    if pattern[-1] != "*":
        return [FileSet(pattern, "", {file: name.split("/")[0] for file, name in names.items()})]
    by_stem: dict[str, dict[ImageFile, str]] = defaultdict(dict)
    for file, name in names.items():
        by_stem[file.stem][file] = name.split("/")[0]
    return [FileSet(pattern, f"/{stem}", members) for stem, members in by_stem.items()]


def _variants(names: dict[ImageFile, str], any_words: bool) -> dict[str, dict[ImageFile, str]]:
    """Split a folder's files by what distinguishes masks from photos in their names, if anything does.

    With `any_words` these need not be words that stand for photos or masks.
    """
    for divided in (_by_affix(names, any_words), _by_extension(names)):
        if len(divided) > 1:
            return divided
    return {"": names}


def _by_affix(names: dict[ImageFile, str], any_words: bool) -> dict[str, dict[ImageFile, str]]:
    """Divide `x.jpg` and `x_mask.png`, `x_sat.jpg` and `x_mask.png`, `image_0.png` and `mask_0.png`."""
    rests: dict[str, dict[str, list[ImageFile]]] = defaultdict(lambda: defaultdict(list))
    for file, name in names.items():
        for affix, rest in _affixes(name):
            rests[rest.casefold()][affix].append(file)
    counts: Counter[tuple[str, str]] = Counter()
    for affixes in rests.values():
        for one in affixes:
            counts.update((one, other) for other in affixes if one != other)
    by_word = {pair: count for pair, count in counts.items() if role_of(pair) is not None}
    if not by_word and not (counts and any_words):
        return {"": names}
    (first, second), count = max((by_word or counts).items(), key=lambda item: (item[1], -len("".join(item[0]))))
    if not by_word and 2 * count < _VARIANTS * len(names):
        return {"": names}
    affixes = {first, second} | {other for (one, other), among in counts.items() if one == first and 2 * among >= count}
    divided: dict[str, dict[ImageFile, str]] = defaultdict(dict)
    for file, name in names.items():
        fitting = [(affix, rest) for affix, rest in _affixes(name) if affix in affixes]
        affix, rest = max(fitting, key=lambda item: len(item[0]), default=("", name))
        divided[affix][file] = rest
    return dict(divided)


def _affixes(name: str) -> Iterator[tuple[str, str]]:
    """Yield what can be taken off a name, and the rest; of numbers only those of several masks, as in `x_mask_2`."""
    yield "", name
    separators = list(_SEPARATOR.finditer(name))
    for found in separators[-3:]:
        affix, rest = name[found.start() :], name[: found.start()]
        affix = _NUMBERED.sub(r"\1", affix) if role_of([affix]) == "mask" else affix
        if rest and not any(word.isdecimal() for word in _SEPARATOR.split(affix)):
            yield affix, rest
    if separators and re.fullmatch(r"[A-Za-z]+", name[: separators[0].start()]):
        yield name[: separators[0].end()], name[separators[0].end() :]
    elif joined := re.fullmatch(r"([A-Za-z]+)(\d.*)", name):
        yield joined[1], joined[2]


def _by_extension(names: dict[ImageFile, str]) -> dict[str, dict[ImageFile, str]]:
    """Divide `x.jpg` and `x.png`."""
    endings: dict[str, set[str]] = defaultdict(set)
    for file, name in names.items():
        endings[name.casefold()].add(file.path.suffix.lower())
    both = Counter(tuple(sorted(found)) for found in endings.values() if len(found) == 2)
    if not both:
        return {"": names}
    pair, count = both.most_common(1)[0]
    if 2 * count < _VARIANTS * len(names) or len(names) < 4:
        return {"": names}
    divided: dict[str, dict[ImageFile, str]] = defaultdict(dict)
    for file, name in names.items():
        divided[file.path.suffix.lower() if file.path.suffix.lower() in pair else ""][file] = name
    return dict(divided)


# --- photos or masks --------------------------------------------------------------------------------------------------

_SAMPLES = 3  # files of a set that are opened
_FEW_VALUES = 24


def _decide_roles(sets: list[FileSet], values: Values) -> None:
    """Decide by content where names say nothing; without masks elsewhere, everything is a photo."""
    open_sets = [one for one in sets if one.role is None]
    if not open_sets:
        return
    has_photos = any(one.role == "photo" for one in sets)
    found: dict[int, int] = {}
    for one in open_sets if len(sets) > 1 else ():
        count = _values_of(one, values)
        if count is not None:
            found[id(one)] = count
    for one in open_sets:
        few = found.get(id(one), _FEW_VALUES + 1) <= _FEW_VALUES
        one.role = "mask" if few and (has_photos or len(found) > 1) else "photo"
    if not any(one.role == "photo" for one in sets) and found:
        most = max(found.values())
        for one in open_sets:
            one.role = "photo" if found.get(id(one), most) == most else one.role


def _values_of(files: FileSet, values: Values) -> int | None:
    """Return the median of the numbers of values in a few of a set's files."""
    members = list(files.names)
    step = max(1, len(members) // _SAMPLES)
    found = sorted(count for file in members[::step][:_SAMPLES] if (count := values(file.path)) is not None)
    return found[len(found) // 2] if found else None


# --- matches ----------------------------------------------------------------------------------------------------------


def _matches(photos: Sequence[FileSet], masks: Sequence[FileSet]) -> dict[ImageFile, tuple[ImageFile, FileSet]]:
    """Return for each mask its photo, and the set that the mask is of; what fits two photos equally fits none."""
    found: dict[ImageFile, list[tuple[tuple[float, ...], ImageFile]]] = defaultdict(list)
    of = {file: one for one in masks for file in one.names}
    many = len(photos) * len(masks) > _MANY_FOLDERS**2
    by_place: dict[tuple[str, ...], list[FileSet]] = defaultdict(list)
    for photo_set in photos:
        by_place[place_of(photo_set.folders)].append(photo_set)
    for mask_set in masks:
        for photo_set in by_place[place_of(mask_set.folders)] if many else photos:
            for strength, pairs in _relations(photo_set, mask_set):
                for photo, mask in pairs:
                    found[mask].append((strength, photo))
    matches: dict[ImageFile, tuple[ImageFile, FileSet]] = {}
    for mask, fitting in found.items():
        best = max(strength for strength, _ in fitting)
        partners = {photo for strength, photo in fitting if strength == best}
        if len(partners) == 1:
            matches[mask] = partners.pop(), of[mask]
    return matches


def _relations(
    photos: FileSet, masks: FileSet
) -> Iterator[tuple[tuple[float, ...], list[tuple[ImageFile, ImageFile]]]]:
    """Yield the pairs of two sets by each of the ways to compare names, with how strong the relation is."""
    part, other = part_of(photos.folders), part_of(masks.folders)
    if part is not None and other is not None and part != other:
        return
    place = _likeness(photos, masks)
    prefixed = _prefixed(photos, masks)
    if len({photo for photo, _ in prefixed}) >= max(2, _AGREE * len(photos.names)):
        yield (place, -1), prefixed
    for rank, key in enumerate((_by_core, _by_plain_name, _by_folded_name, _by_name)):
        theirs: dict[object, list[ImageFile]] = defaultdict(list)
        for photo in photos.names:
            theirs[key(photos, photo)].append(photo)
        pairs = [(theirs[name][0], mask) for mask in masks.names if len(theirs.get(name := key(masks, mask), ())) == 1]
        smaller = min(len(photos.names), len({key(masks, mask) for mask in masks.names}))
        covered = len({photo for photo, _ in pairs})
        if pairs and covered >= _AGREE * smaller and (rank > 0 or covered > 1):
            yield (place, rank), pairs


def _prefixed(photos: FileSet, masks: FileSet) -> list[tuple[ImageFile, ImageFile]]:
    """Pair masks whose names go on where a photo's name ends, as `x_1`, `x_2` or `x_cat`, `x_dog` of `x` do."""
    by_name = {name.casefold(): photo for photo, name in photos.names.items()}
    pairs = []
    for mask, name in masks.names.items():
        folded = name.casefold()
        starts = (folded[: found.start()] for found in reversed(list(_SEPARATOR.finditer(folded))))
        photo = next((by_name[start] for start in starts if start in by_name), None)
        if photo is not None and folded not in by_name:
            pairs.append((photo, mask))
    return pairs


def _likeness(photos: FileSet, masks: FileSet) -> float:
    """Return how alike the places of two sets are, 0 to 1."""
    one, other = place_of(photos.folders), place_of(masks.folders)
    return 1.0 if one == other else 0.5 * difflib.SequenceMatcher(None, "/".join(one), "/".join(other)).ratio()


def _by_name(files: FileSet, file: ImageFile) -> object:
    return files.names[file]


def _by_folded_name(files: FileSet, file: ImageFile) -> object:
    return files.names[file].casefold()


def _by_plain_name(files: FileSet, file: ImageFile) -> object:
    return plain_stem(files.names[file])


def _by_core(files: FileSet, file: ImageFile) -> object:
    return files.cores[file]


def _cores(names: Sequence[str]) -> list[str]:
    """Take off what all names begin and end with, but no part of a number."""
    if len(set(names)) < 2:
        return list(names)
    start = _common_start(names).rstrip("0123456789")
    rests = [name[len(start) :] for name in names]
    end = _common_start([rest[::-1] for rest in rests])[::-1]
    if any(rest[: len(rest) - len(end)][-1:].isdigit() for rest in rests):
        end = end.lstrip("0123456789")
    return [(rest[: len(rest) - len(end)] or rest).casefold() for rest in rests]


def _common_start(names: Sequence[str]) -> str:
    """Return what all names begin with."""
    first, last = min(names), max(names)
    same = next((place for place, (one, other) in enumerate(zip(first, last)) if one != other), None)
    return first[:same] if same is not None else first[: min(len(first), len(last))]


# --- several candidates -----------------------------------------------------------------------------------------------


def _identity(masks: FileSet) -> str:
    """Return a title that is equal for the training and the test part of the same masks."""
    folders = [folder for folder in masks.folders if not _only_part(folder)]
    return FileSet(tuple(folders), masks.variant, {}).title


def _only_part(folder: str) -> bool:
    return part_of([folder]) is not None and role_of([folder]) is None and len(words_of(folder)) == 1


def _candidates(by_title: dict[str, dict[ImageFile, list[ImageFile]]]) -> list[str]:
    """Return the titles of the sets that give masks to the same photos, the largest first."""
    titles = sorted(by_title, key=lambda title: -len(by_title[title]))
    if not titles:
        return []
    first = by_title[titles[0]]
    return [title for title in titles if title == titles[0] or by_title[title].keys() & first.keys()]


def _named(titles: Sequence[str], chosen: str) -> list[str]:
    wanted = chosen.strip("/").casefold()
    exact = [title for title in titles if title.casefold() == wanted or title.split("/")[-1].casefold() == wanted]
    return exact or [title for title in titles if wanted in title.casefold()]


def _classes(titles: set[str], matches: dict[ImageFile, tuple[ImageFile, FileSet]]) -> dict[ImageFile, str]:
    """Return the class of each mask where each class has a folder: `masks/cat/x.png` and `masks/dog/x.png`."""
    parents = {title.rpartition("/")[0] for title in titles}
    names = {title.rpartition("/")[2] for title in titles}
    if len(titles) < 2 or len(parents) != 1 or role_of(parents.pop().split("/")) != "mask":
        return {}
    if any(role_of([name]) is not None or "*" in name or part_of([name]) is not None for name in names):
        return {}
    return {mask: of.title.rpartition("/")[2] for mask, (_, of) in matches.items()}
