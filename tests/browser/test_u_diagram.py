"""The U diagram as a visitor uses it: mouse, finger, keyboard; zoom; both themes, narrow and wide."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import NARROW, WIDE, free_port, serve
from unet_core.explain.diagram.palette import COLOURS
from unet_core.settings import ROOT

pytestmark = pytest.mark.browser

SCRIPT = Path(__file__).with_name("u_diagram_app.py")


@pytest.fixture(scope="module")
def app(browser: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a page that has one diagram and nothing else; takes the place of the whole app in this file."""
    port, log = free_port(), tmp_path_factory.mktemp("diagram") / "log.txt"
    command = [sys.executable, "-m", "streamlit", "run", str(SCRIPT), "--server.headless=true", f"--server.port={port}"]
    yield from serve(command, {**os.environ, "PYTHONPATH": str(ROOT)}, port, log)


@pytest.fixture
def draw(visit) -> Callable:
    """Open the page and return it, with the picture there."""

    def open_diagram(query: str = "", size: tuple[int, int] = WIDE, theme: str = "light"):
        page = visit(query, size, theme)
        page.locator(".view svg.u-diagram[width]").wait_for()
        settled(page)
        return page

    return open_diagram


def settled(page) -> None:
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def box(page, key: str):
    return page.locator(f".box[data-key='{key}'] rect")


def chosen(page, name: str | None) -> None:
    """Wait until the page has taken a choice and the picture shows it, and nothing else, as chosen."""
    page.get_by_text(f": {name}", exact=False).last.wait_for()
    settled(page)
    pressed = page.locator(".box[aria-pressed=true]")
    if name is None:
        pressed.first.wait_for(state="detached")
    else:
        page.locator(f".box.selected[data-layers~='{name}'][aria-pressed=true]").wait_for()
        assert pressed.count() == 1


def detail(page) -> str:
    return page.locator(".view svg.u-diagram").get_attribute("class").split()[1]


