"""What is downloaded is opened again: codes decoded, outlines filled, archives unpacked, pages counted."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from tests.helpers.own_datasets import read_coco
from tests.helpers.segmentations import filled, iou, pet_shape, random_segmentation, segmentation
from unet_core.images import render
from unet_core.images.mask_files import mask_codes
from unet_core.segment import Failure, Segmentation, downloads
from unet_core.segment.coco import run_lengths
from unet_core.segment.contact_sheet import contact_sheet

MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14)))


def decoded(counts: list[int], height: int, width: int) -> np.ndarray:
    """Decode COCO run lengths the slow way: pixel by pixel down the columns."""
    mask, place, value = np.zeros((height, width), bool), 0, False
    for count in counts:
        for _ in range(count):
            mask[place % height, place // height] = value
            place += 1
        value = not value
    assert place == height * width
    return mask


def photo(name: str = "cat.jpg", height: int = 60, width: int = 80) -> Segmentation:
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    return segmentation(pet_shape(height, width), name=name, image=image)


# --- COCO ---------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(MASKS)
def test_run_lengths_decode_to_the_mask(mask):
    assert np.array_equal(decoded(run_lengths(mask), *mask.shape), mask)


@pytest.mark.parametrize("form", ["rle", "polygons"])
def test_coco_json_has_what_the_format_asks_for(form):
    photos = [("a.jpg", segmentation(pet_shape())), ("b.jpg", segmentation(pet_shape(30, 40)))]
    document = json.loads(downloads.coco_json(photos, form))
    assert [image["file_name"] for image in document["images"]] == ["a.jpg", "b.jpg"]
    assert [category["name"] for category in document["categories"]] == ["pet"]
    assert len({annotation["id"] for annotation in document["annotations"]}) == 2
    for annotation in document["annotations"]:
        image = document["images"][annotation["image_id"] - 1]
        mask = photos[annotation["image_id"] - 1][1].animals.labels == 1
        height, width = image["height"], image["width"]
        assert (height, width) == mask.shape
        assert annotation["area"] == mask.sum()
        left, top, across, down = annotation["bbox"]
        boxed = np.zeros_like(mask)
        boxed[top : top + down, left : left + across] = True
        assert not (mask & ~boxed).any()
        assert mask[top].any()
        assert mask[:, left + across - 1].any()
        found = annotation["segmentation"]
        if form == "rle":
            assert annotation["iscrowd"] == 0
            assert found["size"] == [height, width]
            assert np.array_equal(decoded(found["counts"], height, width), mask)
        else:
            assert annotation["iscrowd"] == 0
            assert all(len(shape) >= 6 and len(shape) % 2 == 0 for shape in found)
            assert iou(filled(found, height, width), mask) >= 0.98


@pytest.mark.parametrize("form", ["rle", "polygons"])
def test_coco_json_is_read_back_as_a_dataset(form, tmp_path):
    path = tmp_path / "annotations.json"
    path.write_bytes(downloads.coco_json([("a.jpg", segmentation(pet_shape()))], form))
    values = read_coco(path, max_pixels=1e6).masks["a.jpg"].draw().values
    assert (values[pet_shape() == 0] == 1).mean() > 0.99
    assert not values[pet_shape() == 1].any()
    assert 0.3 < values[pet_shape() == 2].mean() < 0.7  # the outline runs through the middle of the border


def test_a_photo_without_any_pet_has_no_annotation():
    document = json.loads(downloads.coco_json([("a", segmentation(np.ones((4, 4))))], "polygons"))
    assert document["annotations"] == []
    assert len(document["images"]) == 1


# --- probabilities, statistics, cut-outs --------------------------------------------------------------------------


def test_probabilities_are_read_back_without_pickle():
    found = random_segmentation(7, 9)
    with np.load(io.BytesIO(downloads.probabilities_npz(found)), allow_pickle=False) as archive:
        assert np.array_equal(archive["probabilities"], found.probabilities)
        assert np.array_equal(archive["mask"], found.mask)
        assert archive["classes"].tolist() == ["pet", "background", "border"]
        assert archive["size"].tolist() == [7, 9]


def test_statistics_have_one_line_a_photo():
    batch = [photo("one, two.jpg"), Failure("=HYPERLINK(1).png", "It is empty."), photo("ü.png", 30, 20)]
    rows = list(csv.DictReader(io.StringIO(downloads.statistics_csv(batch))))
    assert [row["photo"] for row in rows] == ["one, two.jpg", "'=HYPERLINK(1).png", "ü.png"]
    assert rows[1]["error"] == "It is empty."
    assert rows[1]["width"] == ""
    ids = pet_shape(30, 20)
    assert int(rows[2]["pixels_pet"]) == (ids == 0).sum()
    assert float(rows[2]["share_border"]) == pytest.approx((ids == 2).mean(), abs=1e-6)
    assert (rows[2]["width"], rows[2]["height"], rows[2]["network_ms"]) == ("20", "30", "2.00")
    assert float(rows[2]["share_uncertain"]) == 0


@pytest.mark.parametrize(("background", "colour"), [("white", (255, 255, 255)), ((10, 90, 200), (10, 90, 200))])
def test_cutout_on_a_plain_background(background, colour):
    one = photo()
    alpha = (one.mask != 1).astype(np.float32)
    cut = downloads.cutout(one.image, alpha, background)
    assert (cut[alpha == 0] == colour).all()
    assert np.array_equal(cut[alpha == 1], one.image[alpha == 1])


def test_cutout_on_another_picture_covers_the_photo_with_it():
    one = photo()
    cut = downloads.cutout(one.image, np.zeros(one.size, np.float32), np.full((7, 50, 3), (9, 99, 199), np.uint8))
    assert cut.shape == one.image.shape
    assert (cut == (9, 99, 199)).all()


def test_cutout_on_transparent_is_the_default():
    one = photo()
    cut = downloads.cutout(one.image, one.alpha)
    assert np.array_equal(cut[..., 3], render.alpha_levels(one.alpha))
    assert Image.open(io.BytesIO(downloads.cutout_png(one.image, one.alpha))).mode == "RGBA"


def test_blurred_background_is_blurred_and_keeps_the_pet_out():
    alpha = (pet_shape(300, 400) != 1).astype(np.float32)
    checks = np.indices(alpha.shape).sum(axis=0) // 3 % 2 * 80
    image = np.repeat(checks[..., None], 3, axis=-1).astype(np.uint8)
    image[alpha == 1] = (255, 0, 255)
    cut = downloads.cutout(image, alpha, "blurred")
    outside = alpha == 0
    assert np.array_equal(cut[~outside], image[~outside])
    assert image[outside].std() > 30
    assert cut[outside].std() < 6
    assert cut[outside].max() < 100  # no halo of the pet's colour


@pytest.mark.parametrize("alpha", [np.zeros((5, 9)), np.ones((5, 9)), np.zeros((1, 1)), np.ones((1, 3000))])
@pytest.mark.parametrize("background", ["transparent", "white", "blurred"])
def test_cutouts_of_extreme_outlines_work(alpha, background):
    image = np.full((*alpha.shape, 3), 77, np.uint8)
    assert downloads.cutout(image, alpha.astype(np.float32), background).shape[:2] == alpha.shape


@pytest.mark.parametrize("background", ["plaid", (1, 2), (300, 0, 0), None])
def test_other_backgrounds_are_refused(background):
    with pytest.raises(ValueError, match="background"):
        downloads.cutout(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.float32), background)


def test_a_mask_of_two_values_follows_the_outline_or_the_probabilities():
    one = photo()
    assert np.array_equal(downloads.binary_mask(one, border=False), one.mask == 0)
    assert np.array_equal(downloads.binary_mask(one, border=True), one.mask != 1)
    between = downloads.binary_mask(one)
    assert (one.mask == 0).sum() < between.sum() < (one.mask != 1).sum()
    assert not downloads.binary_mask(one, 0).all()  # what has no opacity is never the subject
    written = np.asarray(Image.open(io.BytesIO(downloads.binary_png(one))))
    assert np.array_equal(written, np.where(between, 255, 0))
    with pytest.raises(ValueError, match="threshold"):
        downloads.binary_mask(one, 1.5)


# --- the ZIP of a batch -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("cat.jpg", "cat"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\cat.png", "cat"),
        ("a:b*c?.png", "a_b_c_"),
        ("CON.png", "CON_"),
        ("", "photo"),
        ("...", "photo"),
        (".jpg", "jpg"),
        ("new\nline.jpg", "new_line"),
        ("Kätzchen 猫.webp", "Kätzchen 猫"),
        ("dots. .png", "dots"),
    ],
)
def test_names_become_safe(name, stem):
    assert downloads.safe_stem(name) == stem


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_name_becomes_safe(name):
    stem = downloads.safe_stem(name)
    assert stem
    assert len(stem.encode()) <= 81
    assert not set(stem) & set('<>:"/\\|?*\0')
    assert stem.isprintable()


def test_equal_names_get_numbers():
    stem_of = downloads.unique_stems()
    names = ["cat.jpg", "Cat.png", "cat-2.jpg", "cat.jpg", "dog.jpg"]
    assert [stem_of(name) for name in names] == ["cat", "Cat-2", "cat-2-2", "cat-3", "dog"]


def test_zip_holds_everything_and_opens():
    batch = [photo("cat.jpg"), Failure("bad.jpg", "It is empty."), photo("CAT.jpg", 30, 40)]
    target = io.BytesIO()
    downloads.write_zip(target, batch, background="white")
    archive = zipfile.ZipFile(target)
    assert archive.testzip() is None
    kinds = ("mask.png", "binary.png", "alpha.png", "overlay.png", "cutout.png", "probabilities.npz")
    common = ("annotations_rle.json", "annotations_polygons.json", "statistics.csv", "contact_sheet.pdf")
    expected = {f"{stem}_{kind}" for stem in ("cat", "CAT-2") for kind in kinds} | {*common, "contact_sheet.png"}
    assert set(archive.namelist()) == expected
    mask = Image.open(io.BytesIO(archive.read("CAT-2_mask.png")))
    assert np.array_equal(np.asarray(mask), mask_codes(pet_shape(30, 40)))
    assert Image.open(io.BytesIO(archive.read("cat_cutout.png"))).mode == "RGB"
    rows = list(csv.DictReader(io.StringIO(archive.read("statistics.csv").decode())))
    assert [(row["file"], row["error"]) for row in rows] == [("cat", ""), ("bad", "It is empty."), ("CAT-2", "")]
    assert len(json.loads(archive.read("annotations_rle.json"))["images"]) == 2


def test_zip_holds_only_the_chosen_parts():
    target = io.BytesIO()
    downloads.write_zip(target, [photo()], ["mask", "rle"])
    assert zipfile.ZipFile(target).namelist() == ["cat_mask.png", "annotations_rle.json"]
    with pytest.raises(ValueError, match="kinds"):
        downloads.write_zip(io.BytesIO(), [], ["music"])


def test_zip_is_written_photo_by_photo():
    target, written = io.BytesIO(), []

    def batch():
        for number in range(4):
            written.append(target.tell())
            yield photo(f"{number}.jpg")

    downloads.write_zip(target, batch(), ["mask", "overlay"])
    assert written[0] == 0
    assert (np.diff(written) > 0).all()
    assert target.getvalue().startswith(b"PK\x03\x04")
    assert len(zipfile.ZipFile(target).namelist()) == 8


def test_zip_of_nothing_is_an_empty_archive():
    target = io.BytesIO()
    downloads.write_zip(target, [])
    assert zipfile.ZipFile(target).namelist() == ["annotations_rle.json", "annotations_polygons.json"]


def test_importing_all_this_loads_neither_matplotlib_nor_a_training_library():
    code = (
        "import sys; from unet_core.scoring import truth; from unet_core.segment import analysis, compare, downloads; "
        "print({'tensorflow', 'keras', 'matplotlib', 'skimage'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- the contact sheet --------------------------------------------------------------------------------------------


def batch_of(count: int) -> list[Segmentation]:
    return [photo(f"cat $number_{{{number}$ 猫.jpg", 40 + number, 60) for number in range(count)]


@pytest.mark.parametrize("count", [1, 5, 20])
def test_contact_sheet_is_one_upright_page(count):
    image = Image.open(io.BytesIO(contact_sheet(batch_of(count), "png")))
    assert image.format == "PNG"
    assert image.size == (1240, 1753)
    pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (pixels == 255).all(axis=1).mean() < 0.95


def test_contact_sheet_pdf_has_one_page_of_a4_with_every_picture():
    data = contact_sheet([*batch_of(3), Failure("bad.jpg", "It is empty.")], "pdf", title="My cats")
    assert data.startswith(b"%PDF-1.")
    assert data.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type\s*/Page\b", data)) == 1
    width, height = map(float, re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+)", data).groups())
    assert (round(width / 72 * 25.4), round(height / 72 * 25.4)) == (210, 297)
    assert len(re.findall(rb"/Subtype\s*/Image\b", data)) >= 3
    assert b"(My cats)" in data
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL)
    assert any(b" Tf" in zlib.decompress(stream) for stream in streams if stream[:1] == b"x")


def test_reasons_on_a_contact_sheet_stay_in_their_cells():
    reason = "notes.jpg is not a photo in a supported format: choose a JPEG, PNG, WebP, GIF, BMP or TIFF file."
    bad = [Failure("notes.jpg", reason)] * 16
    page = np.asarray(Image.open(io.BytesIO(contact_sheet(bad, "png"))).convert("L"))[330:]
    dark = np.flatnonzero((page < 200).any(axis=0))
    gaps = np.diff(dark)
    assert (gaps > 10).sum() == 3  # between the four columns nothing is written


def test_contact_sheet_of_failures_alone_is_still_a_page():
    assert contact_sheet([Failure("bad.jpg", "It is empty.")], "pdf").startswith(b"%PDF")


def test_contact_sheet_refuses_nothing_and_other_forms():
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
    with pytest.raises(ValueError, match="png or pdf"):
        contact_sheet([photo()], "svg")
