"""A shipped model without its zoomed second pass, as explanations run it."""

from __future__ import annotations

from unet_core.segment import Segmenter
from unet_core.zoo.manifest import load_manifest


def one_pass_segmenter(name: str) -> Segmenter:
    """Return a segmenter that runs a model once over the whole photo."""
    return Segmenter(name, entry=load_manifest().entry(name).replace(second_look=False))
