"""Seven classic mistakes with segmentation data, each made and fixed on a real photo and its mask.

Every function does both and measures the difference. NumPy and Pillow only; predictions of a network are passed in, see
`unet_core.scoring.shipped_prediction`.

Photos are (H, W, 3) uint8, masks (H, W) uint8 class ids 0 pet, 1 background, 2 border.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageFilter

from unet_core.architecture.presets import preset_config
from unet_core.architecture.trace import trace
from unet_core.classes import BACKGROUND, BORDER, CLASS_NAMES, CLASSES, PET
from unet_core.data.oxford.near_duplicates import NEAR_DUPLICATES_IN_TRAIN
from unet_core.data.sources import PET_AND_BORDER, DataError
from unet_core.images.checks import check_same_size
from unet_core.images.render import overlay
from unet_core.scores import confusion_matrix

Pair = tuple[np.ndarray, np.ndarray]  # a photo and its mask

SHOWN_SIDE = 384  # small results are enlarged to about this size, pixel by pixel
NO_MEANING = "–"
_NO_CLASS = (35, 35, 35)  # colour of a value that is not a class
_SMALL = 96  # what the first pitfall shrinks masks to
_FIT_SIDE = 64  # what the sixth fits a classifier to
_STAND_IN_SIDE = 128


@dataclass(frozen=True, eq=False)
class Picture:
    """An image, (H, W, 3) uint8, and its caption."""

    caption: str
    image: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Figure:
    """One measured value as text, with and without the mistake; a dash where it does not apply."""

    label: str
    wrong: str
    right: str


@dataclass(frozen=True, eq=False)
class Pitfall:
    """One mistake, shown and measured on one example."""

    key: str
    title: str
    wrong: tuple[Picture, ...]
    right: tuple[Picture, ...]
    figures: tuple[Figure, ...]
    explanation: str
    remedy: str


@dataclass(frozen=True, eq=False)
class Prediction:
    """A network's prediction for a photo: logits (h, w, 3) float32, the true class ids (h, w), and its origin."""

    logits: np.ndarray
    ids: np.ndarray
    source: str


# --- 1: how masks are resized -----------------------------------------------------------------------------------------


def bilinear_mask(photo: np.ndarray, mask: np.ndarray) -> Pitfall:
    """Compare a mask resized like a photo with one resized with nearest neighbour."""
    _check(photo, mask)
    codes = mask + np.uint8(1)  # as mask files hold them: 1 pet, 2 background, 3 border
    mixed = bilinear(codes, (_SMALL, _SMALL))
    nearest = np.asarray(Image.fromarray(codes).resize((_SMALL, _SMALL), Image.Resampling.NEAREST))
    no_class = mixed != np.round(mixed)
    cut = mixed.astype(np.uint8)
    from_background = bilinear(codes == BACKGROUND.code, (_SMALL, _SMALL)) > 0
    invented = (cut == BACKGROUND.code) & ~from_background
    values = np.unique(mixed)
    example = f"{float(values[np.argmax(values != np.round(values))]):.3g}" if no_class.any() else "none"
    detail = _busiest(invented if invented.any() else no_class)
    between, whole, right = (
        _class_colours((code[detail] - 1).astype(np.uint8), mark)
        for code, mark in ((cut, no_class[detail]), (cut, None), (nearest, None))
    )
    return Pitfall(
        key="bilinear",
        title="Masks resized like photos",
        wrong=(
            Picture("Bilinear, detail: dark pixels have a value between two classes", between),
            Picture("Truncated to integers: background appears between pet and border", whole),
        ),
        right=(Picture("Nearest neighbour: only values of the original mask", right),),
        figures=(
            Figure("Different values in the mask", f"{len(values)} (such as {example})", str(len(np.unique(nearest)))),
            Figure("Pixels without a class", _percent(no_class.mean()), _percent(0)),
            Figure("Background without one nearby", _percent(invented.mean()), _percent(0)),
        ),
        explanation="Class numbers are names, not quantities: halfway between pet (1) and border (3) is background "
        "(2), and between 1 and 2 is 1.5, which is not a class.",
        remedy="Always resize masks with nearest neighbour; only photos may be interpolated.",
    )


