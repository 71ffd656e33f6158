"""Custom datasets: masks read correctly, problems reported before training, and refused with a reason."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from tests.helpers import own_datasets
from tests.helpers.own_datasets import class_map, save_mask, save_photo
from tests.images.test_decode import png_of_size
from unet_core.data.own import report as report_module
from unet_core.data.own.archive import unpack_upload
from unet_core.data.own.folder import ImageFolder
from unet_core.data.own.report import (
    DatasetReport,
    current_report,
    inspect_dataset,
    save_report,
    saved_report,
)
from unet_core.data.sources import PARTS, DataError, LabelError
from unet_core.images.decode import ImageError, decode_mask, photo_facts
from unet_core.settings import Settings


def error_codes(report: DatasetReport) -> list[str]:
    return [problem.code for problem in report.errors]


def warning_codes(report: DatasetReport) -> set[str]:
    return {problem.code for problem in report.warnings}


def finding(report: DatasetReport, code: str):
    return next(problem for problem in report.problems if problem.code == code)


def decoded(root: Path) -> dict[str, np.ndarray]:
    """All masks of a dataset as class ids, by name."""
    source = ImageFolder(root)
    return {example.name: example.decode()[1] for part in PARTS for example in source.examples(part)}


# --- exact masks --------------------------------------------------------------------------------------------------


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_palette_indices_are_kept_whatever_the_colours(kind):
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    image = Image.fromarray(indices, "P")
    image.putpalette(own_datasets.voc_palette())
    mask = decode_mask(encoded(image, kind))
    if kind == "GIF":  # its writer renumbers colours; they stay the same ones
        voc = np.array(own_datasets.voc_palette()).reshape(-1, 3) @ [65536, 256, 1]
        np.testing.assert_array_equal(np.array(mask.palette)[mask.values], voc[indices])
    else:
        np.testing.assert_array_equal(mask.values, indices)
        assert mask.kind == "palette"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_levels_are_kept_exactly(dtype):
    values = (np.arange(12).reshape(3, 4) * (20 if dtype == np.uint8 else 5_000)).astype(dtype)
    mask = decode_mask(encoded(Image.fromarray(values)))
    assert mask.kind == "grey"
    np.testing.assert_array_equal(mask.values, values)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_are_kept_as_numbers(mode):
    image = Image.new(mode, (2, 1), (255, 0, 0))
    image.putpixel((1, 0), (1, 2, 3, 7) if mode == "RGBA" else (1, 2, 3))
    assert decode_mask(encoded(image)).values.tolist() == [[0xFF0000, 0x010203]]


def test_grey_colour_images_and_one_bit_images_become_numbers():
    assert decode_mask(encoded(Image.new("RGB", (2, 2), (7, 7, 7)))).values.tolist() == [[7, 7], [7, 7]]
    bits = decode_mask(encoded(Image.fromarray(np.array([[True, False]]))))
    assert (bits.kind, bits.values.tolist()) == ("bit", [[1, 0]])


def test_masks_are_turned_upright_like_photos():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)), exif=exif)
    np.testing.assert_array_equal(decode_mask(data).values, np.rot90(np.arange(6).reshape(2, 3), -1))
    facts = photo_facts(data)
    assert (facts.width, facts.height, facts.quarter_turned) == (2, 3, True)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "empty"),
        (b"text", "is not a mask in a supported format"),
        (png_of_size(12_000, 12_000), "more than the 50 megapixels"),
        (png_of_size(50_000, 50_000), "more than the 50 megapixels"),
        (encoded(Image.new("L", (50, 50)))[:60], "damaged or incomplete"),
        (encoded(Image.fromarray(np.full((2, 2), 0.5, np.float32)), "TIFF"), "not whole numbers"),
        (encoded(Image.fromarray(np.full((2, 2), -1, np.int32)), "TIFF"), "not whole numbers"),
        (encoded(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "TIFF"), "not whole numbers"),
        (bytes(26_000_000), "more than the 25 MB"),
    ],
)
def test_masks_that_cannot_be_used_end_in_a_sentence(data, text):
    with pytest.raises(ImageError, match=text):
        decode_mask(data, name="m.png", settings=Settings())


# --- coding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "classes", "kind", "names"),
    [
        ([0, 1], 2, "ids", ("background", "object")),
        ([0, 255], 2, "binary", ("background", "object")),
        ([0, 128], 2, "binary", ("background", "object")),
        ([0, 1, 2], 3, "ids", ("class 0", "class 1", "class 2")),
        ([0, 85, 170, 255], 4, "values", ("background", "class 85", "class 170", "class 255")),
        ([0, 1, 2, 255], 4, "values", ("class 0", "class 1", "class 2")),
        ([[0, 0, 0], [255, 0, 0]], 2, "colours", ("background", "red")),
        ([[0, 0, 0], [255, 0, 0], [250, 1, 2]], 3, "colours", ("background", "red", "#ff0000")),
        ([[9, 9, 9], [0, 0, 250], [0, 128, 0]], 3, "colours", None),
    ],
)
def test_the_coding_is_inferred_and_every_mask_comes_out_as_its_classes(tmp_path, table, classes, kind, names):
    report = inspect_dataset(own_datasets.folder(tmp_path, 12, classes, table))
    assert report.usable, report.errors
    assert report.coding.kind == kind
    if names is not None:
        assert sorted(report.class_names) == sorted(names)
    codes = [value if isinstance(value, int) else int(np.dot(value, [65536, 256, 1])) for value in table]
    id_of = {entry.code: entry.id for entry in report.coding.classes}
    for name, ids in decoded(tmp_path).items():
        expected = np.array([id_of[code] for code in codes])[class_map(int(name[1:]), classes)]
        np.testing.assert_array_equal(ids, expected)
    assert sum(entry.share for entry in report.coding.classes) == pytest.approx(1)
    assert all(entry.label in report.coding.sentence for entry in report.coding.classes)


def test_pascal_voc_palettes_are_known_by_name(tmp_path):
    report = inspect_dataset(own_datasets.voc(tmp_path))
    assert report.usable
    assert report.layout == "voc"
    assert report.coding.kind == "palette"
    assert report.class_names == ("background", "cat", "dog", "person")
    assert report.coding.ignored_names == ("void",)
    assert report.coding.classes[1].colour == (64, 0, 0)
    assert "ignored_class" in warning_codes(report)


def test_coco_categories_become_classes(tmp_path):
    report = inspect_dataset(own_datasets.coco(tmp_path))
    assert report.usable, report.errors
    assert report.class_names == ("background", "cat", "dog")
    assert "toothbrush" in finding(report, "category_unused").message
    for name, ids in decoded(tmp_path).items():
        np.testing.assert_array_equal(ids, own_datasets.boxes(int(name))[0])


def test_palettes_that_differ_from_file_to_file_count_by_colour(tmp_path):
    own_datasets.folder(tmp_path)
    for seed in range(12):
        ids = class_map(seed)
        swapped = seed % 2
        mask = Image.fromarray(1 - ids if swapped else ids, "P")
        mask.putpalette([0, 200, 0, 0, 0, 0] if swapped else [0, 0, 0, 0, 200, 0])
        save_mask(tmp_path / "masks" / f"p{seed:02}.png", mask)
    report = inspect_dataset(tmp_path)
    assert report.usable
    assert "palettes_differ" in warning_codes(report)
    for name, ids in decoded(tmp_path).items():
        np.testing.assert_array_equal(ids, class_map(int(name[1:])))


@pytest.mark.parametrize("white", [1, 255])
def test_one_bit_masks_agree_with_their_companions(tmp_path, white):
    own_datasets.folder(tmp_path, table=[0, white])
    save_mask(tmp_path / "masks" / "p03.png", Image.fromarray(class_map(3) > 0))
    assert inspect_dataset(tmp_path).usable
    np.testing.assert_array_equal(decoded(tmp_path)["p03"], class_map(3))


def test_soft_edges_are_split_in_the_middle_and_reported(tmp_path):
    own_datasets.black_and_white(tmp_path)
    image = Image.fromarray(class_map(0) * np.uint8(255)).resize((24, 20), Image.Resampling.BILINEAR)
    save_mask(tmp_path / "masks" / "p00.png", image.resize((48, 40), Image.Resampling.BILINEAR))
    report = inspect_dataset(tmp_path)
    assert report.usable
    assert finding(report, "soft_edges").files == ("masks/p00.png",)
    assert report.coding.threshold == 128
    assert (decoded(tmp_path)["p00"] != class_map(0)).mean() < 0.1
    np.testing.assert_array_equal(decoded(tmp_path)["p05"], class_map(5))


def test_a_few_levels_between_black_and_white_are_classes_but_pointed_at(tmp_path):
    own_datasets.black_and_white(tmp_path)
    values = class_map(0) * np.uint8(255)
    values[:, 20:22] = 64
    save_mask(tmp_path / "masks" / "p00.png", values)
    for seed in range(1, 6):
        save_mask(
            tmp_path / "masks" / f"p{seed:02}.png",
            np.where(np.arange(48) == 3, 128, class_map(seed) * np.uint8(255)).astype(np.uint8),
        )
    report = inspect_dataset(tmp_path)
    assert report.usable
    assert [entry.code for entry in report.coding.classes] == [0, 64, 128, 255]
    assert "64, 128" in finding(report, "levels_between").message
    assert report.renamed(["background", "background", "object", "object"]).class_names == ("background", "object")


def test_black_and_white_jpeg_masks_are_split_and_other_jpeg_masks_refused(tmp_path):
    own_datasets.folder(tmp_path / "bw")
    own_datasets.folder(tmp_path / "ids", classes=3)
    for seed in range(12):
        for kind, values in (("bw", class_map(seed) * np.uint8(255)), ("ids", class_map(seed, 3))):
            (tmp_path / kind / "masks" / f"p{seed:02}.png").unlink()
            save_mask(tmp_path / kind / "masks" / f"p{seed:02}.jpg", values)
    report = inspect_dataset(tmp_path / "bw")
    assert report.usable
    assert "lossy_masks" in warning_codes(report)
    assert (decoded(tmp_path / "bw")["p00"] != class_map(0)).mean() < 0.02
    refused = inspect_dataset(tmp_path / "ids")
    assert error_codes(refused) == ["lossy_masks"]
    assert "save masks as PNG" in refused.errors[0].message


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    codes=st.lists(st.integers(0, 0xFFFFFF), min_size=2, max_size=6, unique=True),
    seed=st.integers(0, 1_000),
)
def test_any_colours_are_read_back_exactly(tmp_path_factory, codes, seed):
    root = tmp_path_factory.mktemp("colours")
    table = [[code >> 16, code >> 8 & 255, code & 255] for code in codes]
    maps = {}
    for number in range(4):
        ids = np.random.default_rng(seed + number).integers(0, len(codes), (10, 12), dtype=np.uint8)
        maps[f"{number}"] = ids
        save_photo(root / "images" / f"{number}.png", ids, number)
        save_mask(root / "masks" / f"{number}.png", np.array(table, np.uint8)[ids])
    report = inspect_dataset(root)
    if not report.usable or report.coding.threshold is not None:  # grey pictures, which only look like masks
        assert all(code >> 16 == code >> 8 & 255 == code & 255 for code in codes)
        return
    id_of = {entry.code: entry.id for entry in report.coding.classes}
    grey = report.coding.kind != "colours"
    expected = np.array([id_of[code & 255 if grey else code] for code in codes])
    for name, ids in decoded(root).items():
        np.testing.assert_array_equal(ids, expected[maps[name]])


# --- names --------------------------------------------------------------------------------------------------------


def test_classes_are_named_by_the_user_and_kept_beside_the_dataset(tmp_path):
    own_datasets.folder(tmp_path, classes=3)
    report = inspect_dataset(tmp_path, class_names=["ground", "leaf", "fruit"])
    save_report(report, tmp_path)
    source = ImageFolder(tmp_path)
    assert source.class_names == ("ground", "leaf", "fruit")
    assert "1 = leaf" in source.description


def test_equal_names_make_one_class(tmp_path):
    own_datasets.voc(tmp_path)
    report = inspect_dataset(tmp_path)
    joined = report.renamed(["background", "animal", "animal", "person", "background"])
    assert joined.class_names == ("background", "animal", "person")
    assert "ignored_class" not in warning_codes(joined)
    for before, after in zip(report.pairs, joined.pairs):
        background, cat, dog, person, void = before.shares
        assert joined.class_shares(after) == pytest.approx((background + void, cat + dog, person))
    assert joined.classes[1].masks == sum(any(report.class_shares(pair)[1:3]) for pair in report.pairs)
    assert joined.parts() == report.parts()
    assert joined.renamed([entry.name for entry in report.coding.classes]) == report
    save_report(joined, tmp_path)
    assert {value for ids in decoded(tmp_path).values() for value in np.unique(ids)} == {0, 1, 2}
    again = inspect_dataset(tmp_path, class_names=["background", "animal", "animal", "person", "background"])
    assert again == joined


def test_values_can_be_named_one_by_one_even_rare_ones(tmp_path):
    own_datasets.folder(tmp_path)
    ids = class_map(0)
    ids[0, 0] = 9
    save_mask(tmp_path / "masks" / "p00.png", ids)
    assert error_codes(inspect_dataset(tmp_path)) == ["values_out_of_range"]
    report = inspect_dataset(tmp_path, class_names={0: "ground", "1": "leaf", 9: "worm"})
    assert report.usable
    assert report.class_names == ("ground", "leaf", "worm")


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a"], "needs 2, one for each of 0, 1"),
        (["a", "a"], "at least two must differ"),
        (["a", " "], "1 to 60 printable"),
        (["a", "b\nc"], "1 to 60 printable"),
        ("ab", "needs 2"),
        ({"x": "a"}, "neither a value"),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path, names, text):
    own_datasets.folder(tmp_path, 4)
    with pytest.raises(DataError, match=text):
        inspect_dataset(tmp_path, class_names=names)


# --- the report ---------------------------------------------------------------------------------------------------


def test_the_report_tells_what_is_there(tmp_path):
    own_datasets.black_and_white(tmp_path, 30)
    save_photo(tmp_path / "images" / "wide.jpg", class_map(77, size=(40, 96)), 77)
    save_mask(tmp_path / "masks" / "wide.png", class_map(77, size=(40, 96)) * np.uint8(255))
    seen = []
    report = inspect_dataset(tmp_path, progress=lambda *values: seen.append(values))
    assert seen == [(number, 31) for number in range(1, 32)]
    assert len(report.pairs) == 31
    assert report.sizes.largest == (96, 40)
    assert report.sizes.median == (48, 40)
    assert report.sizes.different == 2
    assert report.photo_modes == {"RGB": 31}
    assert report.mask_modes == {"L": 31}
    assert sum(report.counts.values()) == 31
    assert sum(entry.share for entry in report.classes) == pytest.approx(1, abs=1e-4)
    assert {name for part in report.parts().values() for name in part} == {pair.name for pair in report.pairs}
    assert not report.problems


def test_reports_survive_json(tmp_path):
    own_datasets.voc(tmp_path)
    save_mask(tmp_path / "VOC2012" / "SegmentationClass" / "2007_000001.png", np.zeros((2, 2), np.uint8))
    report = inspect_dataset(tmp_path)
    assert report.errors
    assert DatasetReport.from_json(report.to_json()) == report


def test_a_saved_report_is_used_until_a_file_changes(tmp_path, monkeypatch):
    own_datasets.folder(tmp_path)
    report = inspect_dataset(tmp_path, class_names=["ground", "leaf"])
    save_report(report, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(report_module, "inspect_dataset", lambda *_, **__: pytest.fail("inspected"))
        assert current_report(tmp_path) == report
    own_datasets.folder(tmp_path, 1, start=50)
    again = current_report(tmp_path)
    assert len(again.pairs) == 13
    assert again.class_names == ("ground", "leaf")


@pytest.mark.parametrize("text", ["", "{}", "[", '{"version": 2}', '{"name": 3}', "\xff"])
def test_a_foreign_dataset_json_is_not_believed(tmp_path, text):
    own_datasets.folder(tmp_path, 4)
    (tmp_path / "dataset.json").write_text(text, encoding="latin-1")
    assert saved_report(tmp_path) is None
    assert ImageFolder(tmp_path).class_names == ("background", "object")


def test_paths_in_a_foreign_dataset_json_are_never_opened(tmp_path):
    root = own_datasets.folder(tmp_path / "data", 4)
    report = inspect_dataset(root)
    content = json.loads(report.to_json())
    for pair in content["pairs"]:
        pair["photo"] = pair["mask"] = "/etc/passwd"
    (root / "dataset.json").write_text(json.dumps(content))
    for part in PARTS:
        for example in ImageFolder(root).examples(part):
            assert root in example.photo.parents
            assert root in example.mask.parents


def test_inspecting_writes_nothing(tmp_path):
    own_datasets.folder(tmp_path, 4)
    before = sorted(tmp_path.rglob("*"))
    inspect_dataset(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


# --- errors block, suspicious data warn ------------------------------------------------------------------------------


def painted(root: Path, name: str, values: np.ndarray) -> None:
    save_mask(root / "masks" / f"{name}.png", values.astype(np.uint8))


@pytest.mark.parametrize(
    ("damage", "code", "text"),
    [
        (lambda root: (root / "images/p01.jpg").write_bytes(b"MZ"), "unreadable_photo", "p01.jpg is not a photo"),
        (lambda root: (root / "images/p01.jpg").write_bytes(b""), "unreadable_photo", "p01.jpg is empty"),
        (lambda root: truncate(root / "images/p01.jpg"), "unreadable_photo", "p01.jpg is damaged"),
        (lambda root: truncate(root / "masks/p01.png"), "unreadable_mask", "p01.png is damaged"),
        (lambda root: (root / "masks/p01.png").write_bytes(png_of_size(9_999, 9_999)), "unreadable_mask", "megapixel"),
        (lambda root: painted(root, "p01", np.zeros((40, 47))), "size_mismatch", "48×40 and 47×40 pixels"),
        (lambda root: painted(root, "p01", np.full((40, 48), 7)), "values_out_of_range", "masks/p01.png contains 7"),
        (
            lambda root: painted(root, "p01", class_map(1) * 255),
            "mixed_codings",
            "masks/p01.png: masks with values 0 and 1",
        ),
        (lambda root: save_photo(root / "images/p01.png", class_map(1), 1), "duplicate_name", "remove one of them"),
    ],
)
def test_wrong_data_block_with_the_file_and_the_reason(tmp_path, damage, code, text):
    root = own_datasets.folder(tmp_path)
    damage(root)
    report = inspect_dataset(root)
    assert error_codes(report) == [code]
    assert text in report.errors[0].message
    assert any("p01" in file for file in report.errors[0].files)
    assert not report.usable
    assert not report.counts
    with pytest.raises(DataError, match=text) as caught:
        ImageFolder(root)
    assert isinstance(caught.value, LabelError) == (code in ("values_out_of_range", "mixed_codings"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def test_values_out_of_range_are_named_with_their_place(tmp_path):
    own_datasets.folder(tmp_path, classes=3)
    ids = class_map(4, 3)
    ids[17, 29] = 200
    painted(tmp_path, "p04", ids)
    problem = finding(inspect_dataset(tmp_path), "values_out_of_range")
    assert problem.files == ("masks/p04.png",)
    assert problem.positions == ((29, 17),)
    assert "200 (first at x 29, y 17)" in problem.message


def test_short_names_do_not_get_into_the_words_of_a_sentence(tmp_path):
    for seed in range(12):
        ids = class_map(seed).repeat(4, 0).repeat(4, 1)
        small = Image.fromarray(ids * np.uint8(255)).resize((101, 83), Image.Resampling.BILINEAR)
        save_photo(tmp_path / "images" / f"{seed}.jpg", ids, seed)
        save_mask(tmp_path / "masks" / f"{seed}.png", small.resize((192, 160), Image.Resampling.BILINEAR))
    text = finding(inspect_dataset(tmp_path), "soft_edges").message
    assert text.startswith("12 masks have soft edges")


def test_a_photo_turned_by_exif_is_told_apart_from_a_wrong_mask(tmp_path):
    own_datasets.folder(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(tmp_path / "images" / "p01.jpg") as photo:
        photo.save(tmp_path / "images" / "p01.jpg", exif=exif)
    assert "save the photo upright" in finding(inspect_dataset(tmp_path), "size_mismatch").message


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (lambda seed: np.zeros((40, 48)), "single_class"),
        (lambda seed: np.full((40, 48), 2), "single_class"),
        (lambda seed: own_datasets.photo_of(class_map(seed), seed)[..., 0], "too_many_values"),
        (lambda seed: own_datasets.photo_of(class_map(seed), seed), "too_many_colours"),
    ],
)
def test_masks_that_are_no_masks_are_refused(tmp_path, values, code):
    own_datasets.folder(tmp_path)
    for seed in range(12):
        painted(tmp_path, f"p{seed:02}", values(seed))
    report = inspect_dataset(tmp_path)
    assert error_codes(report) == [code]
    with pytest.raises(DataError):
        ImageFolder(tmp_path)


def test_too_few_photos_are_an_error_and_few_a_warning(tmp_path):
    assert error_codes(inspect_dataset(own_datasets.folder(tmp_path / "two", 2))) == ["too_few_pairs"]
    report = inspect_dataset(own_datasets.folder(tmp_path / "nine", 9))
    assert report.usable
    assert "few_pairs" in warning_codes(report)


def test_empty_masks_small_photos_and_rare_classes_warn(tmp_path):
    own_datasets.folder(tmp_path, 60)
    painted(tmp_path, "p05", np.zeros((40, 48)))
    ids = class_map(7)
    ids[:3, :3] = 2
    painted(tmp_path, "p07", ids)
    save_photo(tmp_path / "images" / "tiny.jpg", np.eye(20, dtype=np.uint8), 70)
    painted(tmp_path, "tiny", np.eye(20))
    report = inspect_dataset(tmp_path)
    assert report.usable
    assert finding(report, "empty_masks").files == ("masks/p05.png",)
    assert finding(report, "small_photos").files == ("images/tiny.jpg",)
    assert "class 2" in finding(report, "rare_class").message


def test_near_duplicates_are_named_and_never_cross_the_split(tmp_path):
    own_datasets.folder(tmp_path, 40)
    for seed in range(0, 20, 2):
        with Image.open(tmp_path / "images" / f"p{seed:02}.jpg") as photo:
            photo.resize((96, 80)).save(tmp_path / "images" / f"again{seed}.jpg", quality=60)
        painted(tmp_path, f"again{seed}", class_map(seed).repeat(2, 0).repeat(2, 1))
    report = inspect_dataset(tmp_path)
    assert len(report.near_duplicates) == 10
    assert finding(report, "near_duplicates").severity == "warning"
    part_of = {name: part for part, names in report.parts().items() for name in names}
    for seed in range(0, 20, 2):
        assert part_of[f"p{seed:02}"] == part_of[f"again{seed}"]


def test_a_datasets_own_parts_are_kept_and_its_leaks_named(tmp_path):
    own_datasets.folder(tmp_path / "train", 12)
    own_datasets.folder(tmp_path / "val", 4, start=20)
    own_datasets.folder(tmp_path / "val", 1, start=3)
    report = inspect_dataset(tmp_path)
    assert report.usable
    assert "own_split" in warning_codes(report)
    assert set(finding(report, "duplicates_across_parts").files) == {"train/p03", "val/p03"}
    parts = report.parts()
    assert set(parts["validation"]) == {pair.name for pair in report.pairs if pair.name.startswith("val/")}
    assert parts["test"]
    assert set(parts["train"]) | set(parts["test"]) == {pair.name for pair in report.pairs if pair.part == "train"}
    assert "There is no test split" in finding(report, "own_split").message
    again = report.parts(scheme="percentage")
    assert {name.split("/")[0] for name in again["train"]} == {"train", "val"}


def test_photos_that_are_all_alike_can_still_be_split(tmp_path):
    base = own_datasets.photo_of(np.zeros(own_datasets.SIZE, np.uint8), 0).astype(np.int16)
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, 25, base.shape)
        photo = (base + noise).clip(0, 255).astype(np.uint8)
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(photo).save(tmp_path / "images" / f"p{seed:02}.png")
        save_mask(tmp_path / "masks" / f"p{seed:02}.png", class_map(seed))
    report = inspect_dataset(tmp_path)
    assert "photos_alike" in warning_codes(report)
    assert report.usable, report.errors


# --- archives -----------------------------------------------------------------------------------------------------


def test_an_uploaded_archive_is_unpacked_inspected_named_and_read(tmp_path):
    settings = Settings(datasets_dir=tmp_path / "datasets")
    data = own_datasets.zipped(own_datasets.beside(tmp_path / "source"))
    folder = unpack_upload(data, "My dogs.zip", settings)
    report = inspect_dataset(folder, settings=settings, class_names=["background", "dog"])
    save_report(report, folder)
    assert report.layout == "side by side"
    assert unpack_upload(data, "My dogs.zip", settings) == folder
    assert ImageFolder(folder).class_names == ("background", "dog")
    for name, ids in decoded(folder).items():
        np.testing.assert_array_equal(ids, class_map(int(name[1:])))


def test_inspection_imports_neither_tensorflow_nor_keras(tmp_path):
    own_datasets.folder(tmp_path, 4)
    code = (
        "import sys; from unet_core.data.own.archive import unpack_upload; "
        "from unet_core.data.own.report import inspect_dataset; "
        f"assert inspect_dataset({str(tmp_path)!r}).usable; "
        "assert not {'tensorflow', 'keras', 'streamlit'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
