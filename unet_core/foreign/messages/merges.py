"""Errors where two feature maps meet, and where nothing is left of one."""

from __future__ import annotations

import re

from unet_core.foreign.messages.message import (
    ErrorMessage,
    from_last,
    is_of_loss,
    layer_name,
    shape_after,
    shapes_in,
    without_batch,
)
from unet_core.foreign.messages.targets import target_error
from unet_core.foreign.mismatch import Dims, merge_reason, written

# --- merges -----------------------------------------------------------------------------------------------------------

_CONCATENATIONS = (
    r"`?Concatenate`? layer requires inputs with matching shapes",
    r"ConcatOp\s?: Dimension",
    r"Every value in `xs` must have the same shape except",
    r"Dimension \d in both shapes must be equal",
    r"Sizes of tensors must match except in dimension",
    r"array dimensions for the concatenation axis must match",
)
_ADDITIONS = (
    r"Inputs have incompatible shapes\.? Received shapes",
    r"[Oo]perands could not be broadcast together with shapes",
    r"Incompatible shapes: \[",
)


def merge(text: str) -> ErrorMessage | None:
    after = from_last(text, _CONCATENATIONS)
    if after is None:
        return None
    # "Shapes are [?,25,25] and …" leaves the joined axis out; the whole shapes follow.
    whole = after.partition("with input shapes")[2] or after
    maps = [without_batch(shape) for shape in shapes_in(whole) if len(shape) >= 3][:2]
    if len(maps) < 2:
        maps = [without_batch(shape) for shape in shapes_in(after) if len(shape) >= 3][:2]
    if len(maps) < 2:
        return None
    reason = merge_reason(*maps)
    title = f"A merge gets {written(maps[0])} and {written(maps[1])}"
    return ErrorMessage("merge", title, tuple(maps), reason.why, reason.changes, layer_name(text))


def addition(text: str) -> ErrorMessage | None:
    after = from_last(text, _ADDITIONS)
    if after is None:
        return None
    maps = [without_batch(shape) for shape in shapes_in(after)][:2]
    if len(maps) < 2 or any(len(shape) < 3 for shape in maps):
        return None
    if is_of_loss(text):
        return target_error(*maps)
    reason = merge_reason(*maps, adds=True)
    title = f"An addition gets {written(maps[0])} and {written(maps[1])}"
    return ErrorMessage("merge", title, tuple(maps), reason.why, reason.changes, layer_name(text))


# --- nothing left -----------------------------------------------------------------------------------------------------


def too_small(text: str) -> ErrorMessage | None:
    zero = from_last(text, (r"Computed output size would be zero or negative", r"Negative dimension size caused by"))
    pooled = from_last(text, (r"could not create a descriptor for a pooling",))
    after = zero or pooled
    if after is None:
        return _cropped_away(text)
    shape = shape_after(after, r"inputs?[ .]shapes?") or shape_after(after, r"with input shapes:")
    if shape is None and pooled:
        shape = shape_after(after, r"shape")
    window = shape_after(after, r"(?:kernel shape|pool_size)")
    if window is None and (caused := re.search(r"subtracting (\d{1,6}) from (\d{1,6})", after)):
        window = (int(caused[1]), int(caused[1]))
    what = without_batch(shape) if shape else ()
    size = f"a {written(window[:2])} window" if window else "its window"
    gets = f" of {written(what)}" if what else ""
    return ErrorMessage(
        "too_small",
        f"Nothing is left of a feature map{gets}",
        (what,) if what else (),
        f"The layer slides {size} over a map that is smaller than the window. Each pooling halves the map and each "
        "convolution with padding='valid' takes its border away, so the input is too small for this depth.",
        (
            "Use a larger input, or fewer levels.",
            "Use padding='same' in the convolutions: only the poolings then shrink the map.",
            *_axis_order(what),
        ),
        layer_name(text),
    )


def _axis_order(shape: Dims) -> tuple[str, ...]:
    """Return a hint where a map is so flat that its first axis must be the channels."""
    if len(shape) == 3 and shape[0] and shape[1] and shape[0] <= 4 < shape[1]:
        return ("Move the channels to the end, np.moveaxis(image, 0, -1): Keras expects (height, width, channels).",)
    return ()


def _cropped_away(text: str) -> ErrorMessage | None:
    after = from_last(text, (r"Values in `cropping` argument should be smaller than",))
    if after is None:
        return None
    shape = shape_after(after, "input_shape")
    what = without_batch(shape) if shape else ()
    return ErrorMessage(
        "too_small",
        f"A crop removes the whole feature map of {written(what)}",
        (what,) if what else (),
        "Cropping2D takes away as many rows or columns as there are.",
        (
            "Compute the crop from the two maps of the merge: half of the difference of their sizes at each side.",
            "Use a larger input: a fixed crop belongs to one input size.",
        ),
    )
