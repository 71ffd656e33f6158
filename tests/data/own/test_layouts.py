"""Photos are paired with their masks in every supported layout, and unpaired files are listed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.helpers import own_datasets
from tests.helpers.own_datasets import read_coco
from unet_core.data.own.coco import CocoMask
from unet_core.data.own.layouts import Layout, find_layout
from unet_core.data.own.report import inspect_dataset
from unet_core.data.sources import DataError
from unet_core.settings import Settings


def layout_of(root: Path, *files: str) -> Layout:
    """The layout of a folder with these (empty) files; images are not opened for it."""
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return find_layout(root)


def pairs(layout: Layout) -> dict[str, str]:
    return {
        pair.photo.relative_to(layout.root).as_posix(): pair.mask.relative_to(layout.root).as_posix()
        for pair in layout.pairs
    }


def codes(layout: Layout) -> list[str]:
    return [finding.code for finding in layout.findings]


@pytest.mark.parametrize(
    ("photo", "mask"),
    [
        ("images/a.jpg", "masks/a.png"),
        ("Images/a.JPG", "Masks/a.PNG"),
        ("imgs/a.jpg", "labels/a.png"),
        ("image/a.jpeg", "label/a.tif"),
        ("photos/a.webp", "annotations/a.bmp"),
        ("images/a.jpg", "annotations/trimaps/a.png"),
        ("images/a.jpg", "masks/a_mask.png"),
        ("images/a.jpg", "masks/a.jpg.png"),
        ("images/image_7.png", "masks/mask_7.png"),
        ("img/IMG_7.JPG", "gt/img_7.png"),
        ("images/train/a.jpg", "masks/train/a.png"),
        ("train/images/a.jpg", "train/masks/a.png"),
        ("images/cats/a.jpg", "labels/cats/a.png"),
        ("train/a.jpg", "train_masks/a_mask.gif"),
        ("JPEGImages/a.jpg", "SegmentationClass/a.png"),
        ("x_masks_2024/data/images/a.jpg", "x_masks_2024/data/masks/a.png"),
        ("a.jpg", "a_mask.png"),
        ("data/a.jpg", "data/a-label.png"),
        ("data/a.jpg", "data/mask_a.png"),
        ("images/a.jpg", "images/a_seg.png"),
        ("a.jpg", "masks/a.png"),
        ("images/e\u0301.jpg", "masks/\u00e9.png"),
    ],
)
def test_a_photo_finds_its_mask_in_every_usual_layout(tmp_path, photo, mask):
    layout = layout_of(tmp_path, photo, mask)
    assert pairs(layout) == {photo: mask}
    assert not layout.findings


def test_equal_names_in_different_folders_keep_to_their_own(tmp_path):
    files = [f"{part}/{kind}/a.png" for part in ("train", "val") for kind in ("images", "masks")]
    layout = layout_of(tmp_path, *files)
    assert pairs(layout) == {"train/images/a.png": "train/masks/a.png", "val/images/a.png": "val/masks/a.png"}
    assert [pair.name for pair in layout.pairs] == ["train/a", "val/a"]
    assert layout.own_parts == (("train/a", "train"), ("val/a", "validation"))


def test_other_files_are_passed_over(tmp_path):
    layout = layout_of(
        tmp_path, "images/a.jpg", "masks/a.png", "images/.hidden.jpg", "__MACOSX/images/._a.jpg", "notes.txt", "x.json"
    )
    assert pairs(layout) == {"images/a.jpg": "masks/a.png"}
    assert not layout.findings


def test_photos_and_masks_without_a_partner_are_named(tmp_path):
    layout = layout_of(tmp_path, "images/a.jpg", "images/b.jpg", "masks/a.png", "masks/c.png")
    assert layout.photos_without_mask == ("images/b.jpg",)
    assert layout.masks_without_photo == ("masks/c.png",)
    assert [finding.severity for finding in layout.findings] == ["warning", "warning"]
    assert "1 photo without a mask (images/b.jpg): not used" in layout.findings[0].message
    assert "1 mask without a photo (masks/c.png): not used" in layout.findings[1].message
    assert [file.path for file in layout.left_out] == ["images/b.jpg", "masks/c.png"]


def test_photos_without_masks_are_usual_in_pascal_voc(tmp_path):
    layout = find_layout(own_datasets.voc(tmp_path, 3))
    assert layout.kind == "voc"
    assert len(layout.pairs) == 3
    assert [(finding.code, finding.severity) for finding in layout.findings] == [("photo_without_mask", "warning")]
    assert sum("SegmentationObject" in file.path for file in layout.ignored) == 3


def test_two_photos_of_one_name_are_an_error(tmp_path):
    layout = layout_of(tmp_path, "images/a.jpg", "images/a.png", "masks/a.png")
    assert codes(layout) == ["duplicate_name"]
    assert "images/a.jpg and images/a.png" in layout.findings[0].message


@pytest.mark.parametrize(
    ("files", "text"),
    [((), "no photo"), (("a.jpg", "b.jpg"), "2 photos but no mask"), (("images/a.jpg", "masks/b.png"), "No mask has")],
)
def test_a_folder_without_pairs_says_how_to_arrange_it(tmp_path, files, text):
    layout = layout_of(tmp_path, *files)
    assert codes(layout) == ["no_pairs"]
    assert text in layout.findings[0].message
    assert "images/" in layout.findings[0].message


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        find_layout(tmp_path / "nothing")


@settings(max_examples=40, deadline=None)
@given(
    stems=st.sets(st.from_regex(r"[a-z]{1,4}[0-9]{1,3}", fullmatch=True), min_size=1, max_size=12),
    suffix=st.sampled_from(["", "_mask", "-seg", ".jpg"]),
    folders=st.sampled_from([("images", "masks"), ("imgs", "labels"), ("a/photos", "a/gt")]),
)
def test_every_photo_gets_the_mask_of_its_own_name(tmp_path_factory, stems, suffix, folders):
    root = tmp_path_factory.mktemp("layout")
    files = [f"{folders[0]}/{stem}.jpg" for stem in stems] + [f"{folders[1]}/{stem}{suffix}.png" for stem in stems]
    expected = {f"{folders[0]}/{stem}.jpg": f"{folders[1]}/{stem}{suffix}.png" for stem in stems}
    assert pairs(layout_of(root, *files)) == expected


# --- COCO ---------------------------------------------------------------------------------------------------------


def test_coco_polygons_and_run_lengths_are_drawn_exactly_and_small_shapes_on_top(tmp_path):
    layout = find_layout(own_datasets.coco(tmp_path, 6))
    assert layout.kind == "coco"
    assert layout.categories == ("cat", "dog", "toothbrush")
    for pair in layout.pairs:
        np.testing.assert_array_equal(pair.mask.draw().values, own_datasets.boxes(int(Path(pair.name).name))[0])


def test_packed_run_lengths_are_read(tmp_path):
    # From pycocotools' documentation of its format: 6 background, 1, 3 background, 2, the rest.
    content = coco_content([{"size": [4, 4], "counts": _packed([6, 1, 3, 2, 4])}], 4, 4)
    mask = read_coco(written(tmp_path, content), 1e6).masks["a.jpg"].draw().values
    expected = np.repeat([0, 1, 0, 1, 0], [6, 1, 3, 2, 4]).reshape(4, 4).T
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    "segmentation",
    [
        [[1, 2, 3]],
        [[1, 2, 3, 4]],
        [[0, 0, "x", 1, 1, 1]],
        [[0, 0, 1e999, 1, 1, 1]],
        "text",
        {"size": [4, 4], "counts": [3, 4]},
        {"size": [5, 4], "counts": [20]},
        {"size": [4, 4], "counts": [-1, 17]},
        {"size": [4, 4], "counts": [10**12]},
        {"size": [4, 4], "counts": [2**63, 2**63]},
        {"size": [4, 4], "counts": "\u00ff"},
        {"size": [4, 4], "counts": "o" * 500},
        {"counts": [16]},
    ],
)
def test_shapes_that_cannot_be_drawn_are_left_out_unless_all_are(tmp_path, segmentation):
    square = [[0, 0, 3, 0, 3, 3, 0, 3]]
    found = read_coco(written(tmp_path, coco_content([segmentation, square], 4, 4)), 1e6)
    assert found.masks["a.jpg"].draw().values.sum() == 9
    assert [count for count, _ in found.left_out.values()] == [1]
    with pytest.raises(DataError, match="export the annotations again"):
        read_coco(written(tmp_path, coco_content([segmentation], 4, 4)), 1e6)


ANNOTATION = {"image_id": 0, "category_id": 1, "segmentation": [[0, 0, 3, 0, 3, 3]]}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"images": [{"id": 0}]}, "missing or invalid fields"),
        ({"images": [{"id": 0, "file_name": "a.jpg", "width": 10**9, "height": 1}]}, "not a valid photo size"),
        ({"images": [{"id": 0, "file_name": "a.jpg", "width": 2000, "height": 2000}]}, "not a valid photo size"),
        ({"annotations": [{"id": 3, "image_id": 0, "category_id": 1, "bbox": [0, 0, 1, 1]}]}, "no polygon"),
        ({"annotations": [{"image_id": 0, "category_id": 9, "segmentation": [[0, 0, 1, 1, 1, 0]]}]}, "category 9"),
        ({"annotations": ["text"]}, "missing or invalid fields"),
        ({"categories": [1]}, "missing or invalid fields"),
        ({"annotations": [ANNOTATION] * 2_001}, "2001 polygons"),
        ({"annotations": [{**ANNOTATION, "segmentation": [[0, 0, 3, 0, 3, 3] * 20_000]}]}, "60000 points"),
    ],
)
def test_wrong_coco_files_are_errors_of_the_layout(tmp_path, change, text):
    written(tmp_path, {**coco_content([[[0, 0, 3, 0, 3, 3]]], 4, 4), **change})
    layout = find_layout(tmp_path, Settings(max_megapixels=1))
    assert codes(layout) == ["coco_unreadable"]
    assert text in layout.findings[0].message


@pytest.mark.parametrize("text", ["", "[1, 2]", "{" * 100_000, "nonsense", '{"images": 3}'])
def test_json_that_is_something_else_is_passed_over(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    assert read_coco(tmp_path / "x.json", 1e6) is None


def test_file_names_in_json_are_compared_and_never_opened(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"x")
    root = tmp_path / "data"
    root.mkdir()
    content = coco_content([[[0, 0, 3, 0, 3, 3]]], 4, 4)
    content["images"][0]["file_name"] = "../secret.jpg"
    written(root, content)
    layout = find_layout(root)
    assert not layout.pairs
    assert layout.masks_without_photo == ("../secret.jpg",)


def coco_content(segmentations: list, height: int, width: int) -> dict:
    return {
        "images": [{"id": 0, "file_name": "a.jpg", "width": width, "height": height}],
        "annotations": [
            {"id": i, "image_id": 0, "category_id": 1, "segmentation": one} for i, one in enumerate(segmentations)
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }


def written(root: Path, content: dict) -> Path:
    path = root / "x.json"
    path.write_text(json.dumps(content))
    return path


def _packed(counts: list[int]) -> str:
    """Pack run lengths as the COCO tools do (`rleToString`)."""
    text = ""
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            text += chr((bits | 0x20 if more else bits) + 48)
    return text


# --- hostile COCO files -------------------------------------------------------------------------------------------


def coco_zip_folder(root: Path, size: tuple[int, int], claimed: tuple[int, int], shapes: int) -> Path:
    """Write three real photos of `size` whose COCO file claims another size, each with large shapes."""
    width, height = claimed
    square = [[0, 0, width, 0, width, height, 0, height]]
    for number in range(3):
        Image.new("L", size).save(root / f"{number}.png")
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": width, "height": height} for i in range(3)],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"image_id": i, "category_id": 1, "segmentation": square} for i in range(3)] * shapes,
    }
    written(root, content)
    return root


def never_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(mask: CocoMask) -> None:
        raise AssertionError(f"{mask.source} was drawn")

    monkeypatch.setattr(CocoMask, "draw", draw)


def test_shapes_are_not_drawn_at_a_size_that_is_not_the_photos(tmp_path, monkeypatch):
    never_drawn(monkeypatch)
    report = inspect_dataset(coco_zip_folder(tmp_path, (8, 8), (7000, 7000), 1))
    assert "differ in size (8×8 and 7000×7000 pixels)" in next(iter(report.errors)).message


def test_the_work_of_drawing_is_limited_for_all_photos_together(tmp_path, monkeypatch):
    never_drawn(monkeypatch)
    layout = find_layout(coco_zip_folder(tmp_path, (7000, 7000), (7000, 7000), 40))
    assert codes(layout) == ["coco_unreadable"]
    assert "too long to draw" in layout.findings[0].message


def test_long_edges_count_as_work_even_if_they_enclose_nothing(tmp_path):
    zigzag = [place for i in range(12_000) for place in (i % 4000, 0, i % 4000, 4000)]
    with pytest.raises(DataError, match="too long to draw"):
        read_coco(written(tmp_path, coco_content([[zigzag]] * 2, 4000, 4000)), 1e8)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"images": [{"id": 0, "file_name": "a.jpg", "height": 4}]}, "the field width of image number 1 (a.jpg)"),
        ({"images": [{"id": 0, "file_name": "b.jpg"}]}, "the field width of image number 1 (b.jpg)"),
        ({"images": [{"id": 0, "file_name": None, "width": 4, "height": 4}]}, "the field file_name of image number 1"),
        ({"annotations": [{**ANNOTATION, "image_id": ""}]}, "the field image_id of annotation number 1"),
        (
            {"annotations": [{**ANNOTATION, "category_id": float("inf")}]},
            "category_id of annotation number 1",
        ),
        ({"annotations": [ANNOTATION, "\0"]}, "annotation number 2 is not an object"),
        ({"categories": 3}, "not a list"),
    ],
)
def test_an_invalid_field_is_named_with_its_entry(tmp_path, change, text):
    written(tmp_path, {**coco_content([[[0, 0, 3, 0, 3, 3]]], 4, 4), **change})
    message = find_layout(tmp_path).findings[0].message
    assert text in message
    assert "Error" not in message


@pytest.mark.parametrize("box", [[], [1], [0, 0, "x", 4], [0, 0, -(10**30), 9], None])
def test_a_box_that_cannot_be_used_does_not_matter(tmp_path, box):
    content = coco_content([[[0, 0, 3, 0, 3, 3]]], 4, 4)
    content["annotations"][0]["bbox"] = box
    assert read_coco(written(tmp_path, content), 1e6).masks["a.jpg"].draw().values.any()


def test_json_of_very_many_empty_lists_is_refused_unread(tmp_path, monkeypatch):
    (tmp_path / "x.json").write_text('{"images": [], "annotations": [' + "[]," * 1_100_000 + "[]]}")
    monkeypatch.setattr(json, "loads", None)
    with pytest.raises(DataError, match="too many values"):
        read_coco(tmp_path / "x.json", 1e6)
