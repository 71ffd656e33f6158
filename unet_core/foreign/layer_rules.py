"""What each Keras layer does to a shape, and how many parameters it has, from its arguments as data.

Shapes are without the batch; a side that is not known is None, and so is a whole shape that is not known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unet_core.foreign.mismatch import Dims, Reason, differing_sides, merge_reason, written

MAX_COUNT = 10**12  # of anything that a network is described with

Arguments = Mapping[str, Any]

_CONVOLUTION = ("strides", "padding", "data_format", "dilation_rate")
_ENDING = ("kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer")
_SEPARABLE_ENDING = ("depthwise_initializer", "pointwise_initializer", "bias_initializer")
SIGNATURES: dict[str, tuple[str, ...]] = {
    "Conv2D": ("filters", "kernel_size", *_CONVOLUTION, "groups", "activation", "use_bias", *_ENDING),
    "Conv2DTranspose": (
        "filters", "kernel_size", "strides", "padding", "output_padding", "data_format", "dilation_rate", "activation",
        "use_bias", *_ENDING,
    ),
    "SeparableConv2D": (
        "filters", "kernel_size", *_CONVOLUTION, "depth_multiplier", "activation", "use_bias", *_SEPARABLE_ENDING,
    ),
    "DepthwiseConv2D": (
        "kernel_size", "strides", "padding", "depth_multiplier", "data_format", "dilation_rate", "activation",
        "use_bias", "depthwise_initializer", "bias_initializer",
    ),
    "MaxPooling2D": ("pool_size", "strides", "padding", "data_format", "name"),
    "AveragePooling2D": ("pool_size", "strides", "padding", "data_format", "name"),
    "GlobalAveragePooling2D": ("data_format", "keepdims"),
    "GlobalMaxPooling2D": ("data_format", "keepdims"),
    "UpSampling2D": ("size", "data_format", "interpolation"),
    "ZeroPadding2D": ("padding", "data_format"),
    "Cropping2D": ("cropping", "data_format"),
    "Resizing": ("height", "width", "interpolation"),
    "CenterCrop": ("height", "width"),
    "Concatenate": ("axis",),
    "Add": (), "Subtract": (), "Multiply": (), "Average": (), "Maximum": (), "Minimum": (),
    "BatchNormalization": ("axis", "momentum", "epsilon", "center", "scale"),
    "LayerNormalization": ("axis", "epsilon", "center", "scale"),
    "GroupNormalization": ("groups", "axis", "epsilon", "center", "scale"),
    "Normalization": ("axis", "mean", "variance"),
    "UnitNormalization": ("axis",),
    "Activation": ("activation",),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "LeakyReLU": ("negative_slope",),
    "PReLU": ("alpha_initializer", "alpha_regularizer", "alpha_constraint", "shared_axes"),
    "ELU": ("alpha",),
    "Softmax": ("axis",),
    "Dropout": ("rate", "noise_shape", "seed"),
    "SpatialDropout2D": ("rate", "data_format", "seed"),
    "AlphaDropout": ("rate",), "GaussianDropout": ("rate",), "GaussianNoise": ("stddev",),
    "ActivityRegularization": ("l1", "l2"),
    "Identity": (),
    "Rescaling": ("scale", "offset"),
    "Dense": ("units", "activation", "use_bias"),
    "Flatten": ("data_format",),
    "Reshape": ("target_shape",),
    "Permute": ("dims",),
}  # fmt: skip
ALIASES = {
    "Convolution2D": "Conv2D", "Convolution2DTranspose": "Conv2DTranspose", "Deconvolution2D": "Conv2DTranspose",
    "MaxPool2D": "MaxPooling2D", "AvgPool2D": "AveragePooling2D", "SeparableConvolution2D": "SeparableConv2D",
    "GlobalAvgPool2D": "GlobalAveragePooling2D", "GlobalMaxPool2D": "GlobalMaxPooling2D",
    "DepthwiseConvolution2D": "DepthwiseConv2D", "SyncBatchNormalization": "BatchNormalization",
}  # fmt: skip


class Unreadable(Exception):
    """An argument that is not known, or that is not supported here."""


class ShapeMismatch(Exception):
    """A layer refuses its inputs: why, and what to change."""

    def __init__(self, reason: Reason, shapes: tuple[Dims, ...]) -> None:
        super().__init__(reason.why)
        self.reason, self.shapes = reason, shapes


@dataclass(frozen=True)
class Outcome:
    """A layer's output shape, its number of parameters (None: not known), and its arguments in words."""

    shape: Dims | None
    params: int | None = 0
    label: str = ""


