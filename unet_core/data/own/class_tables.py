"""Class names that datasets keep in small files beside their masks, as labelmap.txt, class_dict.csv or dataset.json."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MAX_BYTES = 1_000_000
_MAX_CLASSES = 512
_MAX_LINE = 300
_TEXTS = frozenset(
    f"{name}.txt"
    for name in (
        *("labelmap", "label_map", "class_names", "label_names", "classes", "labels", "label_colors", "codes"),
        *("mapping", "names", "object_names"),
    )
)
_TABLES = frozenset(
    f"{name}.csv"
    for name in (
        *("_classes", "class_dict", "classes", "labels", "label_map", "labelmap", "class_names", "colormap"),
        "label_colors",
    )
)


@dataclass(frozen=True)
class ClassTable:
    """Class names by mask value, or by colour "#rrggbb"."""

    file: str
    names: Mapping[int | str, str]

    @property
    def in_colours(self) -> bool:
        """Whether the table is by colour."""
        return any(isinstance(key, str) for key in self.names)


def find_table(paths: Sequence[Path], json_contents: Mapping[Path, Any], root: Path) -> ClassTable | None:
    """Return the first table of class names among a dataset's small files, None if there is none."""
    for path in sorted(paths, key=lambda path: (len(path.parts), path.name)):
        name = path.name.lower()
        names: Mapping[int | str, str] = {}
        if path in json_contents:
            names = _from_json(json_contents[path])
        elif name in _TEXTS | _TABLES and path.stat().st_size <= _MAX_BYTES:
            text = path.read_text(encoding="utf-8-sig", errors="replace")
            names = _from_csv(text) if name in _TABLES else _from_text(text)
        if 1 < len(names) <= _MAX_CLASSES:
            return ClassTable(path.relative_to(root).as_posix(), names)
    return None


def _clean(name: Any) -> str:
    """Make a class name fit for display: labelme's `_background_` is background."""
    shown = "".join(character if character.isprintable() else " " for character in str(name)).strip()[:60]
    stripped = shown.strip("_")
    return stripped if stripped.lower() in ("background", "ignore") else shown


def _from_json(content: Any) -> dict[int | str, str]:
    """Read nnU-Net's `labels`, by name or by number, and Supervisely's `classes`."""
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict):
        return {}
    found: dict[int | str, str] = {}
    for key, value in labels.items():
        if isinstance(value, int) and not isinstance(value, bool):
            found[value] = _clean(key)
        elif isinstance(value, str) and _is_value(str(key)):
            found[int(key)] = _clean(value)
    return found


def _from_text(text: str) -> dict[int | str, str]:
    """Read CVAT's `name:r,g,b::`, CamVid's `r g b name`, `7: name`, or one name a line counted from 0."""
    lines = [line.strip() for line in text.splitlines() if len(line) <= _MAX_LINE]
    lines = [line for line in lines if line and not line.startswith("#")]
    found: dict[int | str, str] = {}
    for number, line in enumerate(lines):
        if match := re.fullmatch(r"(.+?):\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*(?::.*)?", line):
            found[_colour(match[2], match[3], match[4])] = _clean(match[1])
        elif match := re.fullmatch(r"(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})[\s,]+(.+)", line):
            found[_colour(match[1], match[2], match[3])] = _clean(match[4])
        elif match := re.fullmatch(r"(\d{1,5})\s*[:,;=\t ]\s*(.+)", line):
            found[int(match[1])] = _clean(match[2])
        elif match := re.fullmatch(r"(.+?)\s*[:=\t]\s*(\d{1,5})", line):
            found[int(match[2])] = _clean(match[1])
        else:
            found[number] = _clean(line)
    first, *others = [found[key] for key in found] or [""]
    if first.lower() in ("__ignore__", "ignore") and others and all(isinstance(key, int) for key in found):
        return {**dict(enumerate(others)), 255: "ignore"}  # labelme's −1, stored as 255
    return found


def _from_csv(text: str) -> dict[int | str, str]:
    """Read a table with a column of names, and one of values or three of red, green and blue."""
    lines = [line for line in text.splitlines() if len(line) <= _MAX_LINE]
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, skipinitialspace=True) if row]
    if len(rows) < 2:
        return {}
    header = [cell.lower() for cell in rows[0]]
    name_at = next(
        (header.index(word) for word in ("name", "class", "label", "class_name", "classes") if word in header), None
    )
    colours = [
        next((place for place, cell in enumerate(header) if cell in (word, word[0])), None)
        for word in ("red", "green", "blue")
    ]
    value_words = ("pixel value", "value", "id", "index", "pixel_value", "class_id", "label_id", "code")
    value_at = next((header.index(word) for word in value_words if word in header), None)
    if name_at is None:
        return {}
    found: dict[int | str, str] = {}
    for number, row in enumerate(rows[1:]):
        row = [*row, *[""] * (len(header) - len(row))]
        name = _clean(row[name_at])
        channels = [row[place] for place in colours if place is not None]
        if len(channels) == 3 and all(map(_is_value, channels)):
            found[_colour(*channels)] = name
        elif value_at is not None and _is_value(row[value_at]):
            found[int(row[value_at])] = name
        else:
            found[number] = name
    return found


def _is_value(text: str) -> bool:
    return text.isdecimal() and len(text) <= 5


def _colour(red: str, green: str, blue: str) -> str:
    return f"#{min(255, int(red)):02x}{min(255, int(green)):02x}{min(255, int(blue)):02x}"
