"""Annotation files of other programs, translated to COCO, so that one reader checks and draws all shapes.

labelme, YOLO outlines, Supervisely, VGG Image Annotator, Label Studio and CVAT for images. Every file is untrusted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from unet_core.data.own.archive import MAX_JSON_MB
from unet_core.data.own.coco import MAX_JSON_CONTAINERS, SizeOf
from unet_core.data.sources import DataError

AnnotationKind = Literal["coco", "labelme", "yolo", "supervisely", "via", "label studio", "cvat"]
PROGRAMS: dict[AnnotationKind, str] = {
    "coco": "COCO annotations",
    "labelme": "labelme files",
    "yolo": "YOLO outlines",
    "supervisely": "Supervisely annotations",
    "via": "VGG Image Annotator regions",
    "label studio": "Label Studio polygons",
    "cvat": "CVAT polygons",
}


@dataclass
class Content:
    """Annotations of one program in the form of COCO's JSON, and what of them is no shape."""

    kind: AnnotationKind
    path: Path  # of the file, or of the first of many
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    categories: dict[str, int] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)  # of the categories, if the program has one

    def image(self, name: str, width: Any = None, height: Any = None) -> int:
        """Add an image; return its id."""
        size = {"width": width, "height": height} if width and height else {}
        self.images.append({"id": len(self.images), "file_name": name, **size})
        return len(self.images) - 1

    def shape(self, image: int, label: Any, polygon: Any) -> None:
        """Add a polygon, [x, y, x, y, …]; None stands for a shape that encloses no area, such as a point or a box."""
        category = self.categories.setdefault(str(label), len(self.categories))
        shape = {"segmentation": [polygon]} if polygon is not None else {"bbox": []}
        self.annotations.append({"id": len(self.annotations), "image_id": image, "category_id": category, **shape})

    def as_coco(self) -> dict[str, Any]:
        """Return the content of a COCO file; categories in the program's order, else in that of the alphabet."""
        order = [*self.order, *sorted(self.categories.keys() - set(self.order), key=str.casefold)]
        numbers = {self.categories[name]: number for number, name in enumerate(order) if name in self.categories}
        annotations = [{**one, "category_id": numbers[one["category_id"]]} for one in self.annotations]
        categories = [{"id": number, "name": order[number]} for number in numbers.values()]
        return {"images": self.images, "annotations": annotations, "categories": categories}


def translated(contents: dict[Path, Any], texts: Sequence[Path], size_of: SizeOf) -> tuple[list[Content], set[Path]]:
    """Translate the annotation files of a dataset other than COCO's.

    Args:
        contents: the dataset's JSON files, parsed.
        texts: its text and XML files.
        size_of: gives the sizes of photos, which outlines in shares of a photo need.

    Returns:
        One content for each program, and the files that were read.

    Raises:
        DataError: the files are too large together, or an XML file declares entities.
    """
    found: dict[AnnotationKind, Content] = {}
    read: set[Path] = set()
    for path, value in contents.items():
        kind, translate = _json_kind(value)
        if kind is not None and translate is not None:
            translate(value, path, found.setdefault(kind, Content(kind, path)))
            read.add(path)
    for path in texts:
        if path.suffix.lower() == ".xml" and _is_cvat(path):
            _cvat(path, found.setdefault("cvat", Content("cvat", path)))
            read.add(path)
    yolo = [path for path in texts if path.suffix.lower() == ".txt" and _is_yolo(path)]
    if yolo and not found:
        _check_total(yolo)
        content = found.setdefault("yolo", Content("yolo", yolo[0]))
        for path in yolo:
            _yolo(path, content, size_of)
        names = _yolo_names(texts)
        content.order = [names[number] if number < len(names) else f"class {number}" for number in range(10_000)]
        content.categories = {content.order[int(number)]: place for number, place in content.categories.items()}
        content.order = [name for name in content.order if name in content.categories]
        read.update(yolo)
    return [content for content in found.values() if content.images], read


def _check_total(paths: Sequence[Path]) -> None:
    if sum(path.stat().st_size for path in paths) > MAX_JSON_MB * 1e6:
        raise DataError(f"The annotations have more than {MAX_JSON_MB:g} MB in all: split the dataset.")


