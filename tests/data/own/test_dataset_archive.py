"""A dataset written as a ZIP is the one that the reader of own datasets finds in it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unet_core.data.own.archive import unpack_upload
from unet_core.data.own.dataset_archive import Labelled, dataset_archive
from unet_core.data.own.report import inspect_dataset
from unet_core.settings import Settings


def labelled(name: str, seed: int, classes: int, size: tuple[int, int] = (60, 80)) -> Labelled:
    """Return noise with wide stripes of every class."""
    noise = np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    ids = np.arange(size[1]) * classes // size[1]
    return Labelled(name, buffer.getvalue(), np.tile(ids.astype(np.uint8), (size[0], 1)))


@pytest.mark.parametrize(
    "names", [("pet", "background", "border"), ("background", "leaf"), ("a", "b", "c", "d", "sky")]
)
def test_classes_and_masks_come_back(names: tuple[str, ...], tmp_path: Path) -> None:
    settings = Settings(datasets_dir=tmp_path)
    photos = [labelled(f"photo {number}", number, len(names)) for number in range(4)]
    folder = unpack_upload(dataset_archive(photos, names), "mine.zip", settings, key="k")
    report = inspect_dataset(folder, settings=settings)
    assert report.usable
    assert report.class_names == names
    stored = np.asarray(Image.open(next(folder.glob("**/masks/photo 2.png"))))
    np.testing.assert_array_equal(stored, photos[2].ids + 1)


@pytest.mark.parametrize(
    "other", [labelled("one", 2, 2), labelled("two", 2, 2)._replace(ids=np.zeros((9, 9), np.uint8))]
)
def test_a_name_twice_or_a_mask_of_another_size_is_refused(other: Labelled) -> None:
    with pytest.raises(ValueError, match="repeats, or differs"):
        dataset_archive([labelled("one", 1, 2), other])
