"""The photo stage as a visitor uses it: views composed there, zoom, copy, drag; both themes, narrow and wide."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import NARROW, WIDE, free_port, serve
from unet_core.settings import ROOT

pytestmark = pytest.mark.browser

SCRIPT = Path(__file__).with_name("photo_stage_app.py")
CAT, SKY = (300, 230), (20, 60)  # places in the picture, x and y
PIXEL = "(drawn, at) => [...drawn.getContext('2d').getImageData(at[0], at[1], 1, 1).data]"


@pytest.fixture(scope="module")
def app(browser: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a page that has one stage; takes the place of the whole app in this file."""
    port, log = free_port(), tmp_path_factory.mktemp("stage") / "log.txt"
    command = [sys.executable, "-m", "streamlit", "run", str(SCRIPT), "--server.headless=true", f"--server.port={port}"]
    yield from serve(command, {**os.environ, "PYTHONPATH": str(ROOT)}, port, log)


@pytest.fixture
def stage(visit) -> Callable:
    """Open the page and return it, with the picture drawn."""

    def open_stage(query: str = "", size: tuple[int, int] = WIDE, theme: str = "light", *, touch: bool = False):
        page = visit(query, size, theme, touch=touch)
        drawn(page)
        return page

    return open_stage


def drawn(page) -> None:
    """Wait until the picture is drawn and encoded."""
    page.locator(".root:not(.waiting) .drawn").wait_for()
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(600)


def choose(page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option, exact=True).click()
    drawn(page)


def pixel(page, at: tuple[int, int]) -> list[int]:
    return page.locator(".drawn").evaluate(PIXEL, at)


def box(page, what: str = ".frame") -> dict:
    return page.locator(what).bounding_box()


def test_every_view_and_background_is_composed_without_another_picture(stage) -> None:
    page = stage()
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    assert pixel(page, SKY)[3] == 0
    cat = pixel(page, CAT)
    assert cat[3] == 255
    for backdrop, expected in (("white", [255, 255, 255, 255]), ("#336699", [0x33, 0x66, 0x99, 255])):
        choose(page, "Backdrop", backdrop)
        assert pixel(page, SKY) == expected
        assert pixel(page, CAT) == cat
    choose(page, "Backdrop", "blurred")
    assert pixel(page, SKY)[3] == 255
    choose(page, "View", "mask")
    assert pixel(page, SKY) == [86, 180, 233, 255]
    choose(page, "View", "overlay")
    assert pixel(page, SKY)[3] == 255
    assert pixel(page, CAT) != cat
    assert not [url for url in requests if "/media/" in url], "another view has fetched pictures"
    choose(page, "View", "cutout")
    choose(page, "Backdrop", "photo")
    assert pixel(page, SKY) == [10, 200, 30, 255]
    assert len([url for url in requests if "/media/" in url]) == 1


def test_a_cut_out_wears_no_rim_of_the_old_background(stage) -> None:
    page = stage()
    rim = page.locator(".drawn").evaluate(
        """drawn => {
          const { width, height } = drawn
          const { data } = drawn.getContext("2d").getImageData(0, 0, width, height)
          const bluish = [0, 0]
          for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] < 60 || data[i + 3] > 200 || i / 4 / width > 200) continue // the sky is above
            bluish[0]++
            if (data[i + 2] > data[i]) bluish[1]++
          }
          return bluish
        }"""
    )
    assert rim[0] > 300, "the outline has no soft edge"
    assert rim[1] < 0.05 * rim[0], f"{rim[1]} of {rim[0]} pixels of an orange cat's edge are the sky's blue"


