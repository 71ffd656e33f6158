"""One layer of a trace in words and numbers: what it does, its arithmetic, and its line of Keras code."""

from __future__ import annotations

from dataclasses import dataclass

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.encoders import ENCODERS
from unet_core.architecture.table import counted, grouped
from unet_core.architecture.trace import Problem, Trace
from unet_core.architecture.tracer import LayerTrace, same_padding
from unet_core.explain.codegen.layers import layer_source
from unet_core.explain.diagram.texts import shape_words


@dataclass(frozen=True)
class Explanation:
    """One layer, explained.

    Attributes:
        sentence: what the layer does, and its purpose.
        formula: its shapes, for example "68×68×256 → conv 3×3, 512 filters, no padding → 66×66×512".
        size: the arithmetic of height and width, for example "68 − 3 + 1 = 66"; empty if they do not change.
        parameters: their sum, for example "3·3·256·512 + 512 = 1 180 160"; empty without parameters.
        macs: the product that gives the multiply-accumulates; empty without any.
        keras_line: the line of Keras code.
        note: additional facts, for example that the layer is part of a `keras.applications` model; or empty.
    """

    sentence: str
    formula: str
    size: str
    parameters: str
    macs: str
    keras_line: str
    note: str = ""


def explain(config: UNetConfig, trace: Trace, layer_name: str) -> Explanation:
    """Explain a layer of `trace`, or the layer that breaks.

    Raises:
        ValueError: the trace has no such layer.
    """
    row = next((layer for layer in trace.layers if layer.name == layer_name), None)
    if row is not None:
        return _explained(config, trace, row)
    if trace.problem is not None and trace.problem.layer == layer_name:
        return _broken(trace.problem)
    raise ValueError(f"layer: this network has no layer {layer_name!r}")


def _explained(config: UNetConfig, trace: Trace, row: LayerTrace) -> Explanation:
    source = layer_source(row.spec)
    sentence, step = _words(config, row)
    arguments = _inputs(row)
    result = "skip" if arguments == "(skip)" else "x"
    return Explanation(
        sentence=sentence,
        formula=f"{_before(row)} → {step} → {shape_words(row.output_shape)}" if row.inputs else step,
        size=_size(row),
        parameters=_parameters(config, row),
        macs=_macs(row),
        keras_line=f"{result} = {source}{arguments}" if row.inputs else f"{row.name} = {source}",
        note=_note(config, row),
    )


def _broken(problem: Problem) -> Explanation:
    one, other = map(shape_words, problem.shapes)
    if problem.layer.endswith("_concat"):
        formula = f"{one} + {other} → concat → does not fit"
        line = f'x = layers.Concatenate(name="{problem.layer}")([skip, x])'
    else:
        formula, line = f"{one} → {problem.layer} → nothing left", ""
    return Explanation(
        sentence=problem.message, formula=formula, size="", parameters="", macs="", keras_line=line,
        note="The network breaks here at this input size.",
    )  # fmt: skip


def _before(row: LayerTrace) -> str:
    sign = " · " if row.op == "multiply" else " + "
    return sign.join(map(shape_words, row.input_shapes))


def _inputs(row: LayerTrace) -> str:
    """Return what the layer is called on: x, or [skip, x] where two tensors meet."""
    if row.op == "concat":
        return "([skip, x])"
    if len(row.inputs) > 1:
        return f"([{', '.join(row.inputs)}])"
    of_skip = row.block.startswith("decoder") and row.name in (f"{row.block}_crop", f"{row.block}_pad")
    return "(skip)" if of_skip else "(x)"


# --- words ----------------------------------------------------------------------------------------------------------