def _json_kind(value: Any) -> tuple[AnnotationKind | None, Callable[[Any, Path, Content], None] | None]:
    if isinstance(value, list):
        if value and all(isinstance(task, dict) and "data" in task for task in value):
            return "label studio", _label_studio
        return None, None
    if not isinstance(value, dict):
        return None, None
    if isinstance(value.get("shapes"), list) and ("imagePath" in value or "imageData" in value):
        return "labelme", _labelme
    if isinstance(value.get("objects"), list) and isinstance(value.get("size"), dict):
        return "supervisely", _supervisely
    regions = value.get("_via_img_metadata", value)
    entries = list(regions.values()) if isinstance(regions, dict) else []
    if entries and all(isinstance(entry, dict) and "filename" in entry and "regions" in entry for entry in entries):
        return "via", _via
    return None, None


# --- one program each -------------------------------------------------------------------------------------------------


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def path_of(name: str) -> str:
    """Return the path of a name that may be an address, such as `https://host/x.jpg?d=1`."""
    plain = name.replace("\\", "/")
    if "://" not in plain:
        return plain.partition("?")[0]
    try:
        return unquote(urlsplit(plain).path)
    except ValueError:  # an address with a broken host
        return plain


def _flat(points: Any) -> list[Any] | None:
    """Turn [[x, y], …] into [x, y, …], None if it is something else."""
    if not isinstance(points, list) or not all(
        isinstance(point, (list, tuple)) and len(point) == 2 for point in points
    ):
        return None
    return [value for point in points for value in point]


def _labelme(value: dict[str, Any], path: Path, content: Content) -> None:
    shown = value.get("imagePath")
    name = PurePosixPath(str(shown).replace("\\", "/")).name if shown else f"{path.stem}.jpg"
    image = content.image(name, value.get("imageWidth"), value.get("imageHeight"))
    for shape in value["shapes"]:
        if isinstance(shape, dict):
            encloses = shape.get("shape_type", "polygon") in ("polygon", None, "")
            content.shape(image, shape.get("label"), _flat(shape.get("points")) if encloses else None)


def _supervisely(value: dict[str, Any], path: Path, content: Content) -> None:
    size = value["size"]
    image = content.image(path.stem, size.get("width"), size.get("height"))
    for shape in value["objects"]:
        if isinstance(shape, dict):
            points = shape.get("points") if shape.get("geometryType", "polygon") == "polygon" else None
            content.shape(image, shape.get("classTitle"), _with_holes(points) if isinstance(points, dict) else None)


def _with_holes(points: dict[str, Any]) -> list[Any] | None:
    """Join an outline and its holes to one polygon, which the even-odd rule fills correctly."""
    outline = _flat(points.get("exterior"))
    if not outline:
        return None
    joined = [*outline, *outline[:2]]
    for hole in _listed(points.get("interior")):
        if inner := _flat(hole):
            joined += [*inner, *inner[:2], *outline[:2]]
    return joined


def _via(value: dict[str, Any], path: Path, content: Content) -> None:
    for entry in value.get("_via_img_metadata", value).values():
        image = content.image(str(entry["filename"]))
        regions = entry["regions"]
        for region in _listed(list(regions.values()) if isinstance(regions, dict) else regions):
            if not isinstance(region, dict):
                continue
            shape = region.get("shape_attributes")
            shape = shape if isinstance(shape, dict) else {}
            across, down = shape.get("all_points_x"), shape.get("all_points_y")
            points = None
            if shape.get("name") in ("polygon", "polyline") and isinstance(across, list) and isinstance(down, list):
                points = list(map(list, zip(across, down)))
            content.shape(image, _via_label(region.get("region_attributes")), _flat(points))


def _via_label(attributes: Any) -> str:
    """Return a region's class: what its attributes say, whatever the attribute is called."""
    if not isinstance(attributes, dict):
        return "object"
    texts = [str(value) for value in attributes.values() if isinstance(value, str) and value.strip()]
    chosen = [name for value in attributes.values() if isinstance(value, dict) for name, on in value.items() if on]
    return (texts or chosen or ["object"])[0]


def _label_studio(value: list[dict[str, Any]], path: Path, content: Content) -> None:
    for task in value:
        data = task["data"] if isinstance(task["data"], dict) else {}
        name = next((entry for entry in data.values() if isinstance(entry, str)), "")
        name = str(task.get("file_upload") or PurePosixPath(path_of(name)).name)
        image = content.image(name)
        for annotation in _listed(task.get("annotations") or task.get("completions")):
            for result in _listed(annotation.get("result") if isinstance(annotation, dict) else None):
                _label_studio_shape(result, image, content)


