"""Many photos, on this machine or a cluster: which photos, where their results go, and what is done already.

Photos are segmented in parts. With `record`, every 50 photos that are done leave a record beside their results, so that
a later call, or another worker after one was lost, does only what is missing.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from unet_core.errors import ConfigError, UNetError
from unet_core.images.files import is_photo
from unet_core.jobs import storage
from unet_core.jobs.cluster import Cluster, ClusterError, part_size, run_all
from unet_core.segment.engine import EngineChoice
from unet_core.segment.inference import InferenceMode, segment_bytes
from unet_core.segment.presence import rounded
from unet_core.segment.segmentation import Segmentation
from unet_core.segment.segmenter import Segmenter
from unet_core.settings import Settings, get_settings
from unet_core.zoo.manifest import FileKind, ModelEntry, read_verified

KINDS = ("mask", "overlay", "alpha", "cutout")  # of the files written for a photo
DEFAULT_KINDS = KINDS[:3]
RECORDS = ".unet"  # the folder of records in a results folder
RECORDED = 50  # photos of one record: at most so many are segmented twice where a worker is lost

Entry = dict[str, Any]  # of one photo in the report


# --- the model on a worker --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PackedModel:
    """A model's file and all that is needed to load it in another process, where it stays loaded.

    Attributes:
        name: of the model.
        engine: "onnx" or "keras", so that every worker computes in the same way.
        entry: what a manifest says about the model.
        contents: the files that the engine reads.
        limits: the settings that decide which photos are accepted.
    """

    name: str
    engine: EngineChoice
    entry: ModelEntry
    contents: dict[FileKind, bytes] = field(repr=False)
    limits: dict[str, Any]

    @classmethod
    def of(cls, segmenter: Segmenter) -> PackedModel:
        """Pack a loaded model."""
        engine: EngineChoice = "onnx" if segmenter.engine == "onnx" else "keras"
        entry = segmenter.entry.read_by(engine)
        limits = {"max_upload_mb", "max_megapixels", "max_runs", "mixed_precision"}
        return cls(
            segmenter.model,
            engine,
            entry,
            {kind: read_verified(entry, kind, segmenter.settings) for kind in entry.files},
            segmenter.settings.model_dump(include=limits),
        )

    @cached_property
    def key(self) -> str:
        """A hash of everything that the results depend on."""
        return _hash(self.name, self.engine, self.entry.to_json(), self.limits)  # the entry has the file's hash

    def segmenter(self) -> Segmenter:
        """Return the loaded model; a process loads it once."""
        with _loading:
            if self.key not in _loaded:
                _loaded[self.key] = self._load()
                while len(_loaded) > 2:
                    _loaded.popitem(last=False)
            return _loaded[self.key]

    def _load(self) -> Segmenter:
        with tempfile.TemporaryDirectory(prefix="unet-model-") as folder:
            for kind, record in self.entry.files.items():
                (Path(folder) / record.name).write_bytes(self.contents[kind])
            settings = get_settings().replace(**self.limits, weights_dir=folder)
            return Segmenter(self.name, self.engine, settings, entry=self.entry)


_loaded: OrderedDict[str, Segmenter] = OrderedDict()
_loading = threading.Lock()


@dataclass(frozen=True)
class LoadedModel:
    """A model that is loaded in this process."""

    loaded: Segmenter

    @property
    def key(self) -> str:
        """See `PackedModel`."""
        return PackedModel.of(self.loaded).key

    def segmenter(self) -> Segmenter:
        """Return it."""
        return self.loaded


# --- the photos -------------------------------------------------------------------------------------------------------


class Photo(NamedTuple):
    """A photo of a batch.

    Attributes:
        path: as it was given.
        stem: the start of its results' names.
        stamp: differs once the file has changed; empty if unknown.
    """

    path: str
    stem: str
    stamp: str


def find_photos(paths: Iterable[str], folder: str) -> list[Photo]:
    """Return the photos of a batch whose results go to `folder`, see `find_files` and `result_stems`."""
    files = find_files(paths)
    stems = result_stems([file.path for file in files], folder)
    return [Photo(file.path, stem, file.stamp) for file, stem in zip(files, stems)]


def find_files(paths: Iterable[str]) -> list[storage.StoredFile]:
    """Return the photos themselves, those in folders, and those that match patterns, each sorted by name.

    A folder or pattern without any stays, to be reported as an error.
    """
    found: list[storage.StoredFile] = []
    for path in map(storage.checked, paths):
        if storage.is_folder(path):
            inside = storage.list_files(path)
        elif _may_be_a_pattern(path) and not storage.exists(path):
            inside = storage.match_files(path)
        else:
            inside = []
        photos = [file for file in inside if is_photo(os.path.basename(file.path))]
        found += photos or [storage.StoredFile(path, storage.stamp(path))]
    return found


def _may_be_a_pattern(path: str) -> bool:
    return any(sign in path for sign in "*?[")


def result_stems(images: list[str], folder: str) -> list[str]:
    """Return a unique stem for each photo's results, numbered if names clash or a photo would be overwritten.

    A numbered stem is never the name of another photo.
    """
    photos = {_real(image) for image in images}
    names = {Path(image).stem for image in images}
    real_folder = _real(folder)

    def overwrites(stem: str) -> bool:
        return any(storage.join(real_folder, f"{stem}_{kind}.png") in photos for kind in KINDS)

    taken: set[str] = set()
    stems = []
    for image in images:
        base = stem = Path(image).stem
        number = 1
        while stem in taken or overwrites(stem) or (stem != base and stem in names):
            number += 1
            stem = f"{base}_{number}"
        taken.add(stem)
        stems.append(stem)
    return stems


def _real(path: str) -> str:
    return path if storage.is_url(path) else os.path.realpath(path)


def read_photo(path: str, settings: Settings) -> bytes:
    """Read a photo file, up to the size limit in the settings.

    Raises:
        ConfigError: it is not a file, or it is too large.
        OSError: it cannot be read.
    """
    if not storage.is_url(path):  # asking an object store would take a request for each photo
        if os.path.isdir(path):
            raise ConfigError(f"{path} is a folder without photos")
        if os.path.exists(path) and not os.path.isfile(path):
            raise ConfigError(f"{path} is not a file")  # reading a pipe or device may never end
    limit = math.floor(settings.max_upload_mb * 1e6)
    data = storage.read(path, limit + 1)
    if len(data) > limit:
        raise ConfigError(f"{Path(path).name} is larger than the limit of {settings.max_upload_mb:g} MB")
    return data


# --- one photo --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """What is done with each photo.

    Attributes:
        model: segments it.
        mode: how.
        folder: for the results, as it was given.
        kinds: of the files to write, see `KINDS`.
        base: the folder that relative paths start in.
        record: whether parts that are done are recorded, and not done again.
        note: added to every entry; empty for none.
    """

    model: PackedModel | LoadedModel
    mode: InferenceMode
    folder: str
    kinds: tuple[str, ...] = DEFAULT_KINDS
    base: str = ""
    record: bool = False
    note: str = ""

    @cached_property
    def key(self) -> str:
        """A hash of what decides the results: those of another model or mode are not taken for these."""
        return _hash(self.model.key, repr(self.mode), self.kinds, self.note)

    def located(self, path: str) -> str:
        """Return a path that does not depend on the folder that a worker was started in."""
        return path if storage.is_url(path) else os.path.join(self.base, path)

    def results(self, stem: str) -> dict[str, str]:
        """Return the paths of a photo's results, as reported."""
        return {kind: storage.join(self.folder, f"{stem}_{kind}.png") for kind in self.kinds}


