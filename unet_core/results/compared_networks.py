"""Which architectures are compared under one small budget, and what each of them shows. No TensorFlow."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.encoders import ENCODERS
from unet_core.architecture.presets import preset_config
from unet_core.architecture.trace import trace
from unet_core.data.augmentation import FLIPS_ONLY
from unet_core.errors import ConfigError
from unet_core.results.files import Budget
from unet_core.train.config import TrainConfig

DataBug = Literal["bilinear", "flips", "whole_mask"]
ALL_BUGS: frozenset[DataBug] = frozenset(("bilinear", "flips", "whole_mask"))

COMMAND = "python -m unet_core compare-architectures"
NARROWER = 4  # the tutorials' filters are divided by this, so that two cores can train them in minutes
_MOST_LOST = 64  # pixels per side; networks that lose more to valid padding do not fit the budget

PRESETS, TUTORIAL, ABLATIONS, PRETRAINING = "Presets", "The 2022 tutorial", "One thing changed", "Pretraining"
GROUPS = (PRESETS, TUTORIAL, ABLATIONS, PRETRAINING)


@dataclass(frozen=True)
class ComparedNetwork:
    """One architecture of the comparison.

    `config` has no size yet; `teaches` says in a sentence what it shows; `changed` how it differs from the group's
    first entry. `bugs` are deliberate mistakes in the training data. `flip_vertical` flips upside down too.
    """

    name: str
    title: str
    group: str
    teaches: str
    config: UNetConfig
    changed: str = ""
    bugs: frozenset[DataBug] = frozenset()
    flip_vertical: bool = False


def default_budget(**changes: int) -> Budget:
    """Return the budget of the shipped comparison, with changes.

    Raises:
        ConfigError: the side does not suit all networks.
    """
    values: dict[str, Any] = {
        "side": 64,
        "photos": 2000,
        "epochs": 8,
        "batch_size": 16,
        "learning_rate": 1e-3,
        "optimizer": "AdamW, cosine schedule after a short warm-up, gradients clipped to norm 1",
        "seed": 1,
        "test_photos": 1000,
        "validation_photos": 370,
        "width": f"networks with a plain encoder have their filters divided by {NARROWER}",
        **changes,
    }
    if values["side"] % 32:
        raise ConfigError(
            f"side: must be a multiple of 32, for encoders that halve five times. Received: {values['side']}"
        )
    steps = -(-values["photos"] // values["batch_size"]) * values["epochs"]
    return Budget(**values, steps=steps)


def _narrow(config: UNetConfig) -> UNetConfig:
    """Return a tutorial's network for three classes, logits and colour photos, with fewer filters."""
    return config.replace(
        channels=3, classes=3, head_activation="none", base_filters=config.base_filters // NARROWER, batch_momentum=0.9
    )


def _scratch(config: UNetConfig) -> UNetConfig:
    return config.replace(encoder_weights="none", encoder_frozen=False, encoder_batchnorm_frozen=False)


_TUTORIAL = _narrow(preset_config("machinecurve2022"))
_TENSORFLOW = preset_config("mobilenetv2_tutorial").replace(batch_momentum=0.9)
_PETS, _FAST = preset_config("pets"), preset_config("pets_fast")
_PLAIN = UNetConfig(
    depth=4,
    base_filters=16,
    upsampling="transposed",
    skip_mode="strict",
    convolution_bias=False,
    normalization="batch",
    batch_momentum=0.9,
    initializer="he_normal",
)

