"""The shipped models: a manifest with hashes; no file is used whose hash differs."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import Field, ValidationInfo, field_serializer, field_validator, model_validator

from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.classes import BACKGROUND, PixelClasses
from unet_core.errors import ConfigError, UNetError
from unet_core.settings import Settings, get_settings
from unet_core.strict import Strict
from unet_core.zoo.kinds import KindsOutput
from unet_core.zoo.meaning import UNKNOWN, DataOrigin, classes_named
from unet_core.zoo.presence import PresenceCalibration

MANIFEST_NAME = "manifest.json"
MANIFEST_VERSION = 1
FileKind = Literal["onnx", "weights", "kinds"]  # the last are Keras' weights of the second output

_LOCK_SECONDS = 30
_RESTORE = "restore the weights folder from the repository, or set UNET_WEIGHTS_DIR"


class WeightsError(UNetError):
    """A model that cannot be used; the text says in one sentence why and how to fix it."""


class ModelFile(Strict):
    """One file of a model: its bare name inside the weights folder, its SHA-256 and its size in bytes."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")  # never a path: no separators, no leading dot
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=1)


class ModelEntry(Strict):
    """Everything known about one model: what it is, what it was trained on, its scores and its speed.

    `classes` says what the class ids mean; names alone will do, see `classes_named`. A model with one sigmoid output
    has two: its positive class (id 0) and the rest (id 1). A model with a `second_look` makes a zoomed second pass, see
    `unet_core.segment.passes`: more accurate, but the network runs at least twice. With a `presence` the model can say
    that a photo does not show its subject. With `kinds` a second output tells kinds of the subject apart.
    """

    title: str = ""
    description: str = ""
    config: UNetConfig
    preprocessing: Preprocessing
    classes: PixelClasses
    second_look: bool = False
    presence: PresenceCalibration | None = None
    kinds: KindsOutput | None = None
    files: dict[FileKind, ModelFile] = Field(min_length=1)
    recipe: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    latency: dict[str, Any] = Field(default_factory=dict)
    licence: str = ""
    credit: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the class ids in masks, in order."""
        return self.classes.names

    @property
    def background(self) -> int:
        """The class id of the background, in the masks of a model with a second look.

        Raises:
            WeightsError: none of the classes is the background.
        """
        if self.classes.background is None:
            raise WeightsError(f"None of the classes {', '.join(self.class_names)} is the background.")
        return self.classes.background

    @property
    def origin(self) -> DataOrigin:
        """The data that the model was trained on."""
        return DataOrigin(
            name=str(self.data.get("name") or UNKNOWN),
            description=str(self.data.get("description") or ""),
            licence=self.licence or UNKNOWN,
            credit=self.credit,
            pictures="drawn" if self.data.get("pictures") == "drawn" else "photos",
            crops=self.data.get("crops") is True,
        )

    @property
    def passes(self) -> int:
        """The number of network runs per photo; with a `second_look` at least, for some photos need more."""
        return 2 if self.second_look else 1

    def read_by(self, engine: str) -> ModelEntry:
        """Return the same entry with only the files that an engine reads, "onnx" or "keras"."""
        kinds = {"onnx"} if engine == "onnx" else {"weights", "kinds"}
        return self.replace(files={kind: file for kind, file in self.files.items() if kind in kinds})

    @model_validator(mode="before")
    @classmethod
    def _preprocessing_from_config(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("preprocessing") is None and "config" in values:
            config = values["config"]
            config = config if isinstance(config, UNetConfig) else UNetConfig.from_dict(config)
            return {**values, "preprocessing": config.preprocessing}
        return values

    @field_validator("classes", mode="before")
    @classmethod
    def _classes_from_names(cls, values: Any, info: ValidationInfo) -> Any:
        if not isinstance(values, (list, tuple)) or not all(isinstance(name, str) for name in values):
            return values
        config = info.data.get("config")
        one_sided = config is not None and config.classes == 1 and len(values) == 1
        return classes_named((*values, BACKGROUND.name) if one_sided else values)

    @field_serializer("classes")
    def _names_where_they_say_it_all(self, classes: PixelClasses) -> Any:
        return list(classes.names) if classes == classes_named(classes.names) else classes.model_dump(mode="json")

    @model_validator(mode="after")
    def _consistent(self) -> ModelEntry:
        if self.preprocessing != self.config.preprocessing:
            raise ValueError("preprocessing: must equal config.preprocessing, which describes the same step")
        needed = max(2, self.config.classes)
        if len(self.class_names) != needed:
            raise ValueError(
                f"classes: needs one name for each of the {needed} classes. Received: {list(self.class_names)}"
            )
        if self.second_look and self.classes.background is None:
            raise ValueError(
                f"second_look: needs a background, such as a class named {BACKGROUND.name!r}, to find where the "
                f"subject is. Received classes: {list(self.class_names)}"
            )
        if self.kinds is not None and (self.classes.background is None or self.config.padding != "same"):
            raise ValueError(
                "kinds: needs a background and the padding 'same', to find the subject in the second output. "
                f"Received: {list(self.class_names)}, {self.config.padding!r}"
            )
        if (self.kinds is not None and "weights" in self.files) != ("kinds" in self.files):
            raise ValueError("files: a model with kinds and Keras weights needs the file 'kinds', and no other has it")
        return self


class Manifest(Strict):
    """The available models by name, and the default one."""

    version: Literal[1] = MANIFEST_VERSION
    default: str
    models: dict[str, ModelEntry] = Field(min_length=1)

    @model_validator(mode="after")
    def _default_exists(self) -> Manifest:
        if self.default not in self.models:
            raise ValueError(f"default: must be one of {', '.join(self.models)}. Received: {self.default!r}")
        return self

    def entry(self, name: str | None = None) -> ModelEntry:
        """Return the model of this name, or the default one.

        Raises:
            WeightsError: there is no model of that name; the text lists all of them.
        """
        name = self.default if name is None else name
        if name not in self.models:
            raise WeightsError(f"There is no model {name[:80]!r}: choose one of {', '.join(self.models)}.")
        return self.models[name]


def load_manifest(settings: Settings | None = None) -> Manifest:
    """Read `manifest.json` of the weights folder.

    Raises:
        WeightsError: it is missing, unreadable, of an unknown version or not valid.
    """
    path = _weights_dir(settings) / MANIFEST_NAME
    try:
        found = path.stat()
        return _read_manifest(path, (found.st_mtime_ns, found.st_size, found.st_ino))
    except FileNotFoundError:
        raise WeightsError(f"No models are installed, {path} is missing: {_RESTORE}.") from None
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}): {_RESTORE}.") from None


@functools.lru_cache(maxsize=8)  # pages ask for it ten times a run
def _read_manifest(path: Path, version_of_file: tuple[int, ...]) -> Manifest:
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise WeightsError(f"{path} is damaged, it is not valid JSON: {_RESTORE}.") from None
    version = values.get("version") if isinstance(values, dict) else None
    if version != MANIFEST_VERSION:
        raise WeightsError(
            f"{path} has version {version!r}, but this program reads version {MANIFEST_VERSION}: "
            "use the program and the weights folder of the same release."
        )
    try:
        return Manifest.from_dict(values)
    except ConfigError as error:
        raise WeightsError(f"{path} cannot be used ({error}): {_RESTORE}.") from None


def read_verified(entry: ModelEntry, kind: FileKind, settings: Settings | None = None) -> bytes:
    """Return a file's content, hashed in memory, so that exactly the checked bytes are used.

    Raises:
        WeightsError: as `verified_path`.
    """
    record, path = _located(entry, kind, settings)
    content = _guarded(path.read_bytes, path)
    _check(record, path, size=len(content), digest=lambda: hashlib.sha256(content).hexdigest())
    return content


def verified_path(entry: ModelEntry, kind: FileKind, settings: Settings | None = None) -> Path:
    """Return the path of a model's file after checking its size and SHA-256 against the manifest.

    A file is hashed again only when it has changed.

    Raises:
        WeightsError: the model has no such file, or it is missing, unreadable or not the one in the manifest.
    """
    record, path = _located(entry, kind, settings)
    stat = _guarded(path.stat, path)
    key = (str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    _check(record, path, size=stat.st_size, digest=lambda: _cached_digest(path, key))
    return path


_digests: dict[str, tuple[tuple[Any, ...], str]] = {}


def _cached_digest(path: Path, key: tuple[Any, ...]) -> str:
    known = _digests.get(str(path))
    if known is None or known[0] != key:
        known = (key, _guarded(lambda: _sha256(path), path))
        _digests[str(path)] = known
    return known[1]


def _located(entry: ModelEntry, kind: FileKind, settings: Settings | None) -> tuple[ModelFile, Path]:
    if kind not in entry.files:
        raise WeightsError(f"This model has no {kind!r} file, only {', '.join(entry.files)}: choose another engine.")
    record = entry.files[kind]
    return record, _weights_dir(settings) / record.name


def _guarded(action: Callable[[], Any], path: Path) -> Any:
    try:
        return action()
    except FileNotFoundError:
        raise WeightsError(f"The model file {path} is missing: {_RESTORE}.") from None
    except OSError as error:
        raise WeightsError(f"The model file {path} cannot be read ({error.strerror}): {_RESTORE}.") from None


def _check(record: ModelFile, path: Path, *, size: int, digest: Callable[[], str]) -> None:
    if size != record.bytes:
        problem = f"it has {size} bytes instead of {record.bytes}"
    elif digest() != record.sha256:
        problem = "its SHA-256 differs"
    else:
        return
    raise WeightsError(
        f"The model file {path} is not the one in the manifest, {problem}, and was not loaded: {_RESTORE}."
    )


def file_record(path: str | os.PathLike[str]) -> ModelFile:
    """Measure a file for the manifest: name, SHA-256, size in bytes.

    Raises:
        WeightsError: the file is missing or unreadable.
        ConfigError: the file is empty, or its name has characters that a manifest does not allow.
    """
    path = Path(path)
    digest = _guarded(lambda: _sha256(path), path)
    return ModelFile(name=path.name, sha256=digest, bytes=path.stat().st_size)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_entry(
    name: str, entry: ModelEntry, weights_dir: str | os.PathLike[str] | None = None, *, make_default: bool = False
) -> Manifest:
    """Add or replace a model in the manifest; its files must already be in the weights folder.

    The manifest is replaced atomically, even when two processes write.

    Raises:
        WeightsError: a file of the entry is missing or differs, the present manifest is unusable, or it is locked.
    """
    folder = Path(weights_dir) if weights_dir is not None else get_settings().weights_dir
    settings = get_settings().replace(weights_dir=folder)
    for kind in entry.files:
        verified_path(entry, kind, settings)
    path = folder / MANIFEST_NAME
    try:
        with FileLock(folder / f".{MANIFEST_NAME}.lock", timeout=_LOCK_SECONDS):
            models, default = {}, name
            if path.exists():
                manifest = load_manifest(settings)
                models, default = dict(manifest.models), name if make_default else manifest.default
            manifest = Manifest(default=default, models={**models, name: entry})
            _replace_file(path, manifest.to_json().encode() + b"\n")
    except Timeout:
        raise WeightsError(f"{path} is being written by another program: try again when it has finished.") from None
    return manifest


def _replace_file(path: Path, content: bytes) -> None:
    """Write a temporary file, flush it to disk, then rename it: a crash leaves the old file intact."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # the rename itself must reach the disk too; other systems cannot open a folder
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _weights_dir(settings: Settings | None) -> Path:
    return (settings or get_settings()).weights_dir