def _busiest(marked: np.ndarray) -> tuple[slice, slice]:
    """Return the square window, a third of the image wide, with the most marked pixels."""
    side = _SMALL // 3
    starts = range(0, _SMALL - side + 1, 8)
    windows = [(slice(row, row + side), slice(column, column + side)) for row in starts for column in starts]
    return max(windows, key=lambda window: np.count_nonzero(marked[window]))


def bilinear(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W) numbers bilinearly as `tf.image.resize` does by default: no antialiasing, half-pixel centres."""
    rows, columns = (_neighbours(old, new) for old, new in zip(values.shape, size))
    grid = values.astype(np.float64)
    low, high, share = rows
    grid = grid[low] * (1 - share)[:, None] + grid[high] * share[:, None]
    low, high, share = columns
    return grid[:, low] * (1 - share) + grid[:, high] * share


def _neighbours(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each new position its two old neighbours, and the weight of the second, 0…1."""
    at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    low = np.floor(at).astype(int)
    return low, np.minimum(low + 1, old - 1), at - low


# --- 2: flips ---------------------------------------------------------------------------------------------------------


def flips_out_of_step(photo: np.ndarray, mask: np.ndarray, draws: int = 4) -> Pitfall:
    """Compare flips of photo and mask by two random generators with one decision for both."""
    _check(photo, mask)
    flip_photo = np.random.default_rng(2).random(draws) < 0.5
    flip_mask = np.random.default_rng(6).random(draws) < 0.5
    apart = flip_photo != flip_mask
    mirrored = mask[:, ::-1]
    wrong = [
        overlay(_flipped(photo, one), _flipped(mask, other)) for one, other in zip(flip_photo, flip_mask, strict=True)
    ]
    right = [overlay(_flipped(photo, one), _flipped(mask, one)) for one in flip_photo]
    return Pitfall(
        key="flips",
        title="Photo and mask flipped separately",
        wrong=tuple(Picture("out of step" if out else "in step, by chance", image) for out, image in zip(apart, wrong)),
        right=tuple(Picture("in step", image) for image in right),
        figures=(
            Figure(f"Pairs in step, of {draws}", str(int((~apart).sum())), str(draws)),
            Figure("Wrong labels in a pair out of step", _percent((mirrored != mask).mean()), NO_MEANING),
            Figure("Pet IoU of that pair with the true mask", _number(_pet_iou(mirrored, mask)), _number(1)),
            Figure("Pairs in step in the long run", "50 %", "100 %"),
        ),
        explanation="Two random operations with separate generators decide independently. Half of all pairs then train "
        "on the mirrored mask, and the loss still falls, because pets tend to be in the middle.",
        remedy="Draw the random numbers once, and apply the same transform to photo and mask.",
    )


def _flipped(pixels: np.ndarray, flip: bool) -> np.ndarray:
    return np.ascontiguousarray(pixels[:, ::-1]) if flip else pixels


# --- 3: targets of networks without padding ---------------------------------------------------------------------------


def uncropped_target(photo: np.ndarray, mask: np.ndarray) -> Pitfall:
    """Compare two targets of a valid-padding network: the whole mask, shrunk to fit, and the mask's centre."""
    _check(photo, mask)
    config = preset_config("ronneberger2015")
    output_shape = trace(config).output_shape
    assert output_shape is not None  # the preset can be built
    side, seen = config.height, output_shape[0]  # 572 and 388, the paper's input and output
    margin = (side - seen) // 2
    large_photo = np.asarray(Image.fromarray(photo).resize((side, side), Image.Resampling.BILINEAR))
    large_mask = np.asarray(Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST))
    centre = slice(margin, margin + seen)
    truth = large_mask[centre, centre]
    shrunk = np.asarray(Image.fromarray(mask).resize((seen, seen), Image.Resampling.NEAREST))
    seen_photo = np.ascontiguousarray(large_photo[centre, centre])
    return Pitfall(
        key="valid_padding",
        title="The whole mask for an output that covers the centre",
        wrong=(Picture(f"The whole mask, shrunk to {seen}×{seen}", overlay(seen_photo, shrunk)),),
        right=(Picture(f"The mask's centre, {seen}×{seen} of {side}×{side}", overlay(seen_photo, truth)),),
        figures=(
            Figure("Wrong labels", _percent((shrunk != truth).mean()), _percent(0)),
            Figure("Pet IoU with the mask's centre", _number(_pet_iou(shrunk, truth)), _number(1)),
            Figure("Output of the paper's network", f"{seen}×{seen}", f"{seen}×{seen}"),
        ),
        explanation=f"Each unpadded 3×3 convolution loses one pixel on every side: the paper's network takes {side}×"
        f"{side} pixels and predicts the central {seen}×{seen}. A shrunk mask has the right shape, but the wrong "
        "content.",
        remedy=f"Crop {margin} pixels from every side of the mask; `trace` shows the shapes.",
    )


