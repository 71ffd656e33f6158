"""The shape doctor: whether an input size works, where the network breaks if not, and how to fix it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from unet_core.architecture.config import MAX_SIDE, MIN_DEPTH, SkipMode, UNetConfig
from unet_core.architecture.table import counted
from unet_core.architecture.trace import Problem, Trace, suggest_sizes, trace
from unet_core.architecture.tracer import SkipTrace

Size = tuple[int, int]  # height, width
Verdict = Literal["works", "changes", "uneven", "breaks"]


@dataclass(frozen=True)
class Remedy:
    """One change that makes the network work: its button, the configuration and size it leads to, and its effect."""

    label: str
    config: UNetConfig
    size: Size
    effect: str


@dataclass(frozen=True)
class Diagnosis:
    """What the network does with one input size.

    Attributes:
        size: the examined height and width.
        trace: of the network at this size, up to the layer that breaks; without the receptive field.
        verdict: "works"; "changes": the mask does not have the photo's size although convolutions keep it; "uneven":
            without padding, a halving drops an odd last row or column; or "breaks".
        problem: the layer that breaks and its two shapes; None if the size works.
        sentence: what happens and why.
        lost_at: the layer that lost (or rounded up) the pixel; None if no single layer did.
        story: the sides at each halving, for example "250 → 125 → 62"; empty if nothing is halved.
        suggested: the nearest sizes that work, smaller first.
        remedies: how to fix it, each traced and found to work; empty if there is nothing to fix.
    """

    size: Size
    trace: Trace
    verdict: Verdict
    problem: Problem | None
    sentence: str
    lost_at: str | None
    story: str
    suggested: tuple[Size, ...]
    remedies: tuple[Remedy, ...]

    @property
    def healthy(self) -> bool:
        """Whether the network works, loses nothing in halving, and its mask has the size that its padding implies."""
        return self.verdict == "works"


def diagnose(config: UNetConfig, size: Size | None = None) -> Diagnosis:
    """Examine the network at `size` (height, width; its own by default).

    Raises:
        ConfigError: a side is not between 1 and 16384 pixels.
    """
    size = size or (config.height, config.width)
    traced = trace(config, size, with_receptive_field=False)
    problem, verdict = traced.problem, _verdict(traced)
    suggested: tuple[Size, ...] = ()
    if problem is not None:
        suggested = problem.suggested_sizes
    elif verdict == "changes":
        suggested = suggest_sizes(config, size)
    elif verdict == "uneven":
        suggested = _even_sizes(config, size)
    return Diagnosis(
        size=size,
        trace=traced,
        verdict=verdict,
        problem=problem,
        sentence=problem.message if problem else _sentence(traced),
        lost_at=_lost_at(traced),
        story=_story(traced),
        suggested=suggested,
        remedies=tuple(_remedies(config, size, traced, suggested)) if verdict != "works" else (),
    )


def verdict_at(config: UNetConfig, size: Size) -> Verdict:
    """Return the verdict of `diagnose` on a size alone, which takes a fraction of the time.

    Raises:
        ConfigError: a side is not between 1 and 16384 pixels.
    """
    return _verdict(trace(config, size, with_receptive_field=False))


def _verdict(traced: Trace) -> Verdict:
    output = traced.output_shape
    if output is None:
        return "breaks"
    if traced.config.loses_border:
        return "uneven" if _odd_halvings(traced) else "works"
    return "works" if output[:2] == traced.input_shape[:2] else "changes"


def _odd_halvings(traced: Trace) -> list[tuple[str, Size, Size]]:
    return [halving for halving in _halvings(traced) if any(side % 2 for side in halving[1])]


def _even_sizes(config: UNetConfig, size: Size) -> tuple[Size, ...]:
    """Return the nearest smaller and larger size at which every halving gets even sides; a side that does stays."""
    period = 2**config.decoder_levels

    def nearest(axis: int, step: int) -> int | None:
        for distance in range(period):
            side = size[axis] + step * distance
            candidate = (side, size[1]) if axis == 0 else (size[0], side)
            if 1 <= side <= MAX_SIDE and _is_even_along(config, candidate, axis):
                return side
        return None

    found = [(nearest(0, step), nearest(1, step)) for step in (-1, 1)]
    return tuple((height, width) for height, width in found if height is not None and width is not None)


def _is_even_along(config: UNetConfig, size: Size, axis: int) -> bool:
    traced = trace(config, size, with_receptive_field=False)
    return traced.valid and not any(before[axis] % 2 for _, before, _ in _halvings(traced))


# --- what happens -----------------------------------------------------------------------------------------------------


def _size_text(size: tuple[int, ...]) -> str:
    return f"{size[0]}×{size[1]}"


def _sentence(traced: Trace) -> str:
    """Describe the mask of a size that works."""
    config, size, output = traced.config, traced.input_shape[:2], _output(traced)
    works = f"{_size_text(size)} works"
    if config.loses_border:
        lost = f"{works}: convolutions without padding remove {_border(traced)}, so the mask is {_size_text(output)}."
        return f"{lost}{_uneven_words(traced)}"
    aligned = "; ".join(_alignment(skip) for skip in traced.skips if _alignment(skip))
    if output != size:
        reason = aligned or "an odd row or column was lost in halving, and no skip connection restores it"
        return f"{works}, but the mask is {_size_text(output)}, {_comparison(output, size)} than the photo: {reason}."
    if aligned:
        return f"{works}, and the mask has the photo's size: {aligned}."
    if config.skip_mode == "none":
        return f"{works}: every halving is even, so the mask has the photo's size."
    return f"{works}: every halving is even, so each skip connection matches the upsampled features."


def _uneven_words(traced: Trace) -> str:
    """Say which halving drops a row or column; "" if none does."""
    odd = _odd_halvings(traced)
    if not odd:
        return ""
    name, (height, width), _ = odd[0]
    dropped = " and ".join(what for what, side in (("row", height), ("column", width)) if side % 2)
    later = len(odd) - 1
    more = f", and {counted(later, 'later one')} {'do' if later > 1 else 'does'} the same" if later else ""
    return (
        f" But {name} gets {height}×{width} and drops the odd last {dropped}{more}, so the upsampled features do not "
        "line up with the cropped skip connections: the paper asks for a size at which every pooling gets even sides."
    )


def _output(traced: Trace) -> Size:
    """Return the mask's height and width.

    Raises:
        ValueError: the network breaks.
    """
    if traced.output_shape is None:
        raise ValueError("a network that breaks has no output")
    return traced.output_shape[:2]


def _comparison(size: Size, other: Size) -> str:
    return "larger" if size[0] > other[0] or size[1] > other[1] else "smaller"


def _border(traced: Trace) -> str:
    """Describe the border that valid padding removes: "92 px at each side"."""
    top, bottom, left, right = traced.lost_border or (0, 0, 0, 0)
    if top == bottom == left == right:
        return f"{top} px at each side"
    return f"{top} px at the top, {bottom} at the bottom, {left} at the left and {right} at the right"


def _alignment(skip: SkipTrace) -> str:
    """Describe the change to one skip connection or the upsampled features; empty if there is none."""
    level = skip.target.removesuffix("_concat")
    if skip.resized:
        return f"{level} stretches the upsampled features to {_size_text(skip.shape)}"
    for margins, verb, whose in (
        (skip.crop, "crops", "off the skip connection"),
        (skip.crop_upsampled, "crops", "off the upsampled features"),
        (skip.pad, "adds", "of zeros to the skip connection"),
        (skip.pad_upsampled, "adds", "of zeros to the upsampled features"),
    ):
        if any(margins):
            return f"{level} {verb} {_rows_and_columns(margins)} {whose}"
    return ""


def _rows_and_columns(margins: tuple[int, int, int, int]) -> str:
    rows, columns = margins[0] + margins[1], margins[2] + margins[3]
    return " and ".join(counted(count, word) for count, word in ((rows, "row"), (columns, "column")) if count)


def _halvings(traced: Trace) -> list[tuple[str, Size, Size]]:
    """Return the name, the size before and the size after each halving layer, its padding included."""
    rows = {row.name: row for row in traced.layers}
    found = []
    for row in traced.layers:
        if row.strides != (2, 2) or row.op == "transposed_conv":
            continue
        before = row.input_shape
        if row.inputs and rows[row.inputs[0]].op == "pad":  # an encoder pads first, which is part of its halving
            before = rows[row.inputs[0]].input_shape
        found.append((row.name, before[:2], row.output_shape[:2]))
    return found


def _lost_at(traced: Trace) -> str | None:
    """Return the layer that lost the pixel that makes a merge fail, else the first that lost any."""
    problem = traced.problem
    if problem is not None and problem.cause:
        return problem.cause
    odd = _odd_halvings(traced)
    if traced.config.loses_border and problem is not None:
        return None
    if problem is not None:
        odd = [halving for halving in odd if halving[1] == problem.shapes[0][:2]]
    return odd[0][0] if odd else None


def _story(traced: Trace) -> str:
    """Return the sides at each halving, starting with the image's; height and width separately if they differ."""
    halvings = _halvings(traced)
    if not halvings:
        return ""
    axes = []
    for axis in (0, 1):
        sides = [traced.input_shape[axis]]
        for _, before, after in halvings:
            if before[axis] != sides[-1]:
                sides.append(before[axis])
            sides.append(after[axis])
        axes.append(" → ".join(map(str, sides)))
    return axes[0] if axes[0] == axes[1] else f"height {axes[0]}, width {axes[1]}"


