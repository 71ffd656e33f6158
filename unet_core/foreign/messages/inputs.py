"""Errors of a network's input, of memory, and of building and loading a network."""

from __future__ import annotations

import math
import re

from unet_core.architecture.table import grouped
from unet_core.foreign.messages.message import (
    SHAPE,
    ErrorMessage,
    from_last,
    layer_name,
    shape_after,
    shapes_in,
    without_batch,
)
from unet_core.foreign.mismatch import Dims, written


def channels(text: str) -> ErrorMessage | None:
    found = re.search(
        r"expected axis (-?\d) of input shape to have value (\d{1,9}),? but received input with shape ?(?=[\[(])", text
    )
    if found is None:
        return None
    match = SHAPE.match(text, found.end())
    shape = shapes_in(match[0])[0] if match else ()
    expected, name = int(found[2]), layer_name(text)
    if len(shape) == 2:
        return ErrorMessage(
            "channels", f"{name or 'A Dense layer'} expects {expected} values and gets {shape[-1]}", (shape[1:],),
            "A Dense layer after Flatten has weights for one input size only.",
            (f"Use photos of the size that the network was built with ({grouped(expected)} values).",
             "A U-Net needs no Flatten or Dense: it ends with a 1×1 convolution, and so takes any size."),
            name,
        )  # fmt: skip
    gets = shape[-1] if shape else None
    changes = [
        "Inside a network: the layer is used twice, on maps with different channels. Make one layer for each place."
    ]
    if gets == 1 and expected == 3:
        changes.insert(0, "Read grey photos as RGB: tf.io.decode_image(data, channels=3), or Input((…, …, 1)).")
    elif gets == 4 and expected == 3:
        changes.insert(0, "Drop the alpha channel: image[..., :3], or image.convert('RGB') with Pillow.")
    elif gets == 3 and expected == 1:
        changes.insert(0, "Convert the photos to grey, or build the network with Input((…, …, 3)).")
    return ErrorMessage(
        "channels",
        f"{name or 'A layer'} expects {expected} channels and gets {gets if gets is not None else 'others'}",
        (without_batch(shape),) if shape else (),
        f"The layer's weights were made for {expected} input channels.",
        tuple(changes),
        name,
    )


def input_size(text: str) -> ErrorMessage | None:
    expected = shape_after(text, r"[Ee]xpected shape")
    received = shape_after(text, r"found shape") or shape_after(text, r"incompatible shape")
    if expected is None or received is None:
        return None
    if len(received) < len(expected):
        return _no_batch(received, len(expected))
    wants, gets = expected[1:], received[1:]
    return ErrorMessage(
        "input_size",
        f"The network was built for {written(wants)} and gets {written(gets)}",
        (wants, gets),
        "A model with a fixed Input shape refuses every other size.",
        (
            f"Resize the photos to {written(wants[:2])}.",
            f"Or build it with Input((None, None, {wants[-1]})): convolutions take any size; each side must still be "
            "a multiple of 2 to the number of halvings.",
        ),
    )


def axes(text: str) -> ErrorMessage | None:
    found = re.search(r"expected (?:min_)?ndim=(\d),? (?:but )?found ndim=(\d)", text)
    if found is None:
        return None
    shape = shape_after(text, r"[Ff]ull shape received") or (None,) * int(found[2])
    return _no_batch(shape, int(found[1]), layer_name(text))


def _no_batch(shape: Dims, wanted: int, name: str = "") -> ErrorMessage:
    changes = ["Add the batch: image[tf.newaxis], or np.expand_dims(image, 0); a dataset needs .batch(n)."]
    if len(shape) == 2:
        changes = ["Convolutions need (batch, height, width, channels): do not flatten before them."]
    return ErrorMessage(
        "axes",
        f"{name or 'The network'} needs {wanted} axes and gets {len(shape)}",
        (shape,) if any(side is not None for side in shape) else (),
        "Keras expects (batch, height, width, channels). One photo without a batch has three axes, and its height is "
        "then taken for the batch.",
        tuple(changes),
        name,
    )


# --- memory -----------------------------------------------------------------------------------------------------------

_BYTES = {"float": 4, "float32": 4, "half": 2, "float16": 2, "bfloat16": 2, "double": 8, "float64": 8, "int32": 4}


