"""How a model is trained, as data: everything that, with the dataset, makes a run repeatable. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.trace import trace
from unet_core.data.augmentation import AugmentationConfig
from unet_core.data.mixture import Data, primary_of, sources_of, title_of
from unet_core.data.splits import VALIDATION_FRACTION, Seed, SplitConfig, SplitScheme, ValidationFraction
from unet_core.errors import ConfigError
from unet_core.strict import Strict

Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "piecewise", "cosine", "plateau"]
EarlyStopping = Literal["mean_iou", "loss"]
Loss = Literal["cross_entropy", "dice", "cross_entropy_dice", "focal", "tversky"]


# The tutorial's steps: 3e-4, 1e-4, 1e-5, 1e-6, changing after these shares of all steps.
PIECEWISE_SHARES = (0.2, 0.5, 0.8)
PIECEWISE_FACTORS = (1.0, 1 / 3, 1 / 30, 1 / 300)


class EmaConfig(Strict):
    """Averaging of the trained weights (Polyak averaging): evaluated and kept instead of the last step's.

    `momentum` is the share of the old average kept at each step: 0.99 averages over about the last 100 steps.
    """

    enabled: bool = False
    momentum: float = Field(default=0.99, ge=0, lt=1)


class TrainConfig(Strict):
    """Every choice that makes one training run. Frozen; equal values and an equal dataset give equal weights on CPU.

    Raises:
        ConfigError: one error that names each bad field, what is allowed and what was received.
    """

    model: UNetConfig
    # The name of a shipped model, a run's folder, or the name of a recipe, which `train` then trains first:
    start_from: str | None = Field(default=None, min_length=1)  # for the initial weights
    distill_from: str | None = Field(default=None, min_length=1)  # the teacher, beside the true masks
    distill_weight: float = Field(default=0.5, ge=0, le=1)  # of the teacher in the loss

    # --- data ---------------------------------------------------------------------------------------------------
    data: Data = "oxford_iiit_pet"  # or "synthetic", a folder or a ZIP; or several with shares, see `SourceShare`
    split_scheme: SplitScheme = "official"
    validation_fraction: ValidationFraction = VALIDATION_FRACTION  # of the training part
    drop_near_duplicates: bool = True  # training photos that nearly equal a test photo
    limit: int | None = Field(default=None, ge=2)  # use at most this many photos of each part
    crops: bool = False  # random pieces at the photos' own scale, instead of photos resized to the network's size
    validation_subsplits: int = Field(default=1, ge=1, le=1000)  # an epoch validates on one in so many photos
    augmentation: AugmentationConfig = AugmentationConfig()

    # --- optimization -------------------------------------------------------------------------------------------
    epochs: int = Field(default=20, ge=1, le=100_000)
    batch_size: int = Field(default=32, ge=1, le=4096)
    optimizer: Optimizer = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0, le=10)
    schedule: Schedule = "cosine"
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)  # of all steps, for schedule "cosine"
    final_learning_rate_factor: float = Field(default=0.01, ge=0, le=1)  # lowest of "cosine" and "plateau"
    plateau_factor: float = Field(default=0.5, gt=0, lt=1)  # of the learning rate, when schedule "plateau" lowers it
    plateau_patience: int = Field(default=3, ge=1)  # epochs without a lower validation loss before it does
    weight_decay: float = Field(default=1e-4, ge=0, le=1)  # AdamW's; kernels only
    momentum: float = Field(default=0.9, ge=0, lt=1)  # SGD's
    gradient_clip: float | None = Field(default=None, gt=0)  # largest global norm of the gradient
    ema: EmaConfig = EmaConfig()

    # --- objective ----------------------------------------------------------------------------------------------
    loss: Loss = "cross_entropy_dice"
    dice_weight: float = Field(default=0.5, ge=0, le=100)  # of "cross_entropy_dice", beside a cross-entropy of weight 1
    focal_gamma: float = Field(default=2.0, ge=0, le=10)
    tversky_alpha: float = Field(default=0.5, ge=0, le=1)  # weight of false positives
    tversky_beta: float = Field(default=0.5, ge=0, le=1)  # weight of false negatives
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    background_weight: float = Field(default=0.0, ge=0, le=100)  # of the same loss between background and the rest
    background_class: int = Field(default=1, ge=0)  # 1 is the pets'
    class_weights: tuple[float, ...] | None = None  # one per class

    # --- the run ------------------------------------------------------------------------------------------------
    seed: Seed = 0
    early_stopping_patience: int | None = Field(default=None, ge=1)  # epochs without a better validation score
    early_stopping_on: EarlyStopping = "mean_iou"  # the score: mean IoU or the loss, both on validation photos
    time_limit_minutes: float | None = Field(default=None, gt=0)  # the first epoch may take as long again
    disk_limit_mb: float | None = Field(default=None, gt=0)  # of the run directory; None takes the settings' limit
    mixed_precision: bool = False  # float16 arithmetic with float32 weights, on a GPU only
    replicas: int | None = Field(default=None, ge=1, le=64)  # devices that share each batch; None uses every GPU
    tensorboard_details: bool = False  # weights as histograms and the previews as images, beside the curves
    previews: int = Field(default=4, ge=0, le=12)  # validation photos whose predicted mask is kept after each epoch
    test_limit: int | None = Field(default=500, ge=0)  # test photos measured at the end; 0 measures none, None all

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = []
        classes = max(2, self.model.classes)
        if self.class_weights is not None and len(self.class_weights) != classes:
            problems.append(
                f"class_weights: needs {classes} entries, one per class. Received: {list(self.class_weights)}"
            )
        if self.class_weights is not None and any(weight < 0 for weight in self.class_weights):
            problems.append(f"class_weights: may not be negative. Received: {list(self.class_weights)}")
        if self.background_weight and not self.background_class < self.model.classes:
            problems.append(
                f"background_class: must be one of the model's {self.model.classes} classes, counted from 0. "
                f"Received: {self.background_class}"
            )
        if self.background_weight and self.model.classes == 1:
            problems.append(f"background_weight: needs two or more classes. Received: {self.background_weight}")
        if self.replicas is not None and self.batch_size < self.replicas:
            problems.append(f"batch_size: {self.batch_size} cannot be shared by {self.replicas} replicas")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def primary(self) -> str:
        """The dataset whose photos validate and score the network: `data`, or the first one of a mixture."""
        return primary_of(self.data)

    @property
    def sources(self) -> tuple[str, ...]:
        """All datasets that the network is trained on, the primary one first."""
        return sources_of(self.data)

    @property
    def data_title(self) -> str:
        """The data's name for people, without paths."""
        return title_of(self.data)

    @property
    def split(self) -> SplitConfig:
        """Which examples of the dataset train, validate and test."""
        return SplitConfig.among(self.model_dump())