# --- how to fix it ----------------------------------------------------------------------------------------------------

_MODES: dict[SkipMode, str] = {
    "crop": "Crop to the smaller side",
    "pad": "Pad with zeros",
    "resize": "Resize the upsampled features",
}


def _remedies(config: UNetConfig, size: Size, traced: Trace, suggested: tuple[Size, ...]) -> Iterator[Remedy]:
    """Yield the remedies, those that keep the network first."""
    for candidate in suggested:
        yield Remedy(f"Use {_size_text(candidate)}", config, candidate, _size_effect(config, size, candidate))
    if traced.valid and config.loses_border:  # an odd row is lost: only another size keeps it
        return
    merge_fails = traced.problem is None or traced.problem.layer.endswith("_concat")
    if merge_fails and config.skip_mode != "none":
        for mode, label in _MODES.items():
            if mode != config.skip_mode:
                changed = config.replace(skip_mode=mode)
                yield from _if_it_helps(label, changed, size, traced)
    if config.loses_border:
        changed = config.replace(padding="same", skip_mode=config.skip_mode)
        yield from _if_it_helps("Use same padding", changed, size, traced)
    if traced.problem is not None and not merge_fails:
        shallower = _shallower(config, size)
        if shallower is not None:
            yield from _if_it_helps(f"Use depth {shallower.depth}", shallower, size, traced)


