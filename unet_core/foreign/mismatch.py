"""Why two feature maps do not fit together, from their shapes alone."""

from __future__ import annotations

from dataclasses import dataclass

Side = int | None  # None: not known before the network gets a photo
Dims = tuple[Side, ...]  # a shape without the batch: (height, width, channels)

MAX_HALVINGS = 6


@dataclass(frozen=True)
class Reason:
    """Why it happens, and what to change, the best first."""

    why: str
    changes: tuple[str, ...]


def written(shape: Dims) -> str:
    """Write a shape: 125×125×64, with "?" for a side that is not known."""
    return "×".join("?" if side is None else str(side) for side in shape) or "one number"


def differing_sides(one: Dims, other: Dims) -> tuple[int, int] | None:
    """Return the larger and the smaller of the first two sides that differ, None if height and width are equal."""
    for first, second in zip(one[:2], other[:2]):
        if first is not None and second is not None and first != second:
            return max(first, second), min(first, second)
    return None


def merge_reason(one: Dims, other: Dims, *, adds: bool = False) -> Reason:
    """Explain why two maps cannot be concatenated, or with `adds` added; shapes are (height, width, channels)."""
    sides = differing_sides(one, other)
    if sides is None:
        return _channels_reason(one, other, adds)
    larger, smaller = sides
    lost = _lost_in_halving(larger, smaller)
    if lost is not None:
        return lost
    if larger == _doubled_after_rounding_up(smaller):
        return Reason(
            f"{smaller} is odd: halving with padding='same' rounds it up to {-(-smaller // 2)}, and doubling that "
            f"gives {larger}, so the upsampled features are larger than the skip connection.",
            (_use_multiples(smaller, 2), f"Crop the upsampled features to {smaller} before the merge."),
        )
    times = _power_of_two(larger, smaller)
    if times is not None:
        count = "one halving" if times == 2 else f"{times.bit_length() - 1} halvings"
        return Reason(
            f"{larger} is {times} times {smaller}: the two maps come from levels that are {count} apart.",
            (
                "Merge each upsampled map with the skip connection of the same level: the deepest skip connection "
                "first, the finest last.",
                "Check that every decoder block doubles the size once: Conv2DTranspose needs strides=2, and nothing "
                "else in the block may upsample.",
            ),
        )
    return Reason(
        f"The larger map has {larger - smaller} pixels more along this side: convolutions with padding='valid' remove "
        "a border, so the upsampled features are smaller than the skip connection, as in the U-Net paper.",
        (
            _crop_change(larger, smaller),
            "Or use padding='same' in every convolution: then the sizes of a level stay equal.",
        ),
    )


def _channels_reason(one: Dims, other: Dims, adds: bool) -> Reason:
    channels = " and ".join(str(shape[-1]) for shape in (one, other) if shape)
    if adds:
        return Reason(
            f"Height and width are equal, but an addition also needs equal channels, and these are {channels}.",
            (
                "Give the smaller one as many channels with a 1×1 convolution before the addition.",
                "Or use Concatenate instead: it only needs equal height and width.",
            ),
        )
    return Reason(
        f"Height and width are equal; only the channels differ ({channels}). So the maps are joined along another "
        "axis than the channels.",
        ("Concatenate along the channels: Concatenate(axis=-1), which is the default.",),
    )


def _lost_in_halving(larger: int, smaller: int) -> Reason | None:
    """Explain a pixel that a pooling dropped: the larger side, halved n times with rounding down and doubled again."""
    for count in range(1, MAX_HALVINGS + 1):
        if larger >> count == 0:
            return None
        if (larger >> count) << count == smaller:
            break
    else:
        return None
    step = 2**count
    if count == 1:
        why = f"{larger} is odd: pooling rounds it down to {larger // 2}, and doubling that gives {smaller}."
    else:
        why = (
            f"{larger} is not a multiple of {step}: {count} poolings make {larger >> count} of it, rounding down, and "
            f"doubling that {count} times gives {smaller}."
        )
    return Reason(
        f"{why} The skip connection still has {larger}.",
        (
            _use_multiples(larger, step),
            f"Or align the two before the merge: crop the skip connection to {smaller}, pad the upsampled features "
            f"to {larger}, or resize them with Resizing.",
        ),
    )


def _use_multiples(side: int, step: int) -> str:
    below, above = side // step * step, -(-side // step) * step
    near = f"{below} or {above}" if below else str(above)
    return (
        f"Choose an input whose side here is a multiple of {step} ({near} instead of {side}). The input's height and "
        "width must be multiples of 2 to the number of halvings: 16 for four poolings, 32 for five."
    )


def _doubled_after_rounding_up(side: int) -> int | None:
    return 2 * -(-side // 2) if side % 2 else None


def _power_of_two(larger: int, smaller: int) -> int | None:
    """Return larger / smaller where it is a power of two from 2 on, roughly where an odd pixel was lost on the way."""
    for count in range(1, MAX_HALVINGS + 1):
        if smaller and (larger == smaller << count or larger >> count == smaller):
            return 2**count
    return None


def _crop_change(larger: int, smaller: int) -> str:
    before = (larger - smaller) // 2
    after = larger - smaller - before
    margins = str(before) if before == after else f"(({before}, {after}), ({before}, {after}))"
    return f"Crop the skip connection before the merge: Cropping2D({margins}) makes {smaller} of {larger}."
