"""The guided tour and the introduction: every step's link opens its page, and every step can be left."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.helpers import grid_buttons
from tests.helpers.tiny_model import write_tiny_model
from ui.shared import frame, tour
from unet_core.settings import ROOT

STEPS = [(name, number) for name, steps in tour.TOURS.items() for number in range(1, len(steps) + 1)]
SCRIPTS = {page.name: page.script for page in frame.PAGES}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def _environment(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(weights))
    monkeypatch.setenv("UNET_DATA_DIR", str(tmp_path / "no-data"))
    monkeypatch.setenv("UNET_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("UNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(ROOT)
    grid_buttons.install(monkeypatch)


def open_step(name: str, number: int) -> AppTest:
    app = AppTest.from_file(str(ROOT / frame.HOME.script), default_timeout=60)
    script = SCRIPTS[tour.TOURS[name][number - 1].page]
    if script != frame.HOME.script:
        app.switch_page(script)
    for key, value in tour.query(name, number).items():
        app.query_params[key] = value
    return app.run()


@pytest.mark.parametrize(("name", "number"), STEPS)
def test_the_link_of_every_step_opens_its_page_with_its_words(name: str, number: int) -> None:
    app = open_step(name, number)
    assert not app.exception
    step = tour.TOURS[name][number - 1]
    assert any(step.title in entry.value and f"{number} of" in entry.value for entry in app.markdown)
    assert step.text in [entry.value for entry in app.markdown]
    assert not any("Ignored in the address" in entry.value for entry in app.warning)
    assert not any("invalid and were ignored" in entry.value for entry in (*app.error, *app.info))
    assert app.button(key="tour-back").disabled == (number == 1)
    assert app.button(key="tour-next").disabled == (number == len(tour.TOURS[name]))


def named(app: AppTest) -> str:
    """Return the step in the address, which AppTest gives as a text or as a list."""
    value = app.query_params["tour"]
    return value if isinstance(value, str) else value[0]


def test_the_home_page_begins_both_and_leaving_ends_them() -> None:
    app = AppTest.from_file(str(ROOT / frame.HOME.script), default_timeout=60).run()
    assert not [entry for entry in app.button if entry.key == "tour-next"]
    app.button(key="start-basics").click().run()
    assert named(app) == "basics.1"
    app.button(key="tour-next").click().run()
    assert named(app) == "basics.2"
    app.button(key="tour-leave").click().run()
    assert "tour" not in app.query_params
    assert not [entry for entry in app.button if entry.key == "tour-next"]


@pytest.mark.parametrize(
    "text", ["", "show", "show.0", "show.99", "show.999999999999", "x.1", "show.²", "show.1.1", "."]
)
def test_an_address_that_names_no_step_shows_none(text: str) -> None:
    assert tour.place(text) is None
