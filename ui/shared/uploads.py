"""Which files an uploader takes as photos."""

from __future__ import annotations

PHOTO_TYPES = "image"  # what a file picker offers: a phone then shows its camera and its photos instead of all files