# --- 4: labels that start at 1 ----------------------------------------------------------------------------------------


def labels_from_one(photo: np.ndarray, mask: np.ndarray, prediction: Prediction | None = None) -> Pitfall:
    """Compare the loss on the trimap codes 1 to 3, as stored in the file, with that on class ids 0 to 2."""
    _check(photo, mask)
    prediction = prediction or stand_in(mask)
    codes = prediction.ids.astype(int) + 1
    outside = codes >= len(CLASSES)
    inside = ~outside
    right = cross_entropy(codes - 1, prediction.logits)
    wrong = cross_entropy(codes, prediction.logits)
    remaining = cross_entropy(codes[inside], prediction.logits[inside]) if inside.any() else float("nan")
    shifted = np.minimum(mask + 1, len(CLASSES) - 1).astype(np.uint8)
    return Pitfall(
        key="labels",
        title="Labels that count from 1",
        wrong=(Picture("1 to 3 read as class ids: pet counts as background", _class_colours(shifted, mask + 1 >= 3)),),
        right=(Picture("0 to 2: every pixel has its class", _class_colours(mask)),),
        figures=(
            Figure("Loss, on a CPU", "error: label 3 is outside [0, 3)", _number(right)),
            Figure("Loss, on a GPU", _number(wrong), _number(right)),
            Figure("Loss without border pixels", _number(remaining), _number(right)),
            Figure("Pixels whose label is not a class", _percent(outside.mean()), _percent(0)),
        ),
        explanation=f"The file's codes count from 1, the network's outputs from 0. Label 3 has no output: TensorFlow "
        f"raises an error on a CPU and gives NaN on a GPU; the others silently train the next class. "
        f"({prediction.source})",
        remedy="Subtract 1 from the trimap codes, and check that labels are in the range 0 to classes − 1.",
    )


# --- 5: logits and probabilities --------------------------------------------------------------------------------------


def logits_as_probabilities(photo: np.ndarray, mask: np.ndarray, prediction: Prediction | None = None) -> Pitfall:
    """Compare a loss that takes logits for probabilities, or probabilities for logits, with the correct one."""
    _check(photo, mask)
    prediction = prediction or stand_in(mask)
    probabilities = softmax(prediction.logits)
    twice = softmax(probabilities)
    classes = prediction.logits.shape[-1]
    right = cross_entropy(prediction.ids, prediction.logits)
    loss_twice = cross_entropy(prediction.ids, probabilities)
    read_raw = _loss_of_probabilities(prediction.ids, prediction.logits)
    lowest_twice = float(-np.log(softmax(np.eye(classes)[0])[0]))
    sums = prediction.logits.sum(axis=-1)
    silent = ((prediction.logits <= 0) | (prediction.logits >= 1)).all(axis=-1).mean()  # clipped: their gradient is 0
    return Pitfall(
        key="logits",
        title="Logits taken for probabilities",
        wrong=(
            Picture("Logits shown as if they were probabilities", _heat(prediction.logits[..., PET.id])),
            Picture("Softmax twice: confidence stays low", _heat(twice[..., PET.id])),
        ),
        right=(Picture("Softmax once: the pet probability", _heat(probabilities[..., PET.id])),),
        figures=(
            Figure("Sum over the classes", f"{sums.min():.1f} to {sums.max():.1f}", _number(1)),
            Figure("Loss, logits read as probabilities", _number(read_raw), _number(right)),
            Figure("Pixels without gradient, logits read as probabilities", _percent(silent), _percent(0)),
            Figure("Loss, softmax in the model and in the loss", _number(loss_twice), _number(right)),
            Figure("Lowest loss possible with softmax twice", _number(lowest_twice), _number(0)),
            Figure("Highest confidence, softmax twice", _percent(twice.max()), _percent(probabilities.max())),
        ),
        explanation="A loss must know which of the two it receives. Logits clipped to 0…1 have no gradient; a "
        f"softmax of probabilities squeezes them between {1 / (classes - 1 + np.e):.2f} and "
        f"{np.e / (np.e + classes - 1):.2f}, so the loss stalls early and training is slow. ({prediction.source})",
        remedy="End the model without activation and use from_logits=True; apply softmax once, for display.",
    )


