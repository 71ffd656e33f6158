"""The Train page's presets: training configurations from a one-minute demonstration to the best quality."""

from __future__ import annotations

from dataclasses import dataclass

from unet_core.architecture.change import change
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import preset_config
from unet_core.data.augmentation import FLIPS_ONLY, AugmentationConfig
from unet_core.data.mixture import Mixture
from unet_core.data.oxford.oxford_pets import NAME as OXFORD_PETS
from unet_core.data.synthetic.pets import NAME as SYNTHETIC
from unet_core.train.config import EmaConfig, TrainConfig

SHORT_RUN_MINUTES = 10
_CORRECTION_BATCH, _CORRECTION_STEPS = 8, 80
_LEAST_CORRECTION_EPOCHS, _MOST_CORRECTION_EPOCHS = 4, 40
OWN_DATA = "your_dataset"  # stands for the dataset of a preset until a person's own is chosen
NO_OWN_DATA = (
    "data: this preset trains on your own dataset: upload one on the Data page, or name a folder or ZIP with --data."
)

# Light: a few epochs are too short for strong augmentation.
_LIGHT = AugmentationConfig(rotation=0, shear=0, stretch=1, zoom=(0.85, 1.25), hue=0, translation=0.05)
_NARROW = UNetConfig(
    height=96,
    width=96,
    depth=5,
    filters=(8, 16, 32, 64, 96),
    upsampling="bilinear",
    up_convolution=False,
    convolution_bias=False,
    normalization="batch",
    batch_momentum=0.9,
    skip_mode="strict",
    initializer="he_normal",
)


@dataclass(frozen=True)
class TrainingPreset:
    """A named `TrainConfig` with a title and a sentence on what to expect."""

    name: str
    title: str
    description: str
    config: TrainConfig

    @property
    def own(self) -> bool:
        """Whether it needs a dataset of the person's own."""
        return self.config.data == OWN_DATA


_PRESETS = (
    TrainingPreset(
        name="demo_60s",
        title="60-second demo",
        description="Synthetic pets and a narrow U-Net at 96×96: the masks become right while you watch. "
        "No dataset needed.",
        config=TrainConfig(
            model=_NARROW.replace(depth=4, filters=(8, 16, 32, 64), batch_momentum=0.8),
            data=SYNTHETIC,
            limit=320,
            augmentation=FLIPS_ONLY,
            epochs=10,
            batch_size=16,
            learning_rate=6e-3,
            gradient_clip=1.0,
            ema=EmaConfig(enabled=True, momentum=0.9),
            time_limit_minutes=0.8,
            test_limit=100,
        ),
    ),
    TrainingPreset(
        name="pets_5min",
        title="5-minute pets",
        description="The photos of the Oxford-IIIT Pet dataset and a narrow U-Net at 96×96, trained from scratch in "
        "less than five minutes on two cores.",
        config=TrainConfig(
            model=_NARROW,
            data=OXFORD_PETS,
            augmentation=_LIGHT,
            epochs=7,
            batch_size=16,
            learning_rate=4e-3,
            weight_decay=1e-3,
            gradient_clip=1.0,
            ema=EmaConfig(enabled=True, momentum=0.98),
            time_limit_minutes=4.5,
            test_limit=300,
        ),
    ),
    TrainingPreset(
        name="your_dataset",
        title="Your dataset",
        description="Your own photos and masks, with their own classes: a network that has seen thousands of pets is "
        "trained further, so that a few dozen photos can be enough. It stops when it no longer improves.",
        config=TrainConfig(
            model=preset_config("pets_fast").replace(encoder_weights="none"),
            start_from="pets_fast",
            data=OWN_DATA,
            augmentation=_LIGHT,
            epochs=40,
            batch_size=8,
            learning_rate=1e-3,
            weight_decay=1e-3,
            gradient_clip=1.0,
            ema=EmaConfig(enabled=True, momentum=0.9),
            early_stopping_patience=10,
        ),
    ),
    TrainingPreset(
        name="tutorial2022",
        title="Tutorial 2022 as written",
        description="The U-Net tutorial's own network, split, batch, class weights and learning rates, 3·10⁻⁴ to 10⁻⁶ "
        "in four steps; its errors in the data are corrected. Hours on a CPU.",
        config=TrainConfig(
            model=preset_config("machinecurve2022"),
            data=OXFORD_PETS,
            split_scheme="percentage",
            drop_near_duplicates=False,
            augmentation=FLIPS_ONLY.replace(flip_vertical=True),
            epochs=50,
            batch_size=50,
            optimizer="adam",
            learning_rate=3e-4,
            schedule="piecewise",
            loss="cross_entropy",
            class_weights=(1.0, 1.0, 2.0),
        ),
    ),
    TrainingPreset(
        name="paper_style",
        title="Paper-style (valid, big)",
        description="Ronneberger et al. 2015 on colour photos: valid padding, 572×572 in, 388×388 out, 64 to 1024 "
        "filters, one photo per batch, SGD with momentum 0.99. Needs a GPU.",
        config=TrainConfig(
            model=preset_config("ronneberger2015").replace(channels=3, classes=3, spatial_dropout=0.5),
            data=OXFORD_PETS,
            augmentation=AugmentationConfig(rotation=10, shear=0),
            epochs=30,
            batch_size=1,
            optimizer="sgd",
            momentum=0.99,
            learning_rate=1e-4,
            schedule="plateau",
            loss="cross_entropy",
            gradient_clip=1.0,
            mixed_precision=True,
        ),
    ),
    TrainingPreset(
        name="best_quality",
        title="Best quality",
        description="EfficientNet-Lite0 encoder with ImageNet weights at 224×224, strong augmentation, "
        "averaged weights, thirty epochs. Hours on a CPU, minutes on a GPU.",
        config=TrainConfig(
            # With stored statistics, steps of this size saturate the encoder's last stages (see `silent_depth`).
            model=preset_config("pets").replace(encoder_batchnorm_frozen=False),
            data=OXFORD_PETS,
            augmentation=AugmentationConfig(zoom=(0.6, 1.4)),
            epochs=30,
            batch_size=32,
            learning_rate=2e-3,
            weight_decay=1e-3,
            gradient_clip=1.0,
            ema=EmaConfig(enabled=True, momentum=0.99),
            early_stopping_patience=8,
            test_limit=None,
        ),
    ),
)

