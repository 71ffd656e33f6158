"""Touching up a photo on the Segment page: figures, files and a reload all have what was changed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_accessibility import grave_findings

pytestmark = pytest.mark.browser


def opened(page) -> None:
    """Wait for the sample cat, cut out."""
    page.locator(".root:not(.waiting) .drawn").wait_for()
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def touch_up(page) -> None:
    page.locator("label").filter(has_text="Touch up").first.click()
    page.get_by_role("toolbar", name="Touch up").wait_for()
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def pet_share(page) -> float:
    """Return the share of pet in the legend, in percent."""
    text = page.get_by_text("pet", exact=True).first.locator("xpath=ancestor::*[contains(., '%')][1]").inner_text()
    return float(text.split("%")[0].replace("pet", "").strip())


def middle(page) -> tuple[float, float]:
    box = page.locator(".content").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_piece_dropped_is_gone_from_figures_file_and_after_a_reload(visit) -> None:
    page = visit("Segment?sample=cat")
    opened(page)
    before = pet_share(page)
    assert before > 10
    touch_up(page)
    page.get_by_role("radio", name="Piece").click()
    page.mouse.click(*middle(page))
    page.get_by_text("Removed", exact=False).first.wait_for()
    page.wait_for_function("() => !document.querySelector('[data-test-script-state=running]')")
    page.wait_for_timeout(1500)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download this view").click()
    picture = np.asarray(Image.open(io.BytesIO(waiting.value.path().read_bytes())))
    assert (picture[..., 3] > 127).mean() < 0.5 * before / 100
    page.reload()
    opened(page)
    page.wait_for_timeout(1500)
    opaque = page.locator(".drawn").evaluate(
        """drawn => {
          const { data } = drawn.getContext("2d").getImageData(0, 0, drawn.width, drawn.height)
          let count = 0
          for (let i = 3; i < data.length; i += 4) count += data[i] > 127
          return (400 * count) / data.length
        }"""
    )
    assert opaque < 0.5 * before, "the reload has brought the piece back"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_the_brush_is_at_hand_without_scrolling_and_moves_nothing(visit, screenshots, size, theme: str) -> None:
    page = visit("Segment?sample=cat", size, theme, touch=size == NARROW)
    opened(page)
    picture = page.locator(".frame").bounding_box()
    touch_up(page)
    assert page.locator(".frame").bounding_box() == picture
    tools = page.get_by_role("toolbar", name="Touch up").bounding_box()
    assert tools["x"] >= 0
    assert tools["x"] + tools["width"] <= size[0]
    assert tools["y"] + tools["height"] <= size[1]
    wide = page.evaluate("document.scrollingElement.scrollWidth")
    assert wide <= size[0], "the page can be scrolled sideways"
    if screenshots:
        page.screenshot(path=screenshots / f"touch-up-{size[0]}-{theme}.png")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_with_the_brush_at_hand(visit, theme: str) -> None:
    page = visit("Segment?sample=cat", theme=theme)
    opened(page)
    touch_up(page)
    assert not grave_findings(page)
    page.get_by_role("button", name="Full screen").click()
    assert not grave_findings(page)
