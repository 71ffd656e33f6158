"""Experiments with a trained network as a visitor makes them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_in_the_browser import settled

pytestmark = pytest.mark.browser

THEMES_AND_SIZES = [(WIDE, "light"), (NARROW, "dark")]


@pytest.fixture
def experiment(visit) -> Callable:
    """Open the section and return the page, with the unchanged mask there."""

    def open_page(size: tuple[int, int] = WIDE, theme: str = "light"):
        page = visit("Architecture?tab=Experiment", size, theme)
        page.get_by_text("Unchanged", exact=True).wait_for()
        settled(page)
        return page

    return open_page


def metric(page, label: str) -> str:
    return page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue").inner_text()


@pytest.mark.parametrize(("size", "theme"), THEMES_AND_SIZES)
def test_what_a_switch_does_is_in_view_of_the_switch(experiment, screenshots, size, theme: str) -> None:
    page = experiment(size, theme)
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