NETWORKS: tuple[ComparedNetwork, ...] = (
    ComparedNetwork("pets", "Pets", PRESETS, "A pretrained encoder and a separable decoder.", _PETS),
    ComparedNetwork("pets_fast", "Pets, fast", PRESETS, "The same design at 0.35 of the width.", _FAST),
    ComparedNetwork(
        "mobilenetv2_tutorial",
        "MobileNetV2 tutorial",
        PRESETS,
        "The pretrained encoder is frozen; only the decoder is trained.",
        _TENSORFLOW,
    ),
    ComparedNetwork(
        "keras_basic",
        "Basic Keras U-Net",
        PRESETS,
        "Four levels without normalization.",
        _narrow(preset_config("keras_basic")),
    ),
    ComparedNetwork(
        "keras_basic+batchnorm",
        "Basic Keras U-Net, BatchNorm",
        PRESETS,
        "The same network with batch normalization after every convolution, before its ReLU.",
        _narrow(preset_config("keras_basic+batchnorm")).replace(normalization_position="before_activation"),
    ),
    ComparedNetwork(
        "keras_basic+leaky_relu",
        "Basic Keras U-Net, Leaky ReLU",
        PRESETS,
        "The same network with another activation.",
        _narrow(preset_config("keras_basic+leaky_relu")),
    ),
    ComparedNetwork(
        "subclassed",
        "Subclassed U-Net",
        PRESETS,
        "Three levels, transposed convolutions.",
        _narrow(preset_config("subclassed")),
    ),
    ComparedNetwork(
        "tutorial2022_fixed",
        "Tutorial 2022, data fixed",
        TUTORIAL,
        "What the architecture achieves with correct data.",
        _TUTORIAL,
        flip_vertical=True,
    ),
    ComparedNetwork(
        "tutorial2022_as_written",
        "Tutorial 2022 as written",
        TUTORIAL,
        "Three mistakes in the data at once.",
        _TUTORIAL,
        "masks resized bilinearly, independent flips, the whole mask compared with the centre",
        ALL_BUGS,
        True,
    ),
    ComparedNetwork(
        "tutorial2022_bilinear",
        "Only bilinear masks",
        TUTORIAL,
        "Background appears between pet and border, in a line one pixel wide.",
        _TUTORIAL,
        "masks resized bilinearly",
        frozenset(("bilinear",)),
        True,
    ),
    ComparedNetwork(
        "tutorial2022_flips",
        "Only independent flips",
        TUTORIAL,
        "Half of the masks do not match their photo.",
        _TUTORIAL,
        "photo and mask flipped independently",
        frozenset(("flips",)),
        True,
    ),
    ComparedNetwork(
        "tutorial2022_whole_mask",
        "Only the whole mask",
        TUTORIAL,
        "Valid padding predicts only the centre, but the mask is the whole one, squeezed.",
        _TUTORIAL,
        "the whole mask compared with the centre",
        frozenset(("whole_mask",)),
        True,
    ),
    ComparedNetwork(
        "plain",
        "Plain U-Net",
        ABLATIONS,
        "Four levels of 16 to 128 filters: the baseline that the others change.",
        _PLAIN,
    ),
    ComparedNetwork(
        "plain_no_skips",
        "No skip connections",
        ABLATIONS,
        "Outlines must pass through the bottleneck.",
        _PLAIN.replace(skip_mode="none"),
        "no skip connections",
    ),
    ComparedNetwork(
        "plain_no_batchnorm",
        "No BatchNorm",
        ABLATIONS,
        "What normalization contributes in so few steps.",
        _PLAIN.replace(normalization="none", convolution_bias=True),
        "no normalization",
    ),
    ComparedNetwork(
        "plain_nearest",
        "Nearest upsampling",
        ABLATIONS,
        "Copies pixels and then convolves, instead of learning the upsampling.",
        _PLAIN.replace(upsampling="nearest"),
        "nearest upsampling and a 2×2 convolution instead of a transposed one",
    ),
    ComparedNetwork(
        "plain_depth2",
        "Depth 2",
        ABLATIONS,
        "Whether a small receptive field is enough.",
        _PLAIN.replace(depth=2),
        "two levels",
    ),
    ComparedNetwork(
        "plain_depth3",
        "Depth 3",
        ABLATIONS,
        "One level less, a smaller receptive field.",
        _PLAIN.replace(depth=3),
        "three levels",
    ),
    ComparedNetwork(
        "plain_depth5",
        "Depth 5",
        ABLATIONS,
        "One level deeper, at four times the parameters.",
        _PLAIN.replace(depth=5),
        "five levels",
    ),
    ComparedNetwork(
        "pets_scratch",
        "Pets, from scratch",
        PRETRAINING,
        "The same network without ImageNet weights.",
        _scratch(_PETS),
        "no pretrained weights",
    ),
    ComparedNetwork(
        "pets_fast_scratch",
        "Pets, fast, from scratch",
        PRETRAINING,
        "The same network without ImageNet weights.",
        _scratch(_FAST),
        "no pretrained weights",
    ),
    ComparedNetwork(
        "mobilenetv2_tutorial_trained",
        "MobileNetV2 tutorial, encoder trained",
        PRETRAINING,
        "The tutorial's network with its encoder trained too.",
        _TENSORFLOW.replace(encoder_frozen=False),
        "encoder not frozen",
    ),
)