TRAINING_PRESETS: dict[str, TrainingPreset] = {preset.name: preset for preset in _PRESETS}


def fitting_channels(bands: int, own: int) -> int:
    """Return the channels of a network for photos of that many bands; `own` are those that it has.

    Photos of three bands are RGB and serve networks for grey values too. A fourth band is opacity, except for a network
    of four channels.
    """
    if bands in (3, 4):
        return own if own in (1, 3, bands) else 3
    return bands


def adapted(config: TrainConfig, data: str | Mixture, classes: int, channels: int | None = None) -> TrainConfig:
    """Return the same training on another dataset, its network and class weights fitted to that many classes.

    A one-class network is not changed: it separates an object from the background. A network with pretrained weights
    keeps its channels.
    """
    model = config.model if config.model.classes == 1 else config.model.replace(classes=classes)
    if model.head_activation == "softmax" and model.classes == 1:
        model = model.replace(head_activation="none")
    preprocessing = model.preprocessing
    if data != config.data and config.start_from is None and preprocessing.mean is not None:
        model = model.replace(preprocessing=preprocessing.with_scale(preprocessing.scale))  # measured on other photos
    if channels not in (None, model.channels) and model.encoder_weights == "none":
        model = change(model, channels=channels).config
    weights = config.class_weights
    if weights is not None and len(weights) != max(2, model.classes):
        weights = None
    return config.replace(model=model, data=data, class_weights=weights)


def short_run(
    data: str, classes: int, augmentation: AugmentationConfig | None = None, channels: int = 3
) -> TrainConfig:
    """Return a run that shows within minutes whether a network can learn a dataset: a small U-Net, from scratch."""
    return TrainConfig(
        model=UNetConfig(
            height=128,
            width=128,
            channels=channels,
            classes=classes,
            depth=4,
            base_filters=16,
            normalization="batch",
            batch_momentum=0.9,
        ),
        data=data,
        augmentation=augmentation or AugmentationConfig(),
        epochs=10,
        batch_size=8,
        learning_rate=2e-3,
        time_limit_minutes=SHORT_RUN_MINUTES,
    )


def correction_run(data: str, photos: int, start_from: str, model: UNetConfig) -> TrainConfig:
    """Return a short run that teaches a trained model what a person has corrected, without losing what it knows.

    A few photos say little about the mean and variance of features, so batch normalization moves towards them slowly,
    and the run stops when the photos kept for validation get worse.

    Args:
        data: the folder of the corrected photos.
        photos: how many there are; fewer are shown more often.
        start_from: the trained model's name, or its run's.
        model: its network.
    """
    batch = min(_CORRECTION_BATCH, max(1, photos // 2))
    steps = max(1, photos // (2 * batch))  # about half of a few photos is kept for validation and test
    return TrainConfig(
        model=model.replace(encoder_weights="none", batch_momentum=0.99),
        start_from=start_from,
        data=data,
        augmentation=_LIGHT,
        epochs=min(_MOST_CORRECTION_EPOCHS, max(_LEAST_CORRECTION_EPOCHS, _CORRECTION_STEPS // steps)),
        batch_size=batch,
        learning_rate=1e-4,  # a tenth of the default
        weight_decay=1e-3,
        gradient_clip=1.0,
        ema=EmaConfig(enabled=True, momentum=0.9),
        early_stopping_patience=6,
        time_limit_minutes=SHORT_RUN_MINUTES,
    )