def outcome(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    """Return what a layer does to the shapes of its inputs.

    Raises:
        Unreadable: it is unknown, or one of its arguments is.
        ShapeMismatch: it refuses these shapes.
    """
    rule = _RULES.get(kind)
    if rule is None:
        raise Unreadable(f"{kind} is not a layer that is known here")
    if arguments.get("data_format") not in (None, "channels_last"):
        raise Unreadable("data_format='channels_first' is not read")
    if not inputs:
        raise Unreadable(f"{kind} has no input")
    return rule(kind, arguments, inputs)


# --- arguments --------------------------------------------------------------------------------------------------------


def whole(arguments: Arguments, name: str, default: int | None = None) -> int:
    """Return a whole number of at least 1."""
    value = arguments.get(name, default)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unreadable(f"{name} is not known")
    if not 1 <= value <= MAX_COUNT:
        raise Unreadable(f"{name} must be at least 1, and is {value}")
    return value


def _pair(arguments: Arguments, name: str, default: Any = None) -> tuple[int, int]:
    value = arguments.get(name, default)
    if value is None:
        value = default
    both = tuple(value) if isinstance(value, (list, tuple)) else (value, value)
    if len(both) == 1:
        both *= 2
    if len(both) != 2:
        raise Unreadable(f"{name} is not known")
    return whole({name: both[0]}, name), whole({name: both[1]}, name)


def _switch(arguments: Arguments, name: str, default: bool = True) -> bool:
    value = arguments.get(name, default)
    if not isinstance(value, (bool, int)):
        raise Unreadable(f"{name} is not known")
    return bool(value)


def _padding(arguments: Arguments) -> str:
    value = arguments.get("padding", "valid")
    if not isinstance(value, str) or value.lower() not in ("same", "valid"):
        raise Unreadable("padding is not known")
    return value.lower()


def _margins(arguments: Arguments, name: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Read ((top, bottom), (left, right)), (rows, columns) or one number."""
    value = arguments.get(name, 0 if name == "cropping" else 1)
    if isinstance(value, (list, tuple)) and len(value) == 2:
        rows, columns = value
    else:
        rows = columns = value
    sides = []
    for part in (rows, columns):
        both = tuple(part) if isinstance(part, (list, tuple)) else (part, part)
        if len(both) != 2 or not all(isinstance(side, int) and 0 <= side <= MAX_COUNT for side in both):
            raise Unreadable(f"{name} is not known")
        sides.append((both[0], both[1]))
    return sides[0], sides[1]


def _activation_label(arguments: Arguments) -> str:
    value = arguments.get("activation")
    return value if isinstance(value, str) and value != "linear" else ""


def _label(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _map(shape: Dims | None, kind: str) -> Dims | None:
    """Check that a shape is a feature map's."""
    if shape is not None and len(shape) != 3:
        reason = Reason(
            f"{kind} needs a feature map (height, width, channels) and gets {written(shape)}.",
            ("Keep height and width: no Flatten and no Dense before a convolution.",),
        )
        raise ShapeMismatch(reason, (shape,))
    return shape


# --- sliding windows --------------------------------------------------------------------------------------------------


def _window(
    kind: str, shape: Dims, kernel: tuple[int, int], strides: tuple[int, int], padding: str, dilation: tuple[int, int]
) -> tuple[int | None, int | None]:
    sides: list[int | None] = []
    for side, size, step, spread in zip(shape[:2], kernel, strides, dilation):
        reach = (size - 1) * spread + 1
        if side is None:
            sides.append(None)
        else:
            sides.append(-(-side // step) if padding == "same" else (side - reach) // step + 1)
    if any(side is not None and side < 1 for side in sides):
        need = "×".join(str((size - 1) * spread + 1) for size, spread in zip(kernel, dilation))
        reason = Reason(
            f"{kind} needs at least {need} pixels and gets a map of {written(shape[:2])}: the input is too small for "
            "this depth and padding.",
            (
                "Use a larger input, or fewer levels.",
                "Use padding='same' in the convolutions: only the poolings then shrink the map.",
            ),
        )
        raise ShapeMismatch(reason, (shape,))
    return sides[0], sides[1]


def _convolution(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    shape = _map(inputs[0], kind)
    kernel, strides = _pair(arguments, "kernel_size"), _pair(arguments, "strides", 1)
    dilation, padding = _pair(arguments, "dilation_rate", 1), _padding(arguments)
    multiplier = whole(arguments, "depth_multiplier", 1)
    channels = shape[2] if shape else None
    if kind == "DepthwiseConv2D":
        filters = None if channels is None else channels * multiplier
    else:
        filters = whole(arguments, "filters")
    label = _label(
        f"{filters} filters" if kind != "DepthwiseConv2D" else "",
        f"{kernel[0]}×{kernel[1]}",
        f"stride {strides[0]}" if strides != (1, 1) else "",
        f"dilation {dilation[0]}" if dilation != (1, 1) else "",
        padding,
        _activation_label(arguments),
    )
    sides = _window(kind, shape, kernel, strides, padding, dilation) if shape else (None, None)
    params = None
    if channels is not None:
        groups = whole(arguments, "groups", 1)
        params = _weights(kind, math.prod(kernel), channels, filters or 1, groups, multiplier)
        params += (filters or 0) * _switch(arguments, "use_bias")
    return Outcome((*sides, filters), params, label)


def _weights(kind: str, area: int, channels: int, filters: int, groups: int, multiplier: int) -> int:
    if kind == "DepthwiseConv2D":
        return area * channels * multiplier
    if kind == "SeparableConv2D":
        return area * channels * multiplier + channels * multiplier * filters
    if channels % groups or filters % groups:
        raise ShapeMismatch(
            Reason(
                f"{channels} channels and {filters} filters cannot be divided into {groups} groups.",
                ("Choose numbers of channels and filters that are multiples of groups.",),
            ),
            (),
        )
    return area * channels // groups * filters


def _transposed(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    shape = _map(inputs[0], kind)
    filters, kernel = whole(arguments, "filters"), _pair(arguments, "kernel_size")
    strides, padding = _pair(arguments, "strides", 1), _padding(arguments)
    dilation = _pair(arguments, "dilation_rate", 1)
    added = arguments.get("output_padding")
    sides: list[int | None] = []
    for axis in (0, 1):
        side = shape[axis] if shape else None
        reach = (kernel[axis] - 1) * dilation[axis] + 1
        if side is None:
            sides.append(None)
        elif added is None:
            sides.append(side * strides[axis] + (max(reach - strides[axis], 0) if padding == "valid" else 0))
        else:
            more = added[axis] if isinstance(added, (list, tuple)) and len(added) == 2 else added
            if not isinstance(more, int):
                raise Unreadable("output_padding is not known")
            sides.append((side - 1) * strides[axis] + reach - (reach // 2 * 2 if padding == "same" else 0) + more)
    label = _label(
        f"{filters} filters", f"{kernel[0]}×{kernel[1]}", f"stride {strides[0]}", padding, _activation_label(arguments)
    )
    params = None
    if shape and shape[2] is not None:
        params = math.prod(kernel) * shape[2] * filters + filters * _switch(arguments, "use_bias")
    return Outcome((*sides, filters), params, label)


def _pool(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    shape = _map(inputs[0], kind)
    size = _pair(arguments, "pool_size", 2)
    strides, padding = _pair(arguments, "strides", size), _padding(arguments)
    label = _label(f"{size[0]}×{size[1]}", f"stride {strides[0]}" if strides != size else "", padding)
    if shape is None:
        return Outcome((None, None, None), 0, label)
    return Outcome((*_window(kind, shape, size, strides, padding, (1, 1)), shape[2]), 0, label)


def _global_pool(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    shape = _map(inputs[0], kind)
    channels = shape[2] if shape else None
    return Outcome((1, 1, channels) if _switch(arguments, "keepdims", False) else (channels,))


def _upsample(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    shape, size = _map(inputs[0], kind), _pair(arguments, "size", 2)
    method = arguments.get("interpolation", "nearest")
    label = _label(f"{size[0]}×{size[1]}", method if isinstance(method, str) else "")
    if shape is None:
        return Outcome((None, None, None), 0, label)
    height, width = (None if side is None else side * factor for side, factor in zip(shape, size))
    return Outcome((height, width, shape[2]), 0, label)


def _margin(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    shape = _map(inputs[0], kind)
    crops = kind == "Cropping2D"
    margins = _margins(arguments, "cropping" if crops else "padding")
    label = str(margins).replace("(", "").replace(")", "")
    if shape is None:
        return Outcome((None, None, None), 0, label)
    sides = [None if side is None else side + (-sum(m) if crops else sum(m)) for side, m in zip(shape, margins)]
    if any(side is not None and side < 1 for side in sides):
        reason = Reason(
            f"The crop of {label} leaves nothing of a map of {written(shape[:2])}.",
            ("Compute the crop from the two maps of the merge: half of the difference of their sizes at each side.",),
        )
        raise ShapeMismatch(reason, (shape,))
    return Outcome((sides[0], sides[1], shape[2]), 0, label)


def _resize(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    shape = _map(inputs[0], kind)
    height, width = whole(arguments, "height"), whole(arguments, "width")
    return Outcome((height, width, shape[2] if shape else None), 0, f"to {height}×{width}")


# --- merges -----------------------------------------------------------------------------------------------------------


def _concatenate(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    axis = arguments.get("axis", -1)
    if not isinstance(axis, int):
        raise Unreadable("axis is not known")
    known = [shape for shape in inputs if shape is not None]
    if len(known) < len(inputs) or not known:
        return Outcome(None)
    rank = len(known[0])
    place = axis if axis < 0 else axis - 1 - rank  # axis 0 is the batch
    if not -rank <= place < 0 or any(len(shape) != rank for shape in known):
        raise Unreadable(f"axis {axis} is not one of a feature map's")
    for other in known[1:]:
        first = [side for number, side in enumerate(known[0], -rank) if number != place]
        second = [side for number, side in enumerate(other, -rank) if number != place]
        if any(None not in pair and pair[0] != pair[1] for pair in zip(first, second)):
            raise ShapeMismatch(merge_reason(known[0], other), (known[0], other))
    joined = [shape[place] for shape in known]
    total = None if None in joined else sum(side for side in joined if side is not None)
    sides = [next((s[number] for s in known if s[number] is not None), None) for number in range(rank)]
    sides[place] = total
    return Outcome(tuple(sides), 0, "" if place == -1 else f"axis {axis}")


def _combine(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    """Add, Multiply and the like: equal shapes, or ones that a side of 1 is stretched to."""
    if any(shape is None for shape in inputs):
        return Outcome(next((shape for shape in inputs if shape is not None), None))
    known = [shape for shape in inputs if shape is not None]
    result = list(known[0])
    for other in known[1:]:
        padded = [1] * (len(result) - len(other)) + list(other)
        result = [1] * (len(padded) - len(result)) + result
        for axis, (one, two) in enumerate(zip(result, padded)):
            if one is not None and two is not None and one != two and 1 not in (one, two):
                raise ShapeMismatch(_combined_reason(known[0], other), (known[0], other))
            result[axis] = two if one == 1 else one
    return Outcome(tuple(result))


def _combined_reason(one: Dims, other: Dims) -> Reason:
    if len(one) == len(other) == 3 or differing_sides(one, other) is None:
        return merge_reason(one, other, adds=True)
    return Reason(f"{written(one)} and {written(other)} cannot be combined.", ("Give both the same shape.",))


# --- values -----------------------------------------------------------------------------------------------------------


def _normalize(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    shape = inputs[0]
    axis = arguments.get("axis", -1)
    if isinstance(axis, (list, tuple)) and len(axis) == 1:
        axis = axis[0]
    if kind == "GroupNormalization":
        groups = arguments.get("groups", 32)
        channels = shape[-1] if shape else None
        if isinstance(groups, int) and groups > 0 and channels is not None and channels % groups:
            reason = Reason(
                f"{channels} channels cannot be divided into {groups} groups.",
                (f"Choose groups that divides the channels, such as {math.gcd(channels, groups)}.",),
            )
            raise ShapeMismatch(reason, (shape,) if shape else ())
    if shape is None or not isinstance(axis, int):
        return Outcome(shape, None)
    place = axis if axis < 0 else axis - 1 - len(shape)  # axis 0 is the batch
    if not -len(shape) <= place < 0:
        raise Unreadable(f"axis {axis} is not one of its input's")
    channels = shape[place]
    if channels is None:
        return Outcome(shape, None)
    scales = _switch(arguments, "center") + _switch(arguments, "scale")
    statistics = 2 if kind == "BatchNormalization" else 0
    return Outcome(shape, channels * (scales + statistics))


def _standardize(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    shape = inputs[0]
    given = arguments.get("mean") is not None
    channels = shape[-1] if shape else None
    return Outcome(shape, 0 if given else None if channels is None else 2 * channels + 1)


def _pointwise(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    value = next(iter(arguments.values()), None) if kind in ("Activation", "Dropout", "SpatialDropout2D") else None
    return Outcome(inputs[0], 0, str(value) if isinstance(value, (str, int, float)) else "")


def _prelu(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    shape = inputs[0]
    shared = arguments.get("shared_axes") or ()
    if shape is None or not isinstance(shared, (list, tuple)):
        return Outcome(shape, None)
    sides = [1 if axis in shared else side for axis, side in enumerate(shape, 1)]
    return Outcome(shape, None if None in sides else math.prod(side or 1 for side in sides))


def _dense(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    units, shape = whole(arguments, "units"), inputs[0]
    label = _label(f"{units} units", _activation_label(arguments))
    if not shape or shape[-1] is None:
        return Outcome((*shape[:-1], units) if shape else None, None, label)
    return Outcome((*shape[:-1], units), shape[-1] * units + units * _switch(arguments, "use_bias"), label)


def _flatten(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    shape = inputs[0]
    return Outcome((None,) if shape is None or None in shape else (math.prod(side or 1 for side in shape),))


def _reshape(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    target = arguments.get("target_shape")
    if not isinstance(target, (list, tuple)) or not all(isinstance(side, int) for side in target):
        raise Unreadable("target_shape is not known")
    shape = inputs[0]
    if shape is None or None in shape:
        return Outcome(tuple(None if side == -1 else side for side in target))
    total, known = math.prod(side or 1 for side in shape), math.prod(side for side in target if side != -1)
    fits = known == total if -1 not in target else target.count(-1) == 1 and known > 0 and total % known == 0
    if not fits:
        raise ShapeMismatch(
            Reason(
                f"A map of {written(shape)} has {total} values; they cannot be ordered as {tuple(target)}.",
                ("Compute the target from the map's own shape, or use -1 for one side.",),
            ),
            (shape,),
        )
    return Outcome(tuple(total // known if side == -1 else side for side in target))


def _permute(kind: str, arguments: Arguments, inputs: Sequence[Dims | None]) -> Outcome:
    dims, shape = arguments.get("dims"), inputs[0]
    if not isinstance(dims, (list, tuple)) or sorted(dims) != list(range(1, len(dims) + 1)):
        raise Unreadable("dims is not known")
    if shape is not None and len(shape) != len(dims):
        raise Unreadable("dims does not belong to this shape")
    return Outcome(tuple(shape[axis - 1] for axis in dims) if shape else None)


Rule = Callable[[str, Arguments, Sequence[Dims | None]], Outcome]
_RULES: dict[str, Rule] = {
    **dict.fromkeys(("Conv2D", "SeparableConv2D", "DepthwiseConv2D"), _convolution),
    **dict.fromkeys(("MaxPooling2D", "AveragePooling2D"), _pool),
    **dict.fromkeys(("GlobalAveragePooling2D", "GlobalMaxPooling2D"), _global_pool),
    **dict.fromkeys(("ZeroPadding2D", "Cropping2D"), _margin),
    **dict.fromkeys(("Resizing", "CenterCrop"), _resize),
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Divide"), _combine),
    **dict.fromkeys(("BatchNormalization", "LayerNormalization", "GroupNormalization"), _normalize),
    **dict.fromkeys(
        ("UnitNormalization", "Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Dropout", "SpatialDropout2D",
         "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Identity", "Rescaling"),
        _pointwise,
    ),
    "Conv2DTranspose": _transposed, "UpSampling2D": _upsample, "Concatenate": _concatenate,
    "Normalization": _standardize, "PReLU": _prelu, "Dense": _dense, "Flatten": _flatten, "Reshape": _reshape,
    "Permute": _permute,
}  # fmt: skip
