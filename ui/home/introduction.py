"""The pictures of the two-minute introduction: a photo as numbers, a window that slides, maps that shrink and grow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import numpy as np
import streamlit as st

from ui.components.drawing import drawing
from unet_core.explain import basics

CELL = 34  # pixels of a square with a number
CROP = 10  # pixels shown as numbers along a side
WIDTH = 300  # of a picture

Table = Sequence[Sequence[int]] | np.ndarray


def figure(number: int) -> None:
    """Show the picture of a step, from 1; the last step's is the page's own example."""
    if number in _FIGURES:
        _FIGURES[number]()


def _numbers() -> None:
    photo = basics.example()
    row, column = _corner()
    left, right = st.columns(2, gap="medium")
    left.image(_marked(photo, row, column), width=WIDTH, caption=f"{photo.shape[0]} rows of {photo.shape[1]} pixels")
    with right:
        _svg(_grid(photo[row : row + CROP, column : column + CROP], 0, 0), CROP, CROP, "introduction-numbers")
        st.caption("The pixels in the white frame, as the network gets them")


def _corner() -> tuple[int, int]:
    """Return the top left corner of the pixels that are shown as numbers, around the clearest window."""
    height, width = basics.example().shape
    row, column = basics.clearest_window()
    return min(max(row - 3, 0), height - CROP), min(max(column - 3, 0), width - CROP)


def _marked(photo: np.ndarray, row: int, column: int) -> np.ndarray:
    marked = photo.copy()
    for inset, shade in ((-2, 0), (-1, 255)):
        top, left = max(row + inset, 0), max(column + inset, 0)
        bottom, right = row + CROP - inset - 1, column + CROP - inset - 1
        marked[top : bottom + 1, [left, min(right, photo.shape[1] - 1)]] = shade
        marked[[top, min(bottom, photo.shape[0] - 1)], left : right + 1] = shade
    return marked


def _window() -> None:
    photo = basics.example()
    row, column = basics.clearest_window()
    kernel = next(iter(basics.KERNELS.values()))
    window = photo[row : row + 3, column : column + 3]
    products = window.astype(int) * np.array(kernel)
    parts = [
        _grid(window, 0, 0),
        _sign("×", 3.5),
        _grid(kernel, 4, 0, plain=True),
        _sign("=", 7.5),
        _grid(products, 8, 0, plain=True),
        _sign(f"→ sum {products.sum()}", 12.4),
    ]
    _svg("".join(parts), 14, 3, "introduction-window")
    found = basics.convolved(photo, kernel)
    left, right = st.columns(2, gap="medium")
    left.image(photo, width=WIDTH, caption="The photo")
    right.image(
        basics.strength(found), width=WIDTH,
        caption=f"The sum at each of {found.shape[0]}×{found.shape[1]} places: dark where it is large",
    )  # fmt: skip


def _patterns() -> None:
    with st.grid(len(basics.KERNELS), min_column_width=150, gap="small"):
        for name, kernel in basics.KERNELS.items():
            with st.container():
                st.image(basics.strength(basics.convolved(basics.example(), kernel)), width="stretch")
                _svg(_grid(kernel, 0, 0, plain=True), 3, 3, f"introduction-{name}")
                st.caption(name)


def _halved() -> None:
    maps = [basics.edges()]
    for _ in range(4):
        maps.append(basics.pooled(maps[-1]))
    with st.grid(len(maps), min_column_width=150, gap="small"):
        for halvings, values in enumerate(maps):
            height, width = values.shape
            shown = basics.doubled(basics.strength(values), halvings)
            st.image(
                shown, width="stretch", caption=f"{height}×{width}; a window of 9 covers {_reach(halvings)} pixels"
            )


def _reach(halvings: int) -> str:
    """Return the side of a 3×3 window after some poolings, in pixels of the first map."""
    side = 3 * 2**halvings
    return f"{side}×{side}"


def _joined() -> None:
    fine = basics.edges()
    coarse = basics.pooled(basics.pooled(basics.pooled(fine)))
    with st.grid(2, min_column_width=220, gap="medium"):
        st.image(
            basics.doubled(basics.strength(coarse), 3), width="stretch",
            caption="Doubled three times from three levels below: it knows what, but only roughly where",
        )  # fmt: skip
        st.image(
            basics.strength(fine), width="stretch",
            caption="Through the skip connection, from the same level on the left: the details",
        )  # fmt: skip


_FIGURES: dict[int, Callable[[], None]] = {1: _numbers, 2: _window, 3: _patterns, 4: _halved, 5: _joined}


# --- tables of numbers ------------------------------------------------------------------------------------------------


def _svg(content: str, columns: float, rows: float, key: str) -> None:
    width, height = columns * CELL, rows * CELL
    drawing(
        f'<svg class="u-diagram" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="A table of numbers" font-family="system-ui, sans-serif" font-size="12">{content}</svg>',
        key=key,
    )


def _grid(values: Table, column: float, row: float, *, plain: bool = False) -> str:
    """Draw numbers in squares, each in the shade that it stands for, or `plain`."""
    cells = []
    for down, line in enumerate(values):
        for right, value in enumerate(line):
            x, y = (column + right) * CELL, (row + down) * CELL
            shade = int(value)
            fill = "none" if plain else f"rgb({shade},{shade},{shade})"
            ink = "var(--ink)" if plain else "#fff" if shade < 128 else "#000"
            middle = f'x="{x + CELL / 2}" y="{y + CELL / 2 + 4}" text-anchor="middle"'
            cells.append(
                f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" style="fill:{fill};stroke:var(--edge)"/>'
                f'<text {middle} style="fill:{ink}">{shade}</text>'
            )
    return "".join(cells)


def _sign(text: str, column: float) -> str:
    return (
        f'<text x="{column * CELL}" y="{1.5 * CELL + 5}" text-anchor="middle" style="fill:var(--ink);font-size:15px">'
        f"{escape(text)}</text>"
    )