_ACTIVATIONS = {
    "relu": ("Sets negative values to 0 and keeps the rest", "ReLU: max(0, x)"),
    "relu6": ("Sets negative values to 0 and caps the rest at 6", "ReLU6: min(max(0, x), 6)"),
    "leaky_relu": ("Keeps positive values and shrinks negative ones to a fifth", "leaky ReLU: max(0.2·x, x)"),
    "elu": ("Keeps positive values and bends negative ones towards −1", "ELU: x if x > 0, else eˣ − 1"),
    "gelu": ("Multiplies each value by the probability that a normal variable is below it", "GELU: x·Φ(x)"),
    "swish": ("Multiplies each value by its own sigmoid", "swish: x / (1 + e⁻ˣ)"),
    "sigmoid": ("Turns each logit into an independent probability between 0 and 1", "sigmoid: 1 / (1 + e⁻ˣ)"),
    "softmax": ("Turns the logits of a pixel into probabilities that sum to 1", "softmax: eˣ / Σ eˣ"),
}

_NORMALIZATIONS = {
    "batch_norm": "Centres and scales each channel by its mean and variance over the batch, then by two learned values",
    "layer_norm": "Centres and scales each pixel by the mean and variance of its own channels, then by learned values",
    "group_norm": "Centres and scales groups of channels by their mean and variance over the whole image, then by "
    "learned values",
}


def _words(config: UNetConfig, row: LayerTrace) -> tuple[str, str]:
    """Return the sentence, and the operation as the formula names it."""
    filters = row.output_shape[2]
    if row.op in _ACTIVATIONS:
        what, formula = _ACTIVATIONS[row.op]
        return f"{what}; the shape stays the same.", formula
    if row.op in _NORMALIZATIONS:
        operation = f"{row.op.replace('_', ' ')} of {counted(filters, 'channel')}"
        return f"{_NORMALIZATIONS[row.op]}; the shape stays the same.", operation
    if row.kernel is not None:
        return _window_words(config, row, row.kernel[0], row.strides or (1, 1))
    if row.op.startswith("upsample_"):
        how = row.op.removeprefix("upsample_")
        repeats = "by repeating every pixel" if how == "nearest" else "by interpolating between neighbouring pixels"
        return f"Doubles height and width {repeats}; it has no parameters.", f"{how} upsampling by 2"
    if row.op in ("crop", "pad", "resize", "concat"):
        return _merge_words(row)
    return _OTHER_WORDS[row.op](row, config)


_OTHER_WORDS = {
    "input": lambda row, config: (
        f"The image: {row.output_shape[0]} pixels high, {row.output_shape[1]} wide, "
        f"{counted(row.output_shape[2], 'channel')}, with {_scale_words(config)}.",
        shape_words(row.output_shape),
    ),
    "spatial_dropout": lambda row, config: (
        f"During training, sets {row.spec.positional[0]:.0%} of the channels to 0, so that the layers after it do not "
        "rely on any single one; does nothing afterwards.",
        f"spatial dropout {row.spec.positional[0]:g}",
    ),
    "dropout": lambda row, config: (
        "During training, randomly skips this block for some photos; does nothing afterwards.",
        "dropout of the whole block",
    ),
    "add": lambda row, config: ("Adds the block's input to its output, value by value (a residual connection).", "add"),
    "multiply": lambda row, config: ("Scales each channel by its gate (squeeze and excitation).", "multiply"),
    "rescale": lambda row, config: ("Divides the raw values 0…255 by 255.", "x / 255"),
    "standardize": lambda row, config: (
        "Subtracts each colour channel's mean and divides by its standard deviation, both fixed.",
        "(x − mean) / deviation",
    ),
    "global_average_pool": lambda row, config: (
        "Averages each channel over the whole image: one number per channel.",
        "mean over height and width",
    ),
    "reshape": lambda row, config: ("Writes the averages as a 1×1 feature map.", "reshape"),
}


def _scale_words(config: UNetConfig) -> str:
    return {
        "unit": "values 0…1",
        "symmetric": "values −1…1",
        "raw": "values 0…255",
        "standardize": "values of mean 0 and deviation 1 per channel",
    }[config.preprocessing.scale]


def _classes(config: UNetConfig) -> str:
    return counted(config.classes, "class", "classes")


