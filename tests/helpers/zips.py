"""ZIP archives written byte by byte, so that their headers can say anything."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Entry:
    """One file of a raw archive; fields that are None have their true values."""

    name: bytes
    data: bytes = b""
    flags: int = 0
    method: int = 8
    size: int | None = None
    packed_size: int | None = None
    crc: int | None = None
    mode: int = 0o100644
    offset: int | None = None


def raw_zip(entries: list[Entry], *, count: int | None = None, comment: bytes = b"") -> bytes:
    """Write an archive with exactly these headers."""
    body, directory = io.BytesIO(), io.BytesIO()
    for entry in entries:
        packed = _deflated(entry.data) if entry.method == 8 else entry.data
        crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
        size = len(entry.data) if entry.size is None else entry.size
        packed_size = len(packed) if entry.packed_size is None else entry.packed_size
        offset = body.tell() if entry.offset is None else entry.offset
        common = struct.pack("<HHHHIII", entry.flags, entry.method, 0, 0x5821, crc, packed_size, size)
        body.write(b"PK\x03\x04" + struct.pack("<H", 20) + common + struct.pack("<HH", len(entry.name), 0))
        body.write(entry.name + packed)
        directory.write(b"PK\x01\x02" + struct.pack("<HH", 0x031E, 20) + common)
        directory.write(struct.pack("<HHHHHII", len(entry.name), 0, 0, 0, 0, (entry.mode << 16) & 0xFFFFFFFF, offset))
        directory.write(entry.name)
    number = len(entries) if count is None else count
    end = struct.pack("<HHHHIIH", 0, 0, number, number, directory.tell(), body.tell(), len(comment))
    return body.getvalue() + directory.getvalue() + b"PK\x05\x06" + end + comment


def plain_zip(files: dict[str, bytes]) -> bytes:
    """Pack files as any program does."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def png(seed: int = 0, side: int = 12) -> bytes:
    """A small photo of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()