def segment_photo(batch: Batch, segmenter: Segmenter, photo: Photo) -> Entry:
    """Segment one photo, write its results, and return its entry: "error" says what is wrong with it."""
    path = batch.located(photo.path)
    try:
        data = read_photo(path, segmenter.settings)
        segmentation = segment_bytes(segmenter, data, Path(photo.path).name, batch.mode)
        written = batch.results(photo.stem)
        for kind, target in written.items():
            storage.write(batch.located(target), getattr(segmentation, f"to_{kind}_png")())
    except (UNetError, MemoryError) as error:
        return _failed(photo, " ".join(str(error).split()) or "there is not enough memory")
    except OSError as error:
        where = photo.path if error.filename in (None, path) else error.filename
        return _failed(photo, f"{where}: {error.strerror or error}")
    note = {"note": batch.note} if batch.note else {}
    return {"path": photo.path, **_figures(segmentation), **written, **note}


def _failed(photo: Photo, problem: str) -> Entry:
    return {"path": photo.path, "error": problem}


def _figures(segmentation: Segmentation) -> Entry:
    height, width = segmentation.size
    return {
        "width": width,
        "height": height,
        "model": segmentation.model,
        "engine": segmentation.engine,
        "device": segmentation.device,
        "milliseconds": round(segmentation.timings["total"], 3),
        "shares": {name: round(share, 6) for name, share in segmentation.shares.items()},
        "coverage": round(segmentation.coverage, 6),
        **_presence(segmentation),
    }


def _presence(segmentation: Segmentation) -> Entry:
    """Return whether the photo shows the subject, and its kind if known; what is not sure counts as found."""
    from unet_core.segment.analysis import subject_key

    name, presence = subject_key(segmentation.pixel_classes), segmentation.presence
    return {
        f"{name}_found": presence.found is not False,
        f"{name}_probability": rounded(presence.probability),
        "sure": presence.found is not None,
        f"{name}_kind": presence.kind,
        f"{name}_kind_probability": rounded(presence.kind_probability),
    }


