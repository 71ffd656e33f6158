"""The shape doctor: whether an input size suits a network, where it breaks if not, and which changes mend it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from unet_core.architecture.config import MIN_DEPTH, UNetConfig
from unet_core.architecture.trace import Problem, Trace, suggest_sizes, trace
from unet_core.architecture.tracer import SkipTrace

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Remedy:
    """One change that makes the network work: what to press, the configuration and size it leads to, what it costs."""

    label: str
    config: UNetConfig
    size: Size
    effect: str


@dataclass(frozen=True)
class Diagnosis:
    """What happens to one input size.

    Attributes:
        size: the height and width that were examined.
        trace: of the network at this size, up to the layer that breaks; without the receptive field.
        problem: the layer that breaks and its two shapes; None where the size works.
        sentence: what happens and why, in plain words.
        lost_at: the layer that lost (or rounded up) the pixel; None where no single layer did.
        story: the sides at each halving, for example "250 → 125 → 62"; empty where nothing is halved.
        suggested: the nearest sizes that work, smaller first.
        remedies: what mends it, each traced and found to work; empty where nothing needs mending.
    """

    size: Size
    trace: Trace
    problem: Problem | None
    sentence: str
    lost_at: str | None
    story: str
    suggested: tuple[Size, ...]
    remedies: tuple[Remedy, ...]

    @property
    def healthy(self) -> bool:
        """Whether the network works and gives a mask of the size that its padding promises."""
        return self.problem is None and not self.remedies


def diagnose(config: UNetConfig, size: Size | None = None) -> Diagnosis:
    """Examine the network at `size` (height, width; its own by default).

    Raises:
        ValueError: a side is not between 1 and 16384 pixels.
    """
    size = size or (config.height, config.width)
    traced = trace(config, size, with_receptive_field=False)
    problem = traced.problem
    shrunk = problem is None and config.padding == "same" and traced.output_shape[:2] != size
    suggested: tuple[Size, ...] = ()
    if problem is not None:
        suggested = problem.suggested_sizes
    elif shrunk:
        suggested = suggest_sizes(config, size)
    return Diagnosis(
        size=size,
        trace=traced,
        problem=problem,
        sentence=problem.message if problem else _sentence(traced, shrunk),
        lost_at=_lost_at(traced),
        story=_story(traced),
        suggested=suggested,
        remedies=tuple(_remedies(config, size, traced, suggested)) if problem or shrunk else (),
    )


# --- what happens -----------------------------------------------------------------------------------------------------


def _size_text(size: tuple[int, ...]) -> str:
    return f"{size[0]}×{size[1]}"


def _sentence(traced: Trace, shrunk: bool) -> str:
    """Say what a size that works leads to."""
    config, output = traced.config, traced.output_shape
    whole = f"{_size_text(traced.input_shape)} works"
    if config.padding == "valid":
        top, bottom, left, right = traced.lost_border
        lost = str(top) if len({top, bottom, left, right}) == 1 else f"{top}, {bottom}, {left} and {right}"
        return (
            f"{whole}: the mask is {_size_text(output)}, because convolutions without padding leave the outer {lost} "
            "pixels at each side without an answer."
        )
    aligned = "; ".join(_alignment(skip) for skip in traced.skips if _alignment(skip))
    if shrunk:
        larger = any(after > before for after, before in zip(output, traced.input_shape[:2], strict=False))
        how = "larger" if larger else "smaller"
        reason = aligned or "an odd row or column was lost in halving and no skip connection brings it back"
        return f"{whole}, but the mask is {_size_text(output)}, {how} than the photo: {reason}."
    if aligned:
        return f"{whole}, and the mask has the photo's size: {aligned}."
    if config.skip_mode == "none":
        return f"{whole}: every halving is even, so the mask has the photo's size."
    return f"{whole}: every halving is even, so each skip connection meets features of its own size."


def _alignment(skip: SkipTrace) -> str:
    """Say what was done to one skip connection or the features it meets; empty where nothing was."""
    level = skip.target.removesuffix("_concat")
    if skip.resized:
        return f"{level} stretches the upsampled features to {_size_text(skip.shape)}"
    for margins, verb, whose in (
        (skip.crop, "cuts", "off the skip connection"),
        (skip.crop_upsampled, "cuts", "off the upsampled features"),
        (skip.pad, "adds", "of zeros to the skip connection"),
        (skip.pad_upsampled, "adds", "of zeros to the upsampled features"),
    ):
        if any(margins):
            return f"{level} {verb} {_rows_and_columns(margins)} {whose}"
    return ""


def _rows_and_columns(margins: tuple[int, int, int, int]) -> str:
    rows, columns = margins[0] + margins[1], margins[2] + margins[3]
    parts = [_counted(rows, "row")] * bool(rows) + [_counted(columns, "column")] * bool(columns)
    return " and ".join(parts)


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"


def _halvings(traced: Trace) -> list[tuple[str, Size, Size]]:
    """Return the name, the size before and the size after each halving layer, its padding included."""
    shapes = {row.name: row.output_shape for row in traced.layers}
    rows = {row.name: row for row in traced.layers}
    found = []
    for row in traced.layers:
        if row.strides != (2, 2) or row.op == "transposed_conv":
            continue
        before = row.input_shape
        if row.inputs and rows[row.inputs[0]].op == "pad":  # an encoder pads first, which is a part of its halving
            before = shapes[rows[row.inputs[0]].inputs[0]]
        found.append((row.name, before[:2], row.output_shape[:2]))
    return found


def _lost_at(traced: Trace) -> str | None:
    """Return the layer that lost the pixel which makes a merge fail, or else the first that lost any."""
    problem = traced.problem
    if problem is not None and problem.cause:
        return problem.cause
    odd = [halving for halving in _halvings(traced) if any(side % 2 for side in halving[1])]
    if traced.config.padding == "valid":
        return None
    if problem is not None:
        odd = [halving for halving in odd if tuple(halving[1]) == tuple(problem.shapes[0][:2])]
    return odd[0][0] if odd else None


def _story(traced: Trace) -> str:
    """Tell the sides through the halvings, the image first; height and width apart where they differ."""
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


# --- what mends it ----------------------------------------------------------------------------------------------------

_MODES = {
    "crop": "Crop to the smaller side",
    "pad": "Pad with zeros",
    "resize": "Resize the upsampled features",
}


def _remedies(config: UNetConfig, size: Size, traced: Trace, suggested: tuple[Size, ...]) -> Iterator[Remedy]:
    """Yield what mends it, the ones that keep the network first."""
    for candidate in suggested:
        yield Remedy(f"Use {_size_text(candidate)}", config, candidate, _size_effect(config, size, candidate))
    merge_fails = traced.problem is None or traced.problem.layer.endswith("_concat")
    if merge_fails and config.skip_mode != "none":
        for mode, label in _MODES.items():
            if mode != config.skip_mode:
                changed = config.replace(skip_mode=mode)
                yield from _if_it_helps(label, changed, size, traced)
    if config.padding == "valid":
        changed = config.replace(padding="same", skip_mode=config.skip_mode)
        yield from _if_it_helps("Use same padding", changed, size, traced)
    if traced.problem is not None and not merge_fails:
        shallower = _shallower(config, size)
        if shallower is not None:
            yield from _if_it_helps(f"Use depth {shallower.depth}", shallower, size, traced)


def _size_effect(config: UNetConfig, size: Size, candidate: Size) -> str:
    output = trace(config, candidate, with_receptive_field=False).output_shape
    rows, columns = candidate[0] - size[0], candidate[1] - size[1]
    # Suggested sizes lie on one side of the present one, so one word serves both.
    change = f"{_rows_and_columns((abs(rows), 0, abs(columns), 0))} {'more' if rows + columns > 0 else 'less'}"
    return f"The mask is {_size_text(output)}, for an input of {change}."


def _if_it_helps(label: str, config: UNetConfig, size: Size, before: Trace) -> Iterator[Remedy]:
    """Yield the remedy if the changed network works, and better than one that works already."""
    after = trace(config, size, with_receptive_field=False)
    if not after.valid or (before.valid and after.output_shape[:2] != size):
        return
    aligned = [_alignment(skip) for skip in after.skips if _alignment(skip)]
    how = f": {aligned[0]}{_and_more(len(aligned) - 1)}" if aligned else ""
    output = after.output_shape[:2]
    larger = any(side > own for side, own in zip(output, size, strict=True))
    wrong = f"{_size_text(output)}, {'larger' if larger else 'smaller'} than the photo"
    result = f"keeps the photo's {_size_text(size)}" if output == size else f"is {wrong}"
    yield Remedy(label, config, size, f"The mask {result}{how}.")


def _and_more(others: int) -> str:
    return f", and so on at {_counted(others, 'level')} more" if others else ""


def _shallower(config: UNetConfig, size: Size) -> UNetConfig | None:
    """Return the deepest variant with fewer levels that works at `size`, None where none does."""
    for depth in range(config.depth - 1, MIN_DEPTH - 1, -1):
        filters = config.filters[: len(config.filters) - (config.depth - depth)] if config.filters else None
        changed = config.replace(depth=depth, filters=filters)
        if trace(changed, size, with_receptive_field=False).valid:
            return changed
    return None