def _size_effect(config: UNetConfig, size: Size, candidate: Size) -> str:
    output = _output(trace(config, candidate, with_receptive_field=False))
    rows, columns = candidate[0] - size[0], candidate[1] - size[1]
    # Both sides of a suggested size are larger, or both smaller, so one word describes both.
    change = f"{_rows_and_columns((abs(rows), 0, abs(columns), 0))} {'more' if rows + columns > 0 else 'less'}"
    return f"The mask is {_size_text(output)}; the input has {change}."


def _if_it_helps(label: str, config: UNetConfig, size: Size, before: Trace) -> Iterator[Remedy]:
    """Yield the remedy if the changed network works, and fixes the mask's size if the unchanged one works too."""
    after = trace(config, size, with_receptive_field=False)
    if not after.valid or (before.valid and _output(after) != size):
        return
    aligned = [_alignment(skip) for skip in after.skips if _alignment(skip)]
    more = f", and likewise at {counted(len(aligned) - 1, 'more level')}" if len(aligned) > 1 else ""
    how = f": {aligned[0]}{more}" if aligned else ""
    output = _output(after)
    different = f"is {_size_text(output)}, {_comparison(output, size)} than the photo"
    result = f"keeps the photo's {_size_text(size)}" if output == size else different
    yield Remedy(label, config, size, f"The mask {result}{how}.")


def _shallower(config: UNetConfig, size: Size) -> UNetConfig | None:
    """Return the deepest variant with fewer levels that works at `size`, None if none does."""
    for depth in range(config.depth - 1, MIN_DEPTH - 1, -1):
        filters = config.filters[: len(config.filters) - (config.depth - depth)] if config.filters else None
        changed = config.replace(depth=depth, filters=filters)
        if trace(changed, size, with_receptive_field=False).valid:
            return changed
    return None
