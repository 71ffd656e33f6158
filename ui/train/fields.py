"""Every setting of a training run as a widget: its label, its place in the form, its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Literal

import streamlit as st

from ui.shared import format as text
from ui.shared.fields import Range, explained, offered
from ui.shared.url import DEPENDS, Option, is_switch
from unet_core.errors import ConfigError
from unet_core.strict import field_bounds, field_choices
from unet_core.train.config import TrainConfig

Values = Mapping[str, Any]
Kind = Literal["whole", "number", "choice", "switch", "numbers", "range"]

WORDS = {
    **text.SCALES,
    "adam": "Adam",
    "adamw": "AdamW",
    "sgd": "SGD with momentum",
    "constant": "constant",
    "piecewise": "in four steps (the tutorial's)",
    "cosine": "cosine with warm-up",
    "plateau": "reduce on plateau",
    "cross_entropy": "cross-entropy",
    "dice": "Dice",
    "cross_entropy_dice": "cross-entropy + Dice",
    "focal": "focal",
    "tversky": "Tversky",
    "official": "the dataset's own parts",
    "mean_iou": "the validation mean IoU",
    "loss": "the validation loss",
    "percentage": "80 / 10 / 10 %, at random",
}


def _always(values: Values) -> bool:
    return True


@dataclass(frozen=True)
class Field:
    """One field of a `TrainConfig`; `path` is its dotted name, also for `--set` of the command and in the URL."""

    path: str
    label: str
    group: str
    kind: Kind
    step: float = 1
    optional: bool = False  # an empty box means "none"
    help: str | None = None
    shown: Callable[[Values], bool] = _always

    @property
    def range(self) -> Range:
        """The values that the widget offers, the same on every page."""
        return offered(TrainConfig, self.path)

    @property
    def explanation(self) -> str | None:
        """The help beside the widget."""
        return explained(TrainConfig, self.path, self.help) if self.kind in ("whole", "number", "range") else self.help

    @property
    def option(self) -> Option:
        """The parameter of the URL; its default is the preset's."""
        if self.kind == "choice":
            choices = tuple(_word(value) for value in field_choices(TrainConfig, self.path))
            return Option(self.path, DEPENDS, _word, choices)
        usable = {"whole": self._is_number, "number": self._is_number, "switch": is_switch}
        return Option(self.path, DEPENDS, is_usable=usable.get(self.kind))

    def _is_number(self, text: str) -> bool:
        """Return whether a text of the URL is a number within the configuration's bounds."""
        bounds = field_bounds(TrainConfig, self.path)
        try:
            number = float(text)
        except ValueError:
            return False
        low, high = (default if end is None else end for end, default in ((bounds.low, -inf), (bounds.high, inf)))
        return isfinite(number) and low <= number <= high

    def of(self, config: TrainConfig) -> Any:
        """Return a configuration's value of this field, as the widget shows it."""
        value: Any = config
        for part in self.path.split("."):
            value = getattr(value, part)
        if self.path == "model.base_filters":
            return config.model.level_filters[0]
        if self.kind == "numbers":
            return "" if value is None else ", ".join(f"{number:g}" for number in value)
        if value is None:
            return None
        if self.kind == "range":
            return tuple(float(end) for end in value)
        return float(value) if self.kind == "number" else value


def _when(path: str, *values: Any) -> Callable[[Values], bool]:
    return lambda chosen: chosen.get(path) in values


def _plain_encoder(chosen: Values) -> bool:
    return chosen.get("model.encoder") == "none"


def _normalized(chosen: Values) -> bool:
    return chosen.get("model.normalization") != "none"


NETWORK, DATA, AUGMENTATION, LEARNING, LOSS, RUN = "Network", "Data", "Augmentation", "Learning", "Loss", "The run"
OWN_PARTS = "data.own_parts"  # among the values: whether the dataset divides its photos itself
GROUPS = (NETWORK, DATA, AUGMENTATION, LEARNING, LOSS, RUN)


def _pasted(chosen: Values) -> bool:
    return bool(chosen.get("augmentation.enabled") and chosen.get("augmentation.paste"))


def _against_background(chosen: Values) -> bool:
    return bool(chosen.get("background_weight"))