def _window_words(config: UNetConfig, row: LayerTrace, side: int, strides: tuple[int, int]) -> tuple[str, str]:
    """Describe layers that slide a window over the map: convolutions and pooling."""
    kernel, filters = f"{side}×{side}", row.output_shape[2]
    edges = f"{row.padding} padding" if row.padding == "same" else "no padding"
    match row.op:
        case "max_pool" | "average_pool":
            kind = "largest value" if row.op == "max_pool" else "average"
            lost = " and the last odd row or column is dropped" if _is_odd(row) else ""
            return (
                f"Keeps the {kind} of every 2×2 window: height and width are halved{lost}; the channels stay the same.",
                f"{row.op.replace('_', ' ')} 2×2, stride 2",
            )
        case "transposed_conv":
            purpose = (
                f"Classifies and doubles height and width at once: one channel for each of {_classes(config)}."
                if row.name == "head"
                else f"Doubles height and width: every pixel adds a learned {kernel} patch to {filters} channels."
            )
            return purpose, f"transposed conv {kernel}, {counted(filters, 'filter')}, stride 2"
        case "depthwise_conv":
            return (
                f"Slides one learned {kernel} filter over each channel separately"
                + ("; stride 2 halves height and width." if strides == (2, 2) else "; the shape stays the same."),
                f"depthwise conv {kernel}, stride {strides[0]}, {edges}",
            )
        case "separable_conv":
            return (
                f"Filters each channel separately with a {kernel} window, then mixes the channels of each pixel into "
                f"{filters}: far cheaper than a full convolution.",
                f"separable conv {kernel}, {counted(filters, 'filter')}, {edges}",
            )
    return _conv_words(config, row, kernel, edges)


def _conv_words(config: UNetConfig, row: LayerTrace, kernel: str, edges: str) -> tuple[str, str]:
    filters, channels = row.output_shape[2], row.input_shape[2]
    step = f"conv {kernel}, {counted(filters, 'filter')}"
    if row.name == "head":
        return (
            f"The classifier: mixes the {counted(channels, 'channel')} of each pixel into one score (logit) "
            f"for each of {_classes(config)}.",
            step,
        )
    if row.strides == (2, 2):
        return (
            f"Halves height and width with {counted(filters, 'learned filter')} of {kernel} pixels and stride 2.",
            f"{step}, stride 2, {edges}",
        )
    if row.kernel == (1, 1):
        return f"Mixes the {counted(channels, 'channel')} of each pixel into {filters}, without its neighbours.", step
    over = f"all {channels} channels" if channels > 1 else "the channel"
    border = "" if row.padding == "same" else "; without padding, the border is lost"
    return (
        f"Slides {counted(filters, 'learned filter')} of {kernel} pixels over {over}{border}.",
        f"{step}, {edges}",
    )


def _merge_words(row: LayerTrace) -> tuple[str, str]:
    """Describe layers that align and merge a skip connection and the upsampled features."""
    whose = "upsampled features" if row.name.endswith(("_upsampled", "_resize")) else "skip connection"
    if row.op == "concat":
        skip, upsampled = (shape[2] for shape in row.input_shapes)
        return (
            f"Concatenates the skip connection's {skip} channels, with fine detail, and the {upsampled} upsampled "
            f"channels, with context: {row.output_shape[2]} channels.",
            "concat",
        )
    if row.op == "resize":
        return (
            "Stretches the upsampled features to the skip connection's size by bilinear interpolation.",
            f"resize to {row.output_shape[0]}×{row.output_shape[1]}",
        )
    if row.block.startswith("encoder") or row.block == "bottleneck":
        return "Adds a border of zeros, so that the following stride-2 window fits.", "zero padding"
    ((top, bottom), (left, right)) = row.spec.positional[0]
    amounts = f"{top} top, {bottom} bottom, {left} left, {right} right"
    if row.op == "crop":
        return f"Crops the border of the {whose}, so that both have the same size.", f"crop {amounts}"
    return f"Adds a border of zeros to the {whose}, so that both have the same size.", f"pad {amounts}"


def _is_odd(row: LayerTrace) -> bool:
    return any(side % 2 for side in row.input_shape[:2])


# --- arithmetic -----------------------------------------------------------------------------------------------------


