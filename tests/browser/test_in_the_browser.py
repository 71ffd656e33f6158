"""The app used as a visitor uses it: real uploads, addresses, themes, narrow screens, reload and back."""

from __future__ import annotations

import io
import re
import tomllib
from pathlib import Path

import pytest
from PIL import Image, ImageColor

from tests.browser.conftest import NARROW, WIDE
from ui.shared import frame
from unet_core.images.samples import cat_png
from unet_core.settings import ROOT

pytestmark = pytest.mark.browser

PAGES = {"": "U-Net Studio", "Architecture": "Architecture", "Segment": "Segment your photos", "Data": "Data"}


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    """A real photo as a JPEG file."""
    path = tmp_path / "chelsea.jpg"
    Image.open(io.BytesIO(cat_png())).save(path, quality=92)
    return path


def upload(page, *files: Path) -> None:
    page.set_input_files("input[type=file]", [str(file) for file in files])


def staged(page, name: str, words: str = "cut out on"):
    """Return the stage of an opened photo once it is drawn; its description begins with the name and `words`."""
    stage = page.get_by_role("group", name=re.compile(f"^{re.escape(name)} {words}"))
    stage.locator("xpath=self::*[not(contains(@class, 'waiting'))]").locator(".drawn").wait_for()
    return stage


def opacity(page):
    """Return the slider of an overlay's opacity."""
    return page.get_by_role("slider", name="Opacity")


def show_overlay(page) -> None:
    """Choose the overlay of the opened photo, and wait for it."""
    page.get_by_role("radio", name="overlay", exact=True).click()
    page.wait_for_url("**show=overlay*")
    page.get_by_role("group", name=re.compile("with its classes")).wait_for()
    settled(page)


def settled(page) -> None:
    """Wait until the script has run and pictures are there."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_function("[...document.images].every(image => image.complete)")


def choose(page, label: str, option: str) -> None:
    """Choose from a list, once it stands still where it can be seen: scrolling closes an open list."""
    box = page.get_by_role("combobox", name=label)
    box.scroll_into_view_if_needed()
    settled(page)
    box.click()
    page.get_by_role("option", name=option, exact=True).click()


def darken(page) -> None:
    """Change a visitor's system to the dark theme, and wait until the app has followed."""
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("getComputedStyle(document.querySelector('.stApp')).colorScheme === 'dark'")


def full_height(page, path: Path) -> None:
    """Take a picture of the page as if the window were as tall as its content."""
    settled(page)
    size = page.viewport_size
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": max(size["height"], height)})
    page.wait_for_timeout(400)
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
    page.set_viewport_size(size)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_works_when_its_address_is_opened_first(visit, path: str) -> None:
    page = visit(path)
    page.get_by_role("heading", name=PAGES[path], exact=True).wait_for()
    settled(page)
    menu = page.get_by_test_id("stSidebar").get_by_role("link")
    menu.nth(len(frame.PAGES) - 1).wait_for()
    assert [link.inner_text().splitlines()[-1] for link in menu.all()] == [entry.name for entry in frame.PAGES]
    assert "streamlit app" not in page.locator("body").inner_text().lower()
    assert page.title().endswith("U-Net Studio")
    assert page.get_by_test_id("stException").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize(("path", "ready"), [("", "Segmented in"), ("Segment?sample=cat", "chelsea.png")])
def test_pages_follow_the_theme_and_fit_the_screen(visit, screenshots, path, ready, size, theme) -> None:
    page = visit(path, size, theme)
    page.get_by_text(ready).first.wait_for()
    settled(page)
    themes = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())["theme"]
    expected = "rgb({}, {}, {})".format(*ImageColor.getrgb(themes[theme]["backgroundColor"]))
    assert page.get_by_test_id("stApp").evaluate("app => getComputedStyle(app).backgroundColor") == expected
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= size[0]
    if screenshots:
        name = path.split("?")[0].lower() or "home"
        full_height(page, screenshots / "pages" / f"{name}-{size[0]}-{theme}.png")


def test_the_menu_and_the_back_button_lose_neither_photos_nor_options(visit, cat: Path) -> None:
    page = visit("")
    page.get_by_role("button", name="Segment your own photos").click()
    page.get_by_text("No photo at hand?").wait_for()
    upload(page, cat)
    staged(page, "chelsea.jpg")
    show_overlay(page)
    opacity(page).press("Home")
    page.wait_for_url("**opacity=0*")
    page.get_by_test_id("stSidebar").get_by_role("link", name="Home").click()
    page.get_by_text("Segmented in").wait_for()
    page.get_by_test_id("stSidebar").get_by_role("link", name="Segment").click()
    staged(page, "chelsea.jpg", "with its classes")
    page.wait_for_url("**opacity=0*")
    page.go_back()
    page.get_by_text("Segmented in").wait_for()
    page.go_forward()
    staged(page, "chelsea.jpg", "with its classes")


def test_a_reload_brings_the_sample_and_the_options_back(visit) -> None:
    page = visit("Segment")
    page.get_by_role("button", name="Chelsea", exact=True).click()
    staged(page, "chelsea.png")
    show_overlay(page)
    opacity(page).press("End")
    page.wait_for_url("**opacity=100*")
    page.reload()
    staged(page, "chelsea.png", "with its classes")
    assert opacity(page).input_value() == "100"


def test_a_reload_in_the_middle_of_an_upload_leaves_a_working_page(visit, cat: Path) -> None:
    page = visit("Segment")
    upload(page, cat)
    page.reload()
    page.get_by_text("No photo at hand?").or_(page.get_by_text("chelsea.jpg").first).wait_for()
    upload(page, cat)
    staged(page, "chelsea.jpg")


def test_a_reload_keeps_the_photos_and_no_other_tab_or_visitor_gets_them(visit, cat: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jpg"
    Image.open(cat).rotate(180).save(other)
    page, stranger = visit("Segment"), visit("Segment")
    page.get_by_text("No photo at hand?").wait_for()
    upload(page, cat)
    staged(page, "chelsea.jpg")
    show_overlay(page)
    opacity(page).press("Home")
    page.wait_for_url("**opacity=0*")
    tab = page.context.new_page()
    tab.goto(page.url.split("?")[0])
    tab.get_by_text("No photo at hand?").wait_for()  # the first tab is still open, and keeps its photo to itself
    upload(tab, other)
    staged(tab, "other.jpg")
    page.reload()
    staged(page, "chelsea.jpg", "with its classes")
    assert opacity(page).input_value() == "0"
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_text("No photo at hand?").wait_for()
    page.reload()
    page.get_by_text("No photo at hand?").wait_for()  # what was removed stays away
    tab.reload()
    staged(tab, "other.jpg")
    stranger.reload()
    stranger.get_by_text("No photo at hand?").wait_for()


def test_two_visitors_see_only_their_own_photos(visit, cat: Path) -> None:
    first, second = visit("Segment"), visit("Segment")
    upload(first, cat)
    staged(first, "chelsea.jpg")
    second.get_by_text("No photo at hand?").wait_for()
    second.reload()
    second.get_by_text("No photo at hand?").wait_for()
