"""Errors of losses and metrics: masks that do not fit the output, labels out of range, NaN."""

from __future__ import annotations

import math
import re

from unet_core.architecture.table import grouped
from unet_core.foreign.messages.message import (
    ErrorMessage,
    from_last,
    is_of_loss,
    layer_name,
    shape_after,
    shapes_in,
    without_batch,
)
from unet_core.foreign.mismatch import Dims, differing_sides, merge_reason, written


def target(text: str) -> ErrorMessage | None:
    for target, output in ((r"target\.shape", r"output\.shape"), (r"labels\.shape", r"logits\.shape")):
        first, second = shape_after(text, target), shape_after(text, output)
        if first is not None and second is not None and (len(first) >= 3 or len(second) >= 3):
            return target_error(first[1:], second[1:], one_hot="must have rank (ndim) `target.ndim - 1`" in text)
    same = re.search(r"`logits` and `labels` must have the same shape, received", text)
    incompatible = re.search(r"Shapes (?=[\[(]).{3,80} are incompatible", text)
    equal = re.search(r"Dimensions must be equal, but are", text)
    if same:
        found = shapes_in(text[same.start() :].replace("((", "("))[:2]
        return target_error(found[1][1:], found[0][1:]) if len(found) == 2 else None
    if incompatible:
        found = shapes_in(incompatible[0])[:2]
        return target_error(found[0][1:], found[1][1:]) if len(found) == 2 and min(map(len, found)) >= 2 else None
    if equal and "with input shapes" in text:
        whole = text[equal.start() :].partition("with input shapes")[2]
        found = [without_batch(shape) for shape in shapes_in(whole)][:2]
        if len(found) == 2 and min(map(len, found)) >= 2:
            return target_error(found[0], found[1]) if is_of_loss(text) else _two_maps(found[0], found[1], text)
    return None


def _two_maps(one: Dims, other: Dims, text: str) -> ErrorMessage:
    reason = merge_reason(one, other, adds=True)
    title = f"Two maps do not fit: {written(one)} and {written(other)}"
    return ErrorMessage("merge", title, (one, other), reason.why, reason.changes, layer_name(text))


def target_error(target: Dims, output: Dims, *, one_hot: bool = False) -> ErrorMessage:
    """Explain a loss that gets a mask and an output which do not fit; shapes are without the batch."""
    title = f"The loss gets masks of {written(target)} and outputs of {written(output)}"
    why, changes = _target_reason(target, output, one_hot)
    return ErrorMessage("target", title, (target, output), why, changes)


def _target_reason(target: Dims, output: Dims, one_hot: bool) -> tuple[str, tuple[str, ...]]:
    sides = differing_sides(target, output)
    if sides is not None:
        return _sizes_reason(target, output, *sides)
    classes = output[-1] if output else None
    if one_hot:
        return (
            f"The masks are one-hot, {target[-1]} channels of 0 and 1, but a sparse loss expects one whole number per "
            "pixel.",
            (
                "Use CategoricalCrossentropy for one-hot masks.",
                "Or keep SparseCategoricalCrossentropy and turn the masks into class numbers: "
                "tf.argmax(mask, axis=-1).",
            ),
        )
    if len(target) < len(output):
        return (
            "The masks have no axis for channels.",
            ("Add it: mask = mask[..., tf.newaxis].", _sparse(classes)) if classes != 1
            else ("Add it: mask = mask[..., tf.newaxis].",),
        )  # fmt: skip
    if target and target[-1] == 1:
        return (
            f"The masks hold one number per pixel, and the network has {classes} output channels, one per class.",
            (
                _sparse(classes),
                f"Or make the masks one-hot: tf.one_hot(tf.squeeze(mask, -1), {classes}).",
            ),
        )
    if classes == 1:
        return (
            f"The network has one output channel, and the masks have {target[-1] if target else '?'}: a mask file was "
            "read as a colour picture, or the masks are one-hot.",
            (
                "Read mask files with one channel: tf.io.decode_png(data, channels=1).",
                f"For {target[-1] if target else 'several'} classes, end the network with Conv2D("
                f"{target[-1] if target else 'classes'}, 1) and use CategoricalCrossentropy.",
            ),
        )
    return (
        f"The masks have {target[-1] if target else '?'} channels, and the network has {classes} output channels.",
        (f"End the network with one channel per class: Conv2D({target[-1] if target else 'classes'}, 1).",
         "Or correct the number of classes that the masks are encoded with."),
    )  # fmt: skip


