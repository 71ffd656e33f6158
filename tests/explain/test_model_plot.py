"""The figure of all layers against the trace: every layer, every connection, none on another; as SVG and as PNG."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageColor

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import preset_config
from unet_core.architecture.trace import trace
from unet_core.explain.model_plot import (
    COLOURS,
    HEIGHT,
    MARGIN,
    MAX_SIDE,
    model_plot,
    model_plot_png,
    model_plot_svg,
)
from unet_core.explain.svg_to_png import MAX_PIXELS

SMALL = UNetConfig(height=64, width=64, depth=2, base_filters=4)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["ronneberger2015", "pets_fast"])
def test_the_svg_is_well_formed_and_has_every_layer_and_connection(name: str, theme: str) -> None:
    traced = trace(preset_config(name))
    root = ElementTree.fromstring(model_plot_svg(traced, theme))
    space = "{http://www.w3.org/2000/svg}"
    texts = ["".join(text.itertext()) for text in root.iter(f"{space}text")]
    for row in traced.layers:
        assert any(text.startswith(f"{row.name} (") for text in texts)
    connections = sum(len(row.inputs) for row in traced.layers)
    assert len(list(root.iter(f"{space}path"))) == len(list(root.iter(f"{space}polygon"))) == connections


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_png_shows_the_same_figure(theme: str) -> None:
    traced = trace(SMALL)
    plot = model_plot(traced)
    picture = Image.open(io.BytesIO(model_plot_png(traced, theme)))
    assert picture.size == (int(2 * plot.width), int(2 * plot.height))
    pixels = np.asarray(picture.convert("RGB"))
    paper, ink, box, stroke = (ImageColor.getrgb(colour) for colour in COLOURS[theme])
    assert tuple(pixels[2, 2]) == paper
    for layer in plot.layers:
        top, left = int(2 * layer.top), 2 * MARGIN
        assert tuple(pixels[top + HEIGHT, int(left + 2 * plot.box_width - 12)]) == box
        inside = pixels[top + 4 : top + 2 * HEIGHT - 4, left + 4 : int(left + 2 * plot.box_width) - 4].astype(int)
        assert (np.abs(inside - ink).sum(axis=2) < 90).sum() > 100, f"{layer.name} is not written"
    for line in plot.lines:
        (x1, y1), (x2, y2) = line[:2]
        colour = pixels[int(y1 + y2), int(x1 + x2)].astype(int)
        assert np.abs(colour - stroke).sum() < 90, line


def test_even_the_deepest_network_gives_a_png_that_programs_can_open() -> None:
    for config in (preset_config("pets"), UNetConfig(depth=5, encoder="efficientnet_b0", height=64, width=64)):
        plot = model_plot(trace(config))
        assert 0.5 < plot.scale <= 2
        assert plot.scale * plot.height <= MAX_SIDE
        assert plot.scale**2 * plot.width * plot.height <= MAX_PIXELS * 1.001


@pytest.mark.parametrize("make", [model_plot_svg, model_plot_png])
def test_an_unknown_theme_is_refused(make) -> None:
    with pytest.raises(ValueError, match="theme: must be one of"):
        make(trace(SMALL), "sepia")


def test_no_two_connections_lie_on_each_other() -> None:
    lanes = [line for line in model_plot(trace(preset_config("pets_fast"))).lines if len(line) == 4]
    spans = [(line[1][1], line[1][0], line[2][1]) for line in lanes]
    assert len(spans) > 10
    for index, (start, x, end) in enumerate(spans):
        for other_start, other_x, other_end in spans[index + 1 :]:
            assert x != other_x or end < other_start or other_end < start


def test_the_texts_fit_their_boxes() -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    for name in ("ronneberger2015", "pets"):
        plot = model_plot(trace(preset_config(name)))
        longest = max((layer.shapes for layer in plot.layers), key=len)
        font = FontProperties(family="DejaVu Sans", size=11)
        assert TextPath((0, 0), longest, prop=font).get_extents().width < plot.box_width - 16
