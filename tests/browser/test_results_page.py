"""The Results page as a visitor uses it: read, choose, look up how a figure was measured, measure here."""

from __future__ import annotations

import pytest

from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_in_the_browser import full_height, settled

pytestmark = pytest.mark.browser

READY = {
    "Compare": "Published figures",
    "Classes and breeds": "Confusion matrix",
    "Reliability": "What makes it fail?",
    "Everyday photos": "Stand-ins for everyday photos",
}
MEASURE_PATIENCE = 300_000  # milliseconds; TensorFlow starts in a process of its own


def results(visit, section: str, size: tuple[int, int] = WIDE, theme: str = "light", more: str = ""):
    page = visit(f"Results?figures={section.replace(' ', '+')}{more}", size, theme)
    if section in READY:
        page.get_by_text(READY[section]).first.wait_for()
    settled(page)
    return page


@pytest.mark.parametrize(("size", "theme"), [(WIDE, "dark"), (NARROW, "light")], ids=["wide-dark", "narrow-light"])
@pytest.mark.parametrize("section", READY)
def test_sections_fit_the_screen(visit, screenshots, section, size, theme) -> None:
    page = results(visit, section, size, theme)
    page.locator("[class*=st-key-figure-] svg.marks, [class*=st-key-figure-] canvas.marks").first.wait_for()
    assert page.get_by_test_id("stException").count() == 0
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= size[0]
    if screenshots:
        full_height(page, screenshots / "pages" / f"results-{section.split()[0].lower()}-{size[0]}-{theme}.png")


def test_a_choice_is_in_the_address_and_comes_back_with_it(visit) -> None:
    page = results(visit, "Reliability")
    page.get_by_role("radio", name="Blur").or_(page.get_by_role("button", name="Blur")).first.click()
    page.get_by_text("Gaussian blur, standard deviation in pixels. Unchanged").wait_for()
    page.wait_for_url("**corruption=Blur*")
    page.reload()
    page.get_by_text("Gaussian blur, standard deviation in pixels. Unchanged").wait_for()


def test_every_figure_shows_how_it_was_measured(visit) -> None:
    page = results(visit, "Classes and breeds")
    page.locator(".st-key-how-confusion").get_by_test_id("stPopoverButton").first.click()  # drawn twice
    page.get_by_text("Each row shows how a true class").wait_for()
    page.get_by_text("python -m unet_core evaluate --model").last.wait_for()


def test_a_click_on_a_point_puts_its_network_into_the_address(visit) -> None:
    page = results(visit, "Compare")
    points = page.locator(".st-key-figure-costs .mark-symbol.role-mark path")
    points.first.wait_for()
    if points.count() < 2:
        pytest.skip("no comparison is shipped: the only point is the one that is chosen")
    points.last.click(force=True)  # points may lie over one another
    page.wait_for_url("**network=*")


def test_the_time_of_a_photo_is_measured_here(visit) -> None:
    page = results(visit, "Measure here")
    page.locator(".st-key-measure").get_by_role("button").click()
    page.locator(".st-key-figure-speed [data-testid=stDataFrame]").wait_for(timeout=MEASURE_PATIENCE)
    page.get_by_text("Stored: ONNX Runtime on").wait_for()