def _sparse(classes: int | None) -> str:
    return (
        f"Use SparseCategoricalCrossentropy: it takes masks with whole numbers from 0 to {(classes or 1) - 1}."
        if classes
        else "Use SparseCategoricalCrossentropy: it takes masks with whole numbers."
    )


def _sizes_reason(target: Dims, output: Dims, larger: int, smaller: int) -> tuple[str, tuple[str, ...]]:
    output_side = next(second for first, second in zip(target, output) if first != second)
    times = larger // smaller if larger % smaller == 0 else 0
    if output_side == larger:
        return (
            "The masks are smaller than the network's output: photos and masks were resized to different sizes.",
            (f"Resize the masks to {written(output[:2])} as well, with method='nearest', which invents no classes.",),
        )
    if times and times & (times - 1) == 0:
        return (
            f"The output is {times} times smaller than the masks: upsampling steps are missing at the end, or the "
            "encoder's first layer halves the input without a decoder block for it.",
            (
                "Add a decoder block for each halving: as many Conv2DTranspose(…, strides=2) as poolings and strided "
                "convolutions.",
                f"Or resize the masks to {written(output[:2])} with method='nearest', for a coarser result.",
            ),
        )
    if larger - smaller < 2**6 and smaller % 2 == 0 and (larger - smaller) % 2 == 1:
        return (
            f"The masks have {larger - smaller} pixels more than the output: {larger} cannot be halved evenly at "
            "every level, and the rounded pixels are missing at the end.",
            ("Resize photos and masks to a multiple of 2 to the number of halvings, such as 16 or 32.",),
        )
    before = (larger - smaller) // 2
    return (
        f"The output is {larger - smaller} pixels smaller than the masks: convolutions with padding='valid' remove a "
        "border, as in the U-Net paper.",
        (
            f"Compare with the middle of the mask: crop {before} pixels at each side, mask[:, {before}:"
            f"{before + smaller}, {before}:{before + smaller}].",
            "Or use padding='same' in every convolution: the output then has the photo's size.",
            "Do not resize the mask to the output's size: the output shows the photo's middle only.",
        ),
    )


_USUAL_SIDE = 640  # pixels


def flat_labels(text: str) -> ErrorMessage | None:
    """Read the messages of TensorFlow's own cross-entropies, which have flattened height and width away."""
    first = re.search(r"logits and labels must (?:have the same first dimension|be broadcastable)", text)
    if first is None:
        return None
    after = text[first.start() :]
    logits = shape_after(after, r"logits(?: shape|_size)")
    labels = shape_after(after, r"labels(?: shape|_size)")
    if not logits or not labels or logits[0] is None or labels[0] is None:
        return None
    if logits[0] == labels[0]:
        return ErrorMessage(
            "target", f"The loss gets {labels[-1]} classes in the masks and {logits[-1]} in the output",
            (labels, logits), f"Each pixel has {labels[-1]} numbers in the masks and {logits[-1]} in the output.",
            (f"End the network with one channel per class: Conv2D({labels[-1]}, 1).",
             "Or correct the depth of tf.one_hot."),
        )  # fmt: skip
    sizes = _square_sizes(labels[0], logits[0])
    pixels = f"{grouped(labels[0])} pixels in the masks and {grouped(logits[0])} in the output"
    if sizes is None:
        if labels[0] % logits[0] == 0 and labels[0] // logits[0] <= 4:
            times = labels[0] // logits[0]
            return ErrorMessage(
                "target", f"The loss gets {pixels}", (labels, logits),
                f"The masks have {times} numbers for each pixel of the output: they were read as colour pictures, or "
                "are one-hot.",
                ("Read mask files with one channel: tf.io.decode_png(data, channels=1).",
                 "For one-hot masks, use CategoricalCrossentropy."),
            )  # fmt: skip
        return ErrorMessage(
            "target", f"The loss gets {pixels}", (labels, logits), "Masks and outputs have different sizes.",
            ("Give photos and masks one size, and compare the network's output shape (model.summary()) with it.",),
        )  # fmt: skip
    batch, mask, output = sizes
    found = target_error((mask, mask), (output, output))
    images = "one photo" if batch == 1 else f"a batch of {batch}"
    counts = f"{grouped(labels[0])} and {grouped(logits[0])}"
    why = f"{counts} are, for example, {mask}² and {output}² pixels for {images}. {found.why}"
    return ErrorMessage("target", f"The loss gets {pixels}", found.shapes, why, found.changes)


