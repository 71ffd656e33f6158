"""What pages keep in the address: declared once, read and written in one place, and carried by links."""

from __future__ import annotations

import re
from importlib import import_module
from itertools import combinations
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.helpers.pages import opened_page
from ui.architecture import options as architecture
from ui.architecture import state
from ui.data import options as data
from ui.results import options as results
from ui.segment import options as segment
from ui.shared import frame, url
from ui.shared.url import DEPENDS, Option
from ui.train import options as train
from unet_core.architecture.presets import PRESETS
from unet_core.data.augmentation import AugmentationConfig
from unet_core.segment.tiles import MAX_OVERLAP
from unet_core.settings import ROOT

PAGES = {
    frame.ARCHITECTURE: architecture,
    frame.SEGMENT: segment,
    frame.TRAIN: train,
    frame.RESULTS: results,
    frame.DATA: data,
}


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("data", "runs", "cache", "datasets"):
        monkeypatch.setenv(f"UNET_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.chdir(ROOT)


def open_page(page: frame.Page, /, **asked: str) -> AppTest:
    return opened_page(page, asked, 60)


def follow(app: AppTest, page: frame.Page, link: dict[str, str]) -> AppTest:
    """Follow a link to a page, as the browser does."""
    app.switch_page(page.script)
    app.query_params.clear()
    app.query_params.update(link)
    app.run()
    assert not app.exception
    return app


def test_one_module_alone_reads_and_writes_the_address() -> None:
    sources = [*ROOT.glob("ui/**/*.py"), *ROOT.glob("pages/*.py"), ROOT / "streamlit_app.py"]
    touching = [path for path in sources if re.search(r"st\.query_params|bind=|\"query-params\"", path.read_text())]
    assert touching == [ROOT / "ui" / "shared" / "url.py"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_declares_each_of_its_options_once(page: frame.Page) -> None:
    module = PAGES[page]
    names = [option.name for option in module.OPTIONS]
    assert len(set(names)) == len(names)
    assert {option.name for option in vars(module).values() if isinstance(option, Option)} <= set(names)
    assert "options=options.OPTIONS" in (ROOT / page.script).read_text()


def test_pages_share_no_parameter_but_the_augmentation() -> None:
    """Streamlit takes a parameter of the page that is left out of a link to another."""
    for one, other in combinations(PAGES.values(), 2):
        shared = {option.name for option in one.OPTIONS} & {option.name for option in other.OPTIONS}
        assert shared <= {train.AUGMENTATION.name}


@pytest.mark.parametrize(
    ("page", "module", "more"),
    [
        (frame.DATA, data, {"data": "synthetic"}),
        (frame.RESULTS, results, {}),
        (frame.SEGMENT, segment, {"sample": "cat"}),
    ],
    ids=lambda given: getattr(given, "name", ""),
)
def test_an_unknown_section_is_reported_and_not_remembered(page: frame.Page, module, more: dict[str, str]) -> None:
    section: Option = module.SECTION
    app = open_page(page, **{section.name: "Nothing"}, **more)
    assert f"{section.name}: must be one of {section.choices[0]}" in warnings(app)
    assert app.segmented_control(key=section.name).value == section.default
    assert section.name not in app.session_state[url.REMEMBERED].get(page.name, {})


@pytest.mark.parametrize("page", [page for page in PAGES if page != frame.ARCHITECTURE], ids=lambda page: page.name)
def test_a_page_opened_without_parameters_shows_the_declared_defaults(page: frame.Page) -> None:
    asked = {"sample": "cat"} if page == frame.SEGMENT else {}
    app = open_page(page, **asked)
    kinds = ("selectbox", "segmented_control", "slider", "toggle", "number_input", "text_input", "radio")
    widgets = {widget.key: widget.value for kind in kinds for widget in getattr(app, kind)}
    found = {option.name: widgets[option.name] for option in PAGES[page].OPTIONS if option.name in widgets}
    assert found
    for option in PAGES[page].OPTIONS:
        if option.name in found and option.default is not DEPENDS:
            assert found[option.name] == option.default, option.name
    assert app.session_state[url.REMEMBERED][page.name] == asked


@pytest.mark.slow
def test_a_link_carries_what_the_form_has_been_changed_to_and_nothing_else() -> None:
    app = open_page(frame.TRAIN, utm_source="mail")
    app.number_input(key="epochs").set_value(3).run()
    app.selectbox(key="optimizer").set_value("sgd").run()
    app.slider(key="augmentation.zoom").set_value((0.5, 2.0)).run()
    link = app.session_state[url.REMEMBERED][frame.TRAIN.name]
    assert link == {"epochs": "3", "optimizer": "SGD with momentum", "augmentation.zoom": ["0.5", "2"]}
    again = open_page(frame.TRAIN, **link)
    assert again.number_input(key="epochs").value == 3
    assert again.selectbox(key="optimizer").value == "sgd"
    assert again.slider(key="augmentation.zoom").value == (0.5, 2.0)


def test_a_link_carries_a_choice_as_its_widget_writes_it() -> None:
    assert data.BREED.written("american_bulldog") == "american bulldog"
    assert data.PAGE.written(2.0) == "2"
    assert segment.OUTLINE.written(False) == "false"
    assert train.SMOOTHING.written((0.5, 1.0)) == ["0.5", "1"]
    assert train.SMOOTHING.written(None) == ""


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["ronneberger2015", "keras_basic"])
def test_train_it_trains_the_network_that_is_shown(preset: str) -> None:
    app = open_page(frame.ARCHITECTURE, preset=preset)
    view = app.session_state[state.STATE]
    link = {train.BUILT.name: state.written(view.config, view.preset), train.NETWORK.name: train.BUILT_NETWORK}
    assert all(link.values()), "Streamlit leaves a parameter without a value out"
    app = follow(app, frame.TRAIN, link)
    assert app.selectbox(key=train.NETWORK.name).value == train.BUILT_NETWORK
    assert app.number_input(key="model.height").value == PRESETS[preset].config.height


@pytest.mark.slow
def test_a_section_of_one_page_is_none_of_another() -> None:
    app = open_page(frame.RESULTS, figures="Reliability")
    app = follow(app, frame.DATA, {"section": "Pitfalls"})
    assert app.session_state["section"] == "Pitfalls"
    assert app.session_state[url.REMEMBERED] == {
        frame.RESULTS.name: {"figures": "Reliability"}, frame.DATA.name: {"section": "Pitfalls"}
    }  # fmt: skip


@pytest.mark.slow
def test_an_option_that_a_link_leaves_out_has_its_default_there() -> None:
    app = open_page(frame.ARCHITECTURE, preset="subclassed", tab="Code")
    app.switch_page(frame.DATA.script).run()
    assert follow(app, frame.ARCHITECTURE, {}).session_state[state.STATE] == state.View()


def warnings(app: AppTest) -> str:
    return "\n".join(str(warning.value) for warning in app.warning).replace("\\", "")


@pytest.mark.slow
def test_one_value_that_cannot_be_used_is_said_once_and_the_others_are_kept() -> None:
    app = open_page(frame.TRAIN, epochs="many", limit="64", loss="Dice", optimizer="x", utm_source="mail")
    assert "epochs: cannot have this value. Received: 'many'" in warnings(app)
    assert "optimizer: must be one of Adam, AdamW, SGD with momentum. Received: 'x'" in warnings(app)
    assert "utm_source" not in warnings(app)
    assert app.number_input(key="limit").value == 64
    assert app.selectbox(key="loss").value == "dice"
    assert "cannot be used" not in warnings(app.run())
    app = open_page(frame.RESULTS, breeds="sideways", cost="file size")
    assert "breeds: must be one of best first, worst first, by name. Received: 'sideways'" in warnings(app)
    assert app.segmented_control(key="cost").value == "file size"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_default_and_no_choice_is_refused(page: frame.Page) -> None:
    for option in PAGES[page].OPTIONS:
        assert not any(option.refuses(choice) for choice in option.choices)
        if option.default is not DEPENDS and option.default != "":
            assert not option.refuses(option.written(option.default)), option.name
    assert not open_page(page).warning


def test_what_two_modules_say_about_a_default_is_the_same() -> None:
    from unet_core.segment import InferenceMode

    assert segment.OVERLAP.default == round(100 * InferenceMode.overlap) <= round(100 * MAX_OVERLAP)
    assert AugmentationConfig().paste_background == 1
    assert import_module("ui.segment.views").VIEWS[0] == segment.SHOW.default


# --- hostile addresses ------------------------------------------------------------------------------------------------

HOSTILE = {
    "300": "x" * 300,
    "10 000": "x" * 10_000,
    "control": "a\x07b\x1b[31m",
    "null": "run\0",
    "parent": "../../etc/passwd",
    "absolute": "/etc/passwd",
    "hidden": ".unpacking-abc",
    "reversed": "gnp\u202egpj.exe",
    "html": "<img src=x onerror=alert(1)>",
    "markdown": "[x](javascript:alert(1)) **b** $x$ :red[y]",
    "number": "1e999",
    "list": ",,,,",
}


def shown_texts(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.error, app.warning, app.info)
    return "\n".join(str(element.value) for elements in kinds for element in elements)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("text", list(HOSTILE.values())[::2], ids=list(HOSTILE)[::2])
def test_no_text_in_the_address_takes_a_page_down_or_shows_a_path(page: frame.Page, text: str, tmp_path: Path) -> None:
    names = [option.name for option in PAGES[page].OPTIONS]
    app = open_page(page, **dict.fromkeys(names, text))
    shown = shown_texts(app)
    assert "Errno" not in shown
    assert "Traceback" not in shown
    assert str(tmp_path) not in shown.replace("\\", "")
    assert "x" * 200 not in shown
    assert "<img" not in shown.replace("\\<", "")


@pytest.mark.parametrize(
    ("page", "name", "text"),
    [
        (frame.TRAIN, "run", HOSTILE["300"]),
        (frame.TRAIN, "run", HOSTILE["10 000"]),
        (frame.TRAIN, "run", HOSTILE["null"]),
        (frame.TRAIN, "run", HOSTILE["reversed"]),
        (frame.TRAIN, "like", HOSTILE["null"]),
        (frame.DATA, "data", HOSTILE["300"]),
        (frame.SEGMENT, "model", HOSTILE["reversed"]),
    ],
)
def test_names_that_can_be_no_folder_are_answered_in_a_sentence(page: frame.Page, name: str, text: str) -> None:
    app = open_page(page, **{name: text})
    assert app.title
    assert app.warning


def test_a_malformed_parameter_is_named_and_treated_as_absent() -> None:
    app = open_page(frame.DATA, search="cat\x00", view="x" * 5_000)
    (warning,) = [entry.value.replace("\\", "") for entry in app.warning if "Ignored" in entry.value]
    assert "search: cannot have control or invisible characters. Received: 'cat\\x00'".replace("\\", "") in warning
    assert "view: cannot have 5000 characters" in warning
