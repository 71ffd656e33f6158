"""The section "Find your bug" of the Architecture page."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.ui.test_architecture_page import open_page, said
from ui.architecture import options, paste, state
from unet_core.foreign.messages import read_message


@pytest.fixture
def app() -> AppTest:
    return open_page(tab=options.BUGS)


def pasted(app: AppTest, text: str) -> AppTest:
    app.text_area(key=paste.PASTED).input(text)
    app.run()
    assert not app.exception
    return app


def test_an_error_is_explained_and_leads_to_the_layer(app: AppTest) -> None:
    pasted(app, paste.EXAMPLES["Two sizes at a merge"])
    words = said(app)
    assert "63 is odd" in words
    assert "decoder3_concat" in words
    assert "252 to 255" in words
    app.button(key=f"{paste.PASTED}-open-0").click().run()
    view = app.session_state[state.STATE]
    assert (view.preset, view.layer, view.config.height) == ("keras_basic", "decoder3_concat", 252)
    assert app.text_area(key=paste.PASTED).value  # the text stays


def test_what_is_not_an_error_is_said_to_be_unknown(app: AppTest) -> None:
    pasted(app, "Hello *world* <script>")
    assert "no error message that is known here" in app.info[0].value


@pytest.mark.parametrize("name", paste.EXAMPLES)
def test_an_example_fills_the_field(app: AppTest, name: str) -> None:
    app.button(key=f"{paste.PASTED}-{name}").click().run()
    assert app.text_area(key=paste.PASTED).value == paste.EXAMPLES[name]
    assert read_message(paste.EXAMPLES[name]).title.split("×")[0] in said(app).replace("\\", "")
