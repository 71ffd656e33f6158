"""The section "Find your bug" of the Architecture page."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from tests.foreign.test_files import small_u
from tests.ui.test_architecture_page import open_page, said
from ui.architecture import options, paste, pasted_error, pasted_network, state
from ui.architecture.pasted_examples import EXAMPLES
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
    pasted(app, EXAMPLES["Two sizes at a merge"])
    words = said(app)
    assert "63 is odd" in words
    assert "decoder3_concat" in words
    assert "252 to 255" in words
    app.button(key=f"{pasted_error.KEY}-open-0").click().run()
    view = app.session_state[state.STATE]
    assert (view.preset, view.layer, view.config.height) == ("keras_basic", "decoder3_concat", 252)
    assert view.tab == options.LAYERS


def test_what_is_not_an_error_is_said_to_be_unknown(app: AppTest) -> None:
    pasted(app, "Hello *world* <script>")
    assert "no error message that is known here" in app.info[0].value


@pytest.mark.parametrize("name", [name for name in EXAMPLES if "code" not in name.lower()])
def test_an_example_fills_the_field(app: AppTest, name: str) -> None:
    app.button(key=f"{paste.PASTED}-{name}").click().run()
    assert app.text_area(key=paste.PASTED).value == EXAMPLES[name]
    assert read_message(EXAMPLES[name]).title.split("×")[0] in said(app).replace("\\", "")


def test_code_is_read_and_its_line_is_marked_and_another_size_works(app: AppTest) -> None:
    pasted(app, EXAMPLES["Code with a bug"])
    assert "breaks at concatenate" in said(app)
    assert any("→ 20  " in block.value and "layers.concatenate([skip, x])" in block.value for block in app.code)
    assert "Called from line 25" in said(app)
    (table,) = app.dataframe
    assert list(table.value["Layer"])[:3] == ["input_layer", "conv2d", "conv2d_1"]
    app.button(key=f"{pasted_network.KEY}-size-304-304").click().run()
    assert "Your code works" in said(app)
    assert "304×304×3 → 304×304×3" in said(app)


def test_code_that_cannot_be_read_whole_says_what_is_left_out_and_what_is_assumed(app: AppTest) -> None:
    pasted(app, "def unet(n_classes):\n    x = Input((64, 64, 3))\n    y = mystery(x)\n    return Model(x, y)\n")
    assert "line 3: mystery(…)" in said(app)
    assert "n_classes of unet is not given" in said(app)
    pasted(app, "def f(:\n")
    assert "no complete Python source" in app.info[0].value


def test_a_pasted_config_and_a_file_are_read(app: AppTest) -> None:
    pasted(app, json.dumps(small_u()))
    assert "small works" in said(app)
    assert "A U of 2 levels" in said(app)
    app.file_uploader(key=f"{paste.PASTED}-file").upload(
        "other.json", json.dumps(small_u(48)).encode(), "application/json"
    )
    app.run()
    assert not app.exception
    assert "48×48×3 → 48×48×2" in said(app)


def test_code_that_the_page_can_draw_is_shown_in_its_diagram(app: AppTest) -> None:
    pasted(app, EXAMPLES["Code with a bug"])
    app.button(key=f"{pasted_network.KEY}-open").click().run()
    assert not app.exception
    config = app.session_state[state.STATE].config
    assert (config.depth, config.filters, config.height, config.upsampling) == (
        4,
        (32, 64, 128, 256),
        300,
        "transposed",
    )
    assert "This network breaks" in "".join(entry.value for entry in app.error) or any(app.error)


def test_a_tutorials_dictionary_opens_its_network(app: AppTest) -> None:
    pasted(app, "config = dict(num_unet_blocks=4, num_filters_start=16, input_height=140, input_width=140)")
    assert "140×140×3; 4 levels" in said(app)
    app.button(key=f"{pasted_network.KEY}-open").click().run()
    view = app.session_state[state.STATE]
    assert (view.preset, view.config.depth, view.config.base_filters) == ("machinecurve2022", 4, 16)
    again = open_page(tab=options.BUGS)
    pasted(again, "dict(num_unet_blocks=99)")
    assert "depth" in again.info[0].value
