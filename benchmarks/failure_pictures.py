"""Where a model fails, in pictures that may be shown: docs/failures.png for the model card, and its figures.

    python benchmarks/failure_pictures.py [--model NAME] [--out FILE.png]

The pictures are scikit-image's public-domain cat and this program's own drawings, never photos of the dataset. Nothing
is picked by hand: of each kind it is the first strength at which the model gives way, or the worst of a fixed series.
The cat has no true mask; where it is spoilt, the mask is held against the model's own of the photo as it is.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image, ImageDraw, ImageFont  # noqa: E402

from unet_core.data.sources import PET_AND_BORDER, trimap_to_ids  # noqa: E402
from unet_core.data.synthetic.chance import Chance  # noqa: E402
from unet_core.data.synthetic.composition import compose  # noqa: E402
from unet_core.data.synthetic.pets import TEST, TEST_START, draw_pet, paint  # noqa: E402
from unet_core.images import render  # noqa: E402
from unet_core.images.samples import cat_png  # noqa: E402
from unet_core.results.corruptions import CORRUPTIONS  # noqa: E402
from unet_core.results.everyday import pet_overlap  # noqa: E402
from unet_core.segment import Segmenter  # noqa: E402

SIDE = (334, 500)  # of drawings, in the cat's proportions
GIVES_WAY = 0.5  # IoU
# Rows and columns of the cat's photo where there is nothing but cat: forehead, cheek, throat, the bridge of its nose.
PIECES = (
    ("forehead", slice(5, 75), slice(92, 197)),
    ("cheek", slice(150, 250), slice(55, 205)),
    ("throat", slice(200, 296), slice(20, 164)),
    ("bridge of the nose", slice(100, 160), slice(205, 295)),
)
LADDERS = {
    "noise": ("Noise", "Gaussian, standard deviation {} of 255", "{:g}", (20, 30, 40, 60, 80, 100)),
    "blur": ("Blur", "Gaussian, standard deviation {} pixels of 451", "{:g}", (4, 6, 8, 10, 12, 16, 20)),
    "dark": ("Darkness", "With {} of the light", "1/{:g}", (3, 5, 8, 12, 16, 24)),
}
WIDTH, PICTURE, GAP, HEADER = 1200, (372, 248), 16, 52
INK, QUIET, PAPER = (16, 24, 29), (88, 102, 112), (255, 255, 255)


@dataclass(frozen=True)
class Failure:
    """A picture (H, W, 3) uint8, the model's class ids for it (H, W), and what went wrong."""

    title: str
    photo: np.ndarray
    mask: np.ndarray
    words: str


