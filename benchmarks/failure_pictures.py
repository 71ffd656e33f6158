"""Where a model fails, in pictures that can be shown: docs/failures.png for the model card, and its figures.

    python benchmarks/failure_pictures.py [--model NAME] [--out FILE.png]

The pictures are scikit-image's public-domain cat and this program's own drawings, never photos of the dataset. Nothing
is picked by hand: each is the lowest strength at which the model fails, or the worst of a fixed series. The cat has no
ground truth; its corrupted versions are compared with the model's mask of the unchanged photo.
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
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
from common import summary  # noqa: E402
from PIL import Image, ImageDraw, ImageFont  # noqa: E402

from unet_core.data.sources import PET_AND_BORDER, trimap_to_ids  # noqa: E402
from unet_core.data.synthetic.chance import Chance  # noqa: E402
from unet_core.data.synthetic.composition import compose  # noqa: E402
from unet_core.data.synthetic.pets import TEST, TEST_START, draw_pet, paint  # noqa: E402
from unet_core.images import render  # noqa: E402
from unet_core.images.corruptions import CORRUPTIONS  # noqa: E402
from unet_core.images.samples import cat_png  # noqa: E402
from unet_core.results.everyday import pet_overlap  # noqa: E402
from unet_core.segment import Segmenter  # noqa: E402

SIZE = (334, 500)  # height and width of drawings, in the cat's aspect ratio
FAILURE_IOU = 0.5
# Rows and columns of the cat's photo that show nothing but cat.
CROPS = (
    ("forehead", slice(5, 75), slice(92, 197)),
    ("cheek", slice(150, 250), slice(55, 205)),
    ("throat", slice(200, 296), slice(20, 164)),
    ("bridge of the nose", slice(100, 160), slice(205, 295)),
)
CORRUPTION_STRENGTHS = {
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
    """Find the failures, draw them, and print their figures."""
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("--model", help="a shipped model (default: the manifest's)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "failures.png")
    options = parser.parse_args()
    segmenter = Segmenter(options.model, "onnx")
    found = [*corrupted_cat(segmenter), crop_of_cat(segmenter), several(segmenter), empty_scene(segmenter)]
    page = sheet(found, segmenter.entry.title or segmenter.model)
    # 256 dithered colours: half the size; Pillow dithers only with a given palette
    page.quantize(palette=page.quantize(256), dither=Image.Dither.FLOYDSTEINBERG).save(options.out, optimize=True)
    for failure in found:
        print(f"- **{failure.title}.** {failure.words}")
    print(options.out)
    return 0


def corrupted_cat(segmenter: Segmenter) -> Iterator[Failure]:
    """Yield, for each corruption, the lowest strength at which less than half of the cat's mask is left."""
    cat = np.asarray(Image.open(io.BytesIO(cat_png())).convert("RGB"))
    whole = pets(segmenter.segment(cat).mask)
    for name, (title, words, form, strengths) in CORRUPTION_STRENGTHS.items():
        milder = ""
        for strength in strengths:
            photo = corrupted(cat, name, strength)
            mask = segmenter.segment(photo).mask
            iou = pet_overlap(whole, pets(mask))
            if iou < FAILURE_IOU or strength == strengths[-1]:
                sentence = f"{words.format(form.format(strength))}: IoU {iou:.2f} with the mask of the unchanged photo"
                yield Failure(title, photo, mask, f"{sentence}{milder}.")
                break
            milder = f"; still {iou:.2f} at {form.format(strength)}"


def corrupted(photo: np.ndarray, name: str, strength: float) -> np.ndarray:
    """Return the photo at one strength of a corruption."""
    if name == "dark":
        return np.rint(photo / strength).astype(np.uint8)
    entry = next(entry for entry in CORRUPTIONS if entry.name == name)
    return entry.apply(photo, np.zeros(photo.shape[:2], np.uint8), strength, "cat")[0]


