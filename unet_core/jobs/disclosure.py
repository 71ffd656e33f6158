"""What of this server's folders and keys may stand in a text that strangers read: no path, and no dataset's key."""

from __future__ import annotations

import re
from pathlib import PurePath

_PATH = re.compile(r"(?<![\w.:/\\~])(?:~|[A-Za-z]:)?(?:[/\\][^\s/\\'\"`<>|:*?,;()\[\]{}]+)+[/\\]?")
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+]*://[^\s'\"`<>|*?,;()\[\]{}]*[^\s'\"`<>|*?,;:.()\[\]{}]")
_KEY = re.compile(r"-(?:[0-9a-f]{16}){1,2}$")  # 32 hexadecimal digits, or 16 of an archive of the command line
_KEY_WITHIN = re.compile(r"(?<=\w)-[0-9a-f]{32}(?![0-9a-f])")


def data_title(data: str) -> str:
    """Return the name of a run's dataset for people: a folder's last part, without the key of an upload."""
    name = PurePath(data).name
    return _KEY.sub("", name) or name


def without_paths(text: str) -> str:
    """Return a text with each absolute path shortened to its last part, and without the keys of uploads."""
    if "/" in text or "\\" in text:
        text = _PATH.sub(lambda found: PurePath(found[0].replace("\\", "/")).name, text)
    return _KEY_WITHIN.sub("", text) if "-" in text else text


def without_addresses(text: str) -> str:
    """Return a text in which each URL, such as that of a scheduler or a bucket, is shortened to its last part."""
    return _ADDRESS.sub(lambda found: _last_part(found[0]), text)


def _last_part(url: str) -> str:
    place = url.partition("://")[2]
    return PurePath(place).name if "/" in place else "[address]"