# --- 6: class weights -------------------------------------------------------------------------------------------------


def class_weights(photo: np.ndarray, mask: np.ndarray) -> Pitfall:
    """Compare a small classifier fitted to this photo's pixels without and with weights for rare classes."""
    _check(photo, mask)
    small = np.asarray(Image.fromarray(photo).resize((_FIT_SIDE, _FIT_SIDE), Image.Resampling.BOX))
    ids = np.asarray(Image.fromarray(mask).resize((_FIT_SIDE, _FIT_SIDE), Image.Resampling.NEAREST))
    features = _pixel_features(small)
    counts = np.bincount(ids.reshape(-1), minlength=len(CLASSES))
    weights = ids.size / (len(CLASSES) * np.maximum(counts, 1))
    plain = _fitted_classes(features, ids, np.ones(len(CLASSES)))
    weighted = _fitted_classes(features, ids, weights)
    tables = [confusion_matrix(ids, predicted, len(CLASSES)) for predicted in (plain, weighted)]
    rows = []
    for pixel_class in (BORDER, PET, BACKGROUND):
        found = [table[pixel_class.id, pixel_class.id] / max(table[pixel_class.id].sum(), 1) for table in tables]
        rows.append(Figure(f"{pixel_class.name.capitalize()} pixels found", *map(_percent, found)))
    accuracy = [table.trace() / table.sum() for table in tables]
    listed = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(CLASS_NAMES, weights))
    return Pitfall(
        key="weights",
        title="Rare classes without more weight",
        wrong=(Picture("Every pixel weighted equally", _class_colours(plain)),),
        right=(
            Picture(f"Weights: {listed}", _class_colours(weighted)),
            Picture("Ground truth", _class_colours(ids)),
        ),
        figures=(*rows, Figure("Pixel accuracy", *map(_percent, accuracy))),
        explanation=f"The border is {_percent(counts[BORDER.id] / ids.size)} of this photo: ignoring it costs little. "
        "With weights the rare class appears at the expense of the others, so accuracy may fall. (A linear classifier "
        "fitted live to the colours and positions of this photo.)",
        remedy="Look at the scores of each class, not at accuracy; use weights or a Dice loss if a rare class matters.",
    )


def _pixel_features(photo: np.ndarray) -> np.ndarray:
    """Return colour, surroundings, roughness and position of each pixel, standardised: (N, F) float64."""
    image = Image.fromarray(photo)
    colour = photo / 255.0
    near, far = (np.asarray(image.filter(ImageFilter.GaussianBlur(radius))) / 255.0 for radius in (2, 6))
    rough = np.abs(colour - near).mean(axis=-1, keepdims=True)
    y, x = np.mgrid[-1 : 1 : photo.shape[0] * 1j, -1 : 1 : photo.shape[1] * 1j]
    place = np.stack([x, y, x * x, y * y, x * y, np.hypot(x, y)], axis=-1)
    features = np.concatenate([colour, colour**2, near, far, rough, place], axis=-1)
    features = features.reshape(-1, features.shape[-1])
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    return np.concatenate([features, np.ones((len(features), 1))], axis=1)


def _fitted_classes(features: np.ndarray, ids: np.ndarray, weights: np.ndarray, steps: int = 150) -> np.ndarray:
    """Fit a linear softmax classifier to the pixels by gradient descent with momentum; return the classes, (h, w)."""
    targets = np.eye(len(CLASSES))[ids.reshape(-1)]
    importance = weights[ids.reshape(-1)]
    importance = (importance / importance.sum())[:, None]
    matrix = np.zeros((features.shape[1], len(CLASSES)))
    velocity = np.zeros_like(matrix)
    for _ in range(steps):
        gradient = features.T @ (importance * (softmax(features @ matrix) - targets))
        velocity = 0.9 * velocity - 0.3 * gradient
        matrix += velocity
    return np.argmax(features @ matrix, axis=1).reshape(ids.shape).astype(np.uint8)


