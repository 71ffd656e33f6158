"""The U diagram: its geometry for every preset and random networks, its SVG and PNG, its colours."""

from __future__ import annotations

import io
import itertools
import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab
from streamlit.testing.v1 import AppTest

from tests.helpers.strategies import small_configs
from unet_core.architecture.config import MAX_DEPTH, MIN_DEPTH, UNetConfig
from unet_core.architecture.presets import PRESETS, preset_config
from unet_core.architecture.trace import trace
from unet_core.explain.diagram import OPERATIONS, Diagram, bare_svg, diagram, to_png, to_svg
from unet_core.explain.diagram.palette import COLOURS
from unet_core.explain.diagram.parts import MEASURES

DETAILS = pytest.mark.parametrize("detail", list(MEASURES))
BROKEN = {
    "odd side": trace(preset_config("keras_basic"), (250, 250)),
    "too small": trace(preset_config("ronneberger2015"), (100, 100)),
    "skips never match": trace(preset_config("ronneberger2015").replace(skip_mode="strict")),
    "odd with an encoder": trace(preset_config("pets_fast"), (130, 128)),
    "one pixel": trace(UNetConfig(depth=6, skip_mode="none"), (1, 1)),
}


def whole(drawn: Diagram) -> None:
    """Check what holds for every diagram."""
    inside(drawn)
    apart(drawn)
    connected(drawn)
    told(drawn)
    grounded(drawn)


def inside(drawn: Diagram) -> None:
    for box in drawn.boxes:
        assert within((box.x, box.y, box.right, box.bottom), drawn), box.key
        assert min(box.w, box.h) > 0
    for label in drawn.labels:
        assert within(label.bounds, drawn), label.text
    for arrow in drawn.arrows:
        assert within((*arrow.start, *arrow.start), drawn), arrow.key
        assert within((*arrow.end, *arrow.end), drawn), arrow.key


def within(bounds: tuple[float, ...], drawn: Diagram) -> bool:
    left, top, right, bottom = bounds
    return left >= 0 and top >= 0 and right <= drawn.width and bottom <= drawn.height


def apart(drawn: Diagram) -> None:
    """No box lies on another; no arrow crosses one."""
    for one, other in itertools.combinations(drawn.boxes, 2):
        across = min(one.right, other.right) - max(one.x, other.x)
        down = min(one.bottom, other.bottom) - max(one.y, other.y)
        assert across < 0.01 or down < 0.01, (one.key, other.key)
    for arrow in drawn.arrows:
        (x1, y1), (x2, y2) = arrow.start, arrow.end
        assert x1 == x2 or y1 == y2
        for box in drawn.boxes:
            missed = (
                max(x1, x2) <= box.x or min(x1, x2) >= box.right or max(y1, y2) <= box.y or min(y1, y2) >= box.bottom
            )
            assert missed, (arrow.key, box.key)


def connected(drawn: Diagram) -> None:
    """Every box but the input is where an arrow ends, and every arrow is long enough for its head."""
    ends = [arrow.end for arrow in drawn.arrows]
    for box in drawn.boxes[1:]:
        near = [(x, y) for x, y in ends if box.x - 4 <= x <= box.right + 4 and box.y - 4 <= y <= box.bottom + 4]
        assert near, box.key
    for arrow in drawn.arrows:
        length = abs(arrow.end[0] - arrow.start[0]) + abs(arrow.end[1] - arrow.start[1])
        assert length > 0
        directions = {"pool": arrow.end[1] > arrow.start[1], "up": arrow.end[1] < arrow.start[1]}
        assert directions.get(arrow.operation, arrow.end[0] > arrow.start[0]), arrow.key


def told(drawn: Diagram) -> None:
    """Every traced layer belongs to one box, every traced skip has its arrow, with its margins."""
    traced = drawn.trace
    layers = [name for box in drawn.boxes if box.state == "done" for name in box.layers]
    assert sorted(layers) == sorted(layer.name for layer in traced.layers)
    assert len({box.key for box in drawn.boxes}) == len(drawn.boxes)
    skips = [arrow for arrow in drawn.arrows if arrow.operation == "skip" and arrow.state == "done"]
    assert {arrow.skip for arrow in skips} == set(traced.skips)
    assert len(skips) == len(traced.skips)
    failed = [box.key for box in drawn.boxes if box.state == "failed"]
    assert failed == ([traced.problem.layer] if traced.problem else [])
    assert (drawn.mark is None) == traced.valid