def _label_studio_shape(result: Any, image: int, content: Content) -> None:
    value = result.get("value") if isinstance(result, dict) else None
    if not isinstance(value, dict):
        return
    labels = next((one for key, one in value.items() if key.endswith("labels") and isinstance(one, list) and one), [])
    if not labels:
        return
    points, width, height = _flat(value.get("points")), result.get("original_width"), result.get("original_height")
    if isinstance(width, int) and isinstance(height, int):
        content.images[image].update(width=width, height=height)
    if points and isinstance(width, int) and isinstance(height, int):
        points = [_share(number, side) for number, side in zip(points, [width / 100, height / 100] * len(points))]
    content.shape(image, labels[0], points or None)


def _share(number: Any, side: float) -> Any:
    return number * side if isinstance(number, (int, float)) else number


def _is_cvat(path: Path) -> bool:
    with open(path, "rb") as file:
        start = file.read(4096)
    return b"<annotations" in start


def _cvat(path: Path, content: Content) -> None:
    from xml.etree import ElementTree

    text = path.read_bytes()
    if len(text) > MAX_JSON_MB * 1e6 or text.count(b"<") > MAX_JSON_CONTAINERS:
        raise DataError(f"{path.name} has more than the {MAX_JSON_MB:g} MB allowed for annotations: split the dataset.")
    if b"<!" in re.sub(rb"<!--.*?-->", b"", text, flags=re.DOTALL):  # entities can stand for gigabytes
        raise DataError(f"{path.name} declares a document type or entities, which annotations never need: remove them.")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        raise DataError(f"{path.name} is not valid XML: export the annotations again.") from None
    for entry in root.iter("image"):
        name = entry.get("name")
        if name is None:
            continue
        image = content.image(name, _whole(entry.get("width")), _whole(entry.get("height")))
        for shape in entry:
            if "label" not in shape.keys():  # noqa: SIM118 - an element, not a mapping
                continue
            points = [point.split(",") for point in (shape.get("points") or "").split(";")]
            numbers = [[_number(value) for value in point] for point in points]
            content.shape(image, shape.get("label"), _flat(numbers) if shape.tag == "polygon" else None)


def _whole(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"\d{1,6}", text) else None


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


_SHARE = re.compile(r"-?[\d.]{1,24}(?:e-?\d{1,3})?", re.IGNORECASE)


def _is_yolo(path: Path) -> bool:
    """Return whether every line of a text is a class number and coordinates; an empty file is no annotation."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line for line in file.read(20_000).splitlines()[:20] if line.strip()]
    return bool(lines) and all(map(_is_yolo_line, lines[:19]))


def _is_yolo_line(line: str) -> bool:
    number, *values = line.split()
    return number.isdecimal() and len(number) <= 4 and len(values) >= 4 and all(map(_SHARE.fullmatch, values))


def _yolo(path: Path, content: Content, size_of: SizeOf) -> None:
    size = size_of(path.stem)
    image = content.image(path.stem, *(size or (None, None)))
    if size is None:
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        number, *values = line.split() or [""]
        if len(values) == 4:
            content.shape(image, number, None)  # a box
        elif number:
            sides = list(size) * len(values)
            content.shape(image, number, [_share(_number(value), side) for value, side in zip(values, sides)])


# --- class names ------------------------------------------------------------------------------------------------------


def _yolo_names(texts: Sequence[Path]) -> list[str]:
    """Return the class names of a YOLO dataset by number, from `data.yaml`, `classes.txt` or `obj.names`."""
    for path in texts:
        if path.suffix.lower() in (".yaml", ".yml") and path.stat().st_size < 1_000_000:
            names = _yaml_names(path.read_text(encoding="utf-8", errors="replace"))
            if names:
                return names
        if path.name.lower() in ("classes.txt", "obj.names", "labels.txt") and path.stat().st_size < 1_000_000:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            return [line.strip() for line in lines if line.strip()]
    return []


def _yaml_names(text: str) -> list[str]:
    """Return the field `names`, which is a list in one line, a list in several, or a table from numbers to names."""
    found = re.search(r"^names:[ \t]*(.*(?:\n[ \t]*(?:-|\d+[ \t]*:).*)*)", text, re.MULTILINE)
    if found is None:
        return []
    value = found[1].strip()
    if value.startswith(("[", "{")):
        value = value.strip("[]{} \n")
        entries = [re.sub(r"^\d+\s*:\s*", "", entry.strip()) for entry in value.split(",")]
    else:
        entries = [re.sub(r"^(?:-|\d+\s*:)\s*", "", line.strip()) for line in value.splitlines()]
    return [entry.strip("'\" ") for entry in entries if entry]
