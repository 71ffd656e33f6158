"""Uploaded ZIP archives: checked before anything is written, then unpacked into a new folder completely or not at all.

An archive is untrusted. Its headers are checked first, because that is cheap, and then not relied on: sizes are
counted again while the files are written. Nothing here opens an image.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import shutil
import stat
import tempfile
import time
import unicodedata
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from unet_core.errors import UNetError
from unet_core.images.files import PHOTO_ENDINGS
from unet_core.settings import Settings, get_settings

IMAGE_ENDINGS = frozenset(
    ".jpg .jpeg .jfif .png .webp .bmp .gif .tif .tiff .ppm .pgm .pbm .pnm .npy".split()  # noqa: SIM905 - reads better
)
TEXT_ENDINGS = frozenset({".json", ".txt", ".csv", ".xml", ".yaml", ".yml", ".names"})
UNPACKED_ENDINGS = IMAGE_ENDINGS | TEXT_ENDINGS
ARCHIVE_ENDINGS = frozenset({".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".cab", ".iso"})

MAX_JSON_MB = 64.0  # and of other texts; parsing takes about ten times as much memory
MAX_RATIO = 200  # unpacked bytes for each byte of the archive; photos reach 1.1, empty uncompressed masks up to 1 000 …
_FREE_OF_RATIO = 50_000_000  # … so the ratio counts only where the result is large
_MAX_PATH_BYTES, _MAX_NAME_BYTES, _MAX_DEPTH = 1_000, 240, 16
_ENTRIES_PER_FILE = 4  # folders are entries too, and so is the companion file that macOS adds to each file
_DIRECTORY_BYTES_PER_ENTRY = 160  # 46 and the path
_CHUNK = 1 << 18
_STALE_SECONDS = 6 * 3600  # a half-unpacked folder this old belongs to a process that was killed
_PARTIAL = ".unpacking-"

_ENCRYPTED = 0x1 | 0x40 | 0x2000  # flags: traditional, strong, masked directory
_UTF8_NAME = 0x800
_SIGNATURES = {
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
}
_TAR_SIGNATURE = (257, b"ustar")


class ArchiveError(UNetError):
    """An archive that cannot be used; the text names the file, the problem and how to fix it."""


@dataclass(frozen=True)
class _Member:
    """A file of the archive that will be written."""

    info: zipfile.ZipInfo
    path: PurePosixPath  # relative, checked
    limit: int  # bytes


def unpack_upload(
    data: bytes | BinaryIO,
    name: str,
    settings: Settings | None = None,
    *,
    key: str = "",
    extra: Mapping[str, str] | None = None,
) -> Path:
    """Unpack an uploaded ZIP into its own folder under `settings.datasets_dir`.

    The folder is named after the archive and `key`, by default its content, so the same archive is unpacked only once.
    Only photos, masks and JSON files are written; hidden files and everything else are skipped.

    Args:
        data: the archive's bytes, or a seekable binary file.
        name: its file name.
        settings: limits `max_archive_mb`, `max_archive_files`, `max_unpacked_mb`, and `max_upload_mb` for each photo.
        key: last part of the folder's name.
        extra: texts of further files in the folder, by name.

    Returns:
        The folder.

    Raises:
        ArchiveError: the archive exceeds a limit, is damaged or encrypted, or has paths outside its folder.
    """
    settings = settings or get_settings()
    file = io.BytesIO(data) if isinstance(data, (bytes, bytearray, memoryview)) else data
    shown = _shown(name, "the archive")
    size = _check_file(file, shown, settings)
    folder = settings.datasets_dir / f"{_slug(name)}-{key or _digest(file)[:16]}"
    if folder.is_dir():
        return folder
    with _translated_errors(shown), _opened(file, shown, settings) as archive:
        members = _checked_members(archive, shown, size, settings)
        settings.datasets_dir.mkdir(parents=True, exist_ok=True)
        _remove_stale(settings.datasets_dir)
        _check_disk(sum(member.info.file_size for member in members), settings.datasets_dir, shown)
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=settings.datasets_dir))
        try:
            _write(archive, members, partial, shown, size, settings)
            for extra_name, text in (extra or {}).items():
                (partial / extra_name).write_text(text, encoding="utf-8")
            _move(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def photos_in(data: bytes, name: str, settings: Settings, *, most: int) -> tuple[list[tuple[str, bytes]], list[str]]:
    """Read the photos in a ZIP into memory, with the same checks as for an uploaded dataset.

    Args:
        data: the archive's bytes.
        name: its file name.
        settings: `max_session_mb` limits the archive and what it unpacks to, `max_archive_files` the files in it, and
            `max_upload_mb` each photo.
        most: photos that are read, the first ones.

    Returns:
        Each photo's name and bytes, and the names of those left out.

    Raises:
        ArchiveError: the archive exceeds a limit, is damaged or encrypted, or has paths outside its folder.
    """
    settings = settings.replace(max_archive_mb=settings.max_session_mb, max_unpacked_mb=settings.max_session_mb)
    shown, file = _shown(name, "the archive"), io.BytesIO(data)
    size = _check_file(file, shown, settings)
    with _translated_errors(shown), _opened(file, shown, settings) as archive:
        members = _checked_members(archive, shown, size, settings, PHOTO_ENDINGS)
        photos, total = [], 0
        for member in members[:most]:
            photo = b"".join(_chunks(archive, member, shown))
            total += len(photo)
            _check_total(total, shown, size, settings)
            photos.append((member.path.name, photo))
    return photos, [member.path.name for member in members[most:]]


# --- before anything is read --------------------------------------------------------------------------------------


def _check_file(file: BinaryIO, name: str, settings: Settings) -> int:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if not size:
        raise ArchiveError(f"{name} is empty (0 bytes): create the ZIP again.")
    if size > settings.max_archive_mb * 1e6:
        raise ArchiveError(
            f"{name} is {size / 1e6:.0f} MB, more than the {settings.max_archive_mb:g} MB allowed: "
            "remove some photos or make them smaller."
        )
    start = file.read(512)
    file.seek(0)
    for signature, kind in _SIGNATURES.items():
        if start.startswith(signature):
            raise ArchiveError(f"{name} is {kind}: extract it and compress its files as a ZIP.")
    offset, signature = _TAR_SIGNATURE
    if start[offset : offset + len(signature)] == signature:
        raise ArchiveError(f"{name} is a TAR archive: extract it and compress its files as a ZIP.")
    return size


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


class _BoundedReads:
    """A file that refuses to read much at once.

    `zipfile` reads an archive's directory in one piece, of a length that the file itself states, and creates an object
    for every entry before they can be counted.
    """

    def __init__(self, file: BinaryIO, limit: int, error: ArchiveError) -> None:
        self._file = file
        self._limit = limit
        self._error = error
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._limit + 1 if size < 0 else min(size, self._limit + 1))
        if len(data) > self._limit:
            raise self._error
        return data

    def seekable(self) -> bool:
        return True


@contextlib.contextmanager
def _opened(file: BinaryIO, name: str, settings: Settings) -> Iterator[zipfile.ZipFile]:
    entries = settings.max_archive_files * _ENTRIES_PER_FILE
    limit = max(1 << 20, entries * _DIRECTORY_BYTES_PER_ENTRY)
    try:
        archive = zipfile.ZipFile(_BoundedReads(file, limit, _too_many(name, "", settings)))
    except UnicodeDecodeError:
        raise ArchiveError(
            f"{name} contains file names that are marked as UTF-8 but are not: rename those files and create the "
            "ZIP again."
        ) from None
    except zipfile.BadZipFile:
        raise ArchiveError(
            f"{name} is not a ZIP archive, or its end is missing: create the ZIP or copy it again."
        ) from None
    with archive:
        if len(archive.infolist()) > entries:
            raise _too_many(name, f"{len(archive.infolist())} entries, ", settings)
        yield archive


def _too_many(name: str, count: str, settings: Settings) -> ArchiveError:
    return ArchiveError(f"{name} has {count}more than the {settings.max_archive_files} files allowed: remove some.")


# --- from the headers ---------------------------------------------------------------------------------------------


def _checked_members(
    archive: zipfile.ZipFile, name: str, size: int, settings: Settings, endings: Collection[str] = UNPACKED_ENDINGS
) -> list[_Member]:
    """Check every entry of the archive, and return those with one of the `endings`."""
    members: dict[str, _Member] = {}
    for info in archive.infolist():
        path = _checked_path(info, name)
        _check_kind(info, path, name)
        if info.is_dir() or _is_clutter(path):
            continue
        if path.suffix.lower() in ARCHIVE_ENDINGS:
            raise ArchiveError(
                f"{name} contains another archive, {_shown(path.name)}: extract it and add its files instead."
            )
        if path.suffix.lower() not in endings:
            continue
        key = str(path)
        if key in members:
            raise ArchiveError(
                f"{name} contains two files named {_shown(key)}: remove one of them and create the ZIP again."
            )
        megabytes = MAX_JSON_MB if path.suffix.lower() in TEXT_ENDINGS else settings.max_upload_mb
        members[key] = _Member(info, path, int(megabytes * 1e6))
    _check_sizes(list(members.values()), name, size, settings)
    return list(members.values())


def _check_sizes(members: list[_Member], name: str, size: int, settings: Settings) -> None:
    if all(member.path.suffix.lower() in TEXT_ENDINGS for member in members):
        endings = ", ".join(sorted(ending[1:] for ending in IMAGE_ENDINGS))
        raise ArchiveError(f"{name} contains no photo: add photos and masks ({endings}) and try again.")
    if len(members) > settings.max_archive_files:
        raise _too_many(name, f"{len(members)} photos and masks, ", settings)
    for member in members:
        if member.info.file_size > member.limit:
            raise _file_too_large(member, name)
    _check_total(sum(member.info.file_size for member in members), name, size, settings)


def _check_total(total: int, name: str, size: int, settings: Settings) -> None:
    if total > settings.max_unpacked_mb * 1e6:
        raise ArchiveError(
            f"{name} would unpack to more than the {settings.max_unpacked_mb:g} MB allowed: "
            "remove some photos or make them smaller."
        )
    if total > max(_FREE_OF_RATIO, MAX_RATIO * size):
        raise ArchiveError(
            f"{name} would unpack to more than {MAX_RATIO} times its size, which photos and masks never do: save "
            "them as JPEG and PNG and create the ZIP again."
        )


def _file_too_large(member: _Member, name: str) -> ArchiveError:
    return ArchiveError(
        f"{name}: {_shown(member.path.name)} has more than the {member.limit / 1e6:g} MB allowed for one file: "
        "make it smaller or remove it."
    )


def _check_kind(info: zipfile.ZipInfo, path: PurePosixPath, name: str) -> None:
    shown = _shown(str(path))
    if info.flag_bits & _ENCRYPTED:
        raise ArchiveError(f"{name} is encrypted ({shown}): create the ZIP again without a password.")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise ArchiveError(f"{name} contains a symbolic link, {shown}: add the file it points to instead.")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveError(f"{name} contains {shown}, which is neither a file nor a folder: remove it.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"{name} uses an unsupported compression ({shown}): create an ordinary ZIP.")


def _checked_path(info: zipfile.ZipInfo, name: str) -> PurePosixPath:
    """Return an entry's path, relative to the dataset's folder.

    Raises:
        ArchiveError: the path is absolute, leads outside the folder, or is not a valid file name.
    """
    text = _decoded_name(info)
    shown = _shown(text)
    if "\0" in info.orig_filename or any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ArchiveError(
            f"{name} contains a file name with control characters, {shown}: rename it and create the ZIP again."
        )
    text = unicodedata.normalize("NFC", text.replace("\\", "/"))
    if text.startswith("/") or re.match(r"[A-Za-z]:", text):
        raise ArchiveError(f"{name} contains an absolute path, {shown}: create the ZIP again with relative paths.")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArchiveError(
            f"{name} contains a path that leads outside its folder, {shown}: create the ZIP again with relative paths."
        )
    if not parts:
        raise ArchiveError(f"{name} contains a file without a name: create the ZIP again.")
    encoded = [part.encode("utf-8", "replace") for part in parts]
    if (
        len(parts) > _MAX_DEPTH
        or max(map(len, encoded)) > _MAX_NAME_BYTES
        or sum(map(len, encoded)) + len(parts) > _MAX_PATH_BYTES
    ):
        raise ArchiveError(f"{name} contains a path that is too long, {shown}: shorten it and create the ZIP again.")
    return PurePosixPath(*map(safe_name, parts))


def safe_name(name: str) -> str:
    """Return a file's name as every system accepts it; archives are unpacked with such names."""
    return re.sub(r'[<>:"|?*]', "_", unicodedata.normalize("NFC", name))


