"""The before/after slider as a visitor moves it: mouse, finger, keyboard; both themes, narrow and wide."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import NARROW, WIDE, free_port, serve
from unet_core.settings import ROOT

pytestmark = pytest.mark.browser

SCRIPT = Path(__file__).with_name("compare_slider_app.py")
THEMES = pytest.mark.parametrize("theme", ["light", "dark"])
NOTE_PLACES = """() => {
  window.places = new Set()
  const note = () => {
    const ends = [...document.querySelectorAll("[data-testid=stText]")].filter(text => text.innerText === "The end")
    if (ends.length) places.add(Math.round(ends[0].getBoundingClientRect().y))
    requestAnimationFrame(note)
  }
  note()
}"""


@pytest.fixture(scope="module")
def app(browser: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a page that has one slider and nothing else; takes the place of the whole app in this file."""
    port, log = free_port(), tmp_path_factory.mktemp("slider") / "log.txt"
    command = [sys.executable, "-m", "streamlit", "run", str(SCRIPT), "--server.headless=true", f"--server.port={port}"]
    yield from serve(command, {**os.environ, "PYTHONPATH": str(ROOT)}, port, log)


@pytest.fixture
def slide(visit) -> Callable:
    """Open the page and return it, with both pictures there."""

    def open_slider(query: str = "", size: tuple[int, int] = WIDE, theme: str = "light"):
        page = visit(query, size, theme)
        loaded(page)
        return page

    return open_slider


def loaded(page) -> None:
    slider(page).wait_for()
    for image in pictures(page):
        page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=image.element_handle())
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def slider(page):
    return page.get_by_role("slider", name="Photo and mask of a drawn cat")


def pictures(page) -> list:
    return page.locator(".layer img").all()


def at(page) -> int:
    return int(slider(page).get_attribute("aria-valuenow"))


def frame(page) -> dict:
    return page.locator(".frame").bounding_box()


def shown(page) -> float:
    """Return where the divider is seen, in percent of the frame, once its movement is over."""
    page.wait_for_timeout(250)
    handle, box = slider(page).bounding_box(), frame(page)
    return 100 * (handle["x"] + handle["width"] / 2 - box["x"]) / box["width"]


def point(page, percent: float) -> tuple[float, float]:
    box = frame(page)
    return box["x"] + box["width"] * percent / 100, box["y"] + box["height"] / 3


def run_again(page) -> None:
    before = int(page.get_by_text("Run ", exact=False).last.inner_text().split()[1])
    page.get_by_role("button", name="Run again").click()
    page.get_by_text(f"Run {before + 1}", exact=True).wait_for()


