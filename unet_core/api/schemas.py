"""What the HTTP API takes and gives, from which its OpenAPI description is made."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator

from unet_core.segment.downloads import Background
from unet_core.segment.inference import InferenceMode
from unet_core.segment.tiles import MAX_OVERLAP
from unet_core.strict import Strict

Picture = Literal["mask", "alpha", "overlay", "cutout"]
Output = Literal["json", "mask", "alpha", "overlay", "cutout"]


class SegmentQuery(Strict):
    """The parameters of a request, in its address."""

    model: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="A name from /api/models, or the id of a training run; by default the default model."
    )
    output: Output | None = Field(
        default=None,
        description="What to answer with: figures as JSON, or one picture as PNG. By default what the Accept header "
        "asks for: a cut-out for image/png, JSON for all else.",
    )
    include: tuple[Picture, ...] = Field(
        default=(), description="Pictures to put into the JSON as base64 of PNG files, separated by commas."
    )
    animal: Annotated[int, Field(ge=1, le=255)] | None = Field(
        default=None, description="The number of one animal, for an alpha or a cut-out of it alone; by default all."
    )
    background: Annotated[str, Field(pattern="^(transparent|white|blurred|#[0-9a-fA-F]{6})$")] = Field(
        default="transparent", description="Of the cut-out: transparent, white, blurred, or a colour such as #00a0ff."
    )
    max_side: Annotated[int, Field(ge=16)] | None = Field(
        default=None,
        description="The most pixels on the longer side of pictures; by default those of the photo. Smaller is faster.",
    )
    mode: Literal["whole", "tiles"] = Field(
        default="whole", description="The inference mode: the whole photo at once, or overlapping tiles."
    )
    flip: bool = Field(default=False, description="Average with the mirrored photo, where the model does not anyway.")
    scale: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="Scale of the photo that is cut into tiles; by default one that gives few tiles."
    )
    overlap: Annotated[int, Field(ge=0, le=round(100 * MAX_OVERLAP))] = Field(
        default=round(100 * InferenceMode.overlap), description="Least overlap of neighbouring tiles, in percent."
    )

    @field_validator("include", mode="before")
    @classmethod
    def _separated(cls, value: Any) -> Any:
        return tuple(dict.fromkeys(filter(None, value.split(",")))) if isinstance(value, str) else value

    @property
    def inference_mode(self) -> InferenceMode:
        """How the photo is passed to the network."""
        return InferenceMode(self.mode, self.scale, self.overlap / 100, self.flip)

    @property
    def cutout_background(self) -> Background:
        """The background of the cut-out as `downloads.cutout` takes it."""
        if self.background == "transparent" or self.background == "white" or self.background == "blurred":
            return self.background
        red, green, blue = bytes.fromhex(self.background[1:])
        return red, green, blue


class ClassAnswer(BaseModel):
    """One class of a model."""

    name: str
    code: int = Field(description="Its value in masks; a colour 0xRRGGBB where the data's masks are coloured.")
    colour: str = Field(description="Its colour in overlays, such as #e69f00.")
    is_background: bool


class AnimalAnswer(BaseModel):
    """One animal, or one piece of another subject."""

    number: int = Field(description="What the parameter animal takes; 1 is the largest.")
    share: float = Field(description="The share of the photo that its outline covers, 0 to 1.")
    box: tuple[int, int, int, int] = Field(description="Left, top, width and height, in pixels of the pictures.")


class SegmentAnswer(BaseModel):
    """The figures of one segmented photo."""

    name: str = Field(description="The photo's file name.")
    width: int = Field(description="The photo's width in pixels.")
    height: int = Field(description="The photo's height in pixels.")
    model: str
    engine: str = Field(description="onnx or keras.")
    device: str
    milliseconds: float = Field(description="From the photo's bytes to its mask, without waiting.")
    timings: dict[str, float] = Field(description="The same by stage, in milliseconds.")
    shares: dict[str, float] = Field(description="The share of the photo's pixels by class, 0 to 1.")
    subject: str = Field(description="What the model looks for, such as pet.")
    found: bool | None = Field(
        description="Whether the photo shows one: null for not sure; if false, alpha and cut-out are empty."
    )
    probability: float | None = Field(description="That it shows one, 0 to 1; null if the model has no calibration.")
    kind: str | None = Field(description="Its kind, such as cat or dog; null if the model tells none or is not sure.")
    kind_probability: float | None = Field(description="That it is of this kind, 0 to 1; null without a kind.")
    coverage: float = Field(description="The share of the photo that the subject's outline covers, 0 to 1.")
    animals: list[AnimalAnswer]
    pictures: dict[str, str] = Field(description="The pictures asked for with include: base64 of PNG files.")
    note: str = Field(description="What to know before relying on the model; empty if nothing is known against it.")


class ModelAnswer(BaseModel):
    """One model that a photo can be segmented with."""

    name: str = Field(description="What the parameter model takes.")
    title: str
    description: str
    is_default: bool
    width: int = Field(description="The network's input, in pixels.")
    height: int
    network_runs: int = Field(
        description="How often the network runs on one photo, at least: with a zoomed second pass it runs more often "
        "for several pets, and where the passes contradict each other."
    )
    classes: list[ClassAnswer]
    licence: str
    credit: list[str]


class ModelsAnswer(BaseModel):
    """The shipped models, the default one first. A training run is used by its id and not listed."""

    models: list[ModelAnswer]


class HealthAnswer(BaseModel):
    """Whether the server can segment photos, and how many are on their way."""

    status: Literal["ok", "stopping"]
    version: str
    waiting: int = Field(description="Photos that wait for others, of all visitors.")
    running: int = Field(description="Photos that are being segmented.")
