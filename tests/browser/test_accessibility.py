"""Every page with real content against axe-core's rules, in both themes; and what a finger and a keyboard need."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_in_the_browser import darken, settled
from tests.helpers.made_runs import made_run
from ui.shared import frame
from unet_core.data.own import example_archive
from unet_core.images.samples import cat_png

axe_core = pytest.importorskip("axe_playwright_python.base", reason="pip install -r requirements-dev.txt")

pytestmark = pytest.mark.browser

BUILD_PATIENCE = 240_000  # milliseconds for the catalogue of all synthetic pets, on a busy machine
FINGER = 38  # pixels, the least height of what a finger has to hit
GRAVE = ("serious", "critical")
# Markup that Streamlit draws and the app cannot change: (rule, selector of the element or what is around it).
STREAMLITS_OWN = (
    ("scrollable-region-focusable", "[data-testid=stCode]"),  # a long line of st.code scrolls, but takes no focus
    ("svg-img-alt", "[data-testid=stMetricChart]"),  # Vega draws an empty group for the points of st.metric's line
)
FIND_GRAVE = """async ([only, grave, exempt]) => {
    const options = {resultTypes: ["violations"], ...(only.length ? {runOnly: only} : {})}
    const found = (await axe.run(document, options)).violations.filter(rule => grave.includes(rule.impact))
    const deep = path => path.flat().reduce((at, selector) => (at.shadowRoot ?? at).querySelector(selector), document)
    const own = (rule, node) => !exempt.some(([id, around]) => id === rule.id && deep(node.target)?.closest(around))
    return found.flatMap(rule => rule.nodes.filter(node => own(rule, node)).map(
        node => `${rule.id}: ${node.html.slice(0, 160)} (${[...node.any, ...node.all, ...node.none][0]?.message})`
    ))
}"""


@pytest.fixture
def run_id(folders: dict[str, Path]) -> Iterator[str]:
    """A finished run that nobody has trained, there while the test lasts."""
    run = made_run(folders["runs"] / "20260101-000000-tiny", name="A tiny run")
    yield run.path.name
    shutil.rmtree(run.path)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """A good photo and a damaged one."""
    good, damaged = tmp_path / "chelsea.jpg", tmp_path / "damaged.jpg"
    Image.open(io.BytesIO(cat_png())).save(good, quality=92)
    damaged.write_bytes(good.read_bytes()[:4000])
    return [good, damaged]


def bring(page, where: str, files: list[Path]) -> None:
    page.locator(f"{where} input[type=file]").first.set_input_files([str(file) for file in files])


def grave_findings(page, *only: str) -> list[str]:
    """Return what axe-core calls serious or critical and is not Streamlit's own; `only` names rules."""
    settled(page)
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size(
        {"width": WIDE[0], "height": max(height, WIDE[1])}
    )  # axe skips what is scrolled out of sight
    settled(page)
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(axe_core.AXE_FILE_PATH.read_text(encoding="utf-8"))
    return page.evaluate(FIND_GRAVE, [list(only), GRAVE, STREAMLITS_OWN])


def test_axe_finds_nothing_serious_on_any_page_in_either_theme(visit, app: str, run_id, photos, tmp_path) -> None:
    archive = tmp_path / example_archive.NAME
    archive.write_bytes(example_archive.example_archive())
    page, found = visit(), {}

    def opened(query: str) -> Callable[[], None]:
        return lambda: page.goto(f"{app}/{query}")

    def many_photos() -> None:
        page.goto(f"{app}/Segment")
        bring(page, ".st-key-drop", photos)

    def own_dataset() -> None:
        page.goto(f"{app}/Data?data=Synthetic+pets&section=Bring+your+own")
        page.get_by_text("Upload a dataset").wait_for()
        bring(page, "", [archive])

    def real_pixels() -> None:
        page.goto(f"{app}/Architecture?tab=Experiment")
        page.get_by_text("A layer on real pixels").click()
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")

    scenes = {
        "home": (opened(""), "Segmented in"),
        "layers": (opened("Architecture?layer=encoder4_conv1"), "encoder4_conv1"),
        "doctor": (opened("Architecture?preset=keras_basic&height=250&tab=Shape+doctor"), "Which sizes work"),
        "code": (opened("Architecture?preset=keras_basic&tab=Code"), "import keras"),
        "pixels": (real_pixels, "the sum of 27 products"),
        "no photo": (opened("Segment"), "No photo at hand?"),
        "view": (opened("Segment?sample=cat"), "Download this view"),
        "compare": (opened("Segment?sample=cat&look=Compare"), "Pixels that agree"),
        "download": (opened("Segment?sample=cat&look=Download"), "Everything"),
        "photos": (many_photos, "is damaged or incomplete"),  # and the sample, which the new session takes over
        "form": (opened("Train"), "Start the 60-second demo"),
        "mixture": (opened('Train?mix=[{"dataset":"Oxford-IIIT Pet","share":25}]'), "gets the rest"),
        "run": (opened(f"Train?run={run_id}"), "A tiny run"),
        "figures": (opened("Results?figures=Compare"), "Published figures"),
        "reliability": (opened("Results?figures=Reliability"), "What makes it fail?"),
        "browse": (opened("Data?data=Synthetic+pets&section=Browse"), "Click one"),
        "augmentation": (opened("Data?data=Synthetic+pets&section=Augmentation"), "draw 8"),
        "own": (own_dataset, "How the masks were read"),
    }
    for name, (open_scene, ready) in scenes.items():
        page.emulate_media(color_scheme="light")
        open_scene()
        page.get_by_text(ready).first.wait_for(timeout=BUILD_PATIENCE if name == "browse" else 60_000)
        found[name] = grave_findings(page)
        darken(page)
        found[f"{name}, dark"] = grave_findings(page, "color-contrast")
    listed = [f"{name}: {finding}" for name, findings in found.items() for finding in findings]
    assert not listed, "\n".join(listed)


def test_a_phone_closes_its_menu_scrolls_only_down_and_offers_targets_for_fingers(visit) -> None:
    page = visit("", NARROW, touch=True)
    page.get_by_text("Segmented in").wait_for()
    menu = page.get_by_test_id("stSidebar")
    for entry in (*frame.PAGES[1:], frame.HOME):
        settled(page)
        page.get_by_test_id("stExpandSidebarButton").tap()
        link = menu.get_by_role("link", name=entry.name)
        link.wait_for()
        assert link.bounding_box()["height"] >= FINGER
        link.tap()
        page.locator("[data-testid=stSidebar][data-collapsed=true]").wait_for(state="attached")
        page.get_by_role("heading", level=1).filter(has_text=re.compile(f"^({entry.name}|{frame.PRODUCT})")).wait_for()
        settled(page)
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= NARROW[0]
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]
        for target in page.get_by_role("radio").all():
            assert target.bounding_box()["height"] >= FINGER, target.inner_text()
    page.emulate_media(reduced_motion="reduce")
    motion = page.get_by_test_id("stSidebar").evaluate("menu => getComputedStyle(menu).transitionDuration")
    assert float(motion.removesuffix("s")) < 0.001