def _has_own_parts(chosen: Values) -> bool:
    return bool(chosen.get(OWN_PARTS))


def _stops_early(chosen: Values) -> bool:
    return chosen.get("early_stopping_patience") is not None


def _taught(chosen: Values) -> bool:
    return chosen.get("distill_from") is not None


_VARIED = _when("augmentation.enabled", True)

FIELDS: tuple[Field, ...] = (
    Field("model.height", "Height", NETWORK, "whole", 16, help="of the network's input, in pixels"),
    Field("model.width", "Width", NETWORK, "whole", 16, help="of the network's input, in pixels"),
    Field("model.depth", "Levels", NETWORK, "whole", 1, shown=_plain_encoder,
          help="resolutions from top to bottleneck; each one halves the size"),
    Field("model.base_filters", "Filters at the top", NETWORK, "whole", 4, shown=_plain_encoder,
          help="doubled at each level below once you change this or the levels"),
    Field("model.padding", "Padding", NETWORK, "choice", shown=_plain_encoder,
          help="valid: every convolution larger than 1×1 crops the border, as in the paper"),
    Field("model.channels", "Channels", NETWORK, "whole", 1, shown=_plain_encoder,
          help="of the photos: 3 for RGB, 1 for grey values, more for photos of as many bands"),
    Field("model.preprocessing.scale", "Pixel values", NETWORK, "choice",
          help="mean 0, deviation 1: per channel, measured on the training photos when training starts"),
    Field("model.kernel_size", "Kernel size", NETWORK, "whole", 1,
          help="side of the window of every convolution in a block, in pixels"),
    Field("model.pooling", "Pooling", NETWORK, "choice", shown=_plain_encoder),
    Field("model.upsampling", "Upsampling", NETWORK, "choice"),
    Field("model.normalization", "Normalization", NETWORK, "choice"),
    Field("model.normalization_position", "Normalization position", NETWORK, "choice", shown=_normalized),
    Field("model.activation", "Activation", NETWORK, "choice"),
    Field("model.initializer", "Initialization", NETWORK, "choice"),
    Field("model.spatial_dropout", "Bottleneck dropout", NETWORK, "number", 0.05,
          help="share of channels dropped at the end of the contracting path"),
    Field("model.decoder_dropout", "Decoder dropout", NETWORK, "number", 0.05,
          help="share of channels dropped after each merge of the expansive path"),
    Field("limit", "Photo limit", DATA, "whole", 50, optional=True,
          help="train on at most this many photos; empty uses all"),
    Field("validation_fraction", "Validation share", DATA, "number", 0.05,
          help="share of the training photos that is kept for validation"),
    Field("crops", "Train on crops", DATA, "switch",
          help="random pieces in the network's size at the photos' own scale, instead of whole photos resized to it: "
          "for small objects in large photos. Validation and test cover photos with tiles of the same size; segment "
          "in tiles too"),
    Field("validation_subsplits", "Validate on one in", DATA, "whole", 1,
          help="an epoch validates on one in so many validation photos (the tutorial's VAL_SUBSPLITS)"),
    Field("split_scheme", "Training, validation and test", DATA, "choice", shown=_has_own_parts,
          help="keep the parts into which the dataset divides its photos, or split all photos again"),
    Field("drop_near_duplicates", "Leave out near-duplicates of test photos", DATA, "switch"),
    Field("previews", "Preview photos", DATA, "whole", 1,
          help="validation photos whose mask is predicted after each epoch"),
    Field("augmentation.enabled", "Vary the photos", AUGMENTATION, "switch"),
    Field("augmentation.flip_horizontal", "Flip left to right", AUGMENTATION, "switch", shown=_VARIED),
    Field("augmentation.flip_vertical", "Flip upside down", AUGMENTATION, "switch", shown=_VARIED),
    Field("augmentation.rotation", "Rotation in degrees", AUGMENTATION, "number", 5, shown=_VARIED),
    Field("augmentation.zoom", "Size of the object", AUGMENTATION, "range", 0.05, shown=_VARIED),
    Field("augmentation.stretch", "Stretch", AUGMENTATION, "number", 0.05, shown=_VARIED),
    Field("augmentation.shear", "Shear in degrees", AUGMENTATION, "number", 1, shown=_VARIED),
    Field("augmentation.translation", "Shift", AUGMENTATION, "number", 0.05, shown=_VARIED),
    Field("augmentation.brightness", "Brightness", AUGMENTATION, "number", 0.05, shown=_VARIED),
    Field("augmentation.contrast", "Contrast", AUGMENTATION, "number", 0.05, shown=_VARIED),
    Field("augmentation.saturation", "Saturation", AUGMENTATION, "number", 0.05, shown=_VARIED),
    Field("augmentation.hue", "Hue in degrees", AUGMENTATION, "number", 2, shown=_VARIED),
    Field("augmentation.grey", "Grey", AUGMENTATION, "number", 0.05, shown=_VARIED,
          help="share of photos that lose their colour"),
    Field("augmentation.blur", "Blur", AUGMENTATION, "number", 0.05, shown=_VARIED,
          help="share of photos that are softened, each by another amount"),
    Field("augmentation.noise", "Noise", AUGMENTATION, "number", 0.01, shown=_VARIED,
          help="strongest noise, as a share of the range from black to white; 0.1 is a lot"),
    Field("augmentation.paste", "Cut and paste", AUGMENTATION, "number", 0.05, shown=_VARIED,
          help="share of photos onto which the object of another photo in the batch is pasted, with its mask"),
    Field("augmentation.paste_background", "Background class", AUGMENTATION, "whole", 1, shown=_pasted,
          help="the class that is not pasted, counted from 0; 1 for the pets"),
    Field("epochs", "Epochs", LEARNING, "whole", 1, help="passes over all training photos"),
    Field("batch_size", "Batch size", LEARNING, "whole", 8, help="photos per step"),
    Field("optimizer", "Optimizer", LEARNING, "choice"),
    Field("learning_rate", "Learning rate", LEARNING, "number", 1e-4),
    Field("schedule", "Learning rate schedule", LEARNING, "choice"),
    Field("warmup_fraction", "Warm-up", LEARNING, "number", 0.05, shown=_when("schedule", "cosine"),
          help="share of all steps"),
    Field("plateau_factor", "Reduction factor", LEARNING, "number", 0.05, shown=_when("schedule", "plateau")),
    Field("plateau_patience", "Patience in epochs", LEARNING, "whole", 1, shown=_when("schedule", "plateau")),
    Field("weight_decay", "Weight decay", LEARNING, "number", 1e-4, shown=_when("optimizer", "adamw")),
    Field("momentum", "Momentum", LEARNING, "number", 0.01, shown=_when("optimizer", "sgd")),
    Field("gradient_clip", "Gradient clipping", LEARNING, "number", 0.5, optional=True,
          help="largest norm of the whole gradient; empty does not clip"),
    Field("ema.enabled", "Average the weights (EMA)", LEARNING, "switch"),
    Field("ema.momentum", "EMA momentum", LEARNING, "number", 0.01, shown=_when("ema.enabled", True),
          help="0.99 averages over about the last 100 steps"),
    Field("loss", "Loss", LOSS, "choice"),
    Field("dice_weight", "Weight of Dice", LOSS, "number", 0.1, shown=_when("loss", "cross_entropy_dice")),
    Field("focal_gamma", "Focal γ", LOSS, "number", 0.5, shown=_when("loss", "focal")),
    Field("tversky_alpha", "Tversky α", LOSS, "number", 0.1, shown=_when("loss", "tversky"),
          help="weight of false positives"),
    Field("tversky_beta", "Tversky β", LOSS, "number", 0.1, shown=_when("loss", "tversky"),
          help="weight of false negatives"),
    Field("label_smoothing", "Label smoothing", LOSS, "number", 0.05),
    Field("background_weight", "Background loss weight", LOSS, "number", 0.5,
          help="weight of a second loss between the background and all other classes together: sharper outlines where "
          "a class is the border of another"),
    Field("background_class", "Background class", LOSS, "whole", 1, shown=_against_background,
          help="counted from 0; 1 for the pets"),
    Field("class_weights", "Class weights", LOSS, "numbers", help="one for each class, such as 1, 1, 2; empty: none"),
    Field("distill_weight", "Teacher weight", LOSS, "number", 0.1, shown=_taught,
          help="in the loss; the masks have the rest"),
    Field("seed", "Seed", RUN, "whole", 1, help="the same seed gives the same weights on a CPU"),
    Field("early_stopping_patience", "Stop early after", RUN, "whole", 1, optional=True,
          help="this many epochs without a better validation score; empty never stops early"),
    Field("early_stopping_on", "Early stopping looks at", RUN, "choice", shown=_stops_early),
    Field("time_limit_minutes", "Time limit in minutes", RUN, "number", 1, optional=True),
    Field("disk_limit_mb", "Disk limit in MB", RUN, "number", 100, optional=True),
    Field("test_limit", "Test photos at the end", RUN, "whole", 100, optional=True,
          help="0 evaluates none, empty all"),
    Field("tensorboard_details", "Histograms and pictures for TensorBoard", RUN, "switch",
          help="the distribution of each layer's weights and the preview photos after each epoch, beside the curves"),
    Field("mixed_precision", "Mixed precision (GPU only)", RUN, "switch"),
    Field("replicas", "Devices", RUN, "whole", 1, optional=True, help="devices that share each batch; empty uses all"),
)  # fmt: skip

