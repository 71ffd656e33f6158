"""Which files an uploader takes as photos."""

from __future__ import annotations

PHOTO_TYPES = "image"  # what a file picker offers: a phone then shows its camera and its photos instead of all files
# Of several at once: also archives, and formats that some systems do not know as pictures.
BATCH_TYPES = [PHOTO_TYPES, ".zip", ".heic", ".heif", ".avif"]
