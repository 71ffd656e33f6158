"""Whether a photo shows what the model looks for: "no pet found" and "not sure there is a pet".

A model of pets gives every photo a mask, also one of a cup or a horse. How likely there is a pet is estimated from the
mask's probabilities: how sure the surest pixels are, how much they cover, and how sharply they are separated from the
rest. The weights of these figures are fitted for each model on photos with and without pets
(`unet_core.scoring.presence`) and stored in its manifest entry.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from unet_core.classes import BORDER, PET, PixelClasses
from unet_core.segment.outline import is_pets, subject_certainty
from unet_core.zoo.presence import PresenceCalibration

_PEAK_SHARE = 0.01  # of the photo's pixels: the surest ones
_SIDE = 400  # of larger maps, only every second pixel is looked at, or every third …
_LEAST = 1e-4
_LEAST_PEAK = 1e-6  # a sure network gives far less where there is no pet, and how much less tells tiny pets from none


class Presence(NamedTuple):
    """Whether a photo shows the subject.

    Attributes:
        found: True, False, or None for "not sure".
        probability: 0…1; None if the model has no calibration: then the mask alone decides.
        kind: of the subject, such as "cat", if the model tells kinds apart and is sure of it.
        kind_probability: how likely it is that kind, 0…1.
    """

    found: bool | None = True
    probability: float | None = None
    kind: str | None = None
    kind_probability: float | None = None

    def sentence(self, subject: str) -> str:
        """Say it in words, with the probability where there is one; `subject` as in "pet"."""
        name = self.kind or subject
        shown = f"an {name}" if name[:1].lower() in {*"aeiou"} else f"a {name}"
        text = {True: f"A{shown[1:]} was found", False: f"No {subject} found", None: f"Not sure there is {shown}"}
        certainty = self.probability if self.kind is None else self.kind_probability
        how_likely = "" if certainty is None else f" (probability {100 * certainty:.0f} %)"
        return f"{text[self.found]}{how_likely}."


MASK_ALONE = Presence()


def rounded(probability: float | None) -> float | None:
    """Return a probability as answers give it, to four places."""
    return None if probability is None else round(probability, 4)


def presence_of(probabilities: np.ndarray, classes: PixelClasses, calibration: PresenceCalibration | None) -> Presence:
    """Return whether class probabilities (h, w, C) show the subject; without calibration, if any pixel does."""
    if calibration is None:
        if classes.background is None:
            return Presence()
        return Presence(any((row.argmax(axis=-1) != classes.background).any() for row in probabilities))
    probability = calibration.probability(figures_of(probabilities, classes))
    if probability < calibration.absent_below:
        return Presence(False, probability)
    return Presence(True if probability >= calibration.present_from else None, probability)


def figures_of(probabilities: np.ndarray, classes: PixelClasses) -> np.ndarray:
    """Return the values of `FIGURES` for class probabilities (h, w, C), float64.

    - peak: log-odds of the mean probability of the subject in the surest hundredth of the photo.
    - area: logarithm of the share of the photo that is subject.
    - sureness: mean log-odds of the subject's pixels against the rest.
    - rim: the border's share of the photo, over the square root of the subject's share; 0 without a border class.
    - largest: the largest connected piece's share of the subject.
    """
    from scipy import ndimage

    step = -(-max(probabilities.shape[:2]) // _SIDE)
    probabilities = probabilities[::step, ::step]
    certainty = subject_certainty(probabilities, classes)
    pets = is_pets(classes)
    direct = probabilities[..., PET.id] if pets else certainty
    border = float(probabilities[..., BORDER.id].mean()) if pets else 0.0
    count = max(1, round(_PEAK_SHARE * direct.size))
    peak = float(np.partition(direct.reshape(-1), -count)[-count:].mean())
    inside = certainty > 0.5
    share = float(inside.mean())
    sureness = float(_log_odds(direct[inside]).mean()) if share else 0.0
    pieces, _ = ndimage.label(inside)
    sizes = np.bincount(pieces.reshape(-1))[1:]
    largest = float(sizes.max() / sizes.sum()) if len(sizes) else 0.0
    return np.array(
        [
            float(_log_odds(np.array(peak), _LEAST_PEAK)),
            np.log(share + _LEAST),
            sureness,
            border / np.sqrt(share + _LEAST),
            largest,
        ]
    )


def _log_odds(values: np.ndarray, least: float = _LEAST) -> np.ndarray:
    safe = np.clip(values.astype(np.float64), least, 1 - _LEAST)
    return np.log(safe / (1 - safe))