EVERYDAY = ("epochs", "limit", "batch_size", "learning_rate")  # shown outside "Advanced"
BY_PATH = {field.path: field for field in FIELDS}


def draw(field: Field, base: TrainConfig) -> Any:
    """Draw one field and return its value, ready for a configuration.

    Raises:
        ConfigError: a list of numbers cannot be read.
    """
    default = field.of(base)
    common = {**field.option.widget, "help": field.explanation}
    if field.kind == "switch":
        return st.toggle(field.label, default, **common)
    if field.kind == "choice":
        options = field_choices(TrainConfig, field.path)
        return st.selectbox(field.label, options, options.index(default), format_func=_word, **common)
    if field.kind == "numbers":
        written = st.text_input(field.label, default, placeholder="none", max_chars=200, **common)
        return numbers(written or "", field.label)
    low, high = field.range
    if field.kind == "range":
        bounds = min(float(low), *default), max(float(high), *default)
        return tuple(st.slider(field.label, *bounds, default, field.step, format="%.2f ×", **common))
    number, form = (int, "%d") if field.kind == "whole" else (float, "%g")
    low, high = number(low), number(high)
    if default is not None:  # a run of the command line may be outside the range
        low, high = min(low, default), max(high, default)
    placeholder = "none" if field.optional else None
    step = number(field.step)
    found = st.number_input(field.label, low, high, default, step, form, placeholder=placeholder, **common)
    return default if found is None and not field.optional else found