def _decoded_name(info: zipfile.ZipInfo) -> str:
    """Read a name without the UTF-8 flag as UTF-8 where it is valid: many programs forget the flag.

    Otherwise it stays in code page 437, which maps every byte: names may then look strange, but a photo and its mask
    still have the same one.
    """
    if info.flag_bits & _UTF8_NAME:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _is_clutter(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts) or path.name in (
        "Thumbs.db",
        "desktop.ini",
    )


# --- writing ------------------------------------------------------------------------------------------------------


def _write(
    archive: zipfile.ZipFile, members: list[_Member], root: Path, name: str, size: int, settings: Settings
) -> None:
    total = 0
    for member in members:
        target = root.joinpath(*member.path.parts)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "xb") as file:
                for chunk in _chunks(archive, member, name):
                    total += len(chunk)
                    _check_total(total, name, size, settings)
                    file.write(chunk)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise ArchiveError(
                f"{name} contains two files that need the same name, {_shown(str(member.path))}: rename one of them."
            ) from None


def _chunks(archive: zipfile.ZipFile, member: _Member, name: str) -> Iterator[bytes]:
    """Yield a member's bytes, whose number must be the one that its header states."""
    read = 0
    with archive.open(member.info) as packed:
        while chunk := packed.read(_CHUNK):
            read += len(chunk)
            if read > member.limit:
                raise _file_too_large(member, name)
            yield chunk
    if read != member.info.file_size:
        raise ArchiveError(f"{name} is damaged at {_shown(str(member.path))}: create the ZIP or copy it again.")


