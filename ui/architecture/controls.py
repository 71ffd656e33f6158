"""The widgets for a U-Net: a preset and every field of its configuration, the important ones always visible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import streamlit as st

from ui.architecture import state
from ui.architecture.state import Notice, View
from ui.shared import format as text
from unet_core.architecture.change import change, parse_filters
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.encoders import ENCODERS, MOBILENET_V2_WIDTHS
from unet_core.architecture.presets import PRESETS
from unet_core.architecture.query import Difference, differences
from unet_core.errors import ConfigError
from unet_core.strict import field_choices

PREFIX = "architecture-"
FILTERS = "filters"


class Control(NamedTuple):
    """One widget: its field, label, width in pixels and help, and its options or the step of a number.

    `options` maps values to their labels.
    """

    field: str
    label: str
    width: int | str = "stretch"
    help: str | None = None
    options: Mapping[Any, str] | None = None
    step: float = 1


def _same(field: str) -> dict[Any, str]:
    """Return the declared choices of a field, each labelled with its own name."""
    return {value: text.words(value) for value in field_choices(UNetConfig, field)}


PADDING = {"same": "same (zeros)", "valid": "valid (none)"}
SKIPS = {
    "crop": "crop the larger",
    "pad": "pad the smaller",
    "resize": "resize to fit",
    "strict": "leave as is",
    "none": "none",
}
SIZE = (
    Control("height", "Height", 80, "Of the input, in pixels"),
    Control("width", "Width", 80, "Of the input, in pixels"),
)
SHAPE = (
    Control("depth", "Depth", 76, "Number of resolution levels, including the bottleneck"),
    Control(FILTERS, "Filters", 120, "One number, doubled at every level; or one number per level: 24, 32, 48, 64"),
    Control("padding", "Padding", 134, "Without padding, each 3×3 convolution removes one pixel per side", PADDING),
    Control("upsampling", "Upsampling", 122, "How the expansive path doubles height and width", _same("upsampling")),
    Control(
        "skip_mode",
        "Skip connections",
        149,
        "How two feature maps of different sizes are merged",
        SKIPS,
    ),
)
MORE: dict[str, tuple[Control, ...]] = {
    "Input and output": (
        Control("channels", "Channels"),
        Control("classes", "Classes"),
        Control(
            "head_activation", "Output activation", options={"none": "none (logits)", "sigmoid": "sigmoid",
            "softmax": "softmax"},
        ),
        Control("preprocessing.resize", "Resizing of photos", options=_same("preprocessing.resize")),
        Control(
            "preprocessing.scale", "Pixel values", options=text.SCALES,
            help="Mean 0, deviation 1: per channel, measured on the training photos when training starts",
        ),
    ),
    "Convolutions": (
        Control("convolution", "Type", options=_same("convolution")),
        Control("kernel_size", "Kernel size", help="Side of the window of every convolution in a block, in pixels"),
        Control("encoder_convolutions", "Per encoder block"),
        Control("decoder_convolutions", "Per decoder block"),
        Control("activation", "Activation", options=_same("activation")),
        Control("normalization", "Normalization", options=_same("normalization")),
        Control(
            "normalization_position", "Normalization position", options=_same("normalization_position"),
            help='After a Conv2D(activation="relu"), normalization comes after the activation',
        ),
        Control("batch_momentum", "BatchNorm momentum", step=0.01),
        Control("spatial_dropout", "Bottleneck dropout", step=0.05),
        Control("decoder_dropout", "Decoder dropout", help="Of whole channels, after each merge", step=0.05),
        Control("initializer", "Initialization", options=_same("initializer")),
        Control("convolution_bias", "Bias", options={True: "yes", False: "no"}),
    ),
    "Downsampling and upsampling": (
        Control(
            "pooling", "Pooling", options={"max": "max pooling", "average": "average pooling", "strided": "strided"}
        ),
        Control("up_convolution", "Convolution after upsampling", options={True: "yes", False: "no"}),
        Control("up_kernel", "Up-convolution kernel"),
        Control("up_activation", "Up-convolution activation", options={True: "yes", False: "no"}),
    ),
    "Pretrained encoder": (
        Control(
            "encoder", "Encoder",
            options={"none": "none", **{name: kind.title for name, kind in ENCODERS.items()}},
        ),
    ),
}  # fmt: skip
WITH_ENCODER = (
    Control("encoder_width", "MobileNetV2 width", options={width: str(width) for width in MOBILENET_V2_WIDTHS}),
    Control("encoder_weights", "Weights", options={"none": "random", "imagenet": "ImageNet"}),
    Control("encoder_frozen", "Train the encoder", options={False: "yes", True: "no (frozen)"}),
    Control(
        "encoder_batchnorm_frozen",
        "Encoder BatchNorm",
        options={True: "frozen", False: "trained"},
        help="Frozen suits batches of a few photos. Trained keeps larger learning rates from saturating deep layers",
    ),
    Control(
        "head", "Head", options={"conv": "decoder block + conv", "resize": "conv + resize", "transposed": "transposed"}
    ),
)
_LABELS = {
    control.field: control.label for group in (SIZE, SHAPE, *MORE.values(), WITH_ENCODER) for control in group
} | {"base_filters": "First filters"}


def controls(view: View, beside: Sequence[Callable[[], None]]) -> None:
    """Show the presets, the important widgets, the others under "More", `beside`, and the changed fields."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall", key="architecture-controls"):
        _preset(view)
        for control in (*SIZE, *SHAPE):
            _draw(control, view.config)
        with st.popover("More", icon=":material/tune:", help="All other options of the network"):
            _more(view.config)
        for draw in beside:
            draw()
        with st.container(key="architecture-about", width="stretch"):
            _about(view)


