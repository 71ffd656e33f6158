"""What a model's second output, if it has one, says of the kind of its subject; see `unet_core.segment.kinds`."""

from __future__ import annotations

from pydantic import Field, model_validator

from unet_core.strict import Strict

ONNX_KINDS = "kinds"  # the second output of an ONNX file


class KindsOutput(Strict):
    """Which kinds of the subject a model tells apart.

    Attributes:
        names: of the kinds, in the order of the output's channels.
        layers: of the network, whose feature maps the output is computed from.
        sure_from: a kind is named from this probability on.
        photos: what `sure_from` was chosen on, in words.
    """

    names: tuple[str, ...] = Field(min_length=2)
    layers: tuple[str, ...] = Field(min_length=1)
    sure_from: float = Field(gt=0.5, le=1)
    photos: str = ""

    @model_validator(mode="after")
    def _distinct(self) -> KindsOutput:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"names: must differ. Received: {list(self.names)}")
        return self