def _square_sizes(labels: int, logits: int) -> tuple[int, int, int] | None:
    """Return a batch for which both numbers of pixels are those of squares, and the two sides.

    Four times the batch with half the sides is the same number: the smallest batch with sides of a usual size is taken.
    """
    fitting = []
    for batch in range(1, 257):
        sides = math.isqrt(labels // batch), math.isqrt(logits // batch)
        if (sides[0] ** 2 * batch, sides[1] ** 2 * batch) == (labels, logits):
            fitting.append((batch, *sides))
    usual = [found for found in fitting if max(found[1:]) <= _USUAL_SIDE]
    return next(iter(usual or fitting), None)


def label_range(text: str) -> ErrorMessage | None:
    found = re.search(r"label value of (-?\d{1,9}) which is outside the valid range of \[0, (\d{1,9})\)", text)
    if found is None:
        return None
    value, classes = int(found[1]), int(found[2])
    changes = [f"Masks with the values 1 to {value}: subtract 1 (the Oxford pets' trimaps hold 1, 2 and 3)."]
    if value == 255:
        changes = [
            "Two classes drawn as 0 and 255: divide by 255, or compare with mask > 127.",
            "255 for pixels that do not count: SparseCategoricalCrossentropy(ignore_class=255).",
        ]
    elif value < 0:
        changes = ["1 was subtracted from masks that already began with 0: leave the subtraction out."]
    elif value != classes:
        changes = [
            f"Count the values of all masks (np.unique): the network needs as many output channels as the largest "
            f"plus 1, here at least {value + 1}.",
            "Values between the classes come from resizing masks bilinearly: use method='nearest'.",
        ]
    changes.append("A GPU reports nothing here: the same masks make the loss NaN there.")
    return ErrorMessage(
        "labels",
        f"A mask holds the value {value}, and the network has {classes} classes",
        (),
        f"With {classes} output channels the classes are numbered 0 to {classes - 1}.",
        tuple(changes),
    )


_NAN = r"\bloss\b['\"]?\s?[:=]\s?-?nan\b|[Ll]oss (?:is|became|turned|=) ?nan|NaN loss|Invalid loss"


def not_a_number(text: str) -> ErrorMessage | None:
    if re.search(_NAN, text) is None:
        return None
    return ErrorMessage(
        "nan",
        "The loss is NaN",
        (),
        "Something in a step was infinite or undefined. On a GPU the most frequent cause is a mask with a value that "
        "no class has: sparse cross-entropy answers NaN there, where a CPU would stop with an error.",
        (
            "Look at the values of all masks (np.unique): they must be 0 to the number of classes minus 1.",
            "Scale photos to 0…1 or −1…1, and divide by no deviation that may be 0.",
            "Let the network end in logits and use from_logits=True: the logarithm of a probability of 0 is infinite.",
            "Use a smaller learning rate (1e-4) or clipnorm=1.0; with mixed precision, keep the last layer in float32.",
        ),
    )


def metric(text: str) -> ErrorMessage | None:
    after = from_last(text, (r"Incompatible shapes: \[",))
    if after is None or not re.search(r"metrics|LogicalAnd|update_state", text):
        return None
    found = shapes_in(after)[:2]
    if len(found) < 2 or not found[0][0] or not found[1][0]:
        return None
    masks, outputs = found[0][0], found[1][0]
    classes = outputs // masks if outputs % masks == 0 else 0
    times = f"{classes} times as many, one for each class" if classes > 1 else "another number"
    return ErrorMessage(
        "metric",
        f"A metric gets {grouped(masks)} values of masks and {grouped(outputs)} of outputs",
        tuple(found),
        f"The metric compares class numbers, but the outputs hold {times}: it was given scores instead of classes.",
        (
            "Use keras.metrics.MeanIoU(num_classes, sparse_y_pred=False), which takes the class with the highest "
            "score itself; or OneHotMeanIoU for one-hot masks.",
        ),
    )
