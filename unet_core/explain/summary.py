"""The table of `model.summary()`, made from the trace without Keras."""

from __future__ import annotations

from unet_core.architecture.trace import Trace
from unet_core.architecture.tracer import BYTES_PER_VALUE, LayerTrace

HEADINGS = ("Layer (type)", "Output Shape", "Param #", "Connected to")


def model_summary(trace: Trace, name: str = "unet") -> str:
    """Return the table that `build(config).summary()` prints, without shortened cells.

    A network that breaks is shown up to the layer that breaks, with the reason below.
    """
    rows = [_cells(row) for row in trace.layers]
    widths = [max(len(cells[column]) for cells in (HEADINGS, *rows)) for column in range(4)]
    lines = [f'Model: "{name}"', _rule(widths, "┏┳┓", "━"), _line(widths, HEADINGS, "┃"), _rule(widths, "┡╇┩", "━")]
    for index, cells in enumerate(rows):
        if index:
            lines.append(_rule(widths, "├┼┤", "─"))
        lines.append(_line(widths, cells, "│"))
    lines.append(_rule(widths, "└┴┘", "─"))
    frozen = trace.total_params - trace.trainable_params
    for label, count in (
        ("Total params", trace.total_params),
        ("Trainable params", trace.trainable_params),
        ("Non-trainable params", frozen),
    ):
        lines.append(f" {label}: {count:,} ({_memory(count * BYTES_PER_VALUE)})")
    if trace.problem is not None:
        lines += ["", f"Breaks at {trace.problem.layer}: {trace.problem.message}"]
    return "\n".join(lines) + "\n"


def _cells(row: LayerTrace) -> tuple[str, str, str, str]:
    connected = ", ".join(f"{name}[0][0]" for name in row.inputs) or "-"
    return f"{row.name} ({layer_class(row)})", keras_shape(row), f"{row.params:,}", connected


def layer_class(row: LayerTrace) -> str:
    """Return the Keras class of a traced layer, for example "Conv2D"."""
    return "InputLayer" if row.op == "input" else row.spec.kind


def keras_shape(row: LayerTrace) -> str:
    """Write a layer's output shape as Keras does, for example "(None, 28, 28, 1024)"."""
    sides = row.output_shape[2:] if row.op == "global_average_pool" else row.output_shape
    return f"(None, {', '.join(map(str, sides))})"


def _rule(widths: list[int], corners: str, stroke: str) -> str:
    left, middle, right = corners
    return left + middle.join(stroke * (width + 2) for width in widths) + right


def _line(widths: list[int], cells: tuple[str, ...], wall: str) -> str:
    padded = [
        f"{cell:>{width}}" if column == 2 else f"{cell:<{width}}"
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"{wall} {f' {wall} '.join(padded)} {wall}"


def _memory(count: int) -> str:
    """Write bytes as Keras does: binary units, two decimals."""
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "KB")):
        if count >= 1024**power:
            return f"{count / 1024**power:.2f} {unit}"
    return f"{count:.2f} B"
