"""The index of a dataset: one SQLite file with every example's statistics, thumbnail and photo.

A separate process reads the dataset once (`python -m unet_core catalogue`) and moves the finished file into place
atomically; pages read it without TensorFlow or Keras. The file can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from PIL import Image

from unet_core.architecture.config import UNetConfig
from unet_core.classes import IGNORE_ID
from unet_core.data.oxford import oxford_pets
from unet_core.data.sources import PARTS, DataError, Example, Source, SplitName
from unet_core.data.splits import SplitConfig
from unet_core.data.statistics import HEAT_CELLS, Entry, Statistics, cell_shares, class_shares, summarise
from unet_core.data.synthetic import pets as synthetic
from unet_core.images.preprocess import visible
from unet_core.jobs.background_job import BackgroundJob, JobError
from unet_core.settings import Settings, get_settings

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

THUMBNAIL_SIDE = 128
EXAMPLE_SIDE = 512
SYNTHETIC_SIZE = (256, 256)  # synthetic pets have no original size

State = Literal["missing", "building", "ready", "failed"]
Order = Literal["dataset", "name", "smallest", "largest"]
ORDERS: tuple[str, ...] = get_args(Order)
Progress = Callable[[int, int], None]  # examples done, total

_FORMAT = 1  # of the file; files of another format are rebuilt
_CHUNK = 128  # examples between two progress reports
_KEPT_JPEG_BYTES = 48_000  # a photo file up to this size is stored unchanged, others are recompressed
_MOST_CLASSES = 256

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE entries (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, split TEXT NOT NULL, breed TEXT NOT NULL, species TEXT NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, pet_share REAL NOT NULL, shares BLOB NOT NULL);
CREATE TABLE images (
    id INTEGER PRIMARY KEY, photo BLOB NOT NULL, mask BLOB NOT NULL, small_photo BLOB NOT NULL,
    small_mask BLOB NOT NULL);
CREATE TABLE heat (split TEXT PRIMARY KEY, total BLOB NOT NULL);
"""
_INDICES = "CREATE INDEX by_split ON entries (split); CREATE INDEX by_breed ON entries (breed);"
_COLUMNS = "name, split, breed, species, width, height, pet_share, shares"


class CatalogueError(DataError):
    """A catalogue that cannot be read; the text says what to do."""


@dataclass(frozen=True)
class CatalogueStatus:
    """Whether a dataset is indexed; `done` of `total` examples have been read while it is "building".

    `reason` says why it is "missing" or "failed".
    """

    state: State
    done: int = 0
    total: int = 0
    reason: str = ""


# --- for pages --------------------------------------------------------------------------------------------------------


def catalogue_status(data: str, settings: Settings | None = None) -> CatalogueStatus:
    """Return whether a dataset has an up-to-date catalogue; never raises.

    Args:
        data: "oxford_iiit_pet", "synthetic" or a folder.
        settings: folders; the environment's by default.
    """
    settings = settings or get_settings()
    try:
        current = _fingerprint(data, settings)
    except DataError as error:
        return CatalogueStatus("missing", reason=str(error))
    stored = _stored_fingerprint(catalogue_path(data, settings))
    if stored == current:
        return CatalogueStatus("ready")
    job = _job(data, settings).status()
    if job.state == "running":
        return CatalogueStatus("building", job.done, job.total)
    if job.state == "failed":
        return CatalogueStatus("failed", job.done, job.total, job.reason)
    outdated = "The dataset has changed since it was indexed." if stored else ""
    return CatalogueStatus("missing", reason=outdated)


def start_catalogue(data: str, settings: Settings | None = None) -> CatalogueStatus:
    """Start the process that builds the catalogue, unless it is ready or being built; never starts two."""
    settings = settings or get_settings()
    found = catalogue_status(data, settings)
    if found.state in ("ready", "building"):
        return found
    try:
        _fingerprint(data, settings)  # fail now if the dataset is missing
        command = ["-m", "unet_core", "catalogue", "--data", _identity(data)]
        _job(data, settings).start(command, settings, when_idle=True)  # it takes ten seconds of a full room's time
    except (DataError, JobError) as error:
        return CatalogueStatus("failed", reason=str(error))
    return catalogue_status(data, settings)


