"""Photos for people who have none at hand: the dataset's test photos, or else the sample and drawn pets, with truth."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np
from PIL import Image

from ui.home.live_example import sample_photo
from ui.segment.photos import Photo
from unet_core.data.catalogue import EXAMPLE_SIDE, Catalogue, CatalogueError, catalogue_status, start_catalogue
from unet_core.data.oxford import oxford_pets
from unet_core.data.sources import stable_fraction
from unet_core.data.synthetic.pets import TEST_START, draw_pet
from unet_core.images import samples
from unet_core.images.render import trimap_codes
from unet_core.settings import Settings

PAGE = 8  # photos that are shown at a time
THUMBNAIL_SIDE = 240  # pixels
SAMPLE_KEY = "chelsea"

_DRAWN_PAGES = 3
_DRAWN_SEED = 7
_DRAWN_SIZE, _DRAWN_THUMBNAIL = (480, 640), (150, 200)  # height, width


@dataclass(frozen=True)
class Exhibit:
    """One photo of the gallery: a key for widgets, a title, and a small JPEG."""

    key: str
    title: str
    thumbnail: bytes = field(repr=False)


class Gallery(Protocol):
    """Photos to choose from, `PAGE` at a time."""

    pages: int
    credit: str

    def page(self, number: int) -> list[Exhibit]:
        """Return one page's photos; numbers beyond the last go round."""
        ...

    def photo(self, exhibit: Exhibit) -> Photo:
        """Return a photo with its truth, ready for the workspace."""
        ...


def open_gallery(settings: Settings) -> Gallery:
    """Return the dataset's test photos where they can be browsed, else the sample and drawn pets.

    Where the dataset is here but not browsable yet, a process is started that makes it so.
    """
    if oxford_pets.status(settings.data_dir).present:
        status = catalogue_status(oxford_pets.NAME, settings)
        if status.state == "ready":
            try:
                return TestPhotos(Catalogue.open(oxford_pets.NAME, settings))
            except CatalogueError:
                return DrawnPets()
        if status.state == "missing":
            status = start_catalogue(oxford_pets.NAME, settings)
        return DrawnPets(awaited=status.state == "building")
    return DrawnPets()


class TestPhotos:
    """The dataset's test photos, in a fixed order that mixes the breeds."""

    __test__ = False  # not a test class of pytest's

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._names = _mixed_names(catalogue)
        self.pages = max(1, len(self._names) // PAGE)
        self.credit = (
            f"Test photos of the Oxford-IIIT Pet dataset with their true masks, at most {EXAMPLE_SIDE} pixels wide or "
            f"high. {oxford_pets.CREDIT}."
        )

    def page(self, number: int) -> list[Exhibit]:
        """Return one page's photos, see `Gallery`."""
        first = number % self.pages * PAGE
        return [_test_exhibit(self._catalogue, name) for name in self._names[first : first + PAGE]]

    def photo(self, exhibit: Exhibit) -> Photo:
        """Return a photo with its truth, see `Gallery`."""
        picture, ids = self._catalogue.example(exhibit.key)
        return Photo.of(exhibit.key, _jpeg(picture, 95), _truth(ids))


class DrawnPets:
    """The sample photo, which has no truth, and pets drawn by this program with exact masks.

    Args:
        awaited: the dataset's photos are being made ready and will take their place.
    """

    pages = _DRAWN_PAGES

    def __init__(self, awaited: bool = False) -> None:
        meanwhile = "Test photos of the dataset come here once it has been read. " if awaited else ""
        self.credit = f"{meanwhile}Drawn pets have exact masks. {samples.CAT_CREDIT}"

    def page(self, number: int) -> list[Exhibit]:
        """Return one page's photos, see `Gallery`; the sample is always the first."""
        first = number % self.pages * (PAGE - 1)
        return [_sample_exhibit(), *(_drawn_exhibit(index) for index in range(first, first + PAGE - 1))]

    def photo(self, exhibit: Exhibit) -> Photo:
        """Return a photo with its truth, see `Gallery`."""
        if exhibit.key == SAMPLE_KEY:
            return sample_photo()
        return _drawn_photo(int(exhibit.key.removeprefix("drawn-")))


@lru_cache(maxsize=2)
def _mixed_names(catalogue: Catalogue) -> tuple[str, ...]:
    return tuple(sorted((entry.name for entry in catalogue.entries("test")), key=stable_fraction))


@lru_cache(maxsize=64)
def _test_exhibit(catalogue: Catalogue, name: str) -> Exhibit:
    title = catalogue.entry(name).breed.replace("_", " ").capitalize()
    return Exhibit(name, title, _thumbnail(catalogue.example(name)[0]))


@lru_cache(maxsize=1)
def _sample_exhibit() -> Exhibit:
    return Exhibit(SAMPLE_KEY, "Chelsea", _thumbnail(np.asarray(Image.open(io.BytesIO(samples.cat_png())))))


@lru_cache(maxsize=_DRAWN_PAGES * PAGE)
def _drawn_exhibit(index: int) -> Exhibit:
    picture, _ = draw_pet(_DRAWN_SEED, TEST_START + index, _DRAWN_THUMBNAIL)
    return Exhibit(f"drawn-{index}", f"Drawn {index + 1}", _thumbnail(picture))


@lru_cache(maxsize=_DRAWN_PAGES * PAGE)
def _drawn_photo(index: int) -> Photo:
    picture, trimap = draw_pet(_DRAWN_SEED, TEST_START + index, _DRAWN_SIZE)
    return Photo.of(f"drawn-{index + 1}.jpg", _jpeg(picture, 92), _png(trimap))


def _thumbnail(picture: np.ndarray) -> bytes:
    """Return the middle of a photo as a small square JPEG."""
    image = Image.fromarray(picture)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return _jpeg(np.asarray(image), 85)


def _truth(ids: np.ndarray) -> bytes:
    return _png(trimap_codes(ids))


def _jpeg(picture: np.ndarray, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()
