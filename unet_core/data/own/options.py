"""What a person decides about reading a dataset, where its files alone leave it open."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from unet_core.strict import Strict


class ReadOptions(Strict):
    """How a dataset is read; kept in its report.

    Attributes:
        masks: the masks to take where several sets fit the same photos: a folder's name or path.
        skip_bad: leave out pairs that cannot be used instead of refusing the dataset.
        resize_masks: enlarge or shrink masks of another size than their photo, by nearest neighbour.
        orientation: "upright" turns photos as their EXIF orientation says, "stored" does not.
    """

    masks: str | None = Field(default=None, min_length=1, max_length=500)
    skip_bad: bool = False
    resize_masks: bool = False
    orientation: Literal["upright", "stored"] = "upright"


DEFAULT_OPTIONS = ReadOptions()