def finger(page) -> Callable:
    """Give the page a touch screen; return what sends it an event."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True})

    def touch(kind: str, x: float = 0, y: float = 0) -> None:
        points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    return touch


@THEMES
def test_a_mouse_drags_the_divider_and_a_rerun_leaves_it_there(slide, theme: str) -> None:
    page = slide(theme=theme)
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    assert at(page) == 50
    page.mouse.move(*point(page, 50))
    page.mouse.down()
    page.mouse.move(*point(page, 35), steps=4)
    page.mouse.move(*point(page, 20), steps=4)
    page.mouse.up()
    assert at(page) == 20
    assert shown(page) == pytest.approx(20, abs=0.5)
    page.mouse.move(*point(page, 90))  # the button is up: nothing follows
    assert at(page) == 20
    run_again(page)
    assert at(page) == 20
    assert shown(page) == pytest.approx(20, abs=0.5)
    assert not [url for url in requests if "/media/" in url], "a rerun has sent the pictures again"


def test_a_click_brings_the_divider_and_one_outside_the_picture_ends_at_its_edge(slide) -> None:
    page = slide()
    page.mouse.click(*point(page, 70))
    assert at(page) == 70
    page.mouse.move(*point(page, 70))
    page.mouse.down()
    page.mouse.move(0, 200, steps=3)
    page.mouse.up()
    assert at(page) == 0
    for motion, seconds in (("no-preference", "0.15s"), ("reduce", "0s")):
        page.emulate_media(reduced_motion=motion)
        for part in (".handle", ".after"):
            assert page.locator(part).evaluate("part => getComputedStyle(part).transitionDuration") == seconds


@THEMES
def test_a_finger_drags_sideways_and_scrolls_up_and_down(slide, theme: str) -> None:
    page = slide(size=NARROW, theme=theme)
    touch = finger(page)
    touch("touchStart", *point(page, 50))
    for percent in (55, 60, 70, 80):
        touch("touchMove", *point(page, percent))
    touch("touchEnd")
    assert at(page) == 80
    touch("touchStart", *point(page, 40))
    assert at(page) == 80, "a finger that may want to scroll has moved the divider"
    touch("touchEnd")
    assert at(page) == 40, "a tap brings the divider"
    x, y = point(page, 30)
    touch("touchStart", x, y)
    for step in range(1, 9):
        touch("touchMove", x + step / 4, y - 12 * step)
    touch("touchEnd")
    page.wait_for_function("document.querySelector('[data-testid=stMain]').scrollTop > 20")
    assert at(page) == 40, "scrolling the page has moved the divider"


def test_the_keyboard_moves_it_and_a_screen_reader_hears_both_shares(slide) -> None:
    page = slide()
    page.mouse.click(5, 5)
    page.keyboard.press("Tab")
    while not slider(page).evaluate("handle => handle.getRootNode().activeElement === handle"):
        page.keyboard.press("Tab")
    for key, place in (
        ("ArrowRight", 52),
        ("ArrowUp", 54),
        ("ArrowLeft", 52),
        ("ArrowDown", 50),
        ("PageUp", 60),
        ("PageDown", 50),
        ("Shift+ArrowLeft", 40),
        ("Home", 0),
        ("ArrowLeft", 0),
        ("End", 100),
        ("ArrowRight", 100),
    ):
        page.keyboard.press(key)
        assert at(page) == place, key
    page.keyboard.press("PageDown")
    handle = slider(page)
    assert handle.get_attribute("aria-valuetext") == "90 % Photo, 10 % Mask"
    assert (handle.get_attribute("aria-valuemin"), handle.get_attribute("aria-valuemax")) == ("0", "100")
    outline = page.locator(".grip").evaluate("grip => getComputedStyle(grip).outlineStyle")
    assert outline == "solid", "the focus is not seen"
    page.reload()
    loaded(page)
    assert at(page) == 90


def test_another_position_asked_for_by_the_app_is_followed(slide) -> None:
    page = slide()
    page.mouse.click(*point(page, 80))
    page.get_by_role("button", name="Show the mask").click()
    page.wait_for_function("handle => handle.ariaValueNow === '0'", arg=slider(page).element_handle())
    page.mouse.click(*point(page, 60))
    run_again(page)
    assert at(page) == 60


@pytest.mark.parametrize("shape", ["wide", "tall"])
def test_the_picture_keeps_its_shape_and_nothing_jumps_while_it_loads(visit, shape: str) -> None:
    page = visit(f"?shape={shape}")
    loaded(page)
    waiting = []
    page.route("**/media/**", lambda route: waiting.append(route))
    page.reload(wait_until="commit")
    slider(page).wait_for()
    page.get_by_role("button", name="Run again").wait_for()
    empty, below = frame(page), page.get_by_role("button", name="Run again").bounding_box()
    assert not any(image.evaluate("image => image.naturalWidth") for image in pictures(page))
    for route in waiting:
        route.continue_()
    page.unroute("**/media/**")
    loaded(page)
    assert frame(page) == empty
    assert page.get_by_role("button", name="Run again").bounding_box() == below
    natural = {"wide": 1.5, "tall": 2 / 3}[shape]
    for width in (320, 390, 768, 1024, 1440, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        box = frame(page)
        assert box["width"] / box["height"] == pytest.approx(natural, rel=0.01), width
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["height"] <= 900


def test_a_slider_that_joins_a_page_has_its_place_from_the_first_moment(slide) -> None:
    page = slide("?shape=tall", size=NARROW)
    page.evaluate(NOTE_PLACES)
    page.get_by_role("button", name="Another").click()
    page.get_by_role("slider", name="Another").wait_for()
    page.get_by_text("The end").wait_for()
    page.wait_for_timeout(500)
    assert len(page.evaluate("[...places]")) == 1, page.evaluate("[...places]")


def test_names_are_text_and_never_markup(slide) -> None:
    name = "<img src=x onerror=alert(1)>"
    page = slide(f"?before={name}")
    assert page.locator(".before .name").inner_text() == name
    assert len(pictures(page)) == 2


def test_a_lost_picture_is_said_in_a_sentence(visit) -> None:
    page = visit()
    page.route("**/media/**", lambda route: route.fulfill(status=404))
    page.reload()
    page.get_by_role("status").filter(has_text="A picture could not be loaded").wait_for()


def test_full_size_fills_the_screen_and_the_divider_still_moves(slide) -> None:
    page = slide()
    page.get_by_role("button", name="Full size").click()
    page.wait_for_function("document.fullscreenElement !== null")
    box, seen = frame(page), page.evaluate("[innerWidth, innerHeight]")
    assert max(box["width"] / seen[0], box["height"] / seen[1]) == pytest.approx(1, abs=0.01)
    page.mouse.click(*point(page, 25))
    assert at(page) == 25
    page.get_by_role("button", name="Full size").click()
    page.wait_for_function("document.fullscreenElement === null")
    assert at(page) == 25


@THEMES
@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_it_fits_the_screen_in_both_themes(slide, screenshots, size: tuple[int, int], theme: str) -> None:
    page = slide(size=size, theme=theme)
    page.mouse.click(*point(page, 55))
    slider(page).press("ArrowLeft")
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= size[0]
    grip = page.locator(".grip").evaluate("grip => getComputedStyle(grip).backgroundColor")
    assert grip == {"light": "rgb(255, 255, 255)", "dark": "rgb(16, 24, 29)"}[theme]
    if screenshots:
        page.wait_for_timeout(250)
        page.screenshot(path=screenshots / f"compare-slider-{size[0]}-{theme}.png")
