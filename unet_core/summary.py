"""`model.summary()` and a figure in the manner of `keras.utils.plot_model`, made from the trace: no Keras needed."""

from __future__ import annotations

import re
from html import escape

from unet_core.keras_source import layer_source
from unet_core.trace import BYTES_PER_VALUE, LayerTrace, Trace

HEADINGS = ("Layer (type)", "Output Shape", "Param #", "Connected to")


def model_summary(trace: Trace, name: str = "unet") -> str:
    """Return the table that `build(config).summary()` prints, with every cell written out.

    A network that breaks at its size is shown up to that layer, with the reason below.
    """
    rows = [_cells(trace, row) for row in trace.layers]
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


def _cells(trace: Trace, row: LayerTrace) -> tuple[str, str, str, str]:
    connected = ", ".join(f"{name}[0][0]" for name in row.inputs) or "-"
    return f"{row.name} ({layer_class(trace, row)})", _keras_shape(row.output_shape, row), f"{row.params:,}", connected


def layer_class(trace: Trace, row: LayerTrace) -> str:
    """Return the name of the Keras class that makes a traced layer, for example "Conv2D"."""
    if row.op == "input":
        return "InputLayer"
    return re.match(r"layers\.(\w+)\(", layer_source(trace.config, trace, row)).group(1)


def _keras_shape(shape: tuple[int, ...], row: LayerTrace) -> str:
    sides = shape[2:] if row.op == "global_average_pool" else shape
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
    return f"{count / 1:.2f} B"


# --- the figure -------------------------------------------------------------------------------------------------------

_WIDTH, _HEIGHT, _GAP, _MARGIN, _LANE = 410, 46, 22, 16, 18
_COLOURS = {"light": ("#ffffff", "#1f2933", "#f3f5f7", "#8a94a0"), "dark": ("#0e1117", "#e6e9ee", "#1c222b", "#7a8593")}


def model_plot_svg(trace: Trace, theme: str = "light") -> str:
    """Return the layers as boxes one below the other, with shapes and connections, as self-contained SVG.

    Raises:
        ValueError: the theme is neither "light" nor "dark".
    """
    if theme not in _COLOURS:
        raise ValueError(f"theme: must be one of {', '.join(_COLOURS)}. Received: {theme!r}")
    paper, ink, box, stroke = _COLOURS[theme]
    tops = {row.name: _MARGIN + index * (_HEIGHT + _GAP) for index, row in enumerate(trace.layers)}
    lanes = _lanes(trace)
    width = 2 * _MARGIN + _WIDTH + _LANE * (1 + max(lanes.values(), default=-1)) + _LANE * bool(lanes)
    height = 2 * _MARGIN + len(trace.layers) * (_HEIGHT + _GAP) - _GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12" role="img">',
        f"<title>{escape(f'U-Net, {len(trace.layers)} layers, {trace.total_params:,} parameters')}</title>",
        f'<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{stroke}"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="{paper}"/>',
        f'<g fill="none" stroke="{stroke}" stroke-width="1.4">{"".join(_arrows(trace, tops, lanes))}</g>',
        *(_box(trace, row, tops[row.name], (ink, box, stroke)) for row in trace.layers),
        "</svg>",
    ]
    return "\n".join(parts)


def _lanes(trace: Trace) -> dict[tuple[str, str], int]:
    """Give each connection that passes over other layers a lane of its own at the right, reused where it is free."""
    order = {row.name: index for index, row in enumerate(trace.layers)}
    links = [
        (order[name], order[row.name], (name, row.name))
        for row in trace.layers
        for name in row.inputs
        if order[row.name] - order[name] > 1
    ]
    taken: list[list[tuple[int, int]]] = []  # by lane, the layers that its connections pass
    lanes = {}
    for start, end, link in sorted(links, key=lambda found: found[1] - found[0]):  # the short ones lie inside
        free = (index for index, spans in enumerate(taken) if all(end <= a or b <= start for a, b in spans))
        lane = next(free, len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append((start, end))
        lanes[link] = lane
    return lanes


def _arrows(trace: Trace, tops: dict[str, int], lanes: dict[tuple[str, str], int]) -> list[str]:
    middle, right = _MARGIN + _WIDTH // 2, _MARGIN + _WIDTH
    arrows = []
    for row in trace.layers:
        for name in row.inputs:
            start, end = tops[name] + _HEIGHT, tops[row.name]
            lane = lanes.get((name, row.name))
            if lane is None:
                arrows.append(f'<path d="M{middle} {start}V{end}" marker-end="url(#tip)"/>')
                continue
            out, back, far = start - _HEIGHT // 3, end + _HEIGHT // 3, right + _LANE * (lane + 1)
            arrows.append(f'<path d="M{right} {out}H{far}V{back}H{right}" marker-end="url(#tip)"/>')
    return arrows


def _box(trace: Trace, row: LayerTrace, top: int, colours: tuple[str, str, str]) -> str:
    ink, box, stroke = colours
    shapes = {layer.name: layer for layer in trace.layers}
    before = ", ".join(_keras_shape(shapes[name].output_shape, shapes[name]) for name in row.inputs)
    after = _keras_shape(row.output_shape, row)
    text = f"{before} → {after}" if before else after
    return (
        f'<rect x="{_MARGIN}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" rx="4" fill="{box}" stroke="{stroke}"/>'
        f'<text x="{_MARGIN + 10}" y="{top + 19}" fill="{ink}" font-weight="600">{escape(row.name)} '
        f'<tspan font-weight="400">({layer_class(trace, row)})</tspan></text>'
        f'<text x="{_MARGIN + 10}" y="{top + 36}" fill="{ink}" font-size="11">{escape(text)}</text>'
    )