def described(difference: Difference) -> str:
    """Write a change with the labels of its widget: "Depth 5 → 4"."""
    field, before, after = difference
    return f"{_LABELS.get(field, field)} {_said(field, before)} → {_said(field, after)}"


def _preset(view: View) -> None:
    key = f"{PREFIX}preset"
    _show(key, view.preset)
    st.selectbox(
        "Preset",
        list(PRESETS),
        key=key,
        format_func=lambda name: PRESETS[name].title,
        on_change=_apply_preset,
        width=210,
    )


def _apply_preset() -> None:
    name = st.session_state[f"{PREFIX}preset"]
    state.change(preset=name, config=PRESETS[name].config, layer="")


def _about(view: View) -> None:
    """Describe the preset and the changed fields."""
    changed = differences(view.config, view.preset)
    about = text.plain(PRESETS[view.preset].description)
    if not changed:
        st.caption(about)
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        listed = " · ".join(text.plain(described(found)) for found in changed[:6])
        more = f" · and {len(changed) - 6} more" if len(changed) > 6 else ""
        st.caption(f"**Changed:** {listed}{more}", width="content", help=about)
        st.button(
            "Undo all changes",
            icon=":material/undo:",
            type="tertiary",
            key=f"{PREFIX}undo",
            on_click=lambda: state.change(config=PRESETS[view.preset].config),
        )


def _more(config: UNetConfig) -> None:
    for heading, group in MORE.items():
        st.markdown(f"**{heading}**")
        with st.grid(3, min_column_width=130, gap="small"):
            for control in group:
                _draw(control, config)
            if heading == "Pretrained encoder" and config.encoder != "none":
                for control in WITH_ENCODER:
                    if control.field != "encoder_width" or len(ENCODERS[config.encoder].widths) > 1:
                        _draw(control, config)


# --- one widget -------------------------------------------------------------------------------------------------------


def _draw(control: Control, config: UNetConfig) -> None:
    key = PREFIX + control.field
    value = _value(config, control.field)
    shared = {"key": key, "help": control.help, "width": control.width, "on_change": _apply, "args": (control,)}
    if control.field == FILTERS:
        _show(key, _said(FILTERS, config.filters) if config.filters else str(config.base_filters))
        st.text_input(control.label, max_chars=80, **shared)
    elif control.options is not None:
        options = dict(control.options)
        options.setdefault(value, str(value))  # a weights file that an uploaded configuration names
        _show(key, value)
        st.selectbox(
            control.label, list(options), format_func=lambda chosen: options.get(chosen, str(chosen)), **shared
        )
    else:
        kind: Callable[[float], float] = float if isinstance(value, float) else int
        _show(key, value)
        # Without a range: the browser would keep a number outside it and never send it. `_apply` refuses and resets it.
        st.number_input(control.label, step=kind(control.step), format="%.3g" if kind is float else None, **shared)


def _show(key: str, value: Any) -> None:
    """Set a widget to the configuration's value, unless it has it already: text that is being typed stays."""
    if st.session_state.get(key) != value or key not in st.session_state:
        st.session_state[key] = value


def _value(config: UNetConfig, field: str) -> Any:
    outer, _, inner = field.partition(".")
    return getattr(getattr(config, outer), inner) if inner else getattr(config, field)


def _apply(control: Control) -> None:
    """Apply a widget's value to the configuration; an invalid value is refused and the widget reset."""
    value = st.session_state.get(PREFIX + control.field)
    view = st.session_state.get(state.STATE, View())
    if value is None:
        return
    try:
        changed, also = change(view.config, PRESETS[view.preset].config, **_wanted(view.config, control.field, value))
    except ConfigError as error:
        state.refuse(error)
        return
    state.change(_also_changed(also), config=changed)


def _wanted(config: UNetConfig, field: str, value: Any) -> dict[str, Any]:
    if field == FILTERS:
        return parse_filters(value)
    outer, _, inner = field.partition(".")
    if field == "preprocessing.scale":
        return {outer: config.preprocessing.with_scale(value)}
    return {outer: getattr(config, outer).replace(**{inner: value})} if inner else {field: value}


def _also_changed(also: tuple[Difference, ...]) -> Notice | None:
    if not also:
        return None
    return Notice(f"This also changed: {', '.join(described(found) for found in also)}.", is_error=False)


def _said(field: str, value: Any) -> str:
    """Write a field's value as its widget does."""
    if field == FILTERS:
        return "doubled" if value is None else ", ".join(map(str, value))
    for group in (SIZE, SHAPE, *MORE.values(), WITH_ENCODER):
        for control in group:
            if control.field == field and control.options and value in control.options:
                return control.options[value]
    return str(value)
