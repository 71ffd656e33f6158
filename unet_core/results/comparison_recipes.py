"""Which architectures are compared under one small budget, and what each of them teaches. No TensorFlow."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

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

NARROWER = 4  # what the tutorials' filters are divided by, so that two cores can train them in minutes
_MOST_LOST = 64  # pixels of the input's side; networks that lose more do not fit the budget

PRESETS, TUTORIAL, ABLATIONS, PRETRAINING = "Presets", "The 2022 tutorial", "One thing changed", "Pretraining"
GROUPS = (PRESETS, TUTORIAL, ABLATIONS, PRETRAINING)


@dataclass(frozen=True)
class Recipe:
    """One architecture of the comparison.

    `config` is without size; `teaches` says in a sentence what to look at; `changed` what differs from the group's
    first entry. `bugs` are mistakes made on purpose with the training data. `flip_vertical` flips upside down too.
    """

    name: str
    title: str
    group: str
    teaches: str
    config: UNetConfig
    changed: str = ""
    bugs: frozenset[DataBug] = frozenset()
    flip_vertical: bool = False


def usual_budget(**changes: int) -> Budget:
    """Return the budget that everything in the shipped comparison got, with changes."""
    values = {
        "side": 64,
        "photos": 2000,
        "epochs": 8,
        "batch_size": 16,
        "learning_rate": 1e-3,
        "optimizer": "AdamW, cosine schedule after a short warm-up, gradients clipped to norm 1",
        "seed": 1,
        "test_photos": 1000,
        "validation_photos": 370,
        "width": f"filters of the networks with a plain contracting path divided by {NARROWER}",
        **changes,
    }
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

RECIPES: tuple[Recipe, ...] = (
    Recipe("pets", "Pets", PRESETS, "A pretrained encoder and a separable decoder.", _PETS),
    Recipe("pets_fast", "Pets, fast", PRESETS, "The same form at 0.35 of the width.", _FAST),
    Recipe(
        "mobilenetv2_tutorial",
        "MobileNetV2 tutorial",
        PRESETS,
        "The encoder stays as ImageNet left it; only the decoder learns.",
        _TENSORFLOW,
    ),
    Recipe(
        "keras_basic",
        "Basic Keras U-Net",
        PRESETS,
        "Four levels without normalization.",
        _narrow(preset_config("keras_basic")),
    ),
    Recipe(
        "keras_basic+batchnorm",
        "Basic Keras U-Net, BatchNorm",
        PRESETS,
        "The same network, normalized after every convolution.",
        _narrow(preset_config("keras_basic+batchnorm")),
    ),
    Recipe(
        "keras_basic+leaky_relu",
        "Basic Keras U-Net, Leaky ReLU",
        PRESETS,
        "The same network with another activation.",
        _narrow(preset_config("keras_basic+leaky_relu")),
    ),
    Recipe(
        "subclassed",
        "Subclassed U-Net",
        PRESETS,
        "Three levels, transposed convolutions.",
        _narrow(preset_config("subclassed")),
    ),
    Recipe(
        "tutorial2022_mended",
        "Tutorial 2022, data mended",
        TUTORIAL,
        "What the architecture can do when its data are right.",
        _TUTORIAL,
        flip_vertical=True,
    ),
    Recipe(
        "tutorial2022_as_written",
        "Tutorial 2022 as written",
        TUTORIAL,
        "Three mistakes in the data at once.",
        _TUTORIAL,
        "masks resized bilinearly, flips out of step, the whole mask compared with the centre",
        ALL_BUGS,
        True,
    ),
    Recipe(
        "tutorial2022_bilinear",
        "Only bilinear masks",
        TUTORIAL,
        "Background appears between pet and border, in a line one pixel wide.",
        _TUTORIAL,
        "masks resized bilinearly",
        frozenset(("bilinear",)),
        True,
    ),
    Recipe(
        "tutorial2022_flips",
        "Only flips out of step",
        TUTORIAL,
        "Half of the masks belong to the mirrored photo.",
        _TUTORIAL,
        "photo and mask flipped by two generators",
        frozenset(("flips",)),
        True,
    ),
    Recipe(
        "tutorial2022_whole_mask",
        "Only the whole mask",
        TUTORIAL,
        "Valid padding predicts the centre; this mask shows everything, squeezed.",
        _TUTORIAL,
        "the whole mask compared with the centre",
        frozenset(("whole_mask",)),
        True,
    ),
    Recipe("plain", "Plain U-Net", ABLATIONS, "Four levels of 16 to 128 filters: what the others change.", _PLAIN),
    Recipe(
        "plain_no_skips",
        "No skip connections",
        ABLATIONS,
        "Outlines must pass through the narrowest place.",
        _PLAIN.replace(skip_mode="none"),
        "no skip connections",
    ),
    Recipe(
        "plain_no_batchnorm",
        "No BatchNorm",
        ABLATIONS,
        "What normalization is worth in so few steps.",
        _PLAIN.replace(normalization="none", convolution_bias=True),
        "no normalization",
    ),
    Recipe(
        "plain_nearest",
        "Nearest upsampling",
        ABLATIONS,
        "Copies pixels and then convolves, instead of learning the copy.",
        _PLAIN.replace(upsampling="nearest"),
        "nearest upsampling and a 2×2 convolution instead of a transposed one",
    ),
    Recipe(
        "plain_depth2",
        "Depth 2",
        ABLATIONS,
        "How far a pixel must see to know what it belongs to.",
        _PLAIN.replace(depth=2),
        "two levels",
    ),
    Recipe(
        "plain_depth3",
        "Depth 3",
        ABLATIONS,
        "One level more to see with.",
        _PLAIN.replace(depth=3),
        "three levels",
    ),
    Recipe(
        "plain_depth5",
        "Depth 5",
        ABLATIONS,
        "One level deeper, at four times the parameters.",
        _PLAIN.replace(depth=5),
        "five levels",
    ),
    Recipe(
        "pets_scratch", "Pets, from scratch", PRETRAINING, "The same network without ImageNet.", _scratch(_PETS),
        "no pretrained weights",
    ),
    Recipe(
        "pets_fast_scratch", "Pets, fast, from scratch", PRETRAINING, "The same network without ImageNet.",
        _scratch(_FAST), "no pretrained weights",
    ),
    Recipe(
        "mobilenetv2_tutorial_trained",
        "MobileNetV2 tutorial, encoder trained",
        PRETRAINING,
        "The tutorial's network when its encoder may learn too.",
        _TENSORFLOW.replace(encoder_frozen=False),
        "encoder not frozen",
    ),
)  # fmt: skip

LEFT_OUT = {
    "ronneberger2015": "loses 184 of 284 pixels at its edges (valid padding, five levels): far more computing than the "
    "budget to predict a picture of this size",
    "bhatt2020": "the same valid padding and depth as the paper's network",
}


def recipe(name: str) -> Recipe:
    """Return a recipe by name.

    Raises:
        ConfigError: there is none; the text lists those there are.
    """
    for entry in RECIPES:
        if entry.name == name:
            return entry
    raise ConfigError(f"there is no recipe {name!r}; choose from {', '.join(entry.name for entry in RECIPES)}")


def sized(entry: Recipe, side: int) -> UNetConfig:
    """Return a recipe's network at the smallest input that makes it predict `side` × `side` pixels or more.

    Raises:
        ConfigError: no size that the budget allows does.
    """
    wanted = _smallest_input(entry.config, side)
    if wanted is None:
        raise ConfigError(f"{entry.name} cannot predict {side}×{side} pixels within the budget")
    return entry.config.replace(height=wanted, width=wanted)


@cache
def _smallest_input(config: UNetConfig, side: int) -> int | None:
    for wanted in range(side, side + _MOST_LOST + 1):
        traced = trace(config, (wanted, wanted))
        if traced.output_shape is not None and traced.output_shape[0] >= side:
            return wanted
    return None


def train_config(entry: Recipe, budget: Budget, encoders: Path | None = None) -> TrainConfig:
    """Return how a recipe is trained under a budget; its photos come from `comparison_data.ComparedPhotos`.

    Args:
        entry: the recipe.
        budget: what each run gets.
        encoders: folder of pretrained encoders, such as `mobilenet_v2_0.35.weights.h5`; Keras downloads them without.

    Raises:
        ConfigError: its network cannot predict the budget's side.
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
    """Return the network with its pretrained encoder from a file of `folder`, where one is given.

    An encoder whose ImageNet weights come in a package needs no file there.
    """
    if folder is None or config.encoder_weights == "none":
        return config
    file = folder / f"{config.encoder}_{config.encoder_width}.weights.h5"
    if ENCODERS[config.encoder].application is None and not file.exists():
        return config
    return config.replace(encoder_weights=str(file))


def fingerprint(entry: Recipe, budget: Budget) -> str:
    """Return what stands for a recipe under a budget: a finished run with another one is trained again."""
    values = {
        "config": entry.config.model_dump(mode="json"),
        "bugs": sorted(entry.bugs),
        "flip_vertical": entry.flip_vertical,
        "budget": budget.model_dump(mode="json", exclude={"width", "optimizer"}),
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
