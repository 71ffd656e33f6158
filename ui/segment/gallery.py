"""Example photos: the dataset's test photos with their ground truth, or else samples and synthetic pets."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Protocol

import numpy as np
from PIL import Image

from ui.home.live_example import sample_photo
from ui.segment.photos import Photo
from ui.shared import format as text
from unet_core.data.catalogue import EXAMPLE_SIDE, Catalogue, CatalogueError, catalogue_status, start_catalogue
from unet_core.data.oxford import oxford_pets
from unet_core.data.sources import stable_fraction
from unet_core.data.synthetic.pets import TEST_START, draw_pet
from unet_core.images.decode import decode_image
from unet_core.images.mask_files import mask_codes
from unet_core.images.samples import SAMPLES
from unet_core.settings import Settings

PAGE = 8  # photos that are shown at a time
THUMBNAIL_SIDE = 240  # pixels

_SYNTHETIC_NAME = "synthetic-"
_SYNTHETIC_PAGES = 2
_SYNTHETIC_SEED = 7
_SYNTHETIC_SIZE, _SYNTHETIC_THUMBNAIL = (480, 640), (150, 200)  # height, width


@dataclass(frozen=True)
class Exhibit:
    """One photo in the gallery: a key for widgets, a title, and a small JPEG."""

    key: str
    title: str
    thumbnail: bytes = field(repr=False)


class Gallery(Protocol):
    """Photos to choose from, `PAGE` at a time."""

    pages: int

    def credit(self, number: int) -> str:
        """Return whose photos a page shows."""
        ...

    def page(self, number: int) -> list[Exhibit]:
        """Return one page's photos; page numbers wrap around."""
        ...

    def photo(self, exhibit: Exhibit) -> Photo:
        """Return a photo with its ground truth, ready for the workspace."""
        ...


def is_drawn(photo: Photo) -> bool:
    """Whether a photo is one of the gallery's synthetic pets."""
    return photo.truth is not None and photo.name.startswith(_SYNTHETIC_NAME)


def open_gallery(settings: Settings) -> Gallery:
    """Return the dataset's test photos if they are indexed, else sample photos and synthetic pets.

    If the dataset is installed but not indexed, this starts a process that indexes it.
    """
    if oxford_pets.status(settings.data_dir).present:
        status = catalogue_status(oxford_pets.NAME, settings)
        if status.state == "ready":
            try:
                return TestPhotos(Catalogue.open(oxford_pets.NAME, settings))
            except CatalogueError:
                return Samples()
        if status.state == "missing":
            status = start_catalogue(oxford_pets.NAME, settings)
        return Samples(is_indexing=status.state == "building")
    return Samples()


class TestPhotos:
    """The dataset's test photos, in a fixed order that mixes the breeds."""

    __test__ = False  # not a test class of pytest's

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._names = _mixed_names(catalogue)
        self.pages = max(1, len(self._names) // PAGE)

    def credit(self, number: int) -> str:
        """Return whose photos these are, see `Gallery`."""
        return (
            f"Test photos of the Oxford-IIIT Pet dataset with ground truth, at most {EXAMPLE_SIDE} pixels wide or "
            f"high. {oxford_pets.CREDIT}."
        )

    def page(self, number: int) -> list[Exhibit]:
        """Return one page's photos, see `Gallery`."""
        first = number % self.pages * PAGE
        return [_test_exhibit(self._catalogue, name) for name in self._names[first : first + PAGE]]

    def photo(self, exhibit: Exhibit) -> Photo:
        """Return a photo with its ground truth, see `Gallery`."""
        picture, ids = self._catalogue.example(exhibit.key)
        return Photo.of(exhibit.key, _jpeg(picture, 95), _png(mask_codes(ids)))


class Samples:
    """Real sample photos, which have no ground truth, and on further pages synthetic pets with exact masks.

    Args:
        is_indexing: the dataset's photos are being indexed and will replace these.
    """

    pages = 1 + _SYNTHETIC_PAGES

    def __init__(self, is_indexing: bool = False) -> None:
        self._note = "The dataset's test photos will appear here once it is indexed. " if is_indexing else ""

    def credit(self, number: int) -> str:
        """Return whose photos a page shows, see `Gallery`."""
        if number % self.pages:
            drawn = "Drawn by this program, with exact masks to score against; models of photos find them harder."
            return f"{self._note}{drawn}"
        return self._note + " ".join(
            f"{each.title}: {each.credit.removeprefix('Photo: ')}" for each in SAMPLES.values()
        )

    def page(self, number: int) -> list[Exhibit]:
        """Return one page's photos, see `Gallery`; the samples are the first."""
        number %= self.pages
        if number == 0:
            return [_sample_exhibit(name) for name in SAMPLES]
        return [_synthetic_exhibit(index) for index in range((number - 1) * PAGE, number * PAGE)]

    def photo(self, exhibit: Exhibit) -> Photo:
        """Return a photo with its ground truth, see `Gallery`."""
        if exhibit.key in SAMPLES:
            return sample_photo(exhibit.key)
        return _synthetic_photo(int(exhibit.key.removeprefix(_SYNTHETIC_NAME)))


@lru_cache(maxsize=2)
def _mixed_names(catalogue: Catalogue) -> tuple[str, ...]:
    return tuple(sorted((entry.name for entry in catalogue.entries("test")), key=stable_fraction))


@lru_cache(maxsize=64)
def _test_exhibit(catalogue: Catalogue, name: str) -> Exhibit:
    title = text.words(catalogue.entry(name).breed).capitalize()
    return Exhibit(name, title, _thumbnail(catalogue.example(name)[0]))


@cache
def _sample_exhibit(name: str) -> Exhibit:
    return Exhibit(name, SAMPLES[name].title, _thumbnail(decode_image(SAMPLES[name].read())))


@lru_cache(maxsize=_SYNTHETIC_PAGES * PAGE)
def _synthetic_exhibit(index: int) -> Exhibit:
    picture, _ = draw_pet(_SYNTHETIC_SEED, TEST_START + index, _SYNTHETIC_THUMBNAIL)
    return Exhibit(f"{_SYNTHETIC_NAME}{index}", f"Synthetic {index + 1}", _thumbnail(picture))


@lru_cache(maxsize=_SYNTHETIC_PAGES * PAGE)
def _synthetic_photo(index: int) -> Photo:
    picture, trimap = draw_pet(_SYNTHETIC_SEED, TEST_START + index, _SYNTHETIC_SIZE)
    return Photo.of(f"{_SYNTHETIC_NAME}{index + 1}.jpg", _jpeg(picture, 92), _png(trimap))


def _thumbnail(picture: np.ndarray) -> bytes:
    """Return the centre of a photo as a small square JPEG."""
    image = Image.fromarray(picture)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return _jpeg(np.asarray(image), 85)


def _jpeg(picture: np.ndarray, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()