def _move(partial: Path, folder: Path) -> None:
    partial.chmod(0o755)
    try:
        os.replace(partial, folder)
    except OSError:
        if not folder.is_dir():  # otherwise another session has unpacked the same archive
            raise


def _remove_stale(directory: Path) -> None:
    for leftover in directory.glob(f"{_PARTIAL}*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)


def _check_disk(needed: int, directory: Path, name: str) -> None:
    free = shutil.disk_usage(directory).free
    if needed * 1.1 > free:
        raise ArchiveError(
            f"{name} needs {needed / 1e6:.0f} MB, but this server's disk has only {free / 1e6:.0f} MB free: "
            "use a smaller dataset."
        )


@contextlib.contextmanager
def _translated_errors(name: str) -> Iterator[None]:
    """Turn anything that `zipfile` raises on hostile bytes into an `ArchiveError`."""
    try:
        yield
    except ArchiveError:
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ArchiveError(f"{name} does not fit on this server's disk: use a smaller dataset.") from None
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ArchiveError(
                f"{name} cannot be stored: no permission to write to {error.filename}; set UNET_DATASETS_DIR."
            ) from None
        raise _damaged(name) from None
    except Exception:  # BadZipFile, zlib.error, EOFError, struct.error, ValueError, NotImplementedError …
        raise _damaged(name) from None


def _damaged(name: str) -> ArchiveError:
    return ArchiveError(f"{name} is damaged or incomplete and cannot be unpacked: create the ZIP or copy it again.")


def _shown(text: str, default: str = "a file") -> str:
    """Make a name printable and short."""
    printable = "".join(character if character.isprintable() else "?" for character in text).strip() or default
    return printable if len(printable) <= 80 else f"{printable[:40]}…{printable[-35:]}"


def _slug(name: str) -> str:
    stem = re.sub(r"[^A-Za-z0-9]+", "-", PurePosixPath(name.replace("\\", "/")).stem).strip("-").lower()
    return stem[:40].strip("-") or "dataset"