def width(page) -> float:
    return page.locator(".view svg.u-diagram").bounding_box()["width"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_click_chooses_a_layer_and_a_second_one_gives_it_up(draw, theme: str, screenshots: Path | None) -> None:
    page = draw(theme=theme)
    ground = box(page, "encoder1_conv1").evaluate("rect => getComputedStyle(rect).fill")
    assert ground == "rgb({}, {}, {})".format(*bytes.fromhex(COLOURS[theme]["map"][1:]))
    box(page, "encoder2_conv1").click()
    chosen(page, "encoder2_conv1")
    page.locator(".arrow[data-key=decoder3_crop] .reach").click()
    page.get_by_text("Run 3: decoder3_crop").wait_for()
    box(page, "encoder2_conv1").click()
    chosen(page, "encoder2_conv1")
    if screenshots:
        page.screenshot(path=screenshots / f"diagram-{theme}.png")
    box(page, "encoder2_conv1").click()
    chosen(page, None)


def test_the_page_can_choose_too(draw) -> None:
    page = draw("?selected=encoder1_conv2_activation")
    chosen(page, "encoder1_conv2_activation")
    page.get_by_role("button", name="Select encoder2_pool").click()
    chosen(page, "encoder2_pool")
    box(page, "head").click()
    chosen(page, "head")
    page.get_by_role("button", name="Select nothing").click()
    chosen(page, None)


def test_the_keyboard_walks_along_the_data_and_chooses(draw) -> None:
    page = draw()
    items = page.locator("[data-key][tabindex='0']")
    assert items.count() == 1, "the picture is one stop for Tab"
    items.focus()
    page.keyboard.press("Home")
    for _ in range(3):  # the image; the block; the way to its first map
        page.keyboard.press("ArrowRight")
    focused = page.locator("[data-key]:focus")
    assert focused.get_attribute("data-key") == "encoder1_conv1"
    label = focused.get_attribute("aria-label")
    assert "encoder1_conv1" in label
    assert "572×572×1 → 570×570×64" in label
    page.get_by_role("tooltip").get_by_text("encoder1_conv1").wait_for()
    page.keyboard.press("Enter")
    chosen(page, "encoder1_conv1")
    page.keyboard.press("End")  # the focus has survived the run
    assert focused.get_attribute("data-key") == "head"
    page.keyboard.press("Escape")
    chosen(page, None)


def test_a_block_is_chosen_by_its_heading_and_by_the_keyboard(draw) -> None:
    page = draw()
    page.locator(".tile[data-key=encoder3] text").click()
    chosen_block(page, "encoder3", boxes=3)
    box(page, "encoder3_conv1").click()  # one of its layers, and not a second click that gives it up
    chosen(page, "encoder3_conv1")
    page.keyboard.press("ArrowUp")
    focused = page.locator("[data-key]:focus")
    assert focused.get_attribute("aria-label").startswith("Encoder 3, block of 5 layers, shape 140×140×128 → 68×68×256")
    assert focused.evaluate("item => getComputedStyle(item).outlineStyle") == "solid"
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    chosen_block(page, "encoder4", boxes=3)
    page.keyboard.press("Escape")
    chosen(page, None)


def chosen_block(page, name: str, boxes: int) -> None:
    """Wait until the page has taken a block, and the picture shows it with all its boxes."""
    page.get_by_text(f": {name}", exact=False).last.wait_for()
    settled(page)
    page.locator(f".tile.selected[data-key={name}][aria-pressed=true]").wait_for()
    assert page.locator(f".box.selected[data-block={name}]").count() == boxes
    assert page.locator(".box.selected").count() == boxes


def test_hovering_shows_a_layers_numbers(draw) -> None:
    page = draw()
    box(page, "encoder4_conv1").hover()
    facts = page.get_by_role("tooltip")
    facts.wait_for()
    text = facts.inner_text().replace("\u202f", " ")
    for expected in ("encoder4_conv1", "68×68×256 → 66×66×512", "3×3", "1 180 160"):  # 3·3·256·512 + 512
        assert expected in text
    page.mouse.move(5, 5)
    facts.wait_for(state="hidden")


def test_zooming_and_panning_keep_the_page_where_it_is(draw) -> None:
    page = draw()
    before, place = width(page), page.get_by_text("Run 1").bounding_box()
    zoom_in = page.get_by_role("button", name="Zoom in")
    zoom_in.click()
    zoom_in.click()
    assert width(page) == pytest.approx(1.4**2 * before, rel=0.01)
    assert page.get_by_text("Run 1").bounding_box() == place
    view = page.locator(".view")
    scrolled = view.evaluate("view => view.scrollLeft")
    assert scrolled > 0, "the middle stays in the middle"
    area = view.bounding_box()
    page.mouse.move(area["x"] + 400, area["y"] + 200)
    page.mouse.down()
    page.mouse.move(area["x"] + 300, area["y"] + 200, steps=4)
    page.mouse.up()
    assert view.evaluate("view => view.scrollLeft") == pytest.approx(scrolled + 100, abs=2)
    assert page.get_by_text("Run 1: None").is_visible(), "panning chooses nothing"
    page.get_by_role("button", name="Whole picture").click()
    assert width(page) == pytest.approx(before, rel=0.01)


def test_a_phone_gets_a_picture_that_fits_and_more_of_it_when_zoomed(draw, screenshots: Path | None) -> None:
    page = draw(size=NARROW)
    assert detail(page) == "compact"
    assert width(page) <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    smallest = page.locator(".view text").evaluate_all(
        "texts => Math.min(...texts.map(text => text.getBoundingClientRect().height))"
    )
    assert round(smallest, 3) >= 9, "a text is too small to be read"
    if screenshots:
        page.screenshot(path=screenshots / "diagram-390.png")
    for _ in range(4):
        page.get_by_role("button", name="Zoom in").click()
    assert detail(page) in ("medium", "full")
    box(page, "bottleneck_conv1").click()
    chosen(page, "bottleneck_conv1")
    assert detail(page) in ("medium", "full"), "a run leaves the zoom as it is"


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)])
def test_nothing_jumps_when_the_picture_arrives(draw, size: tuple[int, int]) -> None:
    page = draw("?preset=pets_fast", size=size)
    reserved = page.locator("[class*=st-key-u-diagram-].stElementContainer").evaluate(
        "place => parseFloat(getComputedStyle(place, '::before').height)"
    )
    assert page.locator(".view").bounding_box()["height"] == pytest.approx(reserved, abs=2)


def test_a_broken_network_is_marked_and_what_is_not_reached_cannot_be_chosen(draw) -> None:
    page = draw("?preset=keras_basic&size=250")
    page.locator(".mark circle").wait_for()
    assert "125×125 ≠ 124×124" in page.locator("g.mark").text_content()
    assert page.locator(".box.failed").count() == 1
    assert box(page, "head").count() == 0
