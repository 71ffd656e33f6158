"""How likely a model's probabilities make it that a photo shows its subject; see `unet_core.segment.presence`."""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from unet_core.strict import Strict

FIGURES = ("peak", "area", "sureness", "rim", "largest")


class PresenceCalibration(Strict):
    """How a model's probabilities show whether there is a subject: a logistic regression on `FIGURES`.

    Attributes:
        weights: by figure, see `FIGURES`.
        offset: added to the weighted sum.
        absent_below: a lower probability means that there is none.
        present_from: this or a higher one means that there is one.
        photos: what it was fitted on, in words.
    """

    weights: dict[str, float]
    offset: float
    absent_below: float = Field(ge=0, le=1)
    present_from: float = Field(ge=0, le=1)
    photos: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> PresenceCalibration:
        if set(self.weights) != set(FIGURES) or self.absent_below > self.present_from:
            raise ValueError(f"weights: needs {', '.join(FIGURES)}, and absent_below at most present_from")
        return self

    def probability(self, figures: np.ndarray) -> float:
        """Return how likely there is a subject, 0…1, for the values of `FIGURES`."""
        total = self.offset + float(np.dot([self.weights[name] for name in FIGURES], figures))
        return float(0.5 * (1 + np.tanh(0.5 * total)))