def _size(row: LayerTrace) -> str:
    """Return the arithmetic of height, and of width if it differs."""
    if row.input_shape[:2] == row.output_shape[:2] and row.kernel is None:
        return ""
    lines = [_side(row, axis) for axis in (0, 1)]
    if not any(lines):
        return ""
    same = lines[0] == lines[1]
    return lines[0] if same else f"height {lines[0]}; width {lines[1]}"


def _side(row: LayerTrace, axis: int) -> str:
    before, after = row.input_shape[axis], row.output_shape[axis]
    if row.op == "transposed_conv" or row.op.startswith("upsample_"):
        return f"2·{before} = {after}"
    if row.kernel is not None:
        kernel, stride = row.kernel[axis], (row.strides or (1, 1))[axis]
        if row.padding == "valid":
            inner = f"{before} − {kernel}" if kernel > 1 else str(before)
            if stride > 1:
                return f"⌊({inner}) / {stride}⌋ + 1 = {after}"
            return f"{inner} + 1 = {after}" if kernel > 1 else ""
        if stride > 1:
            return f"⌈{before} / {stride}⌉ = {after}"
        padding = sum(same_padding(before, kernel, 1))
        return f"{before} + {padding} − {kernel} + 1 = {after}" if kernel > 1 else ""
    if row.op in ("crop", "pad"):
        sign = "−" if row.op == "crop" else "+"
        first, last = row.spec.positional[0][axis]
        return f"{before} {sign} {first} {sign} {last} = {after}"
    return f"{before} → {after}"


def _parameters(config: UNetConfig, row: LayerTrace) -> str:
    """Return the number of parameters as a sum."""
    if not row.params:
        return ""
    channels, filters = row.input_shape[2], row.output_shape[2]
    if row.kernel is not None:
        side = row.kernel[0]
        depthwise = f"{side}·{side}·{channels}"
        terms, weights = {
            "depthwise_conv": (depthwise, side * side * channels),
            "separable_conv": (f"{depthwise} + {channels}·{filters}", side * side * channels + channels * filters),
        }.get(row.op, (f"{depthwise}·{filters}", side * side * channels * filters))
        bias = row.params - weights
        return f"{terms}{f' + {bias}' if bias else ''} = {grouped(row.params)}"
    if row.op == "standardize":
        return f"{channels} means + {channels} variances + 1 count = {grouped(row.params)}"
    per_channel = row.params // channels
    names = "scale, offset, moving mean, moving variance" if per_channel == 4 else "scale, offset"
    return f"{per_channel}·{channels} ({names}) = {grouped(row.params)}"


def _macs(row: LayerTrace) -> str:
    if not row.macs:
        return ""
    height, width = (row.input_shape if row.op == "transposed_conv" else row.output_shape)[:2]
    weights = row.macs // (height * width)
    return f"{height}·{width}·{grouped(weights)} = {grouped(row.macs)}"


def _note(config: UNetConfig, row: LayerTrace) -> str:
    notes = []
    if config.encoder != "none" and (row.block.startswith("encoder") or row.block == "bottleneck"):
        if row.op not in ("input", "spatial_dropout"):
            kind = ENCODERS[config.encoder]
            if kind.application:
                notes.append(f"Part of keras.applications.{kind.application}, which creates it automatically.")
            else:
                notes.append(f"Part of {kind.title}.")
        if row.params and not row.trainable_params:
            notes.append("Frozen: training does not change it.")
    elif row.op in _NORMALIZATIONS:
        notes.append(_position(config))
    return " ".join(notes)


def _position(config: UNetConfig) -> str:
    """Say on which side of the activation the normalization is, and what follows from it."""
    if config.normalization_position == "after_activation":
        return (
            "It comes after the activation, as after every Conv2D that has an activation of its own: the next layer "
            "receives centred values, negative ones included. The usual order is before the activation."
        )
    words = "It comes before the activation, which receives centred values"
    if config.normalization != "batch":
        return f"{words}."
    bias = ". The convolution's bias has no effect, because the mean is subtracted" if config.convolution_bias else ""
    return f"{words}, as its authors proposed{bias}."
