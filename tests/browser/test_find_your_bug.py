"""Find your bug in the browser: code is pasted, its line is marked, another size works; and the tour by its keys."""

from __future__ import annotations

import pytest

from tests.browser.conftest import WIDE
from ui.shared import tour

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("size", [WIDE, (390, 844)])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pasted_code_is_explained_drawn_and_fixed(visit, size: tuple[int, int], theme: str) -> None:
    page = visit("Architecture?tab=Find+your+bug", size, theme)
    page.get_by_role("button", name="Code with a bug", exact=True).click()
    page.get_by_role("heading", name="Your code breaks at concatenate").wait_for()
    assert "→ 20" in page.locator("[data-testid=stCode]").first.inner_text()
    drawing = page.locator("svg.u-diagram[aria-label^='Your code']")
    drawing.wait_for()
    assert drawing.locator(".box.failed").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    page.get_by_role("button", name="304×304", exact=True).click()
    page.get_by_role("heading", name="Your code works").wait_for()
    page.wait_for_function("!document.querySelector('.box.failed')")


def test_the_tour_goes_on_and_back_by_a_presenters_keys_and_can_be_left(visit) -> None:
    page = visit("", WIDE, "light")
    page.get_by_role("button", name="Show me").click()
    last = len(tour.SHOW)
    for number in (1, 2, 3):
        page.get_by_text(f"Show me, {number} of {last}").wait_for()
        page.wait_for_timeout(500)
        page.keyboard.press("PageDown")
    page.get_by_text(f"Show me, 4 of {last}").wait_for()
    assert "tour=show.4" in page.url
    page.keyboard.press("PageUp")
    page.get_by_text(f"Show me, 3 of {last}").wait_for()
    page.get_by_role("button", name="Leave").click()
    page.wait_for_function("!document.body.innerText.includes('Show me, ')")
    assert "tour" not in page.url
