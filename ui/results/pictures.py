"""Photos with a model's mask beside the ground truth: from the dataset if it is ready, else sample photos without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from ui.data.catalogue import jpeg
from ui.results.subject import DRAWN, TEST, Subject
from ui.shared import format as text
from unet_core.classes import BACKGROUND, PET
from unet_core.data.catalogue import Catalogue, CatalogueError, catalogue_path, catalogue_status
from unet_core.data.oxford.oxford_pets import NAME as OXFORD_PETS
from unet_core.data.sources import PET_AND_BORDER
from unet_core.data.synthetic.pets import draw_pet
from unet_core.errors import UNetError
from unet_core.images import render
from unet_core.images.decode import decode_image
from unet_core.images.samples import Sample
from unet_core.results.everyday_photos import compose
from unet_core.results.files import EverydayPhotos, PartResult
from unet_core.segment import Segmenter
from unet_core.segment.display import segment_at_full_size
from unet_core.settings import Settings

OPACITY = 0.4
SAMPLE_SIDE = 600  # pixels on the longer side
DRAWN_SIZE = (224, 224)  # as they were measured
GAP, GREY = 6, 140  # pixels between the two halves of a picture, and their value
QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Picture:
    """A photo twice, as JPEG: with the model's mask and with the ground truth; and its scores."""

    jpeg: bytes
    name: str
    caption: str
    spoken: str


def dataset_ready(subject: Subject, settings: Settings) -> bool:
    """Say whether the photos that the figures belong to can be shown."""
    evaluation = subject.evaluation
    return (
        evaluation is not None
        and evaluation.data == OXFORD_PETS
        and catalogue_status(OXFORD_PETS, settings).state == "ready"
    )


def part_to_show(subject: Subject, settings: Settings) -> tuple[str, PartResult] | None:
    """Return the part whose pictures can be shown, by name: the test photos of the dataset.

    Of a model that was trained on drawings, the synthetic pets; a model of photos was not made for them.
    """
    drawings = subject.entry.origin.pictures == "drawn"
    for name, ready in ((TEST, dataset_ready(subject, settings)), (DRAWN, drawings)):
        part = subject.part(name)
        if ready and part is not None:
            return name, part
    return None


def typical(part: PartResult) -> list[int]:
    """Return the photos that score better than a quarter, a half and three quarters of all photos."""
    ranked = part.photos.ranked()
    return [ranked[min(len(ranked) - 1, int(share * len(ranked)))] for share in QUARTERS]


def picture(subject: Subject, part_name: str, index: int, settings: Settings) -> Picture | None:
    """Return one photo of a part with both masks; None if the photo or the model cannot be used."""
    part = subject.part(part_name)
    if part is None:
        return None
    photos = part.photos
    name = photos.name[index]
    try:
        content = _both(_version(subject), part_name, name, subject, settings)
    except UNetError:
        return None
    breed = part.breeds[photos.breed[index]] if photos.breed else None
    words = [f"IoU {text.percent(photos.iou[index])}"]
    if breed is not None:
        words.append(text.plain(text.words(breed.name)))
    words.append(f"pet {text.percent(photos.pet_share[index], 0)}")
    spoken = f"{name}: the model's mask on the left, the ground truth on the right"
    return Picture(content, name, " · ".join(words), spoken)


def sample_picture(subject: Subject, sample: Sample, settings: Settings) -> bytes | None:
    """Return a sample photo with the model's mask, as JPEG; None if the model cannot be used."""
    try:
        return _segmented_sample(_version(subject), sample, subject, settings)
    except UNetError:
        return None


@st.cache_data(max_entries=20, show_spinner=False)
def _segmented_sample(key: str, sample: Sample, _subject: Subject, _settings: Settings) -> bytes:
    photo = decode_image(sample.read(), name=sample.name, max_side=SAMPLE_SIDE)
    mask = _mask(_subject, photo, _settings)
    return jpeg(render.overlay(photo, mask, opacity=OPACITY, colours=_subject.entry.classes.colours))


def composed_picture(subject: Subject, photos: EverydayPhotos, index: int, settings: Settings) -> Picture | None:
    """Return one composed photo with both masks; None if its sources or the model cannot be used."""
    sources = photos.sources[index]
    try:
        content = _composed(_version(subject), photos.kind[index], photos.number[index], sources, subject, settings)
    except UNetError:
        return None
    names = ", ".join(name.removesuffix(".jpg") for name in sources)
    words = f"IoU {text.percent(photos.iou[index])} · pet {text.percent(photos.pet_share[index], 0)}"
    spoken = f"A photo composed from {names}: the model's mask on the left, the ground truth on the right"
    return Picture(content, names, words, spoken)


def _version(subject: Subject) -> str:
    files = "-".join(file.sha256[:16] for file in subject.entry.files.values())
    return f"{subject.name}-{files}"


@st.cache_data(max_entries=120, show_spinner=False)
def _composed(
    key: str, kind: str, number: int, sources: tuple[str, ...], _subject: Subject, _settings: Settings
) -> bytes:
    def lookup(name: str) -> tuple[np.ndarray, np.ndarray]:
        photo, ids = _photographed(name, _settings)
        return photo, np.isin(ids, PET_AND_BORDER)

    found = compose(kind, number, sources, lookup)
    mask = _mask(_subject, found.photo, _settings)
    pets = np.isin(mask, PET_AND_BORDER), found.pet
    return _side_by_side(found.photo, *(np.where(pet, PET.id, BACKGROUND.id).astype(np.uint8) for pet in pets))


@st.cache_data(max_entries=120, show_spinner=False)
def _both(key: str, part_name: str, name: str, _subject: Subject, _settings: Settings) -> bytes:
    photo, ids = _drawn(name) if part_name == DRAWN else _photographed(name, _settings)
    return _side_by_side(photo, _mask(_subject, photo, _settings), ids)


def _mask(subject: Subject, photo: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the model's class ids of a photo; they are found where the photos of visitors are."""
    segmenter = Segmenter(subject.name, "auto", settings)
    return segment_at_full_size(segmenter, render.png(photo)).mask_of(photo)


def _side_by_side(photo: np.ndarray, mask: np.ndarray, ids: np.ndarray) -> bytes:
    """Return the photo with the model's mask beside the photo with the ground truth, as JPEG."""
    left = render.overlay(photo, mask, opacity=OPACITY)
    right = render.overlay(photo, ids, opacity=OPACITY)
    gap = np.full((photo.shape[0], GAP, 3), GREY, np.uint8)
    return jpeg(np.concatenate([left, gap, right], axis=1))


def _drawn(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw a synthetic pet again by its name."""
    kind, seed, index = name.split("_")
    if kind != "synthetic":
        raise UNetError(f"{name} is not the name of a synthetic pet")
    photo, trimap = draw_pet(int(seed), int(index), DRAWN_SIZE)
    return photo, trimap - np.uint8(1)


def _photographed(name: str, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    return _catalogue(settings).example(name)


def _catalogue(settings: Settings) -> Catalogue:
    if not catalogue_path(OXFORD_PETS, settings).exists():
        raise CatalogueError("the dataset has not been indexed")
    return Catalogue.open(OXFORD_PETS, settings)