def grounded(drawn: Diagram) -> None:
    """Every block has its ground, which holds its boxes of one row and its heading, and no other block's."""
    traced = drawn.trace
    assert [tile.block for tile in drawn.tiles] == list(dict.fromkeys(layer.block for layer in traced.layers))
    layers = {layer.name for layer in traced.layers}
    for tile in drawn.tiles:
        assert tile.key not in layers, "a block and a layer that are chosen by the same name"
        assert within((tile.x, tile.y, tile.right, tile.bottom), drawn), tile.key
        here = [box for box in drawn.boxes if box.x < tile.right and tile.x < box.right]
        here = [box for box in here if box.y < tile.bottom and tile.y < box.bottom]
        assert {box.block for box in here} == {tile.block}
        rest = [box for box in drawn.boxes if box.block == tile.block and box not in here and box.state != "pending"]
        row = {round(box.y + box.h / 2, 3) for box in here}
        assert len(row) == 1
        assert row.isdisjoint({round(box.y + box.h / 2, 3) for box in rest})
    for one, other in itertools.combinations(drawn.tiles, 2):
        across = min(one.right, other.right) - max(one.x, other.x)
        down = min(one.bottom, other.bottom) - max(one.y, other.y)
        assert across < 0.01 or down < 0.01, (one.key, other.key)
    for heading in (tile.heading for tile in drawn.tiles if tile.heading):
        others = [label.bounds for label in drawn.labels if label is not heading]
        others += [(box.x, box.y, box.right, box.bottom) for box in drawn.boxes]
        assert not [bounds for bounds in others if overlap(heading.bounds, bounds)], heading.text


@DETAILS
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_drawn_whole(preset: str, detail: str) -> None:
    whole(diagram(trace(preset_config(preset)), detail=detail))


@DETAILS
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_network_keeps_its_form_and_marks_the_place(case: str, detail: str) -> None:
    traced = BROKEN[case]
    assert not traced.valid
    drawn = diagram(traced, detail=detail)
    whole(drawn)
    states = [box.state for box in drawn.boxes if box.kind != "copy"]
    assert states == sorted(states, key=["done", "failed", "pending"].index)
    box = next(box for box in drawn.boxes if box.state == "failed")
    assert drawn.mark.message == traced.problem.message
    assert box.y <= drawn.mark.y <= box.bottom
    svg = to_svg(drawn)
    assert traced.problem.message in ElementTree.fromstring(svg).find(".//{*}g[@class='mark']/{*}title").text


# The encoder's last channels end where the heading of the decoder begins.
MEETING_TILES = UNetConfig(
    height=16,
    width=16,
    classes=1,
    depth=5,
    base_filters=1,
    encoder_convolutions=1,
    decoder_convolutions=0,
    kernel_size=1,
    upsampling="nearest",
    up_convolution=False,
    skip_mode="crop",
    encoder="mobilenet_v2",
    encoder_width=0.35,
    encoder_weights="none",
)


@settings(max_examples=60, deadline=None)
@given(st.booleans().flatmap(lambda encoders: small_configs(encoders=encoders)), st.sampled_from(list(MEASURES)))
@example(MEETING_TILES, "medium")
def test_any_network_at_any_size_is_drawn_whole(config: UNetConfig, detail: str) -> None:
    whole(diagram(trace(config), detail=detail))


@DETAILS
@pytest.mark.parametrize("depth", range(MIN_DEPTH, MAX_DEPTH + 1))
@pytest.mark.parametrize("skip_mode", ["none", "crop", "pad"])
def test_every_depth_is_drawn_whole(depth: int, skip_mode: str, detail: str) -> None:
    config = UNetConfig(depth=depth, skip_mode=skip_mode, height=333, width=201, base_filters=7)
    drawn = diagram(trace(config), detail=detail)
    whole(drawn)
    rows = {box.y + box.h / 2 for box in drawn.boxes}
    assert len({round(row, 3) for row in rows}) == depth


@DETAILS
def test_the_largest_network_there_can_be_stays_a_picture(detail: str) -> None:
    config = UNetConfig(
        depth=6, height=16_384, width=16_384, base_filters=256, encoder_convolutions=4, decoder_convolutions=4
    )
    drawn = diagram(trace(config), detail=detail)
    whole(drawn)
    assert drawn.width < 2400
    assert drawn.height < 900


