"""Names that come from outside: what of them is shown, and which of them may become the name of a file or folder."""

from __future__ import annotations

import re

MAX_NAME = 120  # characters of a name that is shown
_MAX_FILE_NAME_BYTES = 200  # file systems allow 255, and temporary files have longer names

# Control characters; marks that reverse the direction of the text after them or cannot be seen; lone surrogates.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")


def has_unshown(text: str) -> bool:
    """Return whether a text has control characters, invisible ones, or marks that reverse its direction."""
    return _UNSHOWN.search(text) is not None


def one_line(text: str, most: int = MAX_NAME) -> str:
    """Return a text as a name to show: one line of at most `most` characters that hides nothing."""
    return " ".join(_UNSHOWN.sub("", " ".join(text[: 10 * most].split())).split())[:most].rstrip()


def is_file_name(text: str) -> bool:
    """Return whether a text can be the name of a file or folder that is not hidden, without leading anywhere else."""
    if not text or text.startswith(".") or has_unshown(text) or any(mark in text for mark in "/\\"):
        return False
    return len(text.encode()) <= _MAX_FILE_NAME_BYTES
