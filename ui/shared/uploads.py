"""Which files an uploader takes as photos."""

from __future__ import annotations

# Files in a folder that count as photos; HEIC is not supported, and its card says what to do.
PHOTO_ENDINGS = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
    ".heic",
    ".heif",
    ".avif",
)
PHOTO_TYPES = "image"  # what a file picker offers: a phone then shows its camera and its photos instead of all files
