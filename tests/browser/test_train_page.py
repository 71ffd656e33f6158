"""The Train page as a visitor uses it: press the button, watch, reload, stop, resume, and use the model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_in_the_browser import choose, full_height, settled, staged
from tests.helpers import own_datasets
from unet_core.data.synthetic.pets import TEST_START, draw_pet

pytestmark = pytest.mark.browser

LEARN_PATIENCE = 300_000  # milliseconds for TensorFlow to start and a first epoch to end, on a busy machine
# Few photos and many epochs: on a slow machine, too, there are some to see, and on a fast one some left to stop in.
LONG_DEMO = "Train?epochs=400&limit=64&time_limit_minutes=12&test_limit=20"


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A synthetic pet that no run was trained on."""
    path = tmp_path / "drawn.jpg"
    Image.fromarray(draw_pet(7, TEST_START + 1, (240, 320))[0]).save(path, quality=92)
    return path


def epochs_done(page) -> int:
    """Return the whole epochs behind the run, as the progress bar shows."""
    found = re.search(r"(?:Epoch )?(\d+) of \d+", page.get_by_test_id("stProgress").first.inner_text())
    return int(found[1]) if found else 0


def wait_for_curve(page, more_than: int) -> int:
    """Wait until the loss curve has more epochs than `more_than`, and return how many it has."""
    counted = """more => {
        const found = [...document.querySelectorAll("[aria-label*='Curves of the loss']")]
            .map(element => Number(/ in ([0-9]+) epochs/.exec(element.ariaLabel)?.[1] ?? 0));
        return Math.max(0, ...found) > more && Math.max(...found);
    }"""
    return page.wait_for_function(counted, arg=more_than, timeout=LEARN_PATIENCE).json_value()


def preview(page):
    """Return the picture of the first sample, as predicted after an epoch."""
    return page.get_by_role("img", name=re.compile(r"after \d+ epoch")).first


def test_a_run_is_watched_reloaded_stopped_resumed_and_used(visit, drawn: Path, screenshots) -> None:
    page = visit(LONG_DEMO)
    page.get_by_role("button", name="Start the 60-second demo").click()
    page.wait_for_url("**run=*")
    preview(page).wait_for(timeout=LEARN_PATIENCE)
    grown = wait_for_curve(page, 0)
    before = preview(page).get_attribute("src")
    page.wait_for_function(
        "before => [...document.querySelectorAll('img')].some(image => / after [0-9]+ epoch/.test(image.alt))"
        " && ![...document.querySelectorAll('img')].some(image => image.src === before)",
        arg=page.evaluate("source => new URL(source, location.href).href", before),
        timeout=LEARN_PATIENCE,
    )
    grown = wait_for_curve(page, grown)
    page.reload()
    preview(page).wait_for()
    wait_for_curve(page, grown)
    if screenshots:
        full_height(page, screenshots / "train-live.png")
    page.get_by_test_id("stMain").get_by_role("button", name="Stop").click()  # Streamlit has one as well
    resume = page.get_by_role("button", name="Resume")
    resume.wait_for(timeout=LEARN_PATIENCE)
    page.get_by_text("Stopped on request").first.wait_for()
    stopped_after = epochs_done(page)
    assert stopped_after >= 2
    resume.click()
    page.get_by_text(re.compile(r"Epoch \d+ of 400, step")).wait_for(timeout=LEARN_PATIENCE)
    assert epochs_done(page) > stopped_after  # the one that is under way
    page.get_by_test_id("stMain").get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Use in Segment").or_(
        page.get_by_role("button", name="Prepare for Segment")
    ).wait_for(timeout=LEARN_PATIENCE)
    make = page.get_by_role("button", name="Prepare for Segment")
    if make.count():
        make.click()
    page.get_by_role("button", name="Use in Segment").click(timeout=LEARN_PATIENCE)
    page.wait_for_url("**/Segment?*model=*-60-second-demo*")
    page.locator(".st-key-drop input[type=file]").set_input_files(str(drawn))
    page.get_by_text("60-second demo · whole photo").wait_for()
    page.get_by_role("group", name=re.compile(f"^{drawn.name} ")).wait_for(timeout=LEARN_PATIENCE)
    staged(page, drawn.name, "")
    settled(page)
    assert page.get_by_test_id("stException").count() == 0
    if screenshots:
        full_height(page, screenshots / "train-used.png")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_form_fits_the_screen_in_both_themes(visit, screenshots, size, theme: str) -> None:
    page = visit("Train", size, theme)
    page.get_by_role("button", name="Start the 60-second demo").wait_for()
    page.get_by_text("Advanced").click()
    settled(page)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= size[0]
    assert page.get_by_test_id("stException").count() == 0
    if screenshots:
        full_height(page, screenshots / "pages" / f"train-{size[0]}-{theme}.png")