class Catalogue:
    """Reads one catalogue; thread-safe. Its content does not change while a new one is built.

    Attributes:
        class_names: by class id.
        description: one line on the dataset.
    """

    def __init__(self, path: Path) -> None:
        try:
            address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
            self._connection = sqlite3.connect(address, uri=True, check_same_thread=False)
            meta = dict(self._connection.execute("SELECT key, value FROM meta"))
            self.class_names: tuple[str, ...] = tuple(json.loads(meta["class_names"]))
            self.description: str = meta["description"]
        except (sqlite3.Error, KeyError, ValueError) as error:
            raise CatalogueError(
                f"The catalogue {path} cannot be read ({error}): delete it and build it again."
            ) from None
        self._lock = threading.Lock()  # a connection runs one statement at a time
        self._summaries: dict[str | None, Statistics] = {}

    @classmethod
    def open(cls, data: str, settings: Settings | None = None) -> Catalogue:
        """Open the catalogue of a dataset; all callers share one reader of the same file.

        Raises:
            CatalogueError: it is not ready.
        """
        settings = settings or get_settings()
        path = catalogue_path(data, settings)
        try:
            stat = path.stat()
        except OSError:
            raise CatalogueError(
                f"{data} has no catalogue yet: build it with python -m unet_core catalogue --data {data}"
            ) from None
        return _opened(path, stat.st_ino, stat.st_mtime_ns)

    def entries(self, split: str | None = None) -> list[Entry]:
        """Return all examples, or those of one split, in the order of the dataset."""
        return self.query(split=split)[0]

    def query(
        self,
        *,
        split: str | None = None,
        breed: str | None = None,
        species: str | None = None,
        pet_share: tuple[float, float] | None = None,
        text: str | None = None,
        order: Order = "dataset",
        offset: int = 0,
        limit: int | None = None,
    ) -> tuple[list[Entry], int]:
        """Return the matching examples, at most `limit` from `offset` on, and the total number of matches.

        Args:
            split: "train", "validation" or "test".
            breed, species: exactly as in the entries.
            pet_share: smallest and largest share of the photo that the object covers, inclusive.
            text: part of the name, case-insensitive.
            order: one of `ORDERS`.
            offset, limit: the page of results.
        """
        where, values = _condition(split, breed, species, pet_share, text)
        by = {"dataset": "id", "name": "name COLLATE NOCASE", "smallest": "pet_share", "largest": "pet_share DESC"}
        if order not in by:
            raise ValueError(f"order: must be one of {', '.join(ORDERS)}. Received: {order!r}")
        ((total,),) = self._rows(f"SELECT count(*) FROM entries {where}", values)
        rows = self._rows(
            f"SELECT {_COLUMNS} FROM entries {where} ORDER BY {by[order]}, id LIMIT ? OFFSET ?",
            (*values, -1 if limit is None else max(0, limit), max(0, offset)),
        )
        return [self._entry(row) for row in rows], total

    def entry(self, name: str) -> Entry:
        """Return the entry of one example.

        Raises:
            CatalogueError: there is no such example.
        """
        return self._entry(self._one(f"SELECT {_COLUMNS} FROM entries WHERE name = ?", name))

    def thumbnail(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return photo (h, w, 3) and class ids (h, w), both uint8, at most `THUMBNAIL_SIDE` pixels on the longer side.

        Raises:
            CatalogueError: there is no such example.
        """
        return self._pixels("small_photo, small_mask", name)

    def example(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return photo (h, w, 3) and class ids (h, w), both uint8, at most `EXAMPLE_SIDE` pixels on the longer side.

        Raises:
            CatalogueError: there is no such example.
        """
        return self._pixels("photo, mask", name)

    def statistics(self, split: str | None = None) -> Statistics:
        """Return the statistics of the dataset, or of one split; computed once."""
        if split not in self._summaries:
            totals = dict(self._rows("SELECT split, total FROM heat", ()))
            chosen = [np.frombuffer(total) for name, total in totals.items() if split in (None, name)]
            heat_sum = sum(chosen, np.zeros(HEAT_CELLS**2)).reshape(HEAT_CELLS, HEAT_CELLS)
            self._summaries[split] = summarise(self.entries(split), heat_sum, self.class_names)
        return self._summaries[split]

    def _pixels(self, columns: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        photo, mask = self._one(f"SELECT {columns} FROM images JOIN entries USING (id) WHERE name = ?", name)
        return np.asarray(Image.open(io.BytesIO(photo)).convert("RGB")), np.asarray(Image.open(io.BytesIO(mask)))

    def _entry(self, row: tuple) -> Entry:
        name, split, breed, species, width, height, pet_share, stored = row
        shares = dict(zip(self.class_names, np.frombuffer(stored).tolist()))
        return Entry(name, split, breed, species, width, height, shares, pet_share)

    def _one(self, statement: str, name: str) -> tuple:
        rows = self._rows(statement, (name,))
        if not rows:
            raise CatalogueError(f"The dataset has no example called {name!r}.")
        return rows[0]

    def _rows(self, statement: str, values: Sequence[object]) -> list[tuple]:
        try:
            with self._lock:
                return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise CatalogueError(f"The catalogue cannot be read ({error}): delete it and build it again.") from None


@lru_cache(maxsize=8)
def _opened(path: Path, inode: int, time: int) -> Catalogue:
    """Open a file once; a new file with the same path is another one."""
    return Catalogue(path)


def _condition(
    split: str | None,
    breed: str | None,
    species: str | None,
    pet_share: tuple[float, float] | None,
    text: str | None,
) -> tuple[str, list[object]]:
    """Return the WHERE clause and its values."""
    equal = {"split": split, "breed": breed, "species": species}
    clauses = [f"{column} = ?" for column, value in equal.items() if value is not None]
    values: list[object] = [value for value in equal.values() if value is not None]
    if pet_share is not None:
        clauses.append("pet_share BETWEEN ? AND ?")
        values += [float(pet_share[0]), float(pet_share[1])]
    if text and text.strip():
        clauses.append(r"name LIKE ? ESCAPE '\'")
        values.append("%" + re.sub(r"([%_\\])", r"\\\1", text.strip()) + "%")
    return ("WHERE " + " AND ".join(clauses) if clauses else ""), values


# --- where a catalogue is stored, and whether it is up to date --------------------------------------------------------


def catalogue_path(data: str, settings: Settings) -> Path:
    """Return the path of a dataset's catalogue: one for each dataset and, for Oxford pets, each data folder."""
    return settings.cache_dir / "catalogues" / f"{_key(data, settings)}.sqlite"


def _key(data: str, settings: Settings) -> str:
    identity = _identity(data)
    where = str(settings.data_dir.expanduser().resolve()) if data == oxford_pets.NAME else ""
    label = re.sub(r"[^A-Za-z0-9]+", "_", Path(identity).name)[:40] or "data"
    digest = hashlib.sha256(f"{identity}\n{where}".encode()).hexdigest()
    return f"{label}-{digest[:12]}"


def _identity(data: str) -> str:
    """Return the dataset's name, or its folder as an absolute path."""
    if data in (oxford_pets.NAME, synthetic.NAME):
        return data
    return str(Path(data).expanduser().resolve())


def _job(data: str, settings: Settings) -> BackgroundJob:
    return BackgroundJob(settings.cache_dir / "catalogues", _key(data, settings))


def _fingerprint(data: str, settings: Settings) -> str:
    """Return what changes when the dataset does.

    Raises:
        DataError: there is no such dataset.
    """
    if data == oxford_pets.NAME:
        found = oxford_pets.status(settings.data_dir)
        if not found.present:
            raise DataError(found.problem or "The dataset is missing.")
        content = (found.folder / "dataset_info.json").read_bytes()
    elif data == synthetic.NAME:
        content = _drawing_code() + repr(SYNTHETIC_SIZE).encode()
    else:
        content = _listing(Path(_identity(data)))
    return hashlib.sha256(content + f"\nformat {_FORMAT}".encode()).hexdigest()


@lru_cache(maxsize=1)
def _drawing_code() -> bytes:
    """Return the source code that draws the pets: if it changes, the dataset does."""
    files = sorted(Path(synthetic.__file__).parent.glob("*.py"))
    return b"".join(file.read_bytes() for file in files)


def _listing(folder: Path) -> bytes:
    """Return names, sizes and times of all files below a folder."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}: choose a dataset that exists.")
    lines = []
    with contextlib.suppress(OSError):  # a file that has just been deleted changes the listing anyway
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            stat = path.stat()
            lines.append(f"{path.relative_to(folder)}\t{stat.st_size}\t{stat.st_mtime_ns}")
    return "\n".join(lines).encode(errors="surrogateescape")


def _stored_fingerprint(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            return connection.execute("SELECT value FROM meta WHERE key = 'fingerprint'").fetchone()[0]
    except (sqlite3.Error, TypeError):
        return None


# --- building ---------------------------------------------------------------------------------------------------------


def build_catalogue(data: str, settings: Settings | None = None, progress: Progress | None = None) -> Path:
    """Read a dataset and write its catalogue, one process at a time; the file appears when it is complete.

    Args:
        data: "oxford_iiit_pet", "synthetic" or a folder.
        settings: folders; the environment's by default.
        progress: called with examples done and total.

    Raises:
        UNetError: the dataset is missing or has wrong labels, or another process is building this catalogue.
        KeyboardInterrupt: the build was cancelled.
    """
    settings = settings or get_settings()
    path = catalogue_path(data, settings)
    with _job(data, settings).running() as report:
        for left in path.parent.glob(f".{path.name}.*.part"):  # from a build that was killed
            left.unlink(missing_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")

        def both(done: int, total: int) -> None:
            report("read", done, total)
            if progress is not None:
                progress(done, total)

        try:
            fingerprint = _fingerprint(data, settings)
            _write(temporary, _source(data, settings), fingerprint, both)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def _source(data: str, settings: Settings) -> Source:
    """Open the dataset with all its examples, including near-duplicates that training leaves out."""
    from unet_core.data.pipeline import open_source

    height, width = SYNTHETIC_SIZE
    config = UNetConfig(classes=_MOST_CLASSES, height=height, width=width)
    return open_source(_identity(data), config, SplitConfig(drop_near_duplicates=False), data_dir=settings.data_dir)


def _write(path: Path, source: Source, fingerprint: str, progress: Progress) -> None:
    counts: dict[SplitName, int] = {part: len(source.names(part)) for part in PARTS}
    total, done = sum(counts.values()), 0
    progress(0, total)
    heat: dict[SplitName, np.ndarray] = {part: np.zeros((HEAT_CELLS, HEAT_CELLS)) for part in PARTS if counts[part]}
    with contextlib.closing(sqlite3.connect(path)) as connection, ThreadPoolExecutor(os.cpu_count()) as pool:
        # The file has no readers until it is complete, so it needs neither a journal nor synchronous writes.
        connection.executescript(f"PRAGMA page_size=8192; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {_SCHEMA}")
        for part in heat:
            examples = source.examples(part)
            while chunk := list(itertools.islice(examples, _CHUNK)):
                for record in pool.map(lambda example: _read(example, source), chunk):  # Pillow works in parallel
                    done += 1
                    heat[part] += record.heat
                    _insert(connection, done, part, record)
                connection.commit()
                progress(done, max(done, total))
        meta = {
            "fingerprint": fingerprint,
            "class_names": json.dumps(list(source.class_names)),
            "description": source.description,
        }
        connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        connection.executemany("INSERT INTO heat VALUES (?, ?)", [(part, heat[part].tobytes()) for part in heat])
        connection.executescript(_INDICES)
        connection.commit()


@dataclass(frozen=True, eq=False)
class _Record:
    """What is stored of one example."""

    name: str
    breed: str
    species: str
    size: tuple[int, int]  # width, height
    shares: np.ndarray
    pet_share: float
    heat: np.ndarray
    images: tuple[bytes, bytes, bytes, bytes]  # photo, mask, small photo, small mask


def _insert(connection: sqlite3.Connection, number: int, part: SplitName, record: _Record) -> None:
    values = (number, record.name, part, record.breed, record.species, *record.size, record.pet_share)
    try:
        connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values, record.shares.tobytes()))
    except sqlite3.IntegrityError:
        raise DataError(f"Two examples are called {record.name}: rename one of them.") from None
    connection.execute("INSERT INTO images VALUES (?, ?, ?, ?, ?)", (number, *record.images))


def _read(example: Example, source: Source) -> _Record:
    photo, ids = example.decode()
    if photo.shape[:2] != ids.shape:
        raise DataError(f"{example.name}: photo and mask differ in size: {photo.shape[:2]} and {ids.shape}.")
    inside = _object(ids, source)
    image, mask = Image.fromarray(visible(photo)), Image.fromarray(ids)
    large = _fitted(image, EXAMPLE_SIDE)
    encoded = getattr(example, "photo", None)
    if not (isinstance(encoded, bytes) and large is image and len(encoded) <= _KEPT_JPEG_BYTES):
        encoded = _jpeg(large, quality=90)
    return _Record(
        name=example.name,
        breed=getattr(example, "breed", "") or "",
        species=getattr(example, "species", "") or "",
        size=(image.width, image.height),
        shares=class_shares(ids, len(source.class_names)),
        pet_share=float(inside.mean()),
        heat=cell_shares(inside),
        images=(
            encoded,
            _png(_fitted(mask, EXAMPLE_SIDE)),
            _jpeg(_fitted(image, THUMBNAIL_SIDE), quality=82),
            _png(_fitted(mask, THUMBNAIL_SIDE)),
        ),
    )


def _object(ids: np.ndarray, source: Source) -> np.ndarray:
    """Return where the object is: the dataset's foreground, or everything but background."""
    if source.foreground is None:
        return (ids != source.background) & (ids != IGNORE_ID)
    return np.isin(ids, source.foreground)


def _fitted(image: Picture, side: int) -> Picture:
    """Shrink to at most `side` pixels on the longer side: photos smoothly, masks by nearest neighbour."""
    factor = side / max(image.size)
    if factor >= 1:
        return image
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return image.resize(size, Image.Resampling.NEAREST if image.mode == "L" else Image.Resampling.BILINEAR)


def _jpeg(image: Picture, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _png(image: Picture) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