# --- parts of a batch -------------------------------------------------------------------------------------------------


def segment_all(
    cluster: Cluster, batch: Batch, photos: list[Photo], while_waiting: Callable[[], object] = lambda: None
) -> Iterator[dict[Photo, Entry]]:
    """Segment photos wherever the cluster computes, and yield their entries, part by part, in any order.

    `while_waiting` is called many times a second while no part ends.

    Raises:
        ClusterError: the cluster is lost, or a worker does not reach the results folder.
    """
    if batch.record:
        _prepare_records(batch)
    size = part_size(cluster, len(photos)) if batch.record else 1
    shared = cluster.share(batch)
    parts = ((shared, photos[start : start + size]) for start in range(0, len(photos), size))
    for task in run_all(cluster, segment_part, parts, while_waiting=while_waiting):
        yield task.result()
    if batch.record:
        _remove_leftovers(batch)


def segment_part(batch: Batch, photos: list[Photo]) -> dict[Photo, Entry]:
    """Segment some photos on this worker, in groups that are recorded; a group with a record is not done again.

    Raises:
        ClusterError: the results folder is not the one that the command was given.
    """
    if batch.record and not storage.exists(_record_path(batch, batch.key)):
        raise ClusterError(
            f"A worker does not reach the results folder {batch.located(batch.folder)} of this command: give a folder "
            "that all machines share under the same path, or object storage, such as s3://bucket/masks."
        )
    segmenter = batch.model.segmenter()
    found: dict[Photo, Entry] = {}
    for start in range(0, len(photos), RECORDED):
        found |= _segment_group(batch, segmenter, photos[start : start + RECORDED])
    return found


def _segment_group(batch: Batch, segmenter: Segmenter, photos: list[Photo]) -> dict[Photo, Entry]:
    if not batch.record:
        return {photo: segment_photo(batch, segmenter, photo) for photo in photos}
    path = _record_path(batch, _hash(batch.key, photos))
    if (done := _read_record(batch, path)).keys() == set(photos):
        results = (batch.located(target) for photo in photos for target in batch.results(photo.stem).values())
        if all(map(storage.exists, results)):
            return done
    found = {photo: segment_photo(batch, segmenter, photo) for photo in photos}
    try:
        _write_record(batch, path, {photo: entry for photo, entry in found.items() if "error" not in entry})
    except (OSError, storage.StorageError) as error:  # their results are there, but the next call will not know
        problem = f"{path}: {getattr(error, 'strerror', None) or error}"
        return {photo: entry if "error" in entry else _failed(photo, problem) for photo, entry in found.items()}
    return found


def recorded(batch: Batch, photos: list[Photo]) -> dict[Photo, Entry]:
    """Return what earlier calls have done of these photos, by the records whose results are all there."""
    if not batch.record:
        return {}
    folder = batch.located(batch.folder)
    there = {os.path.basename(file.path) for file in storage.list_files(folder)}
    known: dict[Photo, Entry] = {}
    for file in storage.list_files(storage.join(folder, RECORDS)):
        if file.path.endswith(".json"):
            known |= _read_record(batch, file.path)
    return {
        photo: {**known[photo], **batch.results(photo.stem)}
        for photo in photos
        if photo in known and photo.stamp and all(f"{photo.stem}_{kind}.png" in there for kind in batch.kinds)
    }


def _read_record(batch: Batch, path: str) -> dict[Photo, Entry]:
    """Return a record's entries; none if it is another batch's, or damaged."""
    try:
        record = json.loads(storage.read(path))
        if record["key"] != batch.key:
            return {}
        return {Photo(path, stem, stamp): entry for path, stem, stamp, entry in record["photos"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _prepare_records(batch: Batch) -> None:
    folder = storage.join(batch.located(batch.folder), RECORDS)
    if not storage.is_url(folder):
        os.makedirs(folder, exist_ok=True)
    _write_record(batch, _record_path(batch, batch.key), {})


def _write_record(batch: Batch, path: str, found: dict[Photo, Entry]) -> None:
    photos = [[*photo, entry] for photo, entry in found.items()]
    storage.write(path, json.dumps({"key": batch.key, "photos": photos}).encode())


def _remove_leftovers(batch: Batch) -> None:
    """Remove what workers that were killed had not finished writing."""
    folder = batch.located(batch.folder)
    for place in (folder, storage.join(folder, RECORDS)):
        for file in storage.list_files(place):
            if re.fullmatch(r"\..+\.(png|json)\.\d+-\d+\.part", os.path.basename(file.path)):
                Path(file.path).unlink(missing_ok=True)


def _record_path(batch: Batch, name: str) -> str:
    return storage.join(storage.join(batch.located(batch.folder), RECORDS), f"{name}.json")


def _hash(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()[:32]