LEFT_OUT = {
    "ronneberger2015": "loses 184 of 284 pixels a side (valid padding, five levels): predicting this size takes far "
    "more computation than the budget allows",
    "bhatt2020": "has the same valid padding and depth as the paper's network",
}


def find_network(name: str) -> ComparedNetwork:
    """Return a network by name.

    Raises:
        ConfigError: there is no such network; the text lists all of them.
    """
    for entry in NETWORKS:
        if entry.name == name:
            return entry
    raise ConfigError(f"there is no network {name!r}; choose from {', '.join(entry.name for entry in NETWORKS)}")


@cache
def sized(entry: ComparedNetwork, side: int) -> UNetConfig:
    """Return the configuration at the smallest input that makes it predict `side` × `side` pixels or more.

    Raises:
        ConfigError: no input size within the budget does.
    """
    for input_side in range(side, side + _MOST_LOST + 1):
        traced = trace(entry.config, (input_side, input_side))
        if traced.output_shape is not None and traced.output_shape[0] >= side:
            return entry.config.replace(height=input_side, width=input_side)
    raise ConfigError(f"{entry.name} cannot predict {side}×{side} pixels within the budget")


def train_config(entry: ComparedNetwork, budget: Budget, encoders: Path | None = None) -> TrainConfig:
    """Return how a network is trained under a budget; its photos come from `comparison_data.ComparedPhotos`.

    Args:
        entry: the network.
        budget: what each run gets.
        encoders: folder of pretrained encoders, such as `mobilenet_v2_0.35.weights.h5`; without, Keras downloads them.

    Raises:
        ConfigError: the network cannot predict the budget's side.
    """
    return TrainConfig(
        model=_with_encoder(sized(entry, budget.side), encoders),
        augmentation=FLIPS_ONLY.replace(flip_vertical=entry.flip_vertical),
        epochs=budget.epochs,
        batch_size=budget.batch_size,
        learning_rate=budget.learning_rate,
        final_learning_rate_factor=0,
        gradient_clip=1.0,
        loss="cross_entropy",
        seed=budget.seed,
        replicas=1,
        previews=0,
        test_limit=0,
    )


def _with_encoder(config: UNetConfig, folder: Path | None) -> UNetConfig:
    """Return the network with its pretrained encoder from a file in `folder`, if one is given.

    An encoder whose ImageNet weights are shipped needs no file there.
    """
    if folder is None or config.encoder_weights == "none":
        return config
    file = folder / f"{config.encoder}_{config.encoder_width}.weights.h5"
    if ENCODERS[config.encoder].application is None and not file.exists():
        return config
    return config.replace(encoder_weights=str(file))


def fingerprint(entry: ComparedNetwork, budget: Budget) -> str:
    """Return a hash of the network and the budget: a stored run with another one is trained again.

    Fields of the network at their default are left out, so that a new option keeps what is stored.
    """
    values = {
        "config": entry.config.model_dump(mode="json", exclude_defaults=True),
        "bugs": sorted(entry.bugs),
        "flip_vertical": entry.flip_vertical,
        "budget": budget.model_dump(mode="json", exclude={"width", "optimizer"}),
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