def test_the_papers_figure_has_its_sizes_channels_and_crops() -> None:
    """Read off figure 1 of Ronneberger et al. 2015."""
    drawn = diagram(trace(preset_config("ronneberger2015")))
    sizes = [box.size.text for box in drawn.boxes if box.size]
    down = ["572 × 572", "570 × 570", "568 × 568", "284²", "282²", "280²", "140²", "138²", "136²", "68²", "66²", "64²"]
    up = ["32²", "30²", "28²", "56²", "54²", "52²", "104²", "102²", "100²", "200²", "198²", "196²"]
    last = ["392 × 392", "390 × 390", "388 × 388", "388 × 388"]
    assert sizes[:12] == down
    assert sorted(sizes[12:]) == sorted(up + last)
    channels = [int(box.label.text) for box in drawn.boxes if box.label]
    assert channels[:15] == [1, 64, 64, 64, 128, 128, 128, 256, 256, 256, 512, 512, 512, 1024, 1024]
    assert sorted(channels[15:]) == sorted([1024, 512, 512, 512, 256, 256, 256, 128, 128, 128, 64, 64, 2])
    crops = {arrow.block: arrow.skip.crop[0] for arrow in drawn.arrows if arrow.skip}
    assert crops == {"decoder1": 88, "decoder2": 40, "decoder3": 16, "decoder4": 4}
    sources = {box.block: box.inner[0] for box in drawn.boxes if box.inner}
    assert sources == {
        f"encoder{level}": crops[f"decoder{level}"] / size for level, size in zip(range(1, 5), (568, 280, 136, 64))
    }
    words = {entry.operation: entry.text.text for entry in drawn.legend}
    assert words == {
        "conv": "conv 3×3, ReLU",
        "pool": "max pool 2×2",
        "up": "up-conv 2×2",
        "skip": "copy and crop",
        "one": "conv 1×1",
        "copy": "empty half: the copy",
        "inner": "dashed: what cropping keeps",
    }


def test_the_legend_explains_the_signs_that_the_network_has_and_its_output_activation() -> None:
    def signs(config: UNetConfig) -> dict[str, str]:
        return {entry.operation: entry.text.text for entry in diagram(trace(config)).legend}

    sigmoid = signs(preset_config("keras_basic"))
    assert sigmoid["one"] == "conv 1×1, sigmoid"
    assert "copy" in sigmoid
    assert "inner" not in sigmoid
    assert "copy" not in signs(preset_config("keras_basic").replace(skip_mode="none"))
    padded = signs(preset_config("keras_basic").replace(height=250, skip_mode="pad"))
    assert padded["inner"] == "dashed: before padding"


@pytest.mark.parametrize(
    ("position", "words"),
    [("before_activation", "conv 3×3, batch norm, ReLU"), ("after_activation", "conv 3×3, ReLU, batch norm")],
)
def test_the_legend_names_normalization_in_its_place(position: str, words: str) -> None:
    drawn = diagram(trace(preset_config("keras_basic+batchnorm").replace(normalization_position=position)))
    assert words in {entry.text.text for entry in drawn.legend}


def test_the_legend_and_the_merges_follow_kernel_and_dropout() -> None:
    plain = diagram(trace(preset_config("ronneberger2015")))
    drawn = diagram(trace(preset_config("ronneberger2015").replace(kernel_size=2, decoder_dropout=0.2)))
    assert "conv 2×2, ReLU" in {entry.text.text for entry in drawn.legend}
    assert [arrow.block for arrow in drawn.arrows if arrow.skip] == [
        arrow.block for arrow in plain.arrows if arrow.skip
    ]
    assert len(drawn.boxes) == len(plain.boxes)


@pytest.mark.parametrize("preset", PRESETS)
def test_height_follows_the_size_and_width_the_channels(preset: str) -> None:
    boxes = diagram(trace(preset_config(preset))).boxes
    for one, other in itertools.combinations(boxes, 2):
        assert (one.h - other.h) * (one.shape[0] - other.shape[0]) >= 0
        assert (one.w - other.w) * (one.shape[2] - other.shape[2]) >= 0
    assert max(box.h for box in boxes) > 1.9 * min(box.h for box in boxes)


def test_two_networks_can_be_drawn_to_one_scale() -> None:
    small, large = trace(preset_config("pets_fast")), trace(preset_config("ronneberger2015"))
    alone, beside = diagram(small, detail="compact"), diagram(small, detail="compact", like=large)
    whole(beside)
    assert beside.boxes[0].h < alone.boxes[0].h
    tall = next(box for box in diagram(large, detail="compact", like=small).boxes if box.kind == "input")
    assert tall.h == pytest.approx(MEASURES["compact"].heights[1])


