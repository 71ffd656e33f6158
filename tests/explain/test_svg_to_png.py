"""The painter of the SVGs: which rule of the stylesheet wins, what is inherited, where things are put."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from unet_core.explain.svg_to_png import svg_to_png

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def painted(inside: str, style: str = "") -> np.ndarray:
    """Return the pixels, one a unit, of a picture of 40 × 20 with a white ground."""
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20" class="picture"><style>{style}</style>'
        f'<rect width="40" height="20" fill="#ffffff"/>{inside}</svg>'
    )
    return np.asarray(Image.open(io.BytesIO(svg_to_png(svg, scale=1))).convert("RGB"))


def test_the_more_particular_rule_wins_and_of_two_alike_the_later() -> None:
    style = ".a .b rect{fill:#ff0000}.b rect{fill:#0000ff}rect.c{fill:#0000ff}.c{fill:#00ff00}"
    pixels = painted(
        '<g class="a"><g class="b"><rect x="0" y="0" width="10" height="20"/></g></g>'
        '<g class="b"><rect x="10" y="0" width="10" height="20"/></g>'
        '<rect class="c" x="20" y="0" width="10" height="20" fill="#ff0000"/>',
        style,
    )
    assert [tuple(pixels[10, x]) for x in (5, 15, 25, 35)] == [RED, BLUE, BLUE, WHITE]
    later = painted('<rect class="c d" x="0" y="0" width="10" height="20"/>', ".d{fill:#ff0000}.c{fill:#0000ff}")
    assert tuple(later[10, 5]) == BLUE


def test_a_part_of_a_group_has_its_colour_and_its_variables() -> None:
    style = ".picture{--one:#00ff00;--other:#ff0000}.group{--own:var(--one)}.part{fill:var(--own)}"
    pixels = painted(
        '<g class="group"><rect class="part" x="0" y="0" width="10" height="20"/></g>'
        '<g fill="#0000ff"><rect x="10" y="0" width="10" height="20"/></g>'
        '<g fill="none" stroke="#ff0000" stroke-width="4"><path d="M30,0 30,20"/></g>',
        style,
    )
    assert [tuple(pixels[10, x]) for x in (5, 15, 25, 30)] == [GREEN, BLUE, WHITE, RED]


def test_the_later_lies_above_and_a_dash_leaves_the_ground_bare() -> None:
    pixels = painted(
        '<rect x="0" y="0" width="20" height="20" fill="#ff0000"/><circle cx="10" cy="10" r="6" fill="#00ff00"/>'
        '<path d="M20 10L40 10" stroke="#0000ff" stroke-width="4" stroke-dasharray="10 10"/>'
    )
    assert [tuple(pixels[10, x]) for x in (2, 10, 25, 35)] == [RED, GREEN, BLUE, WHITE]


def test_a_text_turned_by_a_quarter_reads_upwards_from_its_place() -> None:
    dark = painted('<text x="20" y="18" font-size="8" transform="rotate(-90 20 18)">11</text>').sum(axis=2) < 300
    rows, columns = np.nonzero(dark)
    assert columns.max() <= 20
    assert rows.max() <= 18
    assert np.ptp(rows) > np.ptp(columns)
