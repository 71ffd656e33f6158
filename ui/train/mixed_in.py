"""The datasets that the form mixes in, as a text for the URL."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import Field

from unet_core.data.mixture import MOST_SOURCES
from unet_core.errors import ConfigError
from unet_core.strict import Strict

NOTHING = "none"
MOST = MOST_SOURCES - 1


class MixedIn(Strict):
    """One dataset that is mixed in; what it leaves open is decided by the classes of both datasets.

    Raises:
        ConfigError: one error that names each invalid field, what is allowed and what was received.
    """

    dataset: str = Field(min_length=1, max_length=300)  # its title in the list of datasets
    share: float = Field(gt=0, lt=100)  # of the photos of an epoch, in percent
    classes: dict[str, str] = Field(default_factory=dict)  # the first dataset's, by this one's
    border: bool | None = None  # whether the pets' border is drawn


def read(written: str) -> tuple[MixedIn, ...]:
    """Return what a text of the URL mixes in.

    Raises:
        ConfigError: it is not such a text, or leaves nothing for the first dataset.
    """
    if written in ("", NOTHING):
        return ()
    try:
        entries = json.loads(written)
    except (ValueError, RecursionError):
        entries = ()
    is_list = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
    if not is_list or not 0 < len(entries) <= MOST:
        raise ConfigError(f"mix: must be a list of 1 to {MOST} datasets. Received: {written[:80]!r}")
    found = tuple(MixedIn.from_dict(entry) for entry in entries)
    if sum(entry.share for entry in found) >= 100:
        raise ConfigError("mix: the shares must leave something of the 100 percent for the first dataset.")
    return found


def written(mixed_in: Sequence[MixedIn]) -> str:
    """Return the text that `read` reads."""
    entries = [entry.model_dump(exclude_defaults=True) for entry in mixed_in]
    return json.dumps(entries, ensure_ascii=False, separators=(",", ":")) if entries else NOTHING


def is_readable(written: str) -> bool:
    """Return whether `read` can read a text."""
    try:
        read(written)
    except ConfigError:
        return False
    return True
