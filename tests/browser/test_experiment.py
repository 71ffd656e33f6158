"""Experiments with a trained network as a visitor makes them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_in_the_browser import choose, settled

pytestmark = pytest.mark.browser

THEMES_AND_SIZES = [(WIDE, "light"), (NARROW, "dark")]


@pytest.fixture
def experiment(visit) -> Callable:
    """Open the section and return the page, with the unchanged mask there."""

    def open_page(size: tuple[int, int] = WIDE, theme: str = "light"):
        page = visit("Architecture?tab=Experiment", size, theme)
        page.get_by_role("radio", name="Switch it off").click()
        page.get_by_text("Unchanged", exact=True).wait_for()
        settled(page)
        return page

    return open_page


def metric(page, label: str) -> str:
    return page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue").inner_text()


@pytest.mark.parametrize(("size", "theme"), THEMES_AND_SIZES)
def test_what_a_switch_does_is_in_view_of_the_switch(experiment, screenshots, size, theme: str) -> None:
    page = experiment(size, theme)
    choose(page, "Trained network", "Pets, fast")
    page.get_by_text("Unchanged", exact=True).wait_for()
    settled(page)
    group = page.get_by_role("radiogroup", name="the deepest")
    group.scroll_into_view_if_needed()
    group.get_by_role("radio", name="Off").click()
    page.get_by_text("Skip 4 off", exact=True).wait_for()
    settled(page)
    assert metric(page, "Agreement").startswith("0.0")
    assert metric(page, "Outline") == "gone"
    for picture in ("The unchanged network's mask", "The changed network's mask: Skip 4 off"):
        box = page.get_by_alt_text(picture).bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= size[1]
    before, after = (page.get_by_alt_text(name).bounding_box() for name in ("The unchanged", "The changed"))
    assert before["y"] == after["y"], "side by side"
    if screenshots:
        page.screenshot(path=screenshots / f"switch-{size[0]}-{theme}.png")


@pytest.mark.parametrize(("size", "theme"), THEMES_AND_SIZES)
def test_a_photo_made_worse_has_its_mask_beside_the_slider(experiment, screenshots, size, theme: str) -> None:
    page = experiment(size, theme)
    page.get_by_role("radio", name="Make it fail").click()
    slider = page.get_by_role("slider")
    slider.wait_for()
    settled(page)
    slider.evaluate("slider => slider.scrollIntoView({ block: 'center' })")
    slider.focus()
    page.keyboard.press("Home")
    page.get_by_text("Nothing is changed yet").wait_for()
    assert metric(page, "Agreement").startswith("100")
    page.keyboard.press("End")
    page.get_by_alt_text("The mask: 128 of 255").wait_for()
    settled(page)
    assert not metric(page, "Agreement").startswith("100")
    page.locator("[data-testid=stVegaLiteChart]").and_(page.get_by_label("Agreement by strength, from 100")).wait_for()
    for alone in ("The mask: Unchanged", "The mask: 128 of 255"):
        box = page.get_by_alt_text(alone).bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= size[1]
    if screenshots:
        page.screenshot(path=screenshots / f"fail-{size[0]}-{theme}.png")


@pytest.mark.parametrize(("size", "theme"), THEMES_AND_SIZES)
def test_a_pixel_is_chosen_by_a_click_and_by_the_keyboard(experiment, screenshots, size, theme: str) -> None:
    page = experiment(size, theme)
    page.get_by_role("radio", name="Why this pixel?").click()
    picker = page.get_by_role("application", name="What matters at the chosen pixel for pet")
    picker.wait_for(timeout=120_000)
    settled(page)
    before = picker.locator("img").get_attribute("src")
    box = picker.bounding_box()
    picker.click(position={"x": box["width"] * 0.8, "y": box["height"] * 0.25})
    page.get_by_role("application", name="Chosen: 80 % from the left, 25 % from the top").wait_for()
    page.wait_for_function("([picker, before]) => picker.querySelector('img').src !== before", arg=[
        picker.element_handle(), before
    ])  # fmt: skip
    settled(page)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    page.get_by_role("application", name="Chosen: 78 % from the left, 35 % from the top").wait_for()
    page.wait_for_timeout(600)  # the keys rest, and the page answers
    settled(page)
    page.get_by_role("application", name="Chosen: 78 % from the left, 35 % from the top").wait_for()
    if screenshots:
        picker.evaluate("picker => picker.scrollIntoView({ block: 'center' })")
        page.screenshot(path=screenshots / f"pixel-{size[0]}-{theme}.png")


def player(page):
    found = page.get_by_role("group", name="The photo on its way through")
    found.locator(".held").first.wait_for(state="attached")
    settled(page)
    found.scroll_into_view_if_needed()
    return found


def shown_tiles(found) -> int:
    return found.locator(".held.shown").count()


@pytest.mark.parametrize(("size", "theme"), THEMES_AND_SIZES)
def test_a_forward_pass_is_played_to_the_mask(visit, screenshots, size, theme: str) -> None:
    page = visit("Architecture?tab=Experiment", size, theme)
    found = player(page)
    assert found.locator(".title").inner_text() == "Photo"
    assert shown_tiles(found) == 1
    found.get_by_role("combobox").select_option("4")
    found.get_by_role("button", name="Play").click()
    found.get_by_role("button", name="Pause").wait_for()
    page.wait_for_function("root => root.querySelectorAll('.held.shown').length > 4", arg=found.element_handle())
    found.get_by_role("button", name="Pause").click()
    found.get_by_role("button", name="Play").wait_for()
    paused = shown_tiles(found)
    if screenshots:
        page.screenshot(path=screenshots / f"play-{size[0]}-{theme}.png")
    page.wait_for_timeout(700)
    assert shown_tiles(found) == paused, "a pause holds"
    found.get_by_role("button", name="Play").click()
    found.locator(".result.shown").wait_for(timeout=60_000)
    found.get_by_role("button", name="Play").wait_for()
    assert found.locator(".title").inner_text() == "Mask"
    assert shown_tiles(found) == found.locator(".held").count()
    if screenshots:
        page.screenshot(path=screenshots / f"played-{size[0]}-{theme}.png")


def test_the_keyboard_plays_pauses_and_steps(visit) -> None:
    page = visit("Architecture?tab=Experiment")
    found = player(page)
    found.focus()
    for expected in (2, 3):
        page.keyboard.press("ArrowRight")
        page.wait_for_function(
            "([root, many]) => root.querySelectorAll('.held.shown').length === many",
            arg=[found.element_handle(), expected],
        )
    page.keyboard.press("ArrowLeft")
    assert shown_tiles(found) == 2
    page.keyboard.press("End")
    assert found.locator(".title").inner_text() == "Mask"
    page.keyboard.press("Home")
    assert shown_tiles(found) == 1
    page.keyboard.press("Space")
    found.get_by_role("button", name="Pause").wait_for()
    page.keyboard.press("Space")
    found.get_by_role("button", name="Play").wait_for()


def test_who_asks_for_less_motion_gets_still_pictures(browser, app, visit) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    try:
        page = context.new_page()
        page.goto(f"{app}/Architecture?tab=Experiment")
        found = player(page)
        assert shown_tiles(found) == found.locator(".held").count()
        assert found.get_by_role("button", name="Play").is_hidden()
        assert found.locator(".lens").is_hidden()
        found.get_by_role("button", name="One step on").click()
        assert found.locator(".title").inner_text() != "Photo"
        assert found.evaluate("root => root.getAnimations({ subtree: true }).length") == 0
    finally:
        context.close()
