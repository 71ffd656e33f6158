"""Files that are read while they are written: append-only tables of numbers as CSV, and data classes as JSON.

Readers expect any damage: a file may be cut, overwritten, in another encoding, or of another version of this program.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = dict[str, float]

_MAX_JSON_BYTES = 4_000_000
_MAX_TABLE_BYTES = 200_000_000  # read at a time
_MAX_HEADER_BYTES = 10_000
_MAX_NUMBER = 1e15
Record = TypeVar("Record", bound="DataclassInstance")


def write_atomically(path: Path, data: str | bytes, *, durable: bool = True) -> None:
    """Put `data` at `path` in one step: readers see the old file or the new one, never a part.

    Args:
        path: is replaced.
        data: text is written as UTF-8.
        durable: wait until the disk has it, so that a power failure cannot leave an empty file.
    """
    # A name for each writer: two with the same name would remove each other's file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with open(temporary, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> Any:
    """Return the content of a small JSON file; None if it cannot be read."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_JSON_BYTES + 1)
        return json.loads(content.decode("utf-8")) if len(content) <= _MAX_JSON_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None


def read_record(path: Path, kind: type[Record]) -> Record | None:
    """Return a data class from its JSON file, ignoring unknown fields; None if the file or a value cannot be used.

    The fields must be text, switches or numbers, each with a default or a type that says which.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        return None
    fields = {field.name: field for field in dataclasses.fields(kind)}
    known = {name: value for name, value in values.items() if name in fields}
    if not all(_fits(value, _type_of(fields[name])) for name, value in known.items()):
        return None
    try:
        return kind(**known)
    except TypeError:  # a field without a default is missing
        return None


def _type_of(field: dataclasses.Field[Any]) -> type:
    if field.default is not dataclasses.MISSING:
        return type(field.default)
    return {"str": str, "bool": bool, "int": int, "float": float}[str(field.type)]


def _fits(value: Any, kind: type) -> bool:
    if kind in (str, bool):
        return isinstance(value, kind)
    number = isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
    return number and is_usable(value)


def is_usable(number: float) -> bool:
    """Return whether a number is finite and small enough for a count, a time or a size."""
    return abs(number) <= _MAX_NUMBER  # False for NaN


def write_record(path: Path, record: DataclassInstance, *, durable: bool = True) -> None:
    """Put a data class into its JSON file in one step, see `write_atomically`."""
    write_atomically(path, json.dumps(dataclasses.asdict(record), indent=2) + "\n", durable=durable)


class Table:
    """An append-only CSV file of numbers whose half-written last line, left by a kill, is ignored and then cut off.

    Args:
        path: its file.
        needed: columns whose values every row has, as finite numbers; damaged rows, which lack one, are left out.
    """

    def __init__(self, path: Path, needed: Sequence[str] = ()) -> None:
        self.path = path
        self.needed = tuple(needed)

    def rows(self) -> list[Row]:
        """Return every whole line as {column: value}; empty cells and damaged lines are left out."""
        return self.rows_from(0)[0]

    def rows_from(self, offset: int) -> tuple[list[Row], int]:
        """Return the whole lines that begin at byte `offset`, and the offset for the next call.

        Begin with 0. If the returned offset is smaller than the given one, the table was cut back (epochs are trained
        again), and the rows are all of the table.
        """
        try:
            return self._read_from(offset)
        except OSError:  # not there yet, or not a file
            return [], 0

    def _read_from(self, offset: int) -> tuple[list[Row], int]:
        with open(self.path, "rb") as file:
            header = file.readline(_MAX_HEADER_BYTES)
            if not header.endswith(b"\n"):
                return [], 0
            size = os.fstat(file.fileno()).st_size
            begin = offset if len(header) <= offset <= size and _line_starts(file, offset) else len(header)
            file.seek(begin)
            content = file.read(_MAX_TABLE_BYTES)
        whole = content[: content.rfind(b"\n") + 1]
        columns = _cells(header)
        rows = [row for line in whole.splitlines() if (row := self._row(columns, line)) is not None]
        return rows, begin + len(whole)

    def _row(self, columns: list[str], line: bytes) -> Row | None:
        """Return a line's numbers; None if it is damaged."""
        try:
            row = {column: float(cell) for column, cell in zip(columns, _cells(line), strict=False) if column and cell}
        except ValueError:
            return None
        return row if all(is_usable(row.get(column, math.nan)) for column in self.needed) else None

    def append(self, row: Mapping[str, float | None]) -> None:
        """Add one line; the first one fixes the columns. None leaves a cell empty."""
        columns = self._columns()
        line = io.StringIO()
        writer = csv.DictWriter(line, columns or list(row), extrasaction="ignore", lineterminator="\n")
        if columns is None:
            writer.writeheader()
        writer.writerow({key: _short(value) for key, value in row.items()})
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line.getvalue())

    def _columns(self) -> list[str] | None:
        """Return the columns of a table that is there, after cutting off a half-written last line."""
        if not self.path.exists() or not self.path.stat().st_size:
            return None
        with open(self.path, "rb") as file:
            header = file.readline()
            whole = _line_starts(file, self.path.stat().st_size)
        if not whole:
            text = self._whole_text()
            write_atomically(self.path, text)
            if not text:
                return None
        return _cells(header)

    def keep_below(self, epoch: int) -> None:
        """Drop the lines of `epoch` and later: those epochs are about to be trained again."""
        header, *lines = self._whole_text().splitlines(keepends=True) or [""]
        if not header:
            return
        columns = _cells(header.encode())
        rows = [(line, self._row(columns, line.encode())) for line in lines]
        kept = [line for line, row in rows if row is not None and row.get("epoch", math.inf) < epoch]
        write_atomically(self.path, header + "".join(kept))

    def _whole_text(self) -> str:
        if not self.path.exists():
            return ""
        text = self.path.read_text(encoding="utf-8", errors="replace")
        return text[: text.rfind("\n") + 1]


def _cells(line: bytes) -> list[str]:
    """Return the cells of a line; the columns' names and the numbers need no quotes."""
    return line.decode("utf-8", errors="replace").rstrip("\r\n").split(",")


def _line_starts(file: io.BufferedReader, offset: int) -> bool:
    file.seek(offset - 1)
    return file.read(1) == b"\n"


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{float(value):.9g}"
