"""The Segment page as a visitor uses it: add photos, view, compare, score against ground truth, download."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import Path
from urllib.parse import urljoin

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_in_the_browser import full_height, opacity, settled, staged
from ui.segment.options import SECTIONS
from unet_core.data.synthetic.pets import TEST_START, draw_pet
from unet_core.images.samples import cat_png

pytestmark = pytest.mark.browser

MEASURE_PATIENCE = 240_000  # milliseconds; TensorFlow is loaded in a process of its own


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    """A real photo as a JPEG file."""
    path = tmp_path / "chelsea.jpg"
    Image.open(io.BytesIO(cat_png())).save(path, quality=92)
    return path


@pytest.fixture
def drawn(tmp_path: Path) -> tuple[Path, Path]:
    """A synthetic pet and its ground truth as trimap codes."""
    picture, codes = draw_pet(7, TEST_START + 1, (240, 320))
    photo, mask = tmp_path / "drawn.jpg", tmp_path / "drawn_mask.png"
    Image.fromarray(picture).save(photo, quality=92)
    Image.fromarray(codes).save(mask)
    return photo, mask


def bring(page, *files: Path) -> None:
    """Put files into the drop zone for photos."""
    page.locator(".st-key-drop input[type=file]").set_input_files([str(file) for file in files])


def open_section(page, name: str) -> None:
    """Open one of an opened photo's sections."""
    page.get_by_role("radio", name=name, exact=True).click()
    page.get_by_role("radio", name=name, exact=True, checked=True).wait_for()
    usual = name == "View"  # which the address does not mention; it is written when the page has run again
    page.wait_for_url(lambda url: ("look=" not in url) if usual else f"look={name.replace(' ', '+')}" in url)
    settled(page)


def view(page, name: str, option: str = "show") -> None:
    """Choose one of the views of an opened photo, or one of the maps of its confidence."""
    page.get_by_test_id("stButtonGroup").get_by_role("radio", name=name, exact=True).click()
    page.wait_for_url(f"**{option}={name.replace(' ', '+')}*")
    settled(page)


def picture(page, words: str):
    """Return the picture whose description holds `words`, loaded."""
    image = page.get_by_role("img", name=re.compile(re.escape(words))).first
    image.wait_for()
    page.wait_for_function("image => image.complete && image.naturalWidth > 10", arg=image.element_handle())
    return image


def taken(page, label: str) -> tuple[str, bytes]:
    """Press a download button; return the file's name and content."""
    with page.expect_download() as pending:
        page.get_by_role("button", name=label, exact=True).click()
    return pending.value.suggested_filename, Path(pending.value.path()).read_bytes()


def test_an_uploaded_photo_comes_back_segmented_and_can_be_taken_away(visit, cat: Path, screenshots) -> None:
    page = visit("Segment")
    bring(page, cat)
    staged(page, "chelsea.jpg")
    page.get_by_text("ONNX Runtime").first.wait_for()
    for name in ("pet", "background", "border"):
        assert page.get_by_role("listitem").filter(has_text=name).inner_text().endswith("%")
    if screenshots:
        full_height(page, screenshots / "segment.png")
    name, data = taken(page, "Download this view")
    assert name == "chelsea_cutout.png"
    assert Image.open(io.BytesIO(data)).size == (451, 300)
    open_section(page, "Download")
    name, data = taken(page, "Mask in codes")
    mask = np.asarray(Image.open(io.BytesIO(data)))
    assert name == "chelsea_mask.png"
    assert mask.shape == (300, 451)
    assert set(np.unique(mask)) <= {1, 2, 3}
    name, data = taken(page, "Everything")
    assert name == "chelsea_all.zip"
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    assert (np.asarray(Image.open(archive.open("chelsea_mask.png"))) == mask).all()
    assert "annotations_polygons.json" in archive.namelist()


