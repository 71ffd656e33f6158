"""Files that are read while they are written: append-only tables of numbers as CSV, and data classes as JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = dict[str, float]
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


def read_record(path: Path, kind: type[Record]) -> Record | None:
    """Return a data class from its JSON file, ignoring unknown fields; None if the file cannot be read."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in dataclasses.fields(kind)}
        return kind(**{key: value for key, value in values.items() if key in known})
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def write_record(path: Path, record: DataclassInstance, *, durable: bool = True) -> None:
    """Put a data class into its JSON file in one step, see `write_atomically`."""
    write_atomically(path, json.dumps(dataclasses.asdict(record), indent=2) + "\n", durable=durable)


class Table:
    """An append-only CSV file of numbers whose half-written last line, left by a kill, is ignored and then cut off."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> list[Row]:
        """Return every whole line as {column: value}; empty cells are left out."""
        return self.rows_from(0)[0]

    def rows_from(self, offset: int) -> tuple[list[Row], int]:
        """Return the whole lines that begin at byte `offset`, and the offset for the next call.

        Begin with 0. If the returned offset is smaller than the given one, the table was cut back (epochs are trained
        again), and the rows are all of the table.
        """
        if not self.path.exists():
            return [], 0
        with open(self.path, "rb") as file:
            header = file.readline()
            if not header.endswith(b"\n"):
                return [], 0
            size = os.fstat(file.fileno()).st_size
            begin = offset if len(header) <= offset <= size and _line_starts(file, offset) else len(header)
            file.seek(begin)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        columns = next(csv.reader([header.decode()]))
        rows = [
            {column: float(value) for column, value in zip(columns, line, strict=False) if column and value != ""}
            for line in csv.reader(io.StringIO(whole.decode()))
        ]
        return rows, begin + len(whole)

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
        return next(csv.reader([header.decode()]))

    def keep_below(self, epoch: int) -> None:
        """Drop the lines of `epoch` and later: those epochs are about to be trained again."""
        header, *lines = self._whole_text().splitlines(keepends=True) or [""]
        if not header:
            return
        column = header.strip().split(",").index("epoch")
        kept = [line for line in lines if float(line.split(",")[column]) < epoch]
        write_atomically(self.path, header + "".join(kept))

    def _whole_text(self) -> str:
        if not self.path.exists():
            return ""
        text = self.path.read_text(encoding="utf-8")
        return text[: text.rfind("\n") + 1]


def _line_starts(file: io.BufferedReader, offset: int) -> bool:
    file.seek(offset - 1)
    return file.read(1) == b"\n"


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{float(value):.9g}"
