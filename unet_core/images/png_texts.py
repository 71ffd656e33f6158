"""PNG files with long texts or colour profiles: Pillow refuses them, which browsers simply do not read."""

from __future__ import annotations

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LIMIT = 2**20  # bytes that Pillow allows a text to have
_MAX_CHUNKS = 10_000
_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")


def without_large_texts(data: bytes) -> bytes:
    """Return a PNG without colour profiles and texts of more than a megabyte; all other bytes as they are.

    Profiles are not used, and an orientation never takes a megabyte.
    """
    if not data.startswith(_SIGNATURE):
        return data
    large = _large_chunks(data)
    if not large:
        return data
    kept, end = [], 0
    for start, stop in large:
        kept.append(data[end:start])
        end = stop
    return b"".join([*kept, data[end:]])


def _large_chunks(data: bytes) -> list[tuple[int, int]]:
    """Return the first and the last byte, exclusive, of each text that is too long."""
    found, place = [], len(_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if place + 12 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, place)
        stop = place + 12 + length
        if kind in _TEXTS and stop <= len(data) and _is_large(kind, data[place + 8 : stop - 4]):
            found.append((place, stop))
        if kind == b"IEND":
            break
        place = stop
    return found


def _is_large(kind: bytes, content: bytes) -> bool:
    if len(content) >= _LIMIT:
        return True
    packed = _packed(kind, content)
    if packed is None:
        return False
    try:
        return len(zlib.decompressobj().decompress(packed, _LIMIT + 1)) > _LIMIT
    except zlib.error:
        return False


def _packed(kind: bytes, content: bytes) -> bytes | None:
    """Return the compressed part of a text or profile, None if it is not compressed."""
    _, _, rest = content.partition(b"\0")
    if kind in (b"zTXt", b"iCCP"):
        return rest[1:]
    if kind == b"iTXt" and rest[:1] == b"\1":
        return rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return None