def default_train_config(model: UNetConfig, data: str = "oxford_iiit_pet") -> TrainConfig:
    """Return good defaults for `model` on `data`: AdamW with a cosine schedule, cross-entropy + Dice, augmentation."""
    return TrainConfig(model=model, data=data)


def with_fields(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """Return the configuration with fields changed, by dotted name, validated as a whole.

    Raises:
        ConfigError: there is no such field, or a value is not allowed.
    """
    values = config.model_dump(mode="json")
    for field, value in changes.items():
        *parents, name = field.split(".")
        holder: Any = values
        for parent in parents:
            holder = holder.get(parent) if isinstance(holder, dict) else None
        if not isinstance(holder, dict) or name not in holder:
            raise ConfigError(f"{field}: the training configuration has no such field")
        holder[name] = value
    return TrainConfig.from_dict(values)


def check_config(config: TrainConfig) -> None:
    """Refuse a configuration whose network cannot be built or fed.

    Raises:
        ConfigError: one sentence that names the layer that breaks, and sizes that work.
    """
    found = config_problems(config)
    if found:
        raise ConfigError(found[0], found)


def config_problems(config: TrainConfig) -> tuple[str, ...]:
    """Return what is wrong with the configuration itself, whatever the data; takes milliseconds."""
    model = config.model
    found = []
    problem = trace(model).problem
    if problem is not None:
        sizes = ", ".join(f"{height}×{width}" for height, width in problem.suggested_sizes)
        advice = f" Sizes that work: {sizes}." if sizes else ""
        found.append(f"This network does not work at {model.height}×{model.width}: {problem.message}{advice}")
    if config.replicas is not None and config.batch_size % config.replicas:
        found.append(
            f"batch_size: {config.replicas} devices share each batch, so it must be a multiple of {config.replicas}. "
            f"Received: {config.batch_size}"
        )
    return tuple(found)