def main() -> int:
    """Find the failures, draw them, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a shipped model; the default one without it")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "failures.png")
    options = parser.parse_args()
    segmenter = Segmenter(options.model, "onnx")
    found = [*spoilt_cat(segmenter), piece_of_cat(segmenter), several(segmenter), nobody(segmenter)]
    page = sheet(found, segmenter.entry.title or segmenter.model)
    # 256 colours, mixed where there are more: half the size, and Pillow dithers only with a palette given
    page.quantize(palette=page.quantize(256), dither=Image.Dither.FLOYDSTEINBERG).save(options.out, optimize=True)
    for failure in found:
        print(f"- **{failure.title}.** {failure.words}")
    print(options.out)
    return 0


def spoilt_cat(segmenter: Segmenter) -> Iterator[Failure]:
    """Yield, for each way to spoil the cat, the first strength at which less than half of its mask is left."""
    cat = np.asarray(Image.open(io.BytesIO(cat_png())).convert("RGB"))
    whole = pets(segmenter.segment(cat).mask)
    for name, (title, words, form, strengths) in LADDERS.items():
        kept: list[tuple[float, float]] = []
        for strength in strengths:
            photo = spoilt(cat, name, strength)
            mask = segmenter.segment(photo).mask
            kept.append((strength, pet_overlap(whole, pets(mask))))
            if kept[-1][1] < GIVES_WAY:
                break
        strength, left = kept[-1]
        sentence = f"{words.format(form.format(strength))}: IoU {left:.2f} with the mask of the photo as it is"
        milder = [f"{iou:.2f} at {form.format(value)}" for value, iou in kept[-2:-1]]
        yield Failure(title, photo, mask, "; still ".join([sentence, *milder]) + ".")


def spoilt(photo: np.ndarray, name: str, strength: float) -> np.ndarray:
    """Return the photo at one strength of a ladder."""
    if name == "dark":
        return np.rint(photo / strength).astype(np.uint8)
    entry = next(entry for entry in CORRUPTIONS if entry.name == name)
    return entry.apply(photo, np.zeros(photo.shape[:2], np.uint8), strength, "cat")[0]


def piece_of_cat(segmenter: Segmenter) -> Failure:
    """Return the piece of the cat, enlarged, of which the model sees least; all of it is cat."""
    cat = Image.open(io.BytesIO(cat_png())).convert("RGB")
    found = []
    for name, rows, columns in PIECES:
        box = columns.start, rows.start, columns.stop, rows.stop
        piece = np.asarray(cat.resize(SIDE[::-1], Image.Resampling.BILINEAR, box))
        mask = segmenter.segment(piece).mask
        found.append((float(pets(mask).mean()), name, piece, mask))
    share, name, piece, mask = min(found, key=lambda entry: entry[0])
    others = ", ".join(f"{other} {percent(seen)}" for seen, other, *_ in found if other != name)
    words = f"The {name} alone, enlarged; all of it is cat, {percent(share)} is called so. Other pieces: {others}."
    return Failure("Nothing but fur", piece, mask, words)


def several(segmenter: Segmenter) -> Failure:
    """Return the drawn test picture with several animals that the model does worst on."""
    rows = []
    for index in range(TEST_START, TEST_START + TEST):
        if len(compose(0, index, SIDE[1] / SIDE[0]).pets) > 1:
            photo, trimap = draw_pet(0, index, SIDE)
            true = pets(trimap_to_ids(trimap, str(index)))
            mask = segmenter.segment(photo).mask
            rows.append((pet_overlap(true, pets(mask)), photo, mask))
    worst, photo, mask = min(rows, key=lambda row: row[0])
    mean = np.mean([row[0] for row in rows])
    words = f"With its exact mask IoU {worst:.2f}, the worst of {len(rows)} such drawings; their mean is {mean:.2f}."
    return Failure("Several animals, in a drawing", photo, mask, words)


def nobody(segmenter: Segmenter, count: int = 100) -> Failure:
    """Return the drawn scene without any animal of which the model calls most a pet."""
    rows = []
    for index in range(TEST_START, TEST_START + count):
        scene = dataclasses.replace(compose(0, index, SIDE[1] / SIDE[0]), pets=())
        photo, _ = paint(scene, Chance(0, index, "textures"), SIDE)
        mask = segmenter.segment(photo).mask
        rows.append((float(pets(mask).mean()), photo, mask))
    worst, photo, mask = max(rows, key=lambda row: row[0])
    mean = np.mean([row[0] for row in rows])
    most = f"{percent(worst)} is called pet, the most of {count} such scenes"
    words = f"Drawn, without any animal: {most}; their mean is {percent(float(mean), 1)}."
    return Failure("A pet where there is none", photo, mask, words)


def percent(share: float, digits: int = 0) -> str:
    """Write a share with a narrow space that no line breaks at."""
    return f"{100 * share:.{digits}f}\u202f%"


def pets(ids: np.ndarray) -> np.ndarray:
    """Return where a mask says pet or border, (H, W) bool."""
    return np.isin(ids, PET_AND_BORDER)


def sheet(failures: Sequence[Failure], model: str) -> Image.Image:
    """Draw photo, mask and words of each failure, one below the other."""
    high = PICTURE[1] + GAP
    page = Image.new("RGB", (WIDTH, HEADER + high * len(failures)), PAPER)
    pen = ImageDraw.Draw(page)
    columns = [GAP, 2 * GAP + PICTURE[0], 4 * GAP + 2 * PICTURE[0]]
    for left, words in zip(columns, ("Picture", f"What {model} sees", "What went wrong"), strict=True):
        pen.text((left, 16), words, QUIET, _font(18))
    for index, failure in enumerate(failures):
        top = HEADER + index * high
        seen = render.overlay(failure.photo, failure.mask, opacity=0.5)
        for left, pixels in zip(columns, (failure.photo, seen)):
            page.paste(Image.fromarray(pixels).resize(PICTURE, Image.Resampling.LANCZOS), (left, top))
        pen.text((columns[2], top + 4), failure.title, INK, _font(22, bold=True))
        words = textwrap.fill(failure.words, 40)
        pen.multiline_text((columns[2], top + 42), words, INK, _font(18), spacing=7)
    return page


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # ships with matplotlib, so it is the same everywhere
    return ImageFont.truetype(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), size)


if __name__ == "__main__":
    sys.exit(main())