# --- 7: leakage -------------------------------------------------------------------------------------------------------


def leakage(photo: np.ndarray, mask: np.ndarray, others: Sequence[Pair] | None = None) -> Pitfall:
    """Compare a test with a near-duplicate of the photo in the training data with one without.

    The "model" only memorizes: it finds the most similar training photo and returns its mask.

    Args:
        photo, mask: the test photo.
        others: the other training photos with their masks; by default synthetic pets.
    """
    _check(photo, mask)
    twin = _near_duplicate(photo, mask)
    rest = list(others) if others else _synthetic_pets(12)
    leaked_mask, leaked_distance, leaked_source = _memorized(photo, [*rest, twin])
    fair_mask, fair_distance, fair_source = _memorized(photo, rest)
    return Pitfall(
        key="leakage",
        title="The same photo in training and test",
        wrong=(
            Picture("The most similar training photo: a copy, cropped and brightened", leaked_source),
            Picture("Its mask as the prediction", overlay(photo, leaked_mask)),
        ),
        right=(
            Picture("The most similar one without the copy", fair_source),
            Picture("Its mask as the prediction", overlay(photo, fair_mask)),
        ),
        figures=(
            Figure(
                "Pet IoU of a model that only memorizes",
                _number(_pet_iou(leaked_mask, mask)),
                _number(_pet_iou(fair_mask, mask)),
            ),
            Figure(
                "Distance to the nearest training photo (grey levels)", f"{leaked_distance:.1f}", f"{fair_distance:.1f}"
            ),
            Figure(
                "Near-duplicates across the official Oxford split", str(len(NEAR_DUPLICATES_IN_TRAIN)), "0 (left out)"
            ),
        ),
        explanation="A test measures how a model does on photos it was not trained on. With a copy in the "
        "training data, memorizing is enough, and the score says nothing about new photos. Random splits of videos, "
        "bursts or re-posted photos often leak like this.",
        remedy="Look for near-duplicates before splitting, and keep each group in one split.",
    )


def _near_duplicate(photo: np.ndarray, mask: np.ndarray) -> Pair:
    """Return the photo as it might have been re-posted: cropped a little, brighter, smaller."""
    top, left = round(0.03 * mask.shape[0]), round(0.02 * mask.shape[1])
    cut_photo, cut_mask = photo[top:, left:], mask[top:, left:]
    size = max(1, round(0.8 * cut_mask.shape[1])), max(1, round(0.8 * cut_mask.shape[0]))
    small = np.asarray(Image.fromarray(np.ascontiguousarray(cut_photo)).resize(size, Image.Resampling.BILINEAR))
    bright = np.clip(small.astype(np.float32) * 1.06 + 4, 0, 255).astype(np.uint8)
    return bright, np.asarray(Image.fromarray(np.ascontiguousarray(cut_mask)).resize(size, Image.Resampling.NEAREST))


def _memorized(photo: np.ndarray, training: Sequence[Pair]) -> tuple[np.ndarray, float, np.ndarray]:
    """Return the mask of the most similar photo at this photo's size, the distance of that photo, and the photo."""
    wanted = _thumbnail(photo)
    distances = [float(np.abs(_thumbnail(other) - wanted).mean()) for other, _ in training]
    nearest = int(np.argmin(distances))
    other, mask = training[nearest]
    height, width = photo.shape[:2]
    image = Image.fromarray(np.ascontiguousarray(mask))
    return np.asarray(image.resize((width, height), Image.Resampling.NEAREST)), distances[nearest], other


def _thumbnail(photo: np.ndarray) -> np.ndarray:
    """Return the photo as a 16×16 thumbnail of grey values."""
    small = Image.fromarray(np.ascontiguousarray(photo)).convert("L").resize((16, 16), Image.Resampling.BOX)
    return np.asarray(small, np.float32)


def _synthetic_pets(count: int) -> list[Pair]:
    from unet_core.data.synthetic.pets import SyntheticPets

    examples = SyntheticPets(seed=0).examples("train")
    return [example.decode() for _, example in zip(range(count), examples)]