def test_opacity_and_outline_change_the_picture_and_the_address(visit, cat: Path) -> None:
    page = visit("Segment")
    bring(page, cat)
    staged(page, "chelsea.jpg")
    view(page, "overlay")
    stage = staged(page, "chelsea.jpg", "with its classes")

    sheet, own = stage.locator(".drawn"), "230,159,0,255"  # the pet's colour; the cat is in the middle
    middle = "sheet => sheet.getContext('2d').getImageData(sheet.width / 2, sheet.height / 2, 1, 1).data.join()"
    assert sheet.evaluate(middle) != own
    opacity(page).press("End")
    page.wait_for_url("**opacity=100*")
    page.wait_for_function(f"sheet => ({middle})(sheet) === '{own}'", arg=sheet.element_handle())
    page.get_by_text("Outline", exact=True).click()
    page.wait_for_url("**outline=false*")


def test_the_threshold_counts_along_while_it_moves(visit) -> None:
    page = visit("Segment?sample=cat&look=Confidence&map=threshold")
    covered = page.get_by_test_id("stMetricValue")
    covered.wait_for()
    settled(page)
    shares = []
    for key in ("Home", "End"):
        page.get_by_role("slider", name="Threshold").press(key)
        expected = {"Home": "0.00", "End": "1.00"}[key]
        page.get_by_text(f"≥ {expected} covers").wait_for()
        settled(page)
        shares.append(float(re.sub(r"[^\d.]", "", covered.inner_text())))
    assert shares[0] == 100
    assert shares[1] < 20  # a sure network's probabilities are 1 to the last bit in places