@pytest.mark.parametrize(("size", "theme"), [(WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark")])
@pytest.mark.parametrize("shape", ["wide", "tall"])
def test_the_picture_fits_the_screen_and_nothing_below_it_moves(stage, shape: str, size, theme: str) -> None:
    page = stage(f"?shape={shape}", size, theme)
    frame = box(page)
    assert frame["height"] <= 0.62 * size[1] + 1
    assert frame["width"] <= size[0]
    ratio = 1.5 if shape == "wide" else 1 / 1.5
    assert frame["width"] / frame["height"] == pytest.approx(ratio, rel=0.01)
    place = page.get_by_text("The end").bounding_box()["y"]
    for view in ("slider", "overlay", "mask"):
        choose(page, "View", view)
        assert page.get_by_text("The end").bounding_box()["y"] == place


def test_full_screen_zooms_at_the_pointer_pans_and_comes_back(stage) -> None:
    page = stage()
    page.get_by_role("button", name="Full screen").scroll_into_view_if_needed()
    before = box(page)
    page.get_by_role("button", name="Full screen").click()
    assert box(page)["width"] == WIDE[0]
    content = box(page, ".content")
    at = content["x"] + content["width"] / 4, content["y"] + content["height"] / 4
    page.mouse.move(*at)
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(200)
    larger = box(page, ".content")
    assert larger["width"] > 2 * content["width"]
    assert (at[0] - larger["x"]) / larger["width"] == pytest.approx(0.25, abs=0.01)
    page.mouse.down()
    page.mouse.move(at[0] + 80, at[1] + 30, steps=4)
    page.mouse.up()
    moved = box(page, ".content")
    assert (moved["x"] - larger["x"], moved["y"] - larger["y"]) == pytest.approx((80, 30), abs=2)
    page.keyboard.press("0")
    assert box(page, ".content") == content
    page.keyboard.press("+")
    assert box(page, ".content")["width"] > content["width"]
    page.keyboard.press("Escape")
    page.wait_for_timeout(300)
    assert box(page) == before
    assert box(page, ".content")["width"] == pytest.approx(before["width"], abs=1)


def test_two_fingers_zoom_in_full_screen(stage) -> None:
    page = stage(size=NARROW, touch=True)
    page.get_by_role("button", name="Full screen").tap()
    content = box(page, ".content")
    session = page.context.new_cdp_session(page)

    def fingers(kind: str, apart: float) -> None:
        points = [] if kind == "touchEnd" else [{"x": 195 - apart, "y": 400}, {"x": 195 + apart, "y": 400}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", 30)
    for apart in (40, 50, 60, 75, 90):
        fingers("touchMove", apart)
    fingers("touchEnd", 0)
    page.wait_for_timeout(200)
    assert box(page, ".content")["width"] == pytest.approx(3 * content["width"], rel=0.1)


def test_the_picture_is_copied_as_png(stage) -> None:
    page = stage()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy picture").click()
    page.get_by_text("Copied.").wait_for()
    kinds = page.evaluate("navigator.clipboard.read().then(items => items.flatMap(item => item.types))")
    assert kinds == ["image/png"]


def test_the_picture_is_an_ordinary_one_that_can_be_dragged_out(stage) -> None:
    page = stage()
    topmost = page.locator(".frame").evaluate(
        """frame => {
          const { x, y, width, height } = frame.getBoundingClientRect()
          const picture = frame.getRootNode().elementFromPoint(x + width / 2, y + height / 2)
          const dataTransfer = new DataTransfer()
          picture.dispatchEvent(new DragEvent("dragstart", { dataTransfer, bubbles: true }))
          const size = [picture.naturalWidth, picture.naturalHeight]
          return [picture.tagName, picture.alt, size, dataTransfer.getData("DownloadURL")]
        }"""
    )
    assert topmost[:3] == ["IMG", "A drawn cat", [600, 400]]
    assert topmost[3].startswith("image/png:cat.png:blob:")


def test_the_divider_moves_by_keyboard_and_its_sides_are_named(stage) -> None:
    page = stage("?overlay")
    choose(page, "View", "slider")
    handle = page.get_by_role("slider", name="Divider: A drawn cat")
    handle.focus()
    page.keyboard.press("End")
    assert handle.get_attribute("aria-valuetext") == "100 % photo, 0 % overlay"
    page.mouse.click(box(page)["x"] + box(page)["width"] * 0.3, box(page)["y"] + 40)
    assert handle.get_attribute("aria-valuenow") == "30"


# --- touching up ------------------------------------------------------------------------------------------------------


def touch_up(page) -> None:
    """Take the brush at hand."""
    page.locator("label").filter(has_text="Touch up").first.click()
    page.get_by_role("toolbar", name="Touch up").wait_for()
    drawn(page)


def place(page, at: tuple[float, float]) -> tuple[float, float]:
    """Return where a place in the picture is on the screen."""
    content = box(page, ".content")
    return content["x"] + content["width"] * at[0] / 600, content["y"] + content["height"] * at[1] / 400


def paint(page, *points: tuple[float, float]) -> None:
    """Paint a stroke with the mouse."""
    page.mouse.move(*place(page, points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*place(page, point), steps=8)
    page.mouse.up()


def counted(page, added: bool = True) -> int:
    """Return how many pixels the app has been told of, once it has been told."""
    page.wait_for_timeout(500)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    found = page.get_by_text("Added ", exact=False).filter(has_text=", removed ").all_inner_texts()
    words = found[0].replace(",", "").split() if found else ["", "0", "", "0"]
    return int(words[1 if added else 3])


def finished(page) -> None:
    """Show the cut-out again."""
    page.locator("label").filter(has_text="Touch up").first.click()
    page.get_by_role("toolbar", name="Touch up").wait_for(state="hidden")
    drawn(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_stroke_adds_or_removes_and_the_app_learns_of_it(stage, theme: str) -> None:
    page = stage(theme=theme)
    touch_up(page)
    paint(page, (20, 60), (90, 60))
    assert 1200 < counted(page) < 6000
    page.get_by_role("radio", name="Remove").click()
    paint(page, (280, 230), (330, 230))
    assert counted(page, added=False) > 800
    finished(page)
    assert pixel(page, (50, 60))[3] == 255
    assert pixel(page, CAT)[3] == 0
    assert pixel(page, (50, 200))[3] == 0


def test_a_stroke_over_the_outline_snaps_to_it_and_alt_paints_exactly(stage) -> None:
    page = stage()
    touch_up(page)
    sky_beside_the_cat = [(258, 62), (282, 74), (318, 69)]  # between its ears, with a brush that reaches into its head
    page.get_by_role("radio", name="Remove").click()
    before = opaque(page)
    paint(page, *sky_beside_the_cat)
    assert before - opaque(page) < 60, "a stroke in the sky has eaten of the cat"
    page.keyboard.down("Alt")
    paint(page, *sky_beside_the_cat)
    page.keyboard.up("Alt")
    assert before - opaque(page) > 200


def opaque(page) -> int:
    """Return how many pixels of the cut-out are opaque."""
    page.wait_for_timeout(300)
    finished(page)
    count = page.locator(".drawn").evaluate(
        """drawn => drawn.getContext("2d").getImageData(0, 0, drawn.width, drawn.height)
             .data.filter((value, i) => i % 4 === 3 && value > 127).length"""
    )
    touch_up(page)
    return count


def test_a_click_drops_a_whole_piece_and_another_brings_it_back(stage) -> None:
    page = stage()
    touch_up(page)
    page.get_by_role("radio", name="Piece").click()
    page.mouse.click(*place(page, CAT))
    assert counted(page, added=False) > 50_000
    page.mouse.click(*place(page, CAT))
    assert counted(page) > 1_000
    finished(page)
    assert pixel(page, CAT)[3] == 255


def test_undo_redo_and_reset(stage) -> None:
    page = stage()
    touch_up(page)
    undo, redo, reset = (page.get_by_role("button", name=name) for name in ("Undo", "Redo", "Reset"))
    assert all(button.is_disabled() for button in (undo, redo, reset))
    paint(page, (20, 60), (90, 60))
    first = counted(page)
    paint(page, (20, 320), (90, 320))
    both = counted(page)
    assert both > first > 0
    undo.click()
    assert counted(page) == first
    page.locator(".frame").focus()
    page.keyboard.press("Control+z")
    assert counted(page) == 0
    page.keyboard.press("Control+Shift+z")
    redo.click()
    assert counted(page) == both
    reset.click()
    assert counted(page) == 0
    undo.click()
    assert counted(page) == both


def test_the_keyboard_alone_paints(stage) -> None:
    page = stage()
    touch_up(page)
    frame = page.locator(".frame")
    frame.focus()
    page.keyboard.press("r")
    assert page.get_by_role("radio", name="Remove").get_attribute("aria-checked") == "true"
    page.keyboard.press("]")
    page.keyboard.down(" ")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    page.keyboard.up(" ")
    assert counted(page, added=False) > 1_000
    page.keyboard.press("p")
    page.keyboard.press("Enter")
    assert counted(page) + counted(page, added=False) > 1_000
    assert "Arrow keys" in (frame.get_attribute("aria-label") or "")


def test_one_finger_paints_and_two_move_the_picture(stage) -> None:
    page = stage(size=NARROW, touch=True)
    touch_up(page)
    session = page.context.new_cdp_session(page)

    def fingers(kind: str, *points: tuple[float, float]) -> None:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    fingers("touchStart", place(page, (40, 60)))
    for x in range(50, 120, 10):
        fingers("touchMove", place(page, (x, 60)))
    fingers("touchEnd")
    painted = counted(page)
    assert painted > 500
    content = box(page, ".content")
    (left, top), (right, _) = place(page, (200, 200)), place(page, (400, 200))
    fingers("touchStart", (left, top))
    fingers("touchStart", (left, top), (right, top))
    for step in range(1, 6):
        fingers("touchMove", (left - 6 * step, top), (right + 6 * step, top))
    fingers("touchEnd")
    assert box(page, ".content")["width"] > 1.3 * content["width"]
    assert counted(page) == painted, "two fingers have painted"


def test_a_rerun_or_a_reload_of_the_component_keeps_the_correction(stage) -> None:
    page = stage()
    touch_up(page)
    paint(page, (20, 60), (90, 60))
    painted = counted(page)
    choose(page, "Backdrop", "white")
    choose(page, "Backdrop", "transparent")
    assert counted(page) == painted
    page.get_by_role("button", name="Elsewhere").click()
    page.locator(".root").wait_for(state="detached")
    page.get_by_role("button", name="Elsewhere").click()
    drawn(page)
    assert counted(page) == painted
    assert pixel(page, (50, 60))[3] == 255


def test_the_brush_works_enlarged_and_zoomed(stage) -> None:
    page = stage()
    touch_up(page)
    page.get_by_role("button", name="Full screen").click()
    page.mouse.move(*place(page, (60, 60)))
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(200)
    paint(page, (30, 60), (90, 60))
    zoomed = counted(page)
    assert zoomed > 100
    page.keyboard.press("Escape")
    page.wait_for_timeout(300)
    finished(page)
    assert pixel(page, (60, 60))[3] == 255