# --- all pitfalls -----------------------------------------------------------------------------------------------------

PITFALLS: dict[str, Callable[..., Pitfall]] = {
    "bilinear": bilinear_mask,
    "flips": flips_out_of_step,
    "valid_padding": uncropped_target,
    "labels": labels_from_one,
    "logits": logits_as_probabilities,
    "weights": class_weights,
    "leakage": leakage,
}


# --- networks and losses ----------------------------------------------------------------------------------------------


def stand_in(mask: np.ndarray) -> Prediction:
    """Return what a good network might predict: confident inside, uncertain at outlines."""
    side = (_STAND_IN_SIDE, _STAND_IN_SIDE)
    ids = np.asarray(Image.fromarray(mask).resize(side, Image.Resampling.NEAREST))
    planes = [
        np.asarray(Image.fromarray(np.uint8(255 * (ids == index))).filter(ImageFilter.GaussianBlur(2)), np.float32)
        for index in range(len(CLASSES))
    ]
    sure = 0.01 + 0.97 * np.stack(planes, axis=-1) / 255.0
    logits = 1.3 * np.log(sure) + np.random.default_rng(0).normal(0.0, 0.3, sure.shape)
    logits -= logits.mean(axis=-1, keepdims=True)
    return Prediction(logits.astype(np.float32), ids, "No shipped model is installed: simulated from the mask.")


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits (…, C) into probabilities (…, C)."""
    values = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return values / values.sum(axis=-1, keepdims=True)


def cross_entropy(ids: np.ndarray, logits: np.ndarray) -> float:
    """Return the mean cross-entropy of labels (…) and logits (…, C); NaN, as on a GPU, if a label is not a class."""
    logs = logits - logits.max(axis=-1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(axis=-1, keepdims=True))
    ids = np.asarray(ids).astype(int)
    known = (ids >= 0) & (ids < logits.shape[-1])
    values = -np.take_along_axis(logs, np.where(known, ids, 0)[..., None], axis=-1)[..., 0]
    return float(np.where(known, values, np.nan).mean())


def _loss_of_probabilities(ids: np.ndarray, outputs: np.ndarray) -> float:
    """Return the cross-entropy of outputs that are taken for probabilities, clipped as Keras on TensorFlow does."""
    clipped = np.clip(outputs, 1e-7, 1 - 1e-7)
    # TensorFlow then takes the logarithms for logits, which divides by the sum.
    return cross_entropy(ids, np.log(clipped))


# --- pictures and text -----------------------------------------------------------------------------------------------


def _check(photo: np.ndarray, mask: np.ndarray) -> None:
    check_same_size(photo, mask)
    if mask.max() >= len(CLASSES):
        named = ", ".join(f"{pixel_class.id} {pixel_class.name}" for pixel_class in CLASSES)
        raise DataError(f"Pitfalls need a mask of pets with the values {named}. Received: values up to {mask.max()}")


def _class_colours(ids: np.ndarray, no_class: np.ndarray | None = None) -> np.ndarray:
    """Colour class ids, with `no_class` pixels dark; small masks are enlarged pixel by pixel."""
    palette = np.array([pixel_class.colour for pixel_class in CLASSES], np.uint8)
    image = palette[np.minimum(ids, len(CLASSES) - 1)]
    if no_class is not None:
        image[no_class] = _NO_CLASS
    return _enlarged(image)


def _heat(values: np.ndarray) -> np.ndarray:
    """Show numbers as brightness of the pet's colour, from 0 dark to 1 bright; others are clipped."""
    share = np.clip(values, 0, 1)[..., None]
    return _enlarged((share * np.array(PET.colour) + (1 - share) * 24).astype(np.uint8))


def _enlarged(image: np.ndarray) -> np.ndarray:
    factor = SHOWN_SIDE // max(image.shape[:2])
    return image.repeat(factor, axis=0).repeat(factor, axis=1) if factor > 1 else image


def _pet_iou(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the IoU of pet and border together in two masks of one size; 1 if neither has any."""
    one, other = np.isin(predicted, PET_AND_BORDER), np.isin(truth, PET_AND_BORDER)
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _number(value: float) -> str:
    return "NaN" if np.isnan(value) else f"{value:.3f}"