def test_a_picture_opens_at_the_photos_own_size(visit, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    Image.open(io.BytesIO(cat_png())).resize((1804, 1200)).save(large, quality=90)
    page = visit("Segment")
    bring(page, large)
    stage = staged(page, "large.jpg")
    assert stage.locator(".drawn").evaluate("sheet => sheet.width") == 1000
    page.get_by_role("button", name="Full size").click()
    picture(page, "full size")
    address = page.get_by_role("link", name="Open at 1:1").get_attribute("href")
    data = page.request.get(urljoin(page.url, address)).body()
    assert Image.open(io.BytesIO(data)).size == (1804, 1200)


def test_every_view_shows_its_picture_and_before_and_after_slides(visit) -> None:
    page = visit("Segment?sample=cat")
    staged(page, "chelsea.png")
    for name, words in {"overlay": "with its classes", "mask": "as its mask"}.items():
        view(page, name)
        staged(page, "chelsea.png", words)
    page.get_by_text("Before/after").click()
    page.wait_for_url("**before-after=true*")
    handle = page.get_by_role("slider", name=re.compile("chelsea"))
    handle.press("End")
    page.wait_for_function("handle => handle.getAttribute('aria-valuenow') === '100'", arg=handle.element_handle())
    open_section(page, "Confidence")
    picture(page, "as the probability of pet")
    view(page, "uncertainty", "map")
    picture(page, "map of the model's uncertainty")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_result_is_above_the_fold(visit, cat: Path, size, theme) -> None:
    page = visit("Segment", size, theme)
    bring(page, cat)
    box = staged(page, "chelsea.jpg").locator(".frame").bounding_box()
    assert box["y"] < (300 if size == WIDE else 340)
    assert box["y"] + box["height"] <= size[1]


def test_two_ways_are_compared_side_by_side_and_by_their_difference(visit) -> None:
    page = visit("Segment?sample=cat&look=Compare")
    page.get_by_text("Pixels that agree").wait_for()
    picture(page, "Differences between A and B")
    assert 0 < float(re.sub(r"[^\d.]", "", page.get_by_test_id("stMetricValue").inner_text())) < 100
    page.get_by_role("radio", name="side by side", exact=True).click()
    picture(page, "chelsea.png, A")
    picture(page, "chelsea.png, B")


def test_a_long_name_leaves_room_for_the_kind_and_the_buttons(
    visit, cat: Path, drawn: tuple[Path, Path], tmp_path: Path
) -> None:
    long = tmp_path / "a_rather_long_name_of_a_photo_as_a_phone_gives_it_2026-11-27_18-30-59.png"
    long.write_bytes(cat.read_bytes())
    page = visit("Segment")
    bring(page, drawn[0], long)
    page.get_by_role("button", name=re.compile(f"^{long.stem}.*cat")).click()
    staged(page, long.name)
    row = page.locator(".st-key-opened")
    for width in (390, 800, 1210, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        row.locator(".stMarkdownBadge:visible").get_by_text("Cat", exact=True).wait_for()
        for name in ("All photos", "Previous", "Next", "Remove"):
            box = row.get_by_role("button", name=name, exact=True).bounding_box()
            assert 0 <= box["x"] <= box["x"] + box["width"] <= width, (name, width)


def test_an_uploaded_truth_gives_scores_and_an_error_map(visit, drawn: tuple[Path, Path], tmp_path: Path) -> None:
    photo, mask = drawn
    other = tmp_path / "small.png"
    Image.new("L", (10, 10), 1).save(other)
    page = visit("Segment")
    bring(page, photo)
    staged(page, "drawn.jpg")
    open_section(page, "Ground truth")
    upload = page.locator(".st-key-drop-truth input[type=file]")
    upload.set_input_files(str(other))
    page.get_by_text("a mask must have the photo's size").wait_for()
    page.get_by_role("button", name="Remove this mask").click()
    page.get_by_text("How accurate is it?").wait_for()
    upload.set_input_files(str(mask))
    page.get_by_text("Read as trimap codes").wait_for()
    picture(page, "The model's errors")
    score = page.get_by_test_id("stMetricValue").first.inner_text()
    assert 0 < float(score) <= 1


def test_bad_files_get_their_sentences_beside_good_photos_and_all_go_into_one_zip(
    visit, cat: Path, drawn: tuple[Path, Path], tmp_path: Path
) -> None:
    broken, text, packed = tmp_path / "broken.jpg", tmp_path / "notes.jpg", tmp_path / "packed.png"
    broken.write_bytes(cat.read_bytes()[:4000])
    text.write_text("not a photo at all")
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.txt", "a")
    page = visit("Segment")
    bring(page, broken, cat, text, packed, drawn[0])
    page.get_by_text("Download all 2").wait_for()
    for words in ("broken.jpg is damaged or incomplete", "notes.jpg is not a photo", "packed.png is not a photo"):
        page.get_by_text(words).wait_for()
    _, data = taken(page, "Everything as one ZIP")
    archive = zipfile.ZipFile(io.BytesIO(data))
    rows = list(csv.DictReader(io.TextIOWrapper(archive.open("statistics.csv"), "utf-8")))
    assert [bool(row["error"]) for row in rows] == [True, False, True, True, False]
    assert {"chelsea_mask.png", "drawn_cutout.png", "contact_sheet.pdf"} <= set(archive.namelist())
    page.get_by_role("button", name="chelsea.jpg", exact=False).first.click()
    page.get_by_role("button", name="All photos").wait_for()
    page.wait_for_url("**open=*")
    page.go_back()
    page.get_by_text("Download all 2").wait_for()
    page.get_by_role("button", name="Remove all").click()
    page.get_by_text("No photo at hand?").wait_for()


def test_a_file_above_the_limit_says_so_where_it_was_dropped(visit, tmp_path: Path) -> None:
    huge = tmp_path / "huge.zip"
    huge.write_bytes(bytes(101 * 2**20))
    page = visit("Segment")
    bring(page, huge)
    sentence = page.get_by_text("must be 100")
    sentence.wait_for()
    assert sentence.bounding_box()["width"] > 60


def test_files_that_cannot_be_used_are_named_beside_good_photos(visit, cat: Path, tmp_path: Path) -> None:
    huge, text = tmp_path / "huge.jpg", tmp_path / "notes.txt"
    huge.write_bytes(bytes(26 * 2**20))
    text.write_text("not a photo")
    page = visit("Segment")
    accepted = page.locator(".st-key-drop input[type=file]").get_attribute("accept").split(",")
    assert {"image/*", ".zip", ".heic", ".avif"} <= {each.strip() for each in accepted}
    bring(page, huge, cat, text)
    staged(page, "chelsea.jpg")
    settled(page)
    chips = page.locator("[data-testid=stFileChip]:visible")
    assert [chip.inner_text().splitlines()[0] for chip in chips.all()] == ["notes.txt"]
    page.get_by_text("A photo may have 25\u202fMB. Skipped: huge.jpg.").wait_for()
    page.get_by_text("text/plain files are not allowed").wait_for()


@pytest.mark.slow
def test_a_zip_of_two_hundred_photos_is_segmented_while_its_first_ones_are_looked_at(visit, tmp_path: Path) -> None:
    packed = tmp_path / "trip.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(210):
            picture = draw_pet(7, TEST_START + number % 5, (48, 64))[0]
            picture[0, 0] = number  # no two are equal
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, "PNG")
            archive.writestr(f"trip/{number:03}.png", buffer.getvalue())
    page = visit("Segment")
    bring(page, packed)
    tiles = page.get_by_role("list", name="Photos").get_by_role("listitem")
    tiles.nth(199).wait_for(timeout=60_000)
    page.get_by_role("progressbar").wait_for()
    page.get_by_text("The limit is 200 photos. Skipped: 200.png, 201.png, 202.png and 7 more.").wait_for()
    assert page.get_by_test_id("stFileChip").locator("visible=true").count() == 0
    page.get_by_role("button", name="000.png").first.click()  # before the last one is done
    staged(page, "000.png", "")
    page.get_by_role("button", name="All photos").click()
    page.get_by_text("Download all 200 photos").wait_for(timeout=300_000)
    assert tiles.count() == 200
    tiles.nth(199).scroll_into_view_if_needed()
    last = tiles.nth(199).get_by_role("img")
    page.wait_for_function("image => image.complete && image.naturalWidth > 10", arg=last.element_handle())
    page.get_by_role("button", name="Statistics (CSV)").click()  # of many photos, it is prepared first
    offered = page.get_by_role("button", name="Download statistics.csv")
    offered.wait_for(timeout=120_000)
    data = taken(page, offered.inner_text().split("\n")[-1])[1]
    assert len(data.decode("utf-8-sig").splitlines()) == 201


def test_all_engines_are_measured_in_a_process_of_their_own(visit) -> None:
    page = visit("Segment?sample=cat&look=Speed")
    page.get_by_role("button", name="Measure here").click()
    page.get_by_text("Median milliseconds").wait_for(timeout=MEASURE_PATIENCE)


def test_the_last_of_quick_clicks_on_sections_is_the_one_shown(visit) -> None:
    """A page that takes the choice from each run's message loses a click between that of the run before and its own."""
    page = visit("Segment?sample=cat")
    staged(page, "chelsea.png")
    for last in ("Download", "Speed", "Download"):
        for name in ("View", "Compare", last):
            page.get_by_role("radio", name=name, exact=True).click()
        page.wait_for_url(f"**look={last}*")
        page.get_by_text({"Download": "Mask in codes", "Speed": "from file to mask"}[last]).first.wait_for()
        settled(page)
        assert page.get_by_role("radio", name=last, exact=True).is_checked()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_section_fits_the_screen(visit, screenshots, size, theme) -> None:
    page = visit("Segment?sample=cat", size, theme)
    staged(page, "chelsea.png")
    for name in SECTIONS:
        open_section(page, name)
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= size[0]
        if screenshots:
            file = f"segment-{name.lower().replace(' ', '-')}-{size[0]}-{theme}.png"
            full_height(page, screenshots / "pages" / file)
