"""Sample photos of pets that need no download; `sample_photos/README.md` says whose they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

CAT_CREDIT = "Photo: Chelsea the cat by Stefan van der Walt, public domain (CC0), from scikit-image."


@dataclass(frozen=True)
class Sample:
    """A real photo: its file's name, the package that has it, a title, its subject in words, and whose it is."""

    name: str
    package: str
    title: str
    alt: str
    credit: str

    def read(self) -> bytes:
        """Return the photo's file."""
        return _read(self.package, self.name)


_SHIPPED, _SCIKIT_IMAGE = "unet_core.images.sample_photos", "skimage.data"

# By the name in addresses; the first one stands on Home.
SAMPLES = {
    "dog": Sample(
        "dog.webp",
        _SHIPPED,
        "Shepherd",
        "A German shepherd dog that stands on a meadow",
        "Photo: Hans Kemperman, public domain, from Wikimedia Commons.",
    ),
    "kitten": Sample(
        "kitten.webp",
        _SHIPPED,
        "Kitten",
        "A black and white kitten that plays with a ball of wool",
        "Photo: Loliloli, public domain, from Wikimedia Commons.",
    ),
    "cat": Sample(
        "chelsea.png", _SCIKIT_IMAGE, "Chelsea", "The head of a ginger tabby cat that looks at the camera", CAT_CREDIT
    ),
}


def cat_png() -> bytes:
    """Return scikit-image's cat photo as PNG, 451 × 300 pixels."""
    return SAMPLES["cat"].read()


@cache
def _read(package: str, name: str) -> bytes:
    # Not imported: scikit-image's data package takes 10 MB.
    top, _, folder = package.partition(".")
    return resources.files(top).joinpath(*folder.split("."), name).read_bytes()