def memory(text: str) -> ErrorMessage | None:
    if not re.search(
        r"\bOOM\b|ResourceExhausted|RESOURCE_EXHAUSTED|[Oo]ut of memory|Failed to allocate|CUDA_ERROR_OUT", text
    ):
        return None
    shape = shape_after(text, r"tensor with shape") or ()
    kind = re.search(r"and type (\w{3,10})", text)
    size = _BYTES.get(kind[1] if kind else "float", 4)
    known = [side for side in shape if side]
    total = math.prod(known) * size if known else 0
    about = ""
    if total:
        about = f" This one tensor takes {_memory_size(total)}; training keeps all of them for the backward pass."
    changes = ["Halve the batch size: memory grows with it in proportion."]
    if len(shape) == 4 and shape[0] and shape[0] > 1:
        changes = [f"Use a smaller batch than {shape[0]}: memory grows with it in proportion."]
    return ErrorMessage(
        "memory",
        "There is not enough memory" + (f" for a tensor of {written(shape)}" if shape else ""),
        (shape[1:],) if len(shape) == 4 else (),
        f"The first and last levels of a U-Net hold its largest maps.{about}",
        (
            *changes,
            "Halve height and width: that takes a quarter of the memory. Or train on tiles of the photos.",
            "Halve the filters, or use keras.mixed_precision.set_global_policy('mixed_float16') on a GPU.",
        ),
        layer_name(text),
    )


def _memory_size(count: int) -> str:
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


# --- others -----------------------------------------------------------------------------------------------------------


def tensor_function(text: str) -> ErrorMessage | None:
    if "KerasTensor cannot be used as input to a TensorFlow function" not in text:
        return None
    return ErrorMessage(
        "graph",
        "A function of TensorFlow gets a symbolic tensor of Keras",
        (),
        "Keras 3 has no values yet while a functional model is built, so tf.concat, tf.image.resize and their like "
        "cannot run.",
        (
            "Use the layer or the operation of Keras: layers.Concatenate() or keras.ops.concatenate for tf.concat, "
            "layers.Resizing or keras.ops.image.resize for tf.image.resize.",
            "Or put the call into the call method of a layer of your own.",
        ),
    )


def disconnected(text: str) -> ErrorMessage | None:
    if not re.search(r"Graph disconnected|is not connected to `?inputs`?", text):
        return None
    return ErrorMessage(
        "graph",
        "The output does not depend on the model's input",
        (),
        "The tensor given as outputs was computed from another Input than the one given as inputs, often because a "
        "notebook cell that makes the Input ran twice.",
        (
            "Make the Input once and use it for both: inputs = Input(…) … Model(inputs, outputs).",
            "With a pretrained encoder: pass the encoder's own input, or call the encoder on your Input.",
        ),
    )


def weights(text: str) -> ErrorMessage | None:
    after = from_last(
        text, (r"is not compatible with provided weight shape", r"shape of the target variable and the shape of",
               r"expecting \d{1,6} weights?, but", r"Layer count mismatch when loading weights")
    )  # fmt: skip
    if after is None:
        return None
    found = shapes_in(text[max(0, text.find(after) - 200) :])[:2]
    return ErrorMessage(
        "weights",
        "The weights belong to another network",
        tuple(found),
        "A weights file holds arrays only. It fits a network whose layers have the same shapes in the same order.",
        (
            "Build the network with the arguments it was trained with: filters, depth, classes, channels.",
            "The last layer often differs, in the number of classes: load with skip_mismatch=True and train it again.",
        ),
    )


def value_type(text: str) -> ErrorMessage | None:
    found = re.search(r"[Ii]ncompatible type conversion requested to type '?(\w{3,10})'?", text)
    if found is None:
        return None
    return ErrorMessage(
        "type",
        f"A convolution gets values of the type {found[1]}",
        (),
        "The weights are float32, and photos as they are read from files are whole numbers from 0 to 255.",
        ("Convert and scale the photos first: tf.cast(image, tf.float32) / 255.",),
    )


def reshape(text: str) -> ErrorMessage | None:
    after = from_last(text, (r"total size of the (?:new array|tensor) must be unchanged",))
    if after is None:
        return None
    found = shapes_in(after)[:2]
    sizes = f": {written(found[0])} to {written(found[1])}" if found[1:] else ""
    return ErrorMessage(
        "reshape",
        f"A Reshape changes the number of values{sizes}",
        tuple(found),
        "Reshape only orders the same values in another way.",
        (
            "Compute the target from the map's own shape, or use -1 for one side.",
            "A U-Net needs no Reshape for its output: the loss takes (height, width, classes).",
        ),
    )
