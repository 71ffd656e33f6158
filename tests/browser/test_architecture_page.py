"""The Architecture page as a visitor uses it: choose a layer, break a size and fix it, send a link."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import WIDE
from tests.browser.test_in_the_browser import choose, full_height, settled
from ui.architecture.experiment_subject import SIDE
from ui.home.live_example import sample_photo
from unet_core.explain.trained_layers import trained_network
from unet_core.images.decode import decode_image
from unet_core.images.samples import SAMPLES
from unet_core.settings import get_settings
from unet_core.zoo.manifest import load_manifest

pytestmark = pytest.mark.browser

SIZES = {390: 844, 1280: 800, 1920: 1080}


@pytest.fixture
def architecture(visit) -> Callable:
    """Open the page and return it, with the diagram and, unless another section is asked for, the table there."""

    def open_page(query: str = "", size: tuple[int, int] = WIDE, theme: str = "light", *, touch: bool = False):
        page = visit(f"Architecture{query}", size, theme, touch=touch)
        page.locator(".view svg.u-diagram[width]").first.wait_for()
        if "tab=" not in query:
            row(page, "encoder1").wait_for()
        settled(page)
        return page

    return open_page


def row(page, name: str, *, selected: bool = False):
    return page.locator(f"tr[data-name='{name}']{'[aria-selected=true]' if selected else ''}")


def in_sight(page, name: str) -> bool:
    """Tell whether a row lies within the part of the table that is shown."""
    return row(page, name).evaluate(
        """row => {
            const shown = row.closest(".scroll").getBoundingClientRect(), own = row.getBoundingClientRect()
            return own.top >= shown.top && own.bottom <= shown.bottom
        }"""
    )


def test_a_block_chosen_in_the_diagram_is_the_table_s_row_and_the_other_way_round(architecture) -> None:
    page = architecture("?preset=keras_basic")
    page.locator(".box[data-key='decoder1_conv1'] rect").click()
    row(page, "decoder1_conv1", selected=True).wait_for()
    page.get_by_role("heading", name="decoder1_conv1").wait_for()
    page.get_by_text("256×256×192 → conv 3×3, 64 filters, same padding → 256×256×64").wait_for()
    page.wait_for_url("**layer=decoder1_conv1*")
    assert in_sight(page, "decoder1_conv1")
    settled(page)
    row(page, "decoder1_conv2").click()
    page.locator(".box.selected[data-key='decoder1_conv2']").wait_for()
    page.get_by_role("heading", name="decoder1_conv2").wait_for()
    assert page.locator("tr[aria-selected=true]").count() == 1


def test_a_whole_block_chosen_in_the_diagram_opens_its_rows(architecture) -> None:
    page = architecture("?preset=pets&layer=encoder1")
    own = page.locator("tr[data-block=encoder4]")
    assert own.first.is_hidden()  # of so many layers only the blocks are shown
    page.locator(".tile[data-key=encoder4] text").first.click()
    row(page, "encoder4", selected=True).wait_for()
    page.get_by_role("heading", name="Encoder 4").wait_for()
    page.wait_for_url("**layer=encoder4*")
    assert own.first.is_visible()
    assert in_sight(page, "encoder4")
    names = page.locator("tr[aria-selected=true]").evaluate_all("rows => rows.map(row => row.dataset.block)")
    assert names == ["", *["encoder4"] * own.count()]
    settled(page)
    row(page, "bottleneck").click()
    page.locator(".tile.selected[data-key=bottleneck]").wait_for()
    page.get_by_role("heading", name="Bottleneck").wait_for()
    row(page, "bottleneck").focus()
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "layer=" not in url)
    page.locator(".tile.selected[data-key=encoder1]").wait_for()  # the first block, as at the start


def test_blocks_fold_and_rows_are_chosen_with_the_keyboard(architecture) -> None:
    page = architecture("?preset=keras_basic")
    page.get_by_role("button", name="Fold all blocks").click()
    row(page, "encoder1_conv1").wait_for(state="hidden")
    row(page, "encoder1").focus()
    page.keyboard.press("ArrowRight")
    row(page, "encoder1_conv1").wait_for()
    assert row(page, "encoder2_conv1").is_hidden()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="encoder1_conv1").wait_for()
    page.wait_for_url("**layer=encoder1_conv1*")
    assert row(page, "encoder2_conv1").is_hidden()  # what was folded stays so
    settled(page)
    page.get_by_role("button", name="old all blocks").click()
    for _ in range(2):
        if row(page, "encoder1_conv1").is_visible():
            page.get_by_role("button", name="old all blocks").click()
    row(page, "encoder1_conv1").wait_for(state="hidden")
    assert page.locator("tr[tabindex='0']").get_attribute("data-name") == "encoder1"  # Tab still reaches the table


def test_a_broken_size_is_explained_and_marked_and_one_click_fixes_it(architecture) -> None:
    page = architecture("?preset=keras_basic")
    height = page.get_by_role("spinbutton", name="Height")
    height.fill("250")
    height.press("Enter")
    page.get_by_text("encoder2_pool dropped the odd row or column (125 → 62)").first.wait_for()
    page.locator(".box.failed").first.wait_for()
    page.locator("tr.problem", has_text="125×128 ≠ 124×128").wait_for()
    page.wait_for_url("**height=250*")
    settled(page)
    page.get_by_role("button", name="Use 248×256").click()
    page.get_by_text("This network breaks").wait_for(state="detached")
    page.locator(".box.failed").first.wait_for(state="detached")
    page.wait_for_url("**height=248*")
    page.go_back()
    page.get_by_text("This network breaks").wait_for()


def test_what_trackers_add_to_an_address_stays_and_changes_nothing(architecture) -> None:
    page = architecture("?preset=keras_basic&depth=3&utm_source=mail")
    assert page.get_by_role("spinbutton", name="Depth").input_value() == "3"
    page.get_by_role("spinbutton", name="Depth").fill("2")
    page.get_by_role("spinbutton", name="Depth").press("Enter")
    page.wait_for_url("**depth=2*")
    assert "utm_source=mail" in page.url


def test_train_it_leads_to_the_paper_s_own_network(architecture) -> None:
    page = architecture()
    page.get_by_role("link", name="Train it").click()
    page.wait_for_url("**built=*")
    page.get_by_role("button", name="Start the 60-second demo").wait_for()
    assert page.get_by_role("combobox", name="Network").input_value() == "from the Architecture page"
    assert "preset" in page.url
    settled(page)
    page.go_back()  # once
    page.wait_for_url("**/Architecture")
    page.locator(".view svg.u-diagram[width]").first.wait_for()


# --- the explanation beside the click ---------------------------------------------------------------------------------


def place(page, selector: str) -> dict[str, float]:
    return page.locator(selector).first.bounding_box()


def test_the_first_block_is_explained_at_the_start_beside_the_diagram_and_steps_lead_on(architecture) -> None:
    page = architecture()
    page.locator(".tile.selected[data-key=encoder1]").wait_for()
    panel = page.locator(".st-key-architecture-panel")
    panel.get_by_role("heading", name="Encoder 1").wait_for()
    diagram, beside = place(page, ".st-key-architecture-figure .view"), place(page, ".st-key-architecture-panel")
    assert beside["x"] >= diagram["x"] + diagram["width"]
    assert beside["y"] < diagram["y"] + 40
    panel.get_by_role("button", name="Next").click()
    panel.get_by_role("heading", name="encoder1_conv1").wait_for()
    page.wait_for_url("**layer=encoder1_conv1*")
    settled(page)
    panel.get_by_role("button", name="Previous").click()
    page.locator(".tile.selected[data-key=encoder1]").wait_for()


@pytest.mark.parametrize("preset", ["ronneberger2015", "pets", "pets_fast", "keras_basic"])
def test_the_diagram_s_texts_have_at_least_ten_pixels_at_1440(architecture, preset: str) -> None:
    page = architecture(f"?preset={preset}", (1440, 900))
    smallest = page.locator(".view svg.u-diagram").first.evaluate(
        """svg => {
            const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width
            return Math.min(...[...svg.querySelectorAll("text")].map(text => scale * text.getAttribute("font-size")))
        }"""
    )
    assert smallest >= 10


def test_at_1024_pixels_the_explanation_is_below_the_diagram(architecture) -> None:
    page = architecture("?layer=encoder2", (1024, 800))
    diagram, below = place(page, ".st-key-architecture-figure .view"), place(page, ".st-key-architecture-panel")
    assert below["y"] >= diagram["y"] + diagram["height"]
    assert below["width"] >= diagram["width"] - 1


def test_on_a_phone_the_u_comes_first_and_a_finger_finds_every_block(architecture) -> None:
    page = architecture(size=(390, 844), touch=True)
    diagram = place(page, ".st-key-architecture-figure .view")
    assert diagram["y"] + diagram["height"] < 844
    assert place(page, ".st-key-architecture-choices")["y"] > diagram["y"] + diagram["height"]
    for key, title in (("encoder2", "Encoder 2"), ("decoder1", "Decoder 1"), ("bottleneck", "Bottleneck")):
        tile = place(page, f".tile[data-key={key}] rect")
        below = tile["y"] + tile["height"] + 9  # beside its boxes, and still within a finger's reach
        page.touchscreen.tap(tile["x"] + tile["width"] / 2, below if key == "bottleneck" else tile["y"] - 9)
        page.locator(".st-key-architecture-panel").get_by_role("heading", name=title).wait_for()
        settled(page)


def test_a_refused_number_leaves_its_box_with_a_reason(architecture) -> None:
    page = architecture("?preset=keras_basic")
    height = page.get_by_role("spinbutton", name="Height")
    height.fill("0")
    height.press("Enter")
    page.get_by_text("height: must be at least 1. Received: 0").wait_for()
    settled(page)
    assert height.input_value() == "256"
    assert page.locator("[aria-invalid=true]").count() == 0


def test_a_copied_link_opens_the_same_page_for_someone_else(architecture) -> None:
    page = architecture("?preset=subclassed&filters=8,16,32&tab=Code&layer=bottleneck_conv2&batch=4")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    choose(page, "Skip connections", "pad the smaller")
    page.wait_for_url("**skip_mode=pad*")
    page.locator(".tile[data-key=bottleneck] text").click()
    page.locator(".tile.selected[data-key=bottleneck]").wait_for()
    page.get_by_role("button", name="Wide").click()
    page.get_by_role("button", name="Side by side").wait_for()
    page.wait_for_url("**wide=1*")
    settled(page)
    page.get_by_role("button", name="Copy link").click()
    page.get_by_role("button", name="Copied").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.split("?")[0].endswith("/Architecture")
    other = architecture(f"?{link.split('?')[1]}")
    other.locator(".tile.selected[data-key=bottleneck]").wait_for()
    other.get_by_role("button", name="Side by side").wait_for()
    other.get_by_text("import keras").first.wait_for()
    figures = [shown.get_by_test_id("stMetricValue").all_inner_texts() for shown in (page, other)]
    assert figures[0] == figures[1]
    assert other.get_by_role("textbox", name="Filters").input_value() == "8, 16, 32"
    assert other.get_by_role("spinbutton", name="Batch").input_value() == "4"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_the_page_fits_the_screen_in_both_themes(architecture, screenshots, width: int, theme: str) -> None:
    page = architecture("?preset=keras_basic&height=250&tab=Shape+doctor", (width, SIZES[width]), theme)
    page.get_by_text("Which sizes work").wait_for()
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
    if screenshots:
        full_height(page, screenshots / "pages" / f"architecture-broken-{width}-{theme}.png")
        paper = architecture("?layer=encoder4_conv1", (width, SIZES[width]), theme)
        paper.get_by_role("heading", name="encoder4_conv1").wait_for()
        full_height(paper, screenshots / "pages" / f"architecture-{width}-{theme}.png")


# --- a layer on real pixels -------------------------------------------------------------------------------------------


def test_the_numbers_behind_a_pixel_follow_the_mouse_and_the_arrow_keys(visit) -> None:
    page = visit("Architecture?tab=Experiment")
    page.get_by_text("A layer on real pixels").click()
    output = page.locator(".output .frame")
    output.wait_for()
    settled(page)
    output.scroll_into_view_if_needed()
    at = output.bounding_box()
    page.mouse.move(at["x"] + 40.5 / 112 * at["width"], at["y"] + 30.5 / 112 * at["height"])
    shown = page.locator(".sum")
    page.get_by_text("Pixel (row 30, column 40):").wait_for()
    assert result(shown.inner_text()) == expected_result(30, 40, page)
    output.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+ArrowLeft")
    page.get_by_text("Pixel (row 31, column 32):").wait_for()
    assert result(shown.inner_text()) == expected_result(31, 32, page)
    assert page.locator(".grid td").count() == 27
    for _ in range(12):  # to the right edge, where a column of the window is padding
        page.keyboard.press("Shift+ArrowRight")
    page.get_by_text("3 of the values are padding").or_(page.get_by_text("9 of the values are padding")).wait_for()


def result(words: str) -> float:
    return round(float(words.partition("→")[2].split()[0].rstrip(".").replace("−", "-")), 3)


def expected_result(row: int, column: int, page) -> float:
    """Compute the same pixel of the shipped model in Python, on the photo and the channel that the page shows."""
    channel = int(page.get_by_role("spinbutton", name="Channel").input_value())
    entry = load_manifest().entry("pets")
    photo = decode_image(sample_photo(next(iter(SAMPLES))).data, name="photo", max_side=SIDE, settings=get_settings())
    found = trained_network(entry, get_settings()).on_photo("stem_conv", photo)
    return round(found.arithmetic(channel).pixel(row, column).result, 3)