def test_the_form_stays_in_the_address_and_survives_another_page(visit) -> None:
    page = visit("Train")
    epochs = page.get_by_role("spinbutton", name="Epochs")
    epochs.fill("3")
    epochs.press("Enter")
    page.wait_for_url("**epochs=3*")
    page.get_by_text("60", exact=True).wait_for()  # steps: 3 epochs of 320 photos in batches of 16
    page.get_by_test_id("stSidebar").get_by_role("link", name="Data").click()
    page.get_by_role("heading", name="Data", exact=True).first.wait_for()
    page.mouse.move(700, 500)  # away from the menu, whose help covers the entry above
    page.get_by_test_id("stSidebar").get_by_role("link", name="Train").click()
    page.get_by_role("button", name="Start the 60-second demo").wait_for()
    page.get_by_text("60", exact=True).wait_for()
    page.reload()
    page.get_by_text("60", exact=True).wait_for()


def test_the_model_to_start_from_stays_in_the_address_and_back_undoes_it(visit) -> None:
    page = visit("Train?unet=as in Start from&start_from=pets_fast")
    start = page.get_by_role("button", name="Start the 60-second demo")
    start.wait_for()
    page.get_by_text("Advanced").click()
    page.get_by_text("Its weights fit this network").wait_for()
    choose(page, "Start from", "random weights")
    page.get_by_text("Its weights fit this network").wait_for(state="detached")
    page.wait_for_function("!location.search.includes('start_from')")
    page.go_back()
    page.get_by_text("Its weights fit this network").wait_for()
    page.reload()
    start.wait_for()
    assert "start_from=pets_fast" in page.url
    for name in ("start_from", "distill_from"):
        assert page.get_by_role("textbox", name=name, exact=True).count() == 0, "what keeps the address is not seen"


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_mixture_is_composed_and_stays_in_the_address(visit, folders, size) -> None:
    cats = folders["datasets"] / "cats-0123456789abcdef0123456789abcdef"
    if not cats.exists():
        own_datasets.named(cats, ("background", "cat"), 16)
    page = visit(f'Train?mix=[{{"dataset":"{cats.name}","share":25}}]', size)
    page.get_by_text("cats has the class cat, which synthetic does not have").wait_for()
    start = page.get_by_role("button", name="Start the 60-second demo")
    assert start.is_disabled()
    choose(page, "cat counts as", "pet")
    page.get_by_text("75 % synthetic + 25 % cats").wait_for()
    share = page.get_by_role("spinbutton", name="Share in %")
    share.fill("40")
    share.press("Enter")
    page.get_by_text("gets the rest, 60").wait_for()
    page.wait_for_function("decodeURIComponent(location.search).includes('40')")
    page.reload()
    page.get_by_text("60 % synthetic + 40 % cats").wait_for()
    settled(page)
    assert start.is_enabled()
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= size[0]
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Mix in another dataset").wait_for()
    page.wait_for_function("!location.search.includes('mix')")
    page.go_back()
    page.get_by_text("60 % synthetic + 40 % cats").wait_for()


def test_coming_back_to_a_changed_form_is_one_step_of_the_browser_s_history(visit) -> None:
    page = visit("Train?epochs=3&unet=Three-block+U-Net+(2022)")
    page.get_by_role("button", name="Start the 60-second demo").wait_for()
    menu = page.get_by_test_id("stSidebar")
    menu.get_by_role("link", name="Architecture").click()
    page.locator(".view svg.u-diagram[width]").first.wait_for()
    settled(page)
    steps = page.evaluate("history.length")
    page.mouse.move(700, 500)  # away from the menu, whose help covers the entry above
    menu.get_by_role("link", name="Train").click()
    page.wait_for_url("**/Train?*epochs=3*")
    page.get_by_role("button", name="Start the 60-second demo").wait_for()
    settled(page)
    assert page.evaluate("history.length") == steps + 1
    assert "unet=Three-block" in page.url
    page.go_back()
    page.locator(".view svg.u-diagram[width]").first.wait_for()
    assert page.url.endswith("/Architecture")
