"""Models of anything but pets: everything drawn, scored and written from a segmentation is in their own classes."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.helpers.segmentations import segmentation
from unet_core.classes import IGNORE_ID, PixelClasses
from unet_core.images import render
from unet_core.scoring.truth import TruthError, read_truth, score
from unet_core.segment import Segmentation, analysis, downloads
from unet_core.segment.compare import compare

CLASSES = PixelClasses(
    names=("background", "tree", "cat"),
    colours=((10, 10, 10), (0, 200, 0), (200, 0, 0)),
    codes=(0, 7, 9),
    background=0,
    ignored=("void",),
)
IDS = np.array([[0, 0, 1, 1], [0, 2, 2, 1]], np.uint8)


def found(ids: np.ndarray = IDS, classes: PixelClasses = CLASSES) -> Segmentation:
    made = segmentation(ids, classes=classes.names, image=np.full((*ids.shape, 3), 100, np.uint8))
    return dataclasses.replace(made, pixel_classes=classes)


def png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_pictures_and_masks_have_the_colours_and_codes_of_the_data():
    one = found()
    assert np.array_equal(opened(one.to_mask_png()), np.array([0, 7, 9])[IDS])
    drawn = opened(one.to_overlay_png(opacity=1, outline=False))
    assert np.array_equal(drawn, np.array(CLASSES.colours, np.uint8)[IDS])
    assert np.array_equal(drawn, render.overlay(one.image, IDS, opacity=1, outline=False, colours=CLASSES.colours))


def test_a_cut_out_keeps_all_but_the_background_or_the_classes_chosen():
    one = found()
    assert np.array_equal(opened(one.to_cutout_png())[..., 3] > 127, IDS > 0)
    assert np.array_equal(opened(one.to_cutout_png([2]))[..., 3] > 127, IDS == 2)
    without = CLASSES.replace(background=None)
    assert (opened(found(classes=without).to_cutout_png())[..., 3] > 127).all()


def test_a_zip_is_in_the_models_own_terms():
    buffer = io.BytesIO()
    downloads.write_zip(buffer, [found()], ("mask", "overlay", "cutout", "rle"), keep=[1], outline=False, opacity=1)
    archive = zipfile.ZipFile(buffer)
    assert np.array_equal(opened(archive.read("photo_mask.png")), np.array([0, 7, 9])[IDS])
    assert np.array_equal(opened(archive.read("photo_overlay.png")), np.array(CLASSES.colours, np.uint8)[IDS])
    assert np.array_equal(opened(archive.read("photo_cutout.png"))[..., 3] > 127, IDS == 1)
    coco = json.loads(archive.read("annotations_rle.json"))
    assert [each["name"] for each in coco["categories"]] == ["tree", "cat"]
    assert {each["supercategory"] for each in coco["categories"]} == {"object"}


def test_the_background_is_what_the_data_say_whatever_its_name():
    sky = PixelClasses(names=("road", "sky"), colours=((0, 0, 0), (9, 9, 9)), codes=(1, 2), background=1)
    one = found(IDS.clip(0, 1), sky)
    coco = json.loads(downloads.coco_json([("x.png", one)]))
    assert [each["name"] for each in coco["categories"]] == ["road"]
    assert analysis.coverage_curve(one).classes == ("road",)
    assert analysis.subject_name(sky) == "road"


def test_a_threshold_counts_the_classes_chosen():
    assert analysis.coverage_curve(found()).classes == ("tree", "cat")
    assert analysis.coverage_curve(found(), subject=[2]).sentence(0.5) == "p(cat) ≥ 0.50 covers 25.0 % of the photo."
    assert np.array_equal(analysis.threshold_mask(found(), 0.5, subject=[1]), IDS == 1)


def test_models_with_the_same_classes_in_another_order_are_compared_by_name():
    other = CLASSES.replace(names=("cat", "background", "tree"), colours=CLASSES.colours, codes=(9, 0, 7), background=1)
    renumbered = found(np.array([1, 2, 0], np.uint8)[IDS], other)
    result = compare(found(), renumbered)
    assert result.agreement == 1
    assert [entry.name for entry in result.classes] == list(CLASSES.names)
    assert result.legend[0].name == "subject only in first"


@pytest.mark.parametrize(("values", "words"), [((0, 7, 9), "the values of the model's data"), ((0, 1, 2), "class ids")])
def test_a_true_mask_is_read_in_the_codes_of_the_data_or_as_class_ids(values, words):
    truth = read_truth(png(np.array(values)[IDS]), IDS.shape, classes=CLASSES)
    assert words in truth.sentence
    assert np.array_equal(truth.ids, IDS)
    assert score(found(), truth).scores.mean_iou == 1


def test_unlabelled_pixels_of_a_true_mask_are_not_scored():
    values = np.array([0, 7, 9])[IDS]
    values[0] = 255
    truth = read_truth(png(values), IDS.shape, classes=CLASSES)
    assert (truth.ids[0] == IGNORE_ID).all()
    wrong = IDS.copy()
    wrong[0] = 2
    result = score(found(wrong), truth)
    assert result.scores.pixel_accuracy == 1
    assert not result.errors.any()
    with pytest.raises(TruthError, match="255"):
        read_truth(png(values), IDS.shape, classes=CLASSES.replace(ignored=()))


def test_a_true_mask_in_the_colours_of_the_data_is_read():
    coded = CLASSES.replace(codes=(0x000000, 0x0000FF, 0xFF0000))
    colours = np.array([(0, 0, 0), (0, 0, 255), (255, 0, 0)])[IDS]
    truth = read_truth(png(colours), IDS.shape, classes=coded)
    assert np.array_equal(truth.ids, IDS)
    assert np.array_equal(opened(found(classes=coded).to_mask_png()), colours)


def test_a_black_and_white_truth_fits_two_classes():
    leaf = PixelClasses(names=("background", "leaf"), colours=((0, 0, 0), (9, 9, 9)), codes=(0, 1), background=0)
    truth = read_truth(png((IDS > 0) * 255), IDS.shape, classes=leaf)
    assert np.array_equal(truth.ids, IDS > 0)
    assert "255 = leaf" in truth.sentence
