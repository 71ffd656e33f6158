"""The U of Ronneberger et al. 2015, figure 1, for any trace: the positions of all boxes, arrows and texts.

Pure arithmetic, no colours. The contracting path descends on the left, each level's first box below the last of the
level above; the expansive path mirrors it on the right.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import inf

from unet_core.architecture.trace import Trace
from unet_core.explain.diagram.framing import framed, with_legend
from unet_core.explain.diagram.parts import (
    BOLD,
    LETTER,
    MEASURES,
    WRITTEN,
    Arrow,
    Box,
    Detail,
    Diagram,
    Label,
    Mark,
    Measures,
    Point,
)
from unet_core.explain.diagram.steps import Step, read_steps
from unet_core.explain.diagram.texts import crop_words, describe, heading, loss_words, problem_words, size_words
from unet_core.explain.diagram.tiles import read_tiles


def diagram(
    trace: Trace, *, selected: str | None = None, detail: Detail = "full", like: Trace | None = None
) -> Diagram:
    """Lay out the U of `trace`, to the same scale as `like` if given.

    `selected` names a layer or a block to highlight. For the paper's network, "full" and "medium" are about 1180 and
    680 wide, with sizes and channels at every box; "compact" is 400 wide and has them once per level; "thumbnail" is
    160 wide, without texts.
    """
    steps = read_steps(trace)
    layout = _Layout(steps, trace, MEASURES[detail], detail, read_steps(like) if like else ())
    return replace(layout.finish(), selected=selected)


class _Layout:
    """Places the boxes horizontally, then vertically, then arrows and texts."""

    def __init__(
        self, steps: tuple[Step, ...], trace: Trace, measures: Measures, detail: Detail, like: tuple[Step, ...]
    ) -> None:
        self.steps, self.trace, self.measures = steps, trace, measures
        self.detail: Detail = detail
        scale = (*steps, *like)
        self.most = max(step.channels for step in scale)
        self.largest = max(_side(step) for step in scale)
        self.x: dict[str, float] = {}
        self.y: dict[str, float] = {}
        self.w = {step.key: self._width(step.shape[2]) for step in steps}
        self.h = {step.key: self._height(step) for step in steps}
        self.by_key = {step.key: step for step in steps}
        self.path = [step for step in steps if step.operation != "skip"]  # each follows the one before
        self.copies = {step.block: step for step in steps if step.operation == "skip"}
        self.sized = self._steps_with_size()
        self._across()
        self._down()

    def _width(self, channels: int) -> float:
        narrow, wide = self.measures.widths
        return narrow + (wide - narrow) * (channels / self.most) ** 0.6

    def _height(self, step: Step) -> float:
        low, high = self.measures.heights
        height = low + (high - low) * (_side(step) / self.largest) ** 0.8
        if self.detail in WRITTEN:  # leave room for the size beside the box and the arrow above it
            height = max(height, self._text(size_words(step.shape)) + 16)
        return height

    def _text(self, words: str) -> float:
        return LETTER * self.measures.small * len(words)

    def _steps_with_size(self) -> set[str]:
        """Choose the boxes with a size beside them: the first of a row, and those where the size changes."""
        if self.detail not in WRITTEN:
            return set()
        chosen, before = set(), None
        for step in self.path:
            first = self.copies.get(step.block, step) if step.operation == "up" else step
            changed = before is None or before.level != step.level or before.shape[:2] != step.shape[:2]
            if step.state != "pending" and (changed or step is self.path[-1]):
                chosen.add(first.key)
            before = step
        return chosen

    def _gap(self, before: Step, step: Step, opens_row: bool) -> float:
        """Return the space between two boxes of a row: for an arrow, a size, and channels that do not touch."""
        gap = self.measures.sized_gap if step.key in self.sized else self.measures.gap
        if self.detail not in WRITTEN or opens_row:
            return gap
        letters = (len(str(before.channels)) + len(str(step.channels))) / 2
        return max(gap, BOLD * self.measures.font * letters + 4 - (self.w[before.key] + self.w[step.key]) / 2)

    # --- across ---------------------------------------------------------------------------------------------------

    def _across(self) -> None:
        before, opens_row = None, False
        for step in self.path:
            if before is None:
                self.x[step.key] = 0
            elif before.level != step.level:
                self.x[step.key] = self._stem(before) - self.w[step.key] / 2
            else:
                self.x[step.key] = self.x[before.key] + self.w[before.key] + self._gap(before, step, opens_row)
            if step.operation == "up" and step.block in self.copies:
                copy = self.copies[step.block]
                self.x[copy.key] = self.x[step.key] - self.w[copy.key]
            opens_row = before is not None and before.level != step.level
            before = step
        self._make_room()

    def _stem(self, step: Step) -> float:
        """Return where a vertical arrow leaves a box: its middle."""
        return self.x[step.key] + self.w[step.key] / 2

    def _make_room(self) -> None:
        """Move the bottleneck's last box and all after it right until every row has room for its skip connection."""
        missing = 0.0
        for level in {step.level for step in self.steps}:
            left = [step for step in self.steps if step.level == level and not step.rises]
            right = [step for step in self.steps if step.level == level and step.rises]
            if left and right:
                end = max(self.x[step.key] + self.w[step.key] for step in left)
                start = min(self.x[step.key] for step in right)
                missing = max(missing, end + self.measures.skip - start)
        turn = max(index for index, step in enumerate(self.path) if not step.rises)
        moved = [*self.path[turn:], *self.copies.values()]
        for step in moved:
            self.x[step.key] += missing

    # --- down -----------------------------------------------------------------------------------------------------

    def _down(self) -> None:
        self.middle: dict[int, float] = {}
        self.across: dict[int, float] = {}  # y of a row's horizontal arrows
        top = 0.0
        for level in range(max(step.level for step in self.steps) + 1):
            row = [step for step in self.steps if step.level == level]
            tallest = max(self.h[step.key] for step in row)
            middle = top + tallest / 2
            self.across[level] = middle
            for step in row:
                self.y[step.key] = middle - self.h[step.key] / 2
                if step.key in self.sized:
                    lowest = self.y[step.key] + self.h[step.key] - self._text(self._size(step)) - 8
                    self.across[level] = min(self.across[level], lowest)
            self.middle[level] = middle
            top += tallest + self.measures.rise

    def _size(self, step: Step) -> str:
        """Write a size in full, as in the paper, if the box is high enough, else as "28²"."""
        height, width, _ = step.shape
        long = f"{height} × {width}"
        return long if self._text(long) + 34 <= self.h[step.key] else size_words(step.shape)

    # --- boxes ----------------------------------------------------------------------------------------------------

    def _box(self, step: Step) -> Box:
        kind = {"input": "input", "skip": "copy"}.get(step.operation, "map")
        if step is self.path[-1]:
            kind = "output"
        return Box(
            step.key, step.block, kind, step.layers, step.shape,
            self.x[step.key], self.y[step.key], self.w[step.key], self.h[step.key],
            label=self._channels(step), size=self._size_label(step), inner=self._inner(step), state=step.state,
        )  # fmt: skip

    def _inner(self, step: Step) -> tuple[float, float] | None:
        for copy in self.copies.values():
            if copy.skip is None:
                continue
            skip, margins = copy.skip, None
            if skip.source in step.layers:
                margins = skip.crop
            elif copy is step:
                margins = skip.pad
            elif step.block == copy.block and step.operation == "up":
                margins = tuple(map(sum, zip(skip.crop_upsampled, skip.pad_upsampled)))
            if margins and any(margins):
                return margins[0] / step.shape[0], margins[1] / step.shape[0]
        return None

    def _size_label(self, step: Step) -> Label | None:
        if step.key not in self.sized:
            return None
        bottom = self.y[step.key] + self.h[step.key]
        text = self._size(step)
        return Label(text, self.x[step.key] - 4, bottom - 1, self.measures.small, "start", vertical=True, role="size")

    def _channels(self, step: Step) -> Label | None:
        """Place the channels above the box, or beside the vertical arrow that starts or ends there."""
        if self.detail not in WRITTEN or step.state != "done":
            return None
        index = self.path.index(step) if step in self.path else None
        if step.operation == "up" and step.block in self.copies:
            return None  # written once, above both parts
        left, right = self.x[step.key], self.x[step.key] + self.w[step.key]
        if step.operation == "skip":
            right += self.w[self._up_of(step).key]
            index = self.path.index(self._up_of(step))
        y = min(self.y[step.key], *(self.y[s.key] for s in self._pair(step))) - 4
        before = self.path[index - 1] if index else None
        after = self.path[index + 1] if index is not None and index + 1 < len(self.path) else None
        if before and before.level < step.level:
            return Label(str(step.channels), self._stem(step) - 5, y, self.measures.font, "end")
        if index is not None and after and after.level < step.level:
            return Label(str(step.channels), self._stem(self.path[index]) + 5, y, self.measures.font, "start")
        return Label(str(step.channels), (left + right) / 2, y, self.measures.font)

    def _pair(self, step: Step) -> tuple[Step, ...]:
        return (step, self._up_of(step)) if step.operation == "skip" else (step, step)

    def _up_of(self, copy: Step) -> Step:
        return next(step for step in self.path if step.block == copy.block and step.operation == "up")

    # --- arrows ---------------------------------------------------------------------------------------------------

    def _arrows(self) -> list[Arrow]:
        arrows = []
        for before, step in pairwise(self.path):
            state = "done" if step.state == "done" else "pending"
            arrows.append(
                Arrow(step.key, step.block, step.operation, step.layers, *self._ends(before, step), state=state)
            )
        return arrows + [self._skip(copy) for copy in self.copies.values()]

    def _ends(self, before: Step, step: Step) -> tuple[Point, Point]:
        space = self.measures.clear
        stem = self._stem(step)
        if step.level > before.level:
            return (stem, self.y[before.key] + self.h[before.key] + space), (stem, self.y[step.key] - space)
        if step.level < before.level:
            return (stem, self.y[before.key] - space), (stem, self.y[step.key] + self.h[step.key] + space)
        y = self.across[step.level]
        return (self.x[before.key] + self.w[before.key] + space, y), (self.x[step.key] - space, y)

    def _skip(self, copy: Step) -> Arrow:
        """Draw the connection from the encoder's last box of the row to the copy."""
        source = max((s for s in self.path if s.level == copy.level and not s.rises), key=lambda s: self.x[s.key])
        y = self.across[copy.level]
        space = self.measures.clear
        start, end = self.x[source.key] + self.w[source.key] + space, self.x[copy.key] - space
        note = None
        if copy.skip and self.measures.small:
            room = end - start - self.measures.head
            words = next((text for text in crop_words(copy.skip) if self._text(text) + 6 <= room), "")
            if words:
                note = Label(words, (start + end - self.measures.head) / 2, y - 6, self.measures.small, role="note")
        key = next((name for name in copy.layers if name != copy.key), copy.key)
        state = "done" if copy.state == "done" else "pending"
        return Arrow(key, copy.block, "skip", copy.layers, (start, y), (end, y), note, copy.skip, state)

    # --- texts ----------------------------------------------------------------------------------------------------

    def _captions(self) -> list[Label]:
        if not self.measures.small:
            return []
        return self._row_captions() if self.detail == "compact" else self._cause()

    def _cause(self) -> list[Label]:
        """Label the pooling that lost the pixel because of which a later layer breaks."""
        problem = self.trace.problem
        layer = next((one for one in self.trace.layers if problem and one.name == problem.cause), None)
        if layer is None:
            return []
        before = self.path[next(i for i, step in enumerate(self.path) if step.key == layer.name) - 1]
        x, y = self._stem(before) + 6, self.y[before.key] + self.h[before.key] + self.measures.small + 3
        up = next((self._stem(b) for a, b in pairwise(self.path) if a.level > b.level == before.level), inf)
        labels = [Label(words, x, y, self.measures.small, "start", role="mark") for words in loss_words(layer)]
        return [next((label for label in labels if label.bounds[2] <= up - 3), labels[-1])]

    def _row_captions(self) -> list[Label]:
        """Place each row's size at its ends, and its channels above the last box of the contracting path."""
        captions, small = [], self.measures.small
        for level, middle in self.middle.items():
            row = [step for step in self.steps if step.level == level]
            left = [s for s in row if not s.rises and s.state == "done"]
            if left:
                first, last = left[0], left[-1]
                y = middle + small * 0.35
                captions.append(Label(size_words(first.shape), self.x[first.key] - 4, y, small, "end", role="size"))
                bottleneck = level == max(self.middle)
                x = self._stem(last) + 4 * bottleneck
                anchor = "start" if bottleneck else "middle"
                whole = all(step.state == "done" for step in row if not step.rises)  # else the mark's text is here
                if whole and last.operation != "input":
                    captions.append(Label(str(last.channels), x, self.y[last.key] - 3, small, anchor))
            last = max(row, key=lambda s: self.x[s.key])
            if last.state == "done":
                edge = self.x[last.key] + self.w[last.key] + 4
                captions.append(Label(size_words(last.shape), edge, middle + small * 0.35, small, "start", role="size"))
        return captions

    def _mark(self) -> Mark | None:
        problem = self.trace.problem
        if problem is None:
            return None
        step = self.by_key[problem.layer]
        pair = self._pair(step)
        left = self.x[step.key]
        right = max(self.x[s.key] + self.w[s.key] for s in pair)
        middle, top = (left + right) / 2, min(self.y[s.key] for s in pair)
        text = None
        if self.measures.font:
            words = problem_words(problem, short=self.detail not in WRITTEN)
            # There is no text to the right, which was never reached.
            places = {"skip": (middle, "middle"), "pool": (self._stem(step) + 5, "start")}
            x, anchor = places.get(step.operation, (left, "start"))
            text = Label(words, x, top - 5, self.measures.font, anchor, role="mark")
        return Mark(problem.layer, middle, self.middle[step.level], text, problem.message)

    # --- everything -----------------------------------------------------------------------------------------------

    def finish(self) -> Diagram:
        """Return the diagram, moved so that it starts at the margin."""
        drawn = Diagram(
            self.trace, self.detail, 0, 0, (), tuple(map(self._box, self.steps)), tuple(self._arrows()), (),
            tuple(self._captions()), self._mark(), heading(self.trace), describe(self.trace),
        )  # fmt: skip
        drawn = replace(drawn, tiles=read_tiles(drawn, self.measures))
        return with_legend(framed(drawn, self.measures.margin), self.measures)


def _side(step: Step) -> float:
    return (step.shape[0] * step.shape[1]) ** 0.5