def crop_of_cat(segmenter: Segmenter) -> Failure:
    """Return the crop of the cat, enlarged, of which the model finds least; all of it is cat."""
    cat = Image.open(io.BytesIO(cat_png())).convert("RGB")
    found = []
    for name, rows, columns in CROPS:
        box = columns.start, rows.start, columns.stop, rows.stop
        crop = np.asarray(cat.resize((SIZE[1], SIZE[0]), Image.Resampling.BILINEAR, box))
        mask = segmenter.segment(crop).mask
        found.append((float(pets(mask).mean()), name, crop, mask))
    share, name, crop, mask = min(found, key=lambda entry: entry[0])
    others = ", ".join(f"{other} {percent(value)}" for value, other, *_ in found if other != name)
    words = f"The {name} alone, enlarged; all of it is cat, {percent(share)} is found. Other crops: {others}."
    return Failure("Nothing but fur", crop, mask, words)


def several(segmenter: Segmenter) -> Failure:
    """Return the drawn test picture with several animals on which the model scores worst."""
    rows = []
    for index in range(TEST_START, TEST_START + TEST):
        if len(compose(0, index, SIZE[1] / SIZE[0]).pets) > 1:
            photo, trimap = draw_pet(0, index, SIZE)
            true = pets(trimap_to_ids(trimap, str(index)))
            mask = segmenter.segment(photo).mask
            rows.append((pet_overlap(true, pets(mask)), photo, mask))
    worst, photo, mask = min(rows, key=lambda row: row[0])
    mean = np.mean([row[0] for row in rows])
    words = f"IoU {worst:.2f} with the exact mask, the worst of {len(rows)} such drawings; their mean is {mean:.2f}."
    return Failure("Several animals, in a drawing", photo, mask, words)


def empty_scene(segmenter: Segmenter, count: int = 100) -> Failure:
    """Return the drawn scene without any animal of which the model predicts most as pet."""
    rows = []
    for index in range(TEST_START, TEST_START + count):
        scene = dataclasses.replace(compose(0, index, SIZE[1] / SIZE[0]), pets=())
        photo, _ = paint(scene, Chance(0, index, "textures"), SIZE)
        mask = segmenter.segment(photo).mask
        rows.append((float(pets(mask).mean()), photo, mask))
    worst, photo, mask = max(rows, key=lambda row: row[0])
    mean = np.mean([row[0] for row in rows])
    most = f"{percent(worst)} is predicted as pet, the most of {count} such scenes"
    words = f"Drawn, without any animal: {most}; their mean is {percent(float(mean), 1)}."
    return Failure("A pet where there is none", photo, mask, words)


def percent(share: float, digits: int = 0) -> str:
    """Write a share with a narrow no-break space."""
    return f"{100 * share:.{digits}f}\u202f%"


def pets(ids: np.ndarray) -> np.ndarray:
    """Return where a mask is pet or border, (H, W) bool."""
    return np.isin(ids, PET_AND_BORDER)


def sheet(failures: Sequence[Failure], model: str) -> Image.Image:
    """Draw photo, mask and words of each failure, one below the other."""
    high = PICTURE[1] + GAP
    page = Image.new("RGB", (WIDTH, HEADER + high * len(failures)), PAPER)
    pen = ImageDraw.Draw(page)
    columns = [GAP, 2 * GAP + PICTURE[0], 4 * GAP + 2 * PICTURE[0]]
    for left, words in zip(columns, ("Picture", f"Mask of {model}", "What went wrong"), strict=True):
        pen.text((left, 16), words, QUIET, _font(18))
    for index, failure in enumerate(failures):
        top = HEADER + index * high
        overlay = render.overlay(failure.photo, failure.mask, opacity=0.5)
        for left, pixels in zip(columns, (failure.photo, overlay)):
            page.paste(Image.fromarray(pixels).resize(PICTURE, Image.Resampling.LANCZOS), (left, top))
        pen.text((columns[2], top + 4), failure.title, INK, _font(22, bold=True))
        words = textwrap.fill(failure.words, 40)
        pen.multiline_text((columns[2], top + 42), words, INK, _font(18), spacing=7)
    return page


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # ships with Matplotlib, so it is the same everywhere
    return ImageFont.truetype(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), size)


if __name__ == "__main__":
    sys.exit(main())