@DETAILS
def test_texts_lie_on_no_box_and_on_no_other_text(detail: str) -> None:
    traces = [trace(preset_config(preset)) for preset in PRESETS] + [BROKEN["odd side"], BROKEN["too small"]]
    for drawn in (diagram(traced, detail=detail) for traced in traces):
        for one, other in itertools.combinations(drawn.labels, 2):
            assert not overlap(one.bounds, other.bounds), (one.text, other.text)
        for label in drawn.labels:
            for box in drawn.boxes:
                assert not overlap(label.bounds, (box.x, box.y, box.right, box.bottom)), (label.text, box.key)


def test_the_lost_pixel_is_told_in_short_where_an_arrow_rises_nearby() -> None:
    for traced, words in (
        (BROKEN["odd side"], "125 → 62, 1 px lost"),
        (trace(preset_config("subclassed"), (255, 256)), "127 → 63"),
    ):
        drawn = diagram(traced, detail="medium")
        told = next(label for label in drawn.labels if label.role == "mark" and "→" in label.text)
        assert told.text == words
        rising = [arrow for arrow in drawn.arrows if arrow.operation == "up" and arrow.state == "done"]
        assert rising
        for arrow in rising:
            (x, lower), (_, upper) = arrow.start, arrow.end
            assert not overlap(told.bounds, (x - 1, upper, x + 1, lower))


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    slack = 1.5  # bounds hold more than the letters
    across = min(one[2], other[2]) - max(one[0], other[0])
    return across > slack and min(one[3], other[3]) - max(one[1], other[1]) > slack


# --- pictures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_svg_stands_alone_and_says_what_it_shows(theme: str) -> None:
    svg = to_svg(diagram(trace(preset_config("machinecurve2022"))), theme)
    root = ElementTree.fromstring(svg)
    assert root.find("{*}title").text == "U-Net of depth 3: 100×100×3 in, 60×60×3 out"
    said = root.find("{*}desc").text
    assert "Bottleneck: 18×18×256" in said
    assert "Skip connection into decoder1_concat: copy and crop 16 px per side." in said
    assert not [word for word in ("http://", "https://", "url(", "@import", "<script", "href") if word in svg[60:]]
    assert COLOURS[theme]["ground"] in svg
    groups = root.findall(".//{*}g[@data-key]")
    assert {group.get("data-key") for group in groups} >= {"encoder1_conv1", "encoder1_pool", "decoder1_crop", "head"}
    tiles = [group for group in groups if group.get("class") == "tile"]
    assert [group.findtext("{*}title") for group in tiles] == [
        "Input", "Encoder 1", "Encoder 2", "Bottleneck", "Decoder 2", "Decoder 1", "Head",
    ]  # fmt: skip
    written = [group.findtext("{*}text") for group in tiles]
    assert written == ["input", "Encoder 1", "Encoder 2", "Bottleneck", "Decoder 2", "Decoder 1", "output"]


def test_texts_from_outside_are_escaped() -> None:
    drawn = diagram(trace(preset_config("subclassed")))
    hostile = '</title><script>alert("1")</script>&'
    box = replace(drawn.boxes[0], key=hostile, label=replace(drawn.boxes[0].label, text=hostile))
    drawn = replace(drawn, title=hostile, description=hostile, boxes=(box, *drawn.boxes[1:]))
    for svg in (to_svg(drawn), bare_svg(drawn)):
        root = ElementTree.fromstring(svg)
        assert not root.findall(".//{*}script")
        assert root.find("{*}title").text == hostile
    assert to_png(drawn, scale=0.2)


