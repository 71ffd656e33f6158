"""The Data page as a visitor uses it: browse, filter, augment, see pitfalls, upload a dataset."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_in_the_browser import full_height, settled
from ui.data.pitfalls import LABELS
from unet_core.data.own.example_archive import NAME, example_archive
from unet_core.data.synthetic.pets import SyntheticPets

pytestmark = pytest.mark.browser

BUILD_PATIENCE = 240_000  # milliseconds for the catalogue of all synthetic pets, on a busy machine
READ_PATIENCE = 90_000  # milliseconds for an upload's report
SECTIONS = {
    "Browse": "Click one",
    "Statistics": "Class shares",
    "Augmentation": "draw 8",
    "Pitfalls": "Measured",
}


@pytest.fixture
def pets(visit) -> Callable:
    """Open the page on the synthetic pets, once they are indexed."""

    def open_section(section: str = "Browse", size: tuple[int, int] = WIDE, theme: str = "light", more: str = ""):
        page = visit(f"Data?data=Synthetic+pets&section={section.replace(' ', '+')}{more}", size, theme)
        if section in SECTIONS:
            page.get_by_text(SECTIONS[section]).first.wait_for(timeout=BUILD_PATIENCE)
        if section == "Browse":
            tile(page, 0).locator("img").wait_for()
        settled(page)
        return page

    return open_section


@pytest.fixture
def example(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(example_archive())
    return path


def tile(page, place: int):
    return page.locator("[class*=st-key-tile-]").nth(place)


def counted(page) -> int:
    text = page.get_by_text("Click one").inner_text()
    return int(re.sub(r"\D", "", text.split("photo")[0]))


def bring(page, archive: Path) -> None:
    page.set_input_files("input[type=file]", str(archive))


def test_a_photo_opens_from_its_picture_and_back_closes_it(pets) -> None:
    page = pets()
    name = tile(page, 3).get_by_role("button").inner_text()
    box = tile(page, 3).locator("img").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    look = page.get_by_role("dialog")
    look.get_by_text(name).first.wait_for()
    page.wait_for_url(f"**photo={name}*")
    look.get_by_role("button", name="Next").click()
    page.wait_for_url(lambda url: "photo=" in url and f"photo={name}" not in url)
    look.get_by_text(parse_qs(urlsplit(page.url).query)["photo"][0]).first.wait_for()
    settled(page)  # a key pressed while the dialog is redrawn is lost
    page.keyboard.press("Escape")
    look.wait_for(state="detached")
    page.wait_for_url(lambda url: "photo=" not in url)
    page.go_back()
    look.wait_for()
    page.reload()
    look.wait_for()


def test_filters_work_together_and_stay_in_the_address(pets) -> None:
    page = pets()
    everything = counted(page)
    page.get_by_label("Name").fill("_0_1000")
    page.wait_for_url("**search=_0_1000*")
    page.wait_for_function("!document.body.innerText.includes('1\u202f200 photos')")
    assert 0 < counted(page) < everything
    page.reload()
    page.get_by_text("Click one").wait_for()
    settled(page)
    assert 0 < counted(page) < everything
    page.get_by_label("Name").fill("nothing like this")
    page.get_by_role("button", name="Show all photos").click()
    page.get_by_text("1\u202f200").wait_for()
    page.get_by_test_id("stPaginationNext").click()
    page.wait_for_url("**page=2*")


def test_the_lab_draws_with_the_training_s_own_object_and_applies_the_choice(pets, screenshots) -> None:
    page = pets("Augmentation")
    drawn = page.get_by_role("img", name=re.compile("^Draw 1 "))
    page.get_by_text("Starting the preview process").wait_for(state="detached", timeout=120_000)
    settled(page)
    before = drawn.get_attribute("src")
    page.get_by_role("button", name="strong").click()
    page.wait_for_function("([image, before]) => image.src !== before", arg=[drawn.element_handle(), before])
    page.get_by_role("button", name="Apply to training").dblclick()
    page.get_by_role("button", name="Applied").wait_for()
    page.wait_for_url("**augmentation=*")
    if screenshots:
        full_height(page, screenshots / "data-lab.png")
    page.get_by_test_id("stSidebar").get_by_role("link", name="Home").click()
    page.get_by_role("heading", name="Status").wait_for()
    page.get_by_test_id("stSidebar").get_by_role("link", name="Data").click()
    page.get_by_role("button", name="Applied").wait_for()
    page.reload()
    page.get_by_role("button", name="Applied").wait_for()


def test_every_pitfall_is_shown_and_linked(pets, screenshots) -> None:
    page = pets("Pitfalls")
    labels = list(LABELS.values())
    for label, following in zip(labels, labels[1:] + labels[:1], strict=True):
        page.get_by_role("radio", name=label).or_(page.get_by_role("button", name=label, exact=True)).first.click()
        page.get_by_role("button", name=f"Next: {following}").wait_for()  # the last thing drawn of this mistake
        settled(page)
        assert page.get_by_test_id("stException").count() == 0
        if screenshots:
            full_height(page, screenshots / "pitfalls" / f"{label.lower().replace(' ', '-')}.png")
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query).get("pitfall") == [labels[-1]])
    heading = page.get_by_role("heading", level=3).inner_text()
    page.reload()
    page.get_by_role("heading", name=heading).wait_for()


def test_an_own_dataset_is_reported_browsed_and_deleted(pets, example: Path, screenshots) -> None:
    page = pets("Bring your own")
    bring(page, example)
    page.get_by_text("How the masks were read").wait_for(timeout=READ_PATIENCE)
    page.get_by_text("unet_core train").wait_for()
    if screenshots:
        full_height(page, screenshots / "data-own.png")
    page.get_by_label("Name of 1", exact=True).fill("fox")
    page.get_by_role("button", name="Save names").click()
    page.get_by_role("listitem").filter(has_text="fox").wait_for()
    page.reload()
    page.get_by_role("listitem").filter(has_text="fox").wait_for()
    page.get_by_role("button", name=re.compile("Browse$")).click()
    page.get_by_text("Click one").wait_for(timeout=BUILD_PATIENCE)
    assert counted(page) == 24
    page.get_by_role("radio", name="Bring your own").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete now").click()
    page.get_by_text("Upload a dataset").wait_for()
    assert "example-pets" not in page.url


def test_a_run_on_an_own_dataset_starts_survives_a_reload_and_stops(pets, example: Path, screenshots) -> None:
    page = pets("Bring your own")
    bring(page, example)
    page.get_by_role("button", name="Start a short run").dblclick(timeout=READ_PATIENCE)
    page.get_by_text(re.compile("Training, epoch [1-9]")).wait_for(timeout=BUILD_PATIENCE)
    page.reload()
    page.get_by_text("Best mean IoU on validation").wait_for(timeout=READ_PATIENCE)
    if screenshots:
        full_height(page, screenshots / "data-run.png")
    page.get_by_test_id("stMain").get_by_role("button", name="Stop").click()  # Streamlit has one as well
    page.get_by_text("Stopped, epoch").wait_for(timeout=READ_PATIENCE)
    page.get_by_role("button", name="Start a short run").wait_for()


def test_wrong_uploads_get_their_sentence_and_the_page_goes_on(pets, tmp_path: Path, example: Path) -> None:
    page = pets("Bring your own")
    for name, data in (("notes.zip", b"hello"), ("half.zip", example.read_bytes()[:5000])):
        (tmp_path / name).write_bytes(data)
        bring(page, tmp_path / name)
        page.get_by_test_id("stAlert").filter(has_text=f"{name} is not a ZIP archive").wait_for()
    photo, mask = next(SyntheticPets(size=(64, 64)).examples("train")).decode()
    with zipfile.ZipFile(tmp_path / "small-mask.zip", "w") as archive:
        for index in range(4):
            for folder, pixels in (("images", np.roll(photo, 9 * index, 1)), ("masks", np.roll(mask, 9 * index, 1))):
                buffer = io.BytesIO()
                whole = (folder, index) != ("masks", 2)
                Image.fromarray(pixels if whole else pixels[:40]).save(buffer, "PNG")
                archive.writestr(f"{folder}/{index}.png", buffer.getvalue())
    bring(page, tmp_path / "small-mask.zip")
    page.get_by_text("Training is possible once").wait_for(timeout=READ_PATIENCE)
    page.get_by_text("2.png and its mask differ in size").first.wait_for()
    page.get_by_role("button", name="Leave 1 file out and continue").click()
    page.get_by_text("usable,").wait_for(timeout=READ_PATIENCE)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("section", [*SECTIONS, "Bring your own"])
def test_every_section_fits_the_screen_in_both_themes(pets, screenshots, section: str, size, theme: str) -> None:
    page = pets(section, size, theme)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= size[0]
    assert page.get_by_test_id("stException").count() == 0
    if screenshots:
        full_height(page, screenshots / "pages" / f"data-{section.lower().replace(' ', '-')}-{size[0]}-{theme}.png")
