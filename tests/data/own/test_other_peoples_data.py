"""Layouts and codings of public datasets: read exactly as they are meant, or refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.own_datasets import class_map, photo_of, save_mask, save_photo
from tests.helpers.zips import plain_zip
from unet_core.classes import IGNORE_ID
from unet_core.data.own.archive import unpack_upload
from unet_core.data.own.folder import ImageFolder
from unet_core.data.own.options import ReadOptions
from unet_core.data.own.report import DatasetReport, inspect_dataset, save_report
from unet_core.data.sources import PARTS
from unet_core.settings import Settings

COUNT = 6
LAYOUTS = {
    "CamVid, SegNet's copy": ("{part}/{n}.png", "{part}annot/{n}.png"),
    "CamVid, on Kaggle": ("{part}/{n}.png", "{part}_labels/{n}_L.png"),
    "CamVid, original": ("701_StillsRaw_full/{n}.png", "LabeledApproved_full/{n}_L.png"),
    "Cityscapes": (
        "leftImg8bit/{part}/aachen/aachen_{n}_leftImg8bit.png",
        "gtFine/{part}/aachen/aachen_{n}_gtFine_labelIds.png",
    ),
    "MMSegmentation": ("img_dir/{part}/{n}.jpg", "ann_dir/{part}/{n}.png"),
    "nnU-Net": ("imagesTr/case_{n}_0000.png", "labelsTr/case_{n}.png"),
    "KITTI": ("training/image_2/{n}_10.png", "training/semantic/{n}_10.png"),
    "BDD100K": ("images/10k/{part}/{n}.jpg", "labels/sem_seg/masks/{part}/{n}.png"),
    "ISIC": ("ISIC_Data/ISIC_{n}.jpg", "ISIC_GroundTruth/ISIC_{n}_segmentation.png"),
    "Carvana": ("train/{n}_01.jpg", "train_masks/{n}_01_mask.gif"),
    "DeepGlobe": ("train/{n}_sat.jpg", "train/{n}_mask.png"),
    "image and mask in one folder": ("data/image_{n}.png", "data/mask_{n}.png"),
    "joined words": ("data/image{n}.png", "data/mask{n}.png"),
    "_lab beside": ("set/{n}.png", "set/{n}_lab.png"),
    "same names in one folder": ("{n}.jpg", "{n}.png"),
    "folders without words": ("A/{n}.png", "B/{n}.png"),
    "endings in both folders": ("Object_Images/img{n}.png", "Object_Segmented_Masks/img{n}_seg_mask.png"),
    "unknown endings in both folders": ("first/s{n}_x.png", "second/s{n}_truth_y.png"),
    "labelme's export": ("{n}_json/img.png", "{n}_json/label.png"),
    "a folder for each photo": ("{n}/images/{n}.png", "{n}/masks/{n}.png"),
    "jfif and ppm": ("images/{n}.jfif", "masks/{n}.ppm"),
}


def scene(seed: int, classes: int = 3) -> np.ndarray:
    """Class ids without thin parts, so that every class fills a square somewhere."""
    return class_map(seed, classes)


def decoded(root: Path, report: DatasetReport | None = None) -> dict[str, np.ndarray]:
    """All masks as class ids, by the number in their name."""
    if report is not None:
        save_report(report, root)
    source = ImageFolder(root)
    examples = (example for part in PARTS for example in source.examples(part))
    return {example.name: example.decode()[1] for example in examples}


@pytest.mark.parametrize(("photo", "mask"), LAYOUTS.values(), ids=LAYOUTS)
def test_every_photo_of_a_public_layout_gets_its_own_mask(tmp_path: Path, photo: str, mask: str) -> None:
    expected = {}
    for seed in range(COUNT):
        part = ("train", "val")[seed % 2] if "{part}" in photo else ""
        ids = scene(seed) if not mask.endswith(".gif") else scene(seed) * np.uint8(1)
        save_photo(tmp_path / photo.format(n=f"{seed:03}", part=part), ids, seed)
        target = tmp_path / mask.format(n=f"{seed:03}", part=part)
        save_mask(target, ids)
        expected[photo.format(n=f"{seed:03}", part=part)] = ids
        if "gtFine" in mask:  # what Cityscapes has beside the class ids
            save_mask(Path(str(target).replace("labelIds", "instanceIds")), ids * np.uint8(7))
            save_mask(Path(str(target).replace("labelIds", "color")), photo_of(ids, seed) // 128 * 128)
        if "sem_seg" in mask:
            save_mask(Path(str(target).replace("/masks/", "/colormaps/")), ids * np.uint8(60))
    report = inspect_dataset(tmp_path)
    assert report.usable, report.errors
    assert {pair.photo for pair in report.pairs} == set(expected)
    masks = decoded(tmp_path)
    for pair in report.pairs:
        np.testing.assert_array_equal(masks[pair.name], expected[pair.photo])
    if "{part}" in photo:
        assert {pair.photo: pair.part for pair in report.pairs} == {
            name: "train" if "train" in name else "validation" for name in expected
        }


def two_candidates(root: Path, first: str, second: str) -> None:
    for seed in range(COUNT):
        save_photo(root / "images" / f"{seed}_photo.png", scene(seed, 2), seed)
        save_mask(root / first / f"{seed}_one.png", scene(seed, 2) * np.uint8(255))
        save_mask(root / second / f"{seed}_mask.png", np.full((40, 48), 255, np.uint8) * (scene(seed + 50, 2) > 0))


@pytest.mark.parametrize(("first", "second"), [("1st_manual", "mask"), ("masks_human", "masks_machine")])
def test_of_two_sets_of_masks_the_person_chooses(tmp_path: Path, first: str, second: str) -> None:
    two_candidates(tmp_path, first, second)
    report = inspect_dataset(tmp_path)
    assert not report.usable
    assert set(report.candidates) == {first, second}
    assert all(name in report.errors[0].message for name in (first, second))
    unclear = inspect_dataset(tmp_path, options=ReadOptions(masks="ma"))
    assert not unclear.usable
    chosen = inspect_dataset(tmp_path, options=ReadOptions(masks=first))
    assert chosen.usable, chosen.errors
    assert {file.path.split("/")[0] for file in chosen.ignored} == {second}
    for name, ids in decoded(tmp_path, chosen).items():
        np.testing.assert_array_equal(ids, scene(int(name.split("_")[0]), 2))


def test_several_masks_of_a_photo_are_joined_as_objects_or_as_classes(tmp_path: Path) -> None:
    for seed in range(COUNT):
        ids = scene(seed)
        for root, names in (("objects", ("a{}", "b{}")), ("classes", ("cat", "dog"))):
            save_photo(tmp_path / root / f"id{seed}" / "images" / f"id{seed}.png", ids, seed)
            for number, name in enumerate(names, start=1):
                file = tmp_path / root / f"id{seed}" / "masks" / f"{name.format(seed)}.png"
                save_mask(file, (ids == number) * np.uint8(255))
    objects, classes = inspect_dataset(tmp_path / "objects"), inspect_dataset(tmp_path / "classes")
    assert (objects.class_names, classes.class_names) == (("background", "object"), ("background", "cat", "dog"))
    for number, (name, ids) in enumerate(sorted(decoded(tmp_path / "objects").items())):
        np.testing.assert_array_equal(ids, scene(number) > 0, err_msg=name)
    for number, ids in enumerate(dict(sorted(decoded(tmp_path / "classes").items())).values()):
        np.testing.assert_array_equal(ids, scene(number))
    assert "several_masks" in {finding.code for finding in objects.warnings}


def test_a_folder_for_each_class_makes_classes(tmp_path: Path) -> None:
    for seed in range(COUNT):
        ids = scene(seed)
        save_photo(tmp_path / "images" / f"{seed}.jpg", ids, seed)
        for number, name in enumerate(("cat", "dog"), start=1):
            save_mask(tmp_path / "masks" / name / f"{seed}.png", (ids == number) * np.uint8(255))
    report = inspect_dataset(tmp_path)
    assert report.class_names == ("background", "cat", "dog")
    for name, ids in decoded(tmp_path).items():
        np.testing.assert_array_equal(ids, scene(int(name)))


def test_every_page_of_a_stack_is_an_example(tmp_path: Path) -> None:
    for stack in range(2):
        seeds = range(10 * stack, 10 * stack + 4)
        photos = [Image.fromarray(photo_of(scene(seed, 2), seed)) for seed in seeds]
        masks = [Image.fromarray(scene(seed, 2) * np.uint8(255)) for seed in seeds]
        for kind, pages in (("images", photos), ("labels", masks)):
            (tmp_path / kind).mkdir(exist_ok=True)
            pages[0].save(tmp_path / kind / f"{stack}.tif", save_all=True, append_images=pages[1:])
    report = inspect_dataset(tmp_path)
    assert (report.usable, len(report.pairs)) == (True, 8)
    for name, ids in decoded(tmp_path).items():
        stack, page = name.split("-page")
        np.testing.assert_array_equal(ids, scene(10 * int(stack) + int(page) - 1, 2))


# --- shapes -----------------------------------------------------------------------------------------------------------

SQUARE = [[5, 5], [20, 5], [20, 20], [5, 20]]


def labelme(root: Path, name: str) -> None:
    shapes = [
        {"label": "cat", "points": SQUARE, "shape_type": "polygon"},
        {"label": "dog", "points": [[1, 1], [3, 3]], "shape_type": "rectangle"},
    ]
    content = {"shapes": shapes, "imagePath": f"{name}.png", "imageWidth": 48, "imageHeight": 40}
    (root / f"{name}.json").write_text(json.dumps(content))


def supervisely(root: Path, name: str) -> None:
    outer = {"classTitle": "cat", "geometryType": "polygon", "points": {"exterior": SQUARE, "interior": []}}
    content = {"size": {"width": 48, "height": 40}, "objects": [outer], "description": ""}
    (root / f"{name}.png.json").write_text(json.dumps(content))


def yolo(root: Path, name: str) -> None:
    numbers = " ".join(f"{x / 48:.8f} {y / 40:.8f}" for x, y in SQUARE)
    (root / f"{name}.txt").write_text(f"1 {numbers}\n0 0.5 0.5 0.1 0.1\n")
    (root / "data.yaml").write_text("path: .\nnames:\n  0: dog\n  1: cat\n")


def via(root: Path, name: str) -> None:
    path = root / "via.json"
    content = json.loads(path.read_text()) if path.exists() else {}
    shape = {"name": "polygon", "all_points_x": [x for x, _ in SQUARE], "all_points_y": [y for _, y in SQUARE]}
    regions = [{"shape_attributes": shape, "region_attributes": {"animal": "cat"}}]
    content[f"{name}.png1"] = {"filename": f"{name}.png", "size": 1, "regions": regions}
    path.write_text(json.dumps(content))


def label_studio(root: Path, name: str) -> None:
    path = root / "export.json"
    content = json.loads(path.read_text()) if path.exists() else []
    points = [[100 * x / 48, 100 * y / 40] for x, y in SQUARE]
    result = {"original_width": 48, "original_height": 40, "value": {"points": points, "polygonlabels": ["cat"]}}
    task = {"data": {"image": f"/data/upload/1/{name}.png"}, "annotations": [{"result": [result]}]}
    path.write_text(json.dumps([*content, task]))


def cvat(root: Path, name: str) -> None:
    path = root / "annotations.xml"
    before = path.read_text().replace("</annotations>", "") if path.exists() else "<annotations>"
    points = ";".join(f"{x},{y}" for x, y in SQUARE)
    image = f'<image name="{name}.png" width="48" height="40"><polygon label="cat" points="{points}"/></image>'
    path.write_text(f"{before}{image}</annotations>")


@pytest.mark.parametrize("write", [labelme, supervisely, yolo, via, label_studio, cvat])
def test_outlines_of_other_programs_are_drawn(tmp_path: Path, write: Callable[[Path, str], None]) -> None:
    for seed in range(4):
        save_photo(tmp_path / f"x{seed}.png", scene(seed), seed)
        write(tmp_path, f"x{seed}")
    report = inspect_dataset(tmp_path)
    assert report.usable, report.errors
    assert report.class_names == ("background", "cat")
    expected = np.zeros((40, 48), bool)
    expected[5:20, 5:20] = True
    for ids in decoded(tmp_path).values():
        np.testing.assert_array_equal(ids > 0, expected)


def coco(photos: list[str], **changes: object) -> dict:
    return {
        "images": [{"id": i, "file_name": name, "width": 48, "height": 40} for i, name in enumerate(photos)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "segmentation": [[5, 5, 20, 5, 20, 20, 5, 20]]}
            for i in range(len(photos))
        ],
        "categories": [{"id": 1, "name": "cat"}],
        **changes,
    }


def test_odd_but_readable_coco_files_are_read(tmp_path: Path) -> None:
    names = [f"x{i}.png" for i in range(4)]
    plain = coco(names)
    shapes = plain["annotations"]
    variants = {
        "flat": coco(names, annotations=[{**one, "segmentation": one["segmentation"][0]} for one in shapes]),
        "no size": coco(names, images=[{"id": i, "file_name": name} for i, name in enumerate(names)]),
        "text ids": coco(
            names,
            images=[{**one, "id": f"image-{one['id']}"} for one in plain["images"]],
            annotations=[{**one, "image_id": f"image-{one['image_id']}", "category_id": "1"} for one in shapes],
        ),
        "addresses": coco([f"https://host/data/{name}?d=1" for name in names]),
        "box": coco(names, annotations=[*shapes, {"image_id": 0, "category_id": 1, "bbox": [0, 0, 2, 2]}]),
    }
    for name, content in variants.items():
        root = tmp_path / name
        for seed, photo in enumerate(names):
            save_photo(root / "images" / photo, scene(seed), seed)
        (root / "dataset.json").write_text(json.dumps(content))
        (root / "captions.json").write_text(
            json.dumps({"images": plain["images"], "annotations": [{"image_id": 0, "caption": "a cat"}]})
        )
        report = inspect_dataset(root)
        assert report.usable, (name, report.errors)
        assert len(report.pairs) == 4
        assert {(file.path, file.why) for file in report.ignored} == {("captions.json", "captions without shapes")}
        assert report.classes[1].share == pytest.approx(15 * 15 / (40 * 48), abs=1e-5), name
        assert ("shapes_left_out" in {finding.code for finding in report.warnings}) == (name == "box")


def test_folder_and_zip_with_colons_in_names_give_the_same_answer(tmp_path: Path) -> None:
    names = [f"10:00:0{i}.png" for i in range(4)]
    for seed, name in enumerate(names):
        save_photo(tmp_path / "set" / "images" / name, scene(seed), seed)
    (tmp_path / "set" / "annotations.json").write_text(json.dumps(coco(names)))
    files = {str(path.relative_to(tmp_path)): path.read_bytes() for path in (tmp_path / "set").rglob("*.*")}
    folder = unpack_upload(plain_zip(files), "set.zip", Settings(datasets_dir=tmp_path / "datasets"))
    for root in (tmp_path / "set", folder):
        report = inspect_dataset(root)
        assert (report.usable, len(report.pairs), report.class_names) == (True, 4, ("background", "cat"))


# --- codings ----------------------------------------------------------------------------------------------------------


def dataset(root: Path, mask_of: Callable[[int], np.ndarray | Image.Image], count: int = 8) -> DatasetReport:
    for seed in range(count):
        save_photo(root / "images" / f"{seed}.png", scene(seed), seed)
        save_mask(root / "masks" / f"{seed}.png", mask_of(seed))
    return inspect_dataset(root)


def smoothly(values: np.ndarray) -> np.ndarray:
    """Halve and enlarge a mask as image programs do, which blends values at edges."""
    image = Image.fromarray(values)
    small = image.resize((36, 30), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((48, 40), Image.Resampling.BILINEAR))


@pytest.mark.parametrize(
    "table",
    [[0, 2, 5], [0, 100, 200], [[0, 0, 0], [255, 0, 0], [0, 0, 255]], [[128, 64, 128], [70, 70, 70], [0, 0, 142]]],
    ids=str,
)
def test_smoothly_resized_masks_keep_their_classes_and_get_no_others(tmp_path: Path, table: list) -> None:
    values = np.array(table, np.uint8)
    report = dataset(tmp_path, lambda seed: smoothly(values[scene(seed)]))
    assert report.usable, report.errors
    codes = {entry.code for entry in report.coding.classes}
    assert codes == {code_of(value) for value in table}
    assert "soft_edges" in {finding.code for finding in report.warnings}
    rank = np.argsort(np.argsort([code_of(value) for value in table]))
    for name, ids in decoded(tmp_path).items():
        assert (ids == rank[scene(int(name))]).mean() > 0.93


def code_of(value: int | list[int]) -> int:
    return value if isinstance(value, int) else int(np.dot(value, [65536, 256, 1]))


def test_thin_classes_are_no_blends(tmp_path: Path) -> None:
    def with_a_line(seed: int) -> np.ndarray:
        ids = np.zeros((40, 48), np.uint8)
        ids[5:20, 5:20] = 2
        ids[30, 3:40] = 1  # one pixel wide, in front of background alone
        return ids

    report = dataset(tmp_path, with_a_line)
    assert len(report.class_names) == 3
    assert "soft_edges" not in {finding.code for finding in report.warnings}


def test_compressed_masks_of_several_classes_are_refused_or_read_as_meant(tmp_path: Path) -> None:
    for seed in range(8):
        save_photo(tmp_path / "images" / f"{seed}.png", scene(seed), seed)
        colours = np.array([[0, 0, 0], [200, 30, 30], [30, 30, 200]], np.uint8)[scene(seed)]
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(colours).save(tmp_path / "masks" / f"{seed}.jpg", quality=85)
    report = inspect_dataset(tmp_path)
    assert report.errors[0].code == "lossy_masks" if report.errors else len(report.class_names) == 3


def test_one_and_two_are_not_taken_for_pets(tmp_path: Path) -> None:
    report = dataset(tmp_path, lambda seed: scene(seed, 2) + np.uint8(1))
    assert report.class_names == ("background", "object")
    assert "assumed" in next(f.message for f in report.warnings if f.code == "assumed_background")


def test_three_values_are_pets_only_with_a_border_between(tmp_path: Path) -> None:
    def tumours(seed: int) -> np.ndarray:
        return scene(seed) + np.uint8(1)

    def trimap(seed: int) -> np.ndarray:
        pet = scene(seed, 2) > 0
        near = np.zeros_like(pet)
        for axis in (0, 1):
            for step in (-2, -1, 1, 2):
                near |= np.roll(pet, step, axis) != pet
        return np.where(near, 3, np.where(pet, 1, 2)).astype(np.uint8)

    assert dataset(tmp_path / "a", tumours).class_names == ("class 1", "class 2", "class 3")
    assert dataset(tmp_path / "b", trimap).class_names == ("pet", "background", "border")


def test_what_is_not_labelled_has_no_class(tmp_path: Path) -> None:
    def with_void(seed: int) -> np.ndarray:
        ids = scene(seed, 2)
        ids[:8] = 255
        return ids

    report = dataset(tmp_path, with_void)
    assert report.class_names == ("background", "object")
    assert report.coding.ignored_names == ("void",)
    source = ImageFolder(tmp_path)
    assert source.classes.ignored == ("void",)
    for ids in decoded(tmp_path).values():
        assert (ids[:8] == IGNORE_ID).all()
        assert (ids[8:] < 2).all()
    named = report.renamed(["background", "cat", "other"])
    assert named.class_names == ("background", "cat", "other")


def test_object_numbers_are_no_classes(tmp_path: Path) -> None:
    def numbered(seed: int) -> np.ndarray:
        values = np.zeros((40, 48), np.uint16)
        for number in range(3 + seed):
            row, column = divmod(number, 4)
            values[4 + 9 * row : 9 + 9 * row, 3 + 11 * column : 9 + 11 * column] = number + 1
        return values

    report = dataset(tmp_path, numbered)
    assert report.class_names == ("background", "object")
    assert "instance_numbers" in {finding.code for finding in report.warnings}
    for name, ids in decoded(tmp_path).items():
        np.testing.assert_array_equal(ids, numbered(int(name)) > 0)


def test_masks_in_the_alpha_channel_are_read_from_there(tmp_path: Path) -> None:
    def in_alpha(seed: int) -> Image.Image:
        image = Image.new("RGBA", (48, 40), (0, 0, 0, 0))
        image.putalpha(Image.fromarray(scene(seed, 2) * np.uint8(255)))
        return image

    report = dataset(tmp_path, in_alpha)
    assert report.class_names == ("background", "object")
    assert "alpha" in report.coding.sentence
    for name, ids in decoded(tmp_path).items():
        np.testing.assert_array_equal(ids, scene(int(name), 2))


def test_too_many_classes_name_the_limit(tmp_path: Path) -> None:
    columns = np.arange(48, dtype=np.uint8) // 4
    report = dataset(tmp_path, lambda seed: np.tile(columns + np.uint8(12 * seed), (40, 1)), 13)
    assert not report.usable
    assert "at most 100" in report.errors[0].message


@pytest.mark.parametrize(
    ("file", "text", "names"),
    [
        ("labelmap.txt", "# label:color_rgb:parts\nbackground:0,0,0::\nDog:176,112,32::\n", ("background", "Dog")),
        ("class_dict.csv", "name,r,g,b\nNothing,0,0,0\nDog,176,112,32\n", ("Nothing", "Dog")),
        ("label_colors.txt", "0 0 0\tNothing\n176 112 32\tDog\n", ("Nothing", "Dog")),
    ],
)
def test_colours_are_named_by_the_datasets_own_table(tmp_path: Path, file: str, text: str, names: tuple) -> None:
    tmp_path.joinpath(file).write_text(text)
    colours = np.array([[0, 0, 0], [176, 112, 32]], np.uint8)
    assert dataset(tmp_path, lambda seed: colours[scene(seed, 2)]).class_names == names


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("class_names.txt", "_background_\ncat\ndog\n"),
        ("_classes.csv", "Pixel Value, Class\n0, background\n1, cat\n2, dog\n"),
        ("dataset.json", '{"labels": {"background": 0, "cat": 1, "dog": 2}, "file_ending": ".png"}'),
        ("dataset.json", '{"labels": {"0": "background", "1": "cat", "2": "dog"}}'),
        ("label_map.txt", "0: background\n1: cat\n2: dog\n"),
    ],
)
def test_values_are_named_by_the_datasets_own_table(tmp_path: Path, file: str, text: str) -> None:
    tmp_path.joinpath(file).write_text(text)
    report = dataset(tmp_path, scene)
    assert report.class_names == ("background", "cat", "dog")
    assert not report.ignored


def test_voc_names_need_voc_folders(tmp_path: Path) -> None:
    def with_palette(seed: int) -> Image.Image:
        from tests.helpers.own_datasets import voc_palette

        image = Image.fromarray(scene(seed, 2), "P")
        image.putpalette(voc_palette())
        return image

    assert "aeroplane" not in dataset(tmp_path, with_palette).class_names


# --- one bad file, sizes, orientation ---------------------------------------------------------------------------------


def test_bad_files_can_be_left_out(tmp_path: Path) -> None:
    dataset(tmp_path, scene, 10)
    (tmp_path / "images" / "1.png").write_bytes(b"no photo")
    save_mask(tmp_path / "masks" / "2.png", np.zeros((40, 47), np.uint8))
    save_mask(tmp_path / "masks" / "3.png", np.full((40, 48), 77, np.uint8))
    assert len(inspect_dataset(tmp_path).errors) >= 3
    report = inspect_dataset(tmp_path, options=ReadOptions(skip_bad=True))
    assert report.usable, report.errors
    assert len(report.pairs) == 7
    assert {file.path for file in report.left_out} == {"images/1.png", "images/2.png", "masks/3.png"}
    assert all(file.why for file in report.left_out)
    assert len(decoded(tmp_path, report)) == 7


def test_masks_of_another_size_are_resized_on_request(tmp_path: Path) -> None:
    report = dataset(tmp_path, lambda seed: scene(seed)[::2, ::2])
    assert "--resize-masks" in report.errors[0].message
    resized = inspect_dataset(tmp_path, options=ReadOptions(resize_masks=True))
    assert resized.usable
    for name, ids in decoded(tmp_path, resized).items():
        np.testing.assert_array_equal(ids, scene(int(name))[::2, ::2].repeat(2, 0).repeat(2, 1))


def test_transposed_masks_are_recognized(tmp_path: Path) -> None:
    report = dataset(tmp_path, lambda seed: scene(seed).T.copy())
    assert "transposed" in report.errors[0].message


@pytest.mark.parametrize("orientation", [3, 6])
def test_photos_that_exif_turns_can_be_read_as_stored(tmp_path: Path, orientation: int) -> None:
    for seed in range(4):
        exif = Image.Exif()
        exif[0x0112] = orientation
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(photo_of(scene(seed), seed)).save(tmp_path / "images" / f"{seed}.jpg", exif=exif)
        save_mask(tmp_path / "masks" / f"{seed}.png", scene(seed))
    report = inspect_dataset(tmp_path)
    if orientation == 3:
        assert report.usable
        assert "turned_photos" in {finding.code for finding in report.warnings}
    else:
        assert "--orientation stored" in report.errors[0].message
    stored = inspect_dataset(tmp_path, options=ReadOptions(orientation="stored"))
    assert stored.usable
    save_report(stored, tmp_path)
    example = next(iter(ImageFolder(tmp_path).examples("train")))
    photo, ids = example.decode()
    np.testing.assert_array_equal(ids, scene(int(example.name)))
    difference = np.abs(photo.astype(int) - photo_of(scene(int(example.name)), int(example.name)))
    assert difference.mean() < 8


def test_arrays_are_photos_and_masks_too(tmp_path: Path) -> None:
    for seed in range(4):
        for kind, array in (("images", photo_of(scene(seed), seed)), ("masks", scene(seed).astype(np.int64))):
            (tmp_path / kind).mkdir(exist_ok=True)
            np.save(tmp_path / kind / f"{seed}.npy", array)
    report = inspect_dataset(tmp_path)
    assert report.usable, report.errors
    for name, ids in decoded(tmp_path).items():
        np.testing.assert_array_equal(ids, scene(int(name)))


def test_coco_files_with_other_categories_are_joined_by_name(tmp_path: Path) -> None:
    names = [f"x{i}.png" for i in range(6)]
    first, second = coco(names[:3]), coco(names[3:], categories=[{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}])
    people = coco(names[:3], categories=[{"id": 1, "name": "person"}])
    for annotation in people["annotations"]:
        annotation["keypoints"] = [1, 2, 3]
    for part, seeds, content in (("train", range(3), first), ("val", range(3, 6), second)):
        for seed in seeds:
            save_photo(tmp_path / part / names[seed], scene(seed), seed)
        (tmp_path / part / "_annotations.coco.json").write_text(json.dumps(content))
    (tmp_path / "person_keypoints.json").write_text(json.dumps(people))
    report = inspect_dataset(tmp_path)
    assert report.usable, report.errors
    assert report.class_names == ("background", "cat", "dog")
    assert {pair.part for pair in report.pairs} == {"train", "validation"}
    names_by_photo = {name: {report.class_names[i] for i in np.unique(ids)} for name, ids in decoded(tmp_path).items()}
    assert names_by_photo == {
        f"{'train' if i < 3 else 'val'}/x{i}": {"background", "cat" if i < 3 else "dog"} for i in range(6)
    }


@pytest.mark.parametrize(
    ("photo", "masks", "names"),
    [
        ("images/x{n}.png", ("masks/x{n}_0.png", "masks/x{n}_1.png"), ("background", "object")),
        ("benign ({n}).png", ("benign ({n})_mask.png", "benign ({n})_mask_1.png"), ("background", "object")),
        ("images/x{n}.png", ("masks/x{n}_cat.png", "masks/x{n}_dog.png"), ("background", "cat", "dog")),
    ],
)
def test_several_masks_are_found_by_what_their_names_begin_with(
    tmp_path: Path, photo: str, masks: tuple[str, str], names: tuple[str, ...]
) -> None:
    for seed in range(COUNT):
        ids = scene(seed)
        save_photo(tmp_path / photo.format(n=seed), ids, seed)
        for number, mask in enumerate(masks, start=1):
            save_mask(tmp_path / mask.format(n=seed), (ids == number) * np.uint8(255))
    report = inspect_dataset(tmp_path)
    assert report.usable, report.errors
    assert [name.split("_")[-1] for name in report.class_names] == list(names)
    found = decoded(tmp_path)
    for seed in range(COUNT):
        (ids,) = (ids for name, ids in found.items() if str(seed) in name)
        expected = scene(seed) if len(names) == 3 else scene(seed) > 0
        np.testing.assert_array_equal(ids, expected)