@pytest.mark.parametrize(
    ("selected", "boxes", "tiles"),
    [
        ("encoder2_conv1_activation", 1, 0),
        ("encoder2", 3, 1),
        ("head", 1, 0),
        ("head block", 1, 1),
        ("nothing", 0, 0),
    ],
)
def test_a_layer_or_a_block_can_be_highlighted(selected: str, boxes: int, tiles: int) -> None:
    drawn = diagram(trace(preset_config("subclassed")), selected=selected)
    groups = ElementTree.fromstring(to_svg(drawn)).findall(".//{*}g")
    chosen = [group.get("class").split() for group in groups if "selected" in group.get("class", "").split()]
    assert len([classes for classes in chosen if "box" in classes]) == boxes
    assert len([classes for classes in chosen if "tile" in classes]) == tiles


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_png_shows_the_same_picture(theme: str) -> None:
    drawn = diagram(trace(preset_config("keras_basic"), (250, 250)), selected="bottleneck_conv2")
    picture = Image.open(io.BytesIO(to_png(drawn, theme, scale=2)))
    assert picture.size == pytest.approx((2 * drawn.width, 2 * drawn.height), abs=1)
    pixels = np.asarray(picture.convert("RGB"))
    assert pixels[1, 1].tolist() == rgb(COLOURS[theme]["ground"])
    for name in ("input", "encoder1_conv1"):
        box = next(box for box in drawn.boxes if name in (box.kind, box.key))
        colour = COLOURS[theme]["end" if name == "input" else "map"]
        assert pixels[int(2 * (box.y + box.h / 4)), int(2 * box.centre)].tolist() == rgb(colour)
    wrong = (np.abs(pixels.astype(int) - rgb(COLOURS[theme]["wrong"])).sum(axis=2) < 6).sum()
    assert wrong > 200, "the place where it breaks is not marked"


@pytest.mark.parametrize("scale", [0, -1, 100, float("nan")])
def test_a_png_of_impossible_size_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale must be above 0"):
        to_png(diagram(trace(preset_config("subclassed"))), scale=scale)


def rgb(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour: str) -> np.ndarray:
    values = np.array(rgb(colour)) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def seen(colour: str, vision: str) -> np.ndarray:
    values = np.clip(np.array(VISION[vision]) @ linear(colour), 0, 1)
    return rgb2lab(np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_operations_are_told_apart_by_colour_with_every_common_vision(theme: str, vision: str) -> None:
    for one, other in itertools.combinations(OPERATIONS, 2):
        difference = deltaE_ciede2000(seen(COLOURS[theme][one], vision), seen(COLOURS[theme][other], vision))
        assert difference > 12, (one, other, difference)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_stand_out_from_the_ground(theme: str) -> None:
    colours = COLOURS[theme]

    def contrast(one: str, other: str) -> float:
        low, high = sorted(float(linear(colours[name]) @ [0.2126, 0.7152, 0.0722]) for name in (one, other))
        return (high + 0.05) / (low + 0.05)

    for name in (*OPERATIONS, "edge", "accent"):
        assert contrast(name, "ground") >= 3, name
    for name in ("ink", "quiet", "wrong"):
        assert contrast(name, "ground") >= 4.5, name


# --- on a page ----------------------------------------------------------------------------------------------------


def shown(key: str = "one", selected: str = "", detail: str = "full", size: int | None = None) -> AppTest:
    def script(key: str, selected: str, detail: str, size: int | None) -> None:
        from ui.components.u_diagram import u_diagram
        from unet_core.architecture.presets import preset_config
        from unet_core.architecture.trace import trace
        from unet_core.explain.diagram import diagram

        drawn = diagram(trace(preset_config("subclassed"), size and (size, size)), detail=detail)
        u_diagram(drawn, selected=selected, on_choose=print, key=key)

    app = AppTest.from_function(script, args=(key, selected, detail, size), default_timeout=60).run()
    assert not app.exception, app.exception[0].message
    return app


def test_a_page_gets_a_picture_for_every_width_and_the_numbers_of_every_layer() -> None:
    app = shown(selected="encoder1_conv2")
    data = json.loads(app.get("bidi_component")[0].proto.json)
    widths = [picture["width"] for picture in data["pictures"]]
    assert len(widths) == 3
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 400
    traced = trace(preset_config("subclassed"))
    assert [name for name in data["facts"] if name not in data["titles"]] == [layer.name for layer in traced.layers]
    order = list(data["facts"])
    assert order[order.index("encoder2") + 1] == "encoder2_conv1"  # a block comes before its layers
    assert data["titles"]["head block"] == "Head"
    assert ["parameters", "36\u202f928"] in data["facts"]["encoder1_conv2"]  # 3·3·64·64 + 64
    assert data["selected"] == "encoder1_conv2"


def test_a_small_diagram_stays_small_and_a_strange_key_does_no_harm() -> None:
    app = shown(key='"></style><b>', detail="thumbnail", size=250)
    data = json.loads(app.get("bidi_component")[0].proto.json)
    assert len(data["pictures"]) == 1
    assert "breaks at decoder" in data["label"]
    assert data["selected"] is None