def numbers(written: str, label: str) -> tuple[float, ...] | None:
    """Read numbers with commas or spaces between them; None if there are none.

    Raises:
        ConfigError: the text holds anything else.
    """
    parts = written.replace(",", " ").split()
    try:
        return tuple(float(part) for part in parts) or None
    except ValueError:
        raise ConfigError(f"{label}: expected numbers such as 1, 1, 2. Received: {written[:60]!r}") from None


def merged(base: TrainConfig, values: Values) -> TrainConfig:
    """Return `base` with the fields by dotted name changed.

    With another number of levels, or of filters at the top, filters double at every level.

    Raises:
        ConfigError: the values do not fit each other.
    """
    changed = {path: value for path, value in values.items() if value != BY_PATH[path].of(base)}
    if not changed.keys().isdisjoint({"model.depth", "model.base_filters"}):
        changed["model.base_filters"] = values.get("model.base_filters", base.model.level_filters[0])
        if base.model.encoder == "none":
            changed["model.filters"] = None
    plain = base.model_dump()
    if "model.preprocessing.scale" in changed:  # nothing is measured for another one yet
        plain["model"]["preprocessing"] |= {"mean": None, "std": None}
    for path, value in changed.items():
        *holders, name = path.split(".")
        target = plain
        for holder in holders:
            target = target[holder]
        target[name] = value
    return TrainConfig.from_dict(plain)


def _word(value: str) -> str:
    return WORDS.get(value, text.words(value))
