"""What the names of folders and files say: photo or mask, training or test. Opens no file."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from typing import Literal

from unet_core.data.own.archive import IMAGE_ENDINGS
from unet_core.data.sources import SplitName

Role = Literal["photo", "mask", "other"]


def _word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


PHOTO_WORDS = _word_set(
    "image images img imgs photo photos picture pictures jpegimages input inputs rgb leftimg8bit sat original "
    "originals frame frames stills raw scan scans"
)
MASK_WORDS = _word_set(
    "mask masks label labels annotation annotations annot annots anno annos ann anns seg segs segm segmentation "
    "segmentations segmentationclass segmentationclasspng segmentationclassraw segmented trimap trimaps gt gts gtfine "
    "gtcoarse groundtruth target targets matte mattes labelids labelled labeled semantic lab manual"
)
OTHER_WORDS = _word_set(
    "segmentationobject segmentationobjectpng segmentationclassvisualization overlay overlays preview previews "
    "visualization visualizations viz vis color colour colors colours colormap colormaps instanceids labeltrainids"
)
_PART_WORDS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "tr": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
    "ts": "test",
}
_ROLE_WORDS = PHOTO_WORDS | MASK_WORDS | OTHER_WORDS
_EITHER = "|".join(sorted(map(re.escape, _ROLE_WORDS), key=len, reverse=True))
_LEADING_WORD = re.compile(rf"^(?:{_EITHER})[_\-. ]+(?=.)")
_TRAILING_WORD = re.compile(rf"(?<=.)[_\-. ]+(?:{_EITHER})$")
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words_of(name: str) -> list[str]:
    """Return the words of a folder's or file's name in lower case: `trainannot` is train, annot."""
    whole = re.sub(r"[^a-z0-9]", "", name.lower())
    if whole in _ROLE_WORDS or whole in _PART_WORDS:
        return [whole]
    found = []
    for token in re.split(r"[^A-Za-z0-9]+", name):
        lower = token.lower()
        if lower in _ROLE_WORDS or not re.fullmatch(r"[A-Za-z]+", token):
            found.append(lower)
        else:
            pieces = [piece.lower() for piece in _PIECE.findall(token)]
            found += [word for piece in pieces for word in _parted(piece)] if len(pieces) > 1 else _parted(lower)
    return [word for word in found if word]


def _parted(word: str) -> list[str]:
    """Split a word that joins a split and a kind of file, such as `trainmasks`."""
    for part in _PART_WORDS:
        if len(part) > 2 and word.startswith(part) and word[len(part) :] in _ROLE_WORDS:
            return [part, word[len(part) :]]
        if len(part) > 2 and word.endswith(part) and word[: -len(part)] in _ROLE_WORDS:
            return [word[: -len(part)], part]
    return [word]


def role_of(names: Iterable[str]) -> Role | None:
    """Decide by the last name that says something, None if none does; a mask may also have a photo's word."""
    for name in reversed(list(names)):
        words = set(words_of(name))
        if words & OTHER_WORDS:
            return "other"
        if words & MASK_WORDS:
            return "mask"
        if words & PHOTO_WORDS:
            return "photo"
    return None


def part_of(folders: Iterable[str]) -> SplitName | None:
    """Return the split that a file's folders name, None if none does."""
    words = (word for folder in folders for word in words_of(folder))
    return next((_PART_WORDS[word] for word in words if word in _PART_WORDS), None)


def place_of(folders: Iterable[str]) -> tuple[str, ...]:
    """Return the folders without the words that only distinguish photos from masks."""
    kept = ("_".join(word for word in words_of(folder) if word not in _ROLE_WORDS) for folder in folders)
    return tuple(folder for folder in kept if folder)


def stem_of(name: str) -> str:
    """Return a file's name without extension; `x.jpg.png` is a mask of `x.jpg`."""
    stem, inner = os.path.splitext(os.path.splitext(name)[0])
    whole = stem if inner.lower() in IMAGE_ENDINGS else stem + inner
    return unicodedata.normalize("NFC", whole)


def plain_stem(stem: str) -> str:
    """Remove the words at both ends that only distinguish photos from masks: `mask_7` and `7_gt_labelIds` give `7`."""
    plain, before = stem.casefold(), ""
    while plain != before:
        before = plain
        plain = _TRAILING_WORD.sub("", _LEADING_WORD.sub("", plain))
    return plain
