"""The Architecture page, run as Streamlit runs it but without a browser."""

from __future__ import annotations

import ast
import csv
import dataclasses
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from ui.architecture import options, overview, state
from ui.architecture.code import FORMS, file_name, written
from ui.architecture.receptive_field import field_picture
from ui.architecture.share import files
from ui.components.u_diagram import u_diagram
from ui.shared import frame
from ui.shared.format import short
from unet_core.architecture import query
from unet_core.architecture.presets import PRESETS, preset_config
from unet_core.architecture.query import from_json
from unet_core.architecture.table import blocks, to_csv
from unet_core.architecture.trace import trace
from unet_core.explain.diagram import Diagram
from unet_core.explain.real_error import RealError
from unet_core.settings import ROOT


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("UNET_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.chdir(ROOT)


def open_page(**asked: str) -> AppTest:
    """Open the page by its own address in a fresh session."""
    app = AppTest.from_file(str(ROOT / frame.HOME.script), default_timeout=30)
    app.switch_page(frame.ARCHITECTURE.script)
    for name, value in asked.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def metric(app: AppTest, label: str) -> str:
    return next(entry.value for entry in app.metric if entry.label == label)


def said(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.error, app.warning, app.info, app.code)
    return "\n".join(str(element.value) for elements in kinds for element in elements).replace("\\", "")


def button(app: AppTest, label: str):
    return next(entry for entry in app.button if entry.label.replace("\\", "") == label)


def shown(app: AppTest) -> state.View:
    return app.session_state[state.STATE]


def address(app: AppTest) -> dict[str, str]:
    return {name: value if isinstance(value, str) else value[-1] for name, value in app.query_params.items()}


def set_to(app: AppTest, field: str, value: object) -> AppTest:
    app.get_by_key(f"architecture-{field}").set_value(value).run()
    assert not app.exception
    return app


# --- the first view ---------------------------------------------------------------------------------------------------


def test_the_papers_network_comes_first_with_its_published_figures() -> None:
    app = open_page()
    assert metric(app, "Output") == "388×388×2"
    assert metric(app, "Parameters") == "31\u202f030\u202f658"
    assert metric(app, "Weights") == "124\u202fMB"
    assert not app.error
    assert address(app) == {}


QUICK = ("keras_basic", "pets_fast")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in PRESETS]
)
def test_a_preset_is_one_choice_and_its_address_brings_it_back(name: str) -> None:
    app = open_page(preset=name)
    assert not app.error
    assert shown(app).config == preset_config(name)
    assert PRESETS[name].description.split(":")[0] in said(app)


def test_choosing_a_preset_changes_figures_and_address() -> None:
    app = set_to(open_page(), "preset", "subclassed")
    assert metric(app, "Parameters") == "1\u202f862\u202f849"
    assert address(app) == {"preset": "subclassed"}


# --- changing ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_change_goes_into_an_address_that_a_fresh_session_opens_again() -> None:
    app = set_to(open_page(), "preset", "keras_basic")
    for field, value in {
        "width": 320, "depth": 3, "normalization": "batch", "pooling": "average", "skip_mode": "pad",
        "preprocessing.scale": "symmetric", "convolution": "separable", "batch": 8, "filters": "12, 20, 44",
        "up_convolution": True, "channels": 1, "spatial_dropout": 0.25,
        "kernel_size": 5, "decoder_dropout": 0.1, "normalization_position": "after_activation",
    }.items():  # fmt: skip
        set_to(app, field, value)
    again = open_page(**address(app))
    assert shown(again) == shown(app)
    assert shown(again).config.filters == (12, 20, 44)
    assert [entry.value for entry in again.metric] == [entry.value for entry in app.metric]


def test_memory_follows_the_batch() -> None:
    one, eight = open_page(), open_page(batch="8")
    assert metric(one, "Training") == "1.3\u202fGB"
    assert metric(eight, "Training") == "10.1\u202fGB"
    assert metric(one, "Weights") == metric(eight, "Weights")


def test_what_a_change_forces_is_said() -> None:
    app = set_to(open_page(), "encoder", "efficientnet_b0")
    assert "This also changed: Channels 1 → 3, Padding valid (none) → same (zeros)" in said(app)
    assert not app.error
    assert shown(app).config.padding == "same"


def test_a_value_that_cannot_be_is_named_and_everything_stays() -> None:
    app = set_to(open_page(), "filters", "sixty-four")
    assert "filters: write one number" in said(app)
    assert app.text_input(key="architecture-filters").value == "64"
    assert shown(app) == state.View()
    set_to(app, "filters", "4096")
    assert "may not exceed 8192 at the deepest level" in said(app)
    set_to(app, "filters", "32")
    assert not app.error
    assert shown(app).config.base_filters == 32


def test_changes_are_listed_and_undone_together() -> None:
    app = open_page(preset="keras_basic", depth="5", normalization="group")
    assert "Depth 4 → 5" in said(app)
    assert "Normalization none → group" in said(app)
    button(app, "Undo all changes").click().run()
    assert address(app) == {"preset": "keras_basic"}


def test_the_page_is_as_it_was_after_a_visit_elsewhere() -> None:
    app = open_page(preset="keras_basic", depth="5", tab="Code")
    app.switch_page(frame.DATA.script).run()
    link = app.session_state["options"][frame.ARCHITECTURE.name]
    assert link == {"preset": "keras_basic", "depth": "5", "tab": "Code"}


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"depth": "1000000000"}, "depth: must be at most 6. Received: 1000000000"),
        ({"preset": "../../etc/passwd"}, "preset: there is no preset '../../etc/passwd'"),
        ({"batch": "0"}, "batch: must be a whole number from 1 to 4096. Received: '0'"),
        ({"wide": "yes"}, "wide: must be 1 or 0. Received: 'yes'"),
        ({"tab": "Nothing"}, "tab: must be one of Layers, Shape doctor"),
        ({"against": "depth=77"}, "against.depth: must be at most 6"),
        ({"layer": "x" * 500}, "layer: no layer has a name this long"),
        ({"padding": "<b>[x](y)"}, "padding: must be 'valid' or 'same'. Received: '<b>[x](y)'"),
    ],
)
def test_every_parameter_of_an_address_is_checked_and_the_others_are_kept(asked: dict[str, str], words: str) -> None:
    view, findings = state.read({"classes": "7", "normalization": "group", **asked})
    assert words in "; ".join(findings)
    assert (view.config.classes, view.config.normalization) == (7, "group")
    assert view == dataclasses.replace(state.View(), config=view.config)


def test_what_cannot_be_used_is_explained_and_the_rest_of_the_address_is_shown() -> None:
    app = open_page(preset="keras_basic", padding="<b>[x](y)", depth="1000000000", classes="5", tab="Code")
    assert len(app.error) == 1
    assert "depth: must be at most 6. Received: 1000000000" in said(app)
    assert "padding: must be 'valid' or 'same'. Received: '<b>[x](y)'" in said(app)
    assert "<b>" not in app.error[0].value.replace("\\<b\\>", "")
    config = preset_config("keras_basic").replace(classes=5)
    assert shown(app) == state.View(config, "keras_basic", tab="Code")


def test_a_parameter_that_nobody_knows_throws_nothing_away_and_stays() -> None:
    app = open_page(preset="subclassed", depth="4", utm_source="mail", fbclid="x")
    assert not app.error
    assert shown(app).config == preset_config("subclassed").replace(depth=4)
    set_to(app, "classes", 4)
    assert address(app) == {"preset": "subclassed", "depth": "4", "classes": "4", "utm_source": "mail", "fbclid": "x"}


def test_values_that_only_clash_leave_the_last_ones_out() -> None:
    view, findings = state.read({"encoder": "mobilenet_v2", "channels": "5", "encoder_weights": "imagenet"})
    assert "padding: must be 'same' with encoder 'mobilenet_v2'" in "; ".join(findings)
    assert view.config.channels == 5
    assert view.config.encoder == "none"


def test_many_findings_are_listed_briefly() -> None:
    strange = dict.fromkeys(list(query.fields())[:20], "<b>")
    words = open_page(**strange).error[0].value.replace("\\", "")
    assert "height: must be" in words
    assert re.search(r"and \d+ more", words)
    assert "depth:" not in words


@pytest.mark.slow
def test_a_bad_address_leaves_the_last_good_network_and_goes_away_with_the_next_change() -> None:
    app = set_to(open_page(), "preset", "subclassed")
    app.query_params["depth"] = "seven"
    app.run()
    assert "depth: " in said(app)
    assert shown(app).preset == "subclassed"
    set_to(app, "classes", 4)
    assert not app.error
    assert address(app) == {"preset": "subclassed", "classes": "4"}


@pytest.mark.slow
def test_what_other_pages_keep_in_the_address_is_passed_over() -> None:
    app = set_to(open_page(), "preset", "subclassed")
    app.query_params.clear()
    app.query_params["sample"] = "cat"
    app.run()
    assert not app.error
    assert shown(app).preset == "subclassed"
    assert not open_page(sample="cat", depth="3").error


def test_an_input_that_is_too_small_is_no_clash_of_two_shapes() -> None:
    words = said(open_page(preset="keras_basic", height="5", width="3", tab="Shape doctor"))
    assert "encoder2_pool: 2×1 is too small" in words
    assert "≠" not in words


def test_a_layer_that_the_network_does_not_have_is_named_and_the_first_block_shown() -> None:
    words = said(open_page(layer="decoder9_conv1"))
    assert "This network has no layer decoder9_conv1." in words
    assert "Level 1 of the contracting path" in words
    assert "has no layer" not in said(open_page())


def upload(app: AppTest, key: str, name: str, data: bytes) -> AppTest:
    app.file_uploader(key=key).upload(name, data)
    app.run()
    assert not app.exception
    return app


@pytest.mark.slow
def test_an_uploaded_configuration_is_shown_with_the_preset_it_is_nearest_to() -> None:
    config = preset_config("pets_fast").replace(height=160)
    app = upload(open_page(), "architecture-upload", "mine.json", config.to_json().encode())
    assert "Loaded mine.json." in said(app)
    assert shown(app).config == config
    assert address(app) == {"preset": "pets_fast", "height": "160"}


def test_uploads_that_are_no_configuration_are_refused_by_name() -> None:
    app = open_page(preset="subclassed")
    for data, words in (
        (b" " * 70_000, "is too large for a configuration"),
        (json.dumps({"depth": 10**9, "evil": {}}).encode(), "evil: is not a known field"),
    ):
        upload(app, "architecture-upload", "mine.json", data)
        assert len(app.error) == 1
        assert words in said(app)
        assert shown(app).preset == "subclassed"


@pytest.mark.parametrize(
    ("query", "words"),
    [({"base_filters": "512"}, "500 million parameters"), ({"height": "8000"}, "above 4096 pixels")],
)
def test_what_is_too_large_is_traced_and_marked(query: dict[str, str], words: str) -> None:
    app = open_page(**query)
    assert words in app.warning[0].value
    assert metric(app, "Output") != "none"


# --- when it breaks ---------------------------------------------------------------------------------------------------


def test_a_size_that_breaks_is_explained_and_fixed_in_one_click() -> None:
    app = set_to(set_to(open_page(), "preset", "keras_basic"), "height", 250)
    assert metric(app, "Output") == "none"
    assert "the height 125 is odd, encoder2_pool dropped the odd row or column (125 → 62)" in said(app)
    button(app, "Use 256×256").click().run()
    assert metric(app, "Output") == "256×256×1"
    assert not app.error
    assert address(app) == {"preset": "keras_basic"}


def test_the_doctor_lists_every_remedy_with_its_effect_and_the_sizes_around() -> None:
    app = open_page(preset="keras_basic", height="250", width="250", tab="Shape doctor")
    words = said(app)
    assert "The mask keeps the photo's 250×250" in words
    assert "red-badge[:material/close: 250]" in words
    assert "green-badge[:material/check: 256]" in words
    assert "another size than the photo" not in words
    button(app, "Pad with zeros").click().run()
    assert shown(app).config.skip_mode == "pad"
    assert metric(app, "Output") == "250×250×1"


def test_the_sizes_around_agree_with_the_verdict_above_them() -> None:
    cropped = said(open_page(preset="keras_basic", height="250", width="250", skip_mode="crop", tab="Shape doctor"))
    assert "250×250 works, but the mask is 248×248" in cropped
    assert "orange-badge[:material/crop: 250]" in cropped
    assert "another size than the photo" in cropped
    one = said(open_page(preset="keras_basic", height="250", tab="Shape doctor"))
    assert "red-badge[:material/close: 250]" in one
    assert "green-badge[:material/check: 256]" in one.partition("Width")[2]  # whatever the height does
    odd = said(open_page(height="580", width="580", tab="Shape doctor"))
    assert "encoder4_pool gets 65×65 and drops the odd last row and column" in odd
    assert "orange-badge[:material/align_vertical_bottom: 580]" in odd
    assert "green-badge[:material/check: 588]" in odd


def test_the_totals_of_a_network_that_breaks_are_lower_bounds() -> None:
    app = open_page(preset="keras_basic", height="250")
    assert metric(app, "Parameters").startswith("≥\u202f")
    assert "Only up to decoder2_concat, where the network breaks." in said(app)
    assert not metric(open_page(preset="keras_basic"), "Parameters").startswith("≥")


def test_a_number_out_of_range_is_refused_with_a_reason_and_its_widget_shows_the_value_that_counts() -> None:
    app = open_page()
    for field, wrong, kept, words in (
        ("height", 0, 572, "height: must be at least 1. Received: 0"),
        ("depth", 9, 5, "depth: must be at most 6. Received: 9"),
        ("batch", 0, 1, "batch: must be a whole number from 1 to 4096. Received: '0'"),
    ):
        set_to(app, field, wrong)
        assert words in said(app)
        assert app.number_input(key=f"architecture-{field}").value == kept
        assert shown(app) == state.View()


def test_the_costs_keep_the_network_s_order_when_blocks_come_and_go() -> None:
    for depth in ("3", "6"):
        chart = open_page(preset="keras_basic", depth=depth).get("vega_lite_chart")[0]
        order = json.loads(chart.proto.spec)["encoding"]["y"]["sort"]
        encoders = [f"Encoder {level}" for level in range(1, int(depth))]
        decoders = [f"Decoder {level}" for level in range(int(depth) - 1, 0, -1)]
        assert order == [*encoders, "Bottleneck", *decoders, "Head"]


def test_a_merge_shows_both_of_its_inputs_wherever_it_is_summed_up() -> None:
    app = open_page(preset="keras_basic")
    facts = next(data["facts"] for data in components(app) if "facts" in data)
    assert ["shape", "256×256×64 + 256×256×128 → 256×256×192"] in facts["decoder1_concat"]
    rows = [row for data in components(app) if "blocks" in data for block in data["blocks"] for row in block["rows"]]
    merge = next(row for row in rows if row["name"] == "decoder1_concat")
    assert "256×256×64 + 256×256×128" in merge["cells"]


@pytest.mark.slow
def test_a_receptive_field_of_the_whole_image_is_called_so() -> None:
    app = open_page(preset="keras_basic", normalization="group")
    assert metric(app, "Receptive field") == "whole image"
    assert "Each output pixel depends on the whole image" in said(app)
    app = open_page(preset="keras_basic", layer="decoder3_upsample")
    assert "windows of neighbouring pixels are 0 to 8\u202fpx apart" in said(app)


@pytest.mark.slow
def test_the_real_error_is_shown_beside_the_explanation(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def pretended(model: object, size: tuple[int, int]) -> RealError:
        asked.append((model, size))
        return RealError("error", "A `Concatenate` layer requires inputs with matching shapes", 2.0, "ValueError")

    monkeypatch.setattr("ui.architecture.doctor.real_error", pretended)
    app = open_page(preset="keras_basic", height="250", tab="Shape doctor")
    assert not asked
    button(app, "Show the real error").click().run()
    assert "ValueError: A `Concatenate` layer requires" in said(app)
    button(app, "Run it at 250×256").click().run()
    assert [(getattr(model, "height", model), size) for model, size in asked] == [
        (250, (250, 256)),
        ("no_padding", (250, 256)),
    ]


@pytest.mark.slow
def test_what_is_said_of_a_preset_is_answered_with_a_proof_that_keras_can_be_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def pretended(model: object, size: tuple[int, int]) -> RealError:
        asked.append((model, size))
        return RealError("worked", "572×572 works: its output is 388×388×2.", 2.0)

    monkeypatch.setattr("ui.architecture.doctor.real_error", pretended)
    app = open_page(tab="Shape doctor")
    assert "The U-Net paper (2015): what is said, and what is true" in said(app)
    assert "In fact: It answers for the middle 388×388 of 572×572 pixels" in said(app)
    assert "Part of the picture that it answers for: **46" in said(app)
    assert not asked
    button(app, "Ask Keras at 572×572").click().run()
    assert asked == [(preset_config("ronneberger2015"), (572, 572))]
    assert "its output is 388×388×2" in said(app)
    assert "Conv2DTranspose the merges fail" in said(open_page(preset="subclassed", tab="Shape doctor"))


@pytest.mark.slow
def test_the_size_of_an_uploaded_photo_becomes_the_inputs() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (123, 77)).save(buffer, "PNG")
    app = open_page(preset="keras_basic", tab="Shape doctor")
    upload(app, "architecture-photo-size", "rex.png", buffer.getvalue())
    assert shown(app).config.input_shape == (77, 123, 3)
    upload(app, "architecture-photo-size", "notes.png", b"this is text")
    assert "notes.png" in app.error[0].value
    assert shown(app).config.input_shape == (77, 123, 3)


# --- what is below ----------------------------------------------------------------------------------------------------


def test_a_layer_is_explained_with_its_own_numbers() -> None:
    app = open_page(layer="encoder4_conv1")
    words = said(app)
    assert "68×68×256 → conv 3×3, 512 filters, no padding → 66×66×512" in words
    assert "3·3·256·512 + 512" in words
    assert 'layers.Conv2D(512, 3, padding="valid"' in words
    assert "depends on up to 52×52\u202fpx of the input; windows of neighbouring pixels are 8\u202fpx apart" in words
    assert len(app.get("image")) == 1


def test_a_block_is_summed_up() -> None:
    words = said(open_page(layer="bottleneck"))
    assert "14\u202f157\u202f824** parameters" in words  # 9·512·1024 + 1024 + 9·1024·1024 + 1024
    assert "32×32×512 → 4 layers → 28×28×1024" in words
    assert "2 convolutions turn 512 channels into 1024" in words
    assert "**conv2** conv 3×3, 1\u202f024 filters, no padding → 28×28×1024" in words


@pytest.mark.parametrize("tab", options.APART)
def test_a_section_about_other_networks_stands_alone_and_the_network_comes_back(tab: str) -> None:
    app = open_page(tab=tab, height="256")
    assert not app.number_input
    app.get_by_key("architecture-show").set_value(options.CODE).run()
    assert not app.exception
    assert 256 in [entry.value for entry in app.number_input]


def components(app: AppTest) -> list[dict]:
    """Return what the page gives its components, in their order."""
    return [json.loads(entry.proto.json) for entry in app.get("bidi_component")]


def test_a_block_chosen_in_the_diagram_is_selected_everywhere_and_in_links(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def with_button(drawn: Diagram, *, on_choose: Callable[[str], None], **options: object) -> None:
        u_diagram(drawn, on_choose=on_choose, **options)
        st.button("Choose it", on_click=on_choose, args=("encoder2",))  # as the browser would

    monkeypatch.setattr(overview, "u_diagram", with_button)
    app = open_page(preset="subclassed")
    diagram = next(data for data in components(app) if "pictures" in data)
    assert 'class="tile" data-key="encoder2" data-block="encoder2"' in diagram["pictures"][0]["svg"]
    assert ["parameters", "221\u202f440"] in diagram["facts"]["encoder2"]  # 9·64·128 + 128 + 9·128·128 + 128
    button(app, "Choose it").click().run()
    assert not app.exception
    assert address(app) == {"preset": "subclassed", "layer": "encoder2"}
    assert [data["selected"] for data in components(app) if "selected" in data] == ["encoder2", "encoder2"]
    assert next(data["query"] for data in components(app) if "query" in data) == "?preset=subclassed&layer=encoder2"
    assert "Level 2 of the contracting path" in said(app)


def test_a_block_and_its_layer_of_the_same_name_are_two_things() -> None:
    assert "Turns the 64 channels of each pixel into probabilities for 1 class." in said(
        open_page(preset="subclassed", layer="head block")
    )
    assert "The classifier: mixes the 64 channels" in said(open_page(preset="subclassed", layer="head"))


@pytest.mark.slow
def test_the_diagram_can_have_the_whole_width_and_the_address_says_so() -> None:
    app = open_page(layer="encoder2")
    button(app, "Wide").click().run()
    assert address(app) == {"layer": "encoder2", "wide": "1"}
    again = open_page(**address(app))
    assert shown(again) == shown(app)
    button(again, "Side by side").click().run()
    assert address(again) == {"layer": "encoder2"}


@pytest.mark.parametrize(
    ("form", "word"), [("Functional", "keras.Model("), ("Subclassed", "class "), ("Library", "build(")]
)
def test_code_comes_in_three_forms(form: str, word: str) -> None:
    app = open_page(preset="subclassed", tab="Code")
    app.get_by_key("architecture-form").set_value(form).run()
    assert not app.exception
    program = app.code[-1].value  # after those of the panel
    assert word in program
    compile(program, form, "exec")


@pytest.mark.slow
def test_two_networks_are_compared_and_the_address_keeps_both() -> None:
    app = open_page(preset="keras_basic", tab="Compare")
    app.selectbox(key="architecture-against").select("keras_basic+batchnorm").run()
    table = app.table[0].value
    assert table.loc["Parameters"].tolist()[:2] == ["7\u202f782\u202f913", "7\u202f794\u202f177"]
    assert "Normalization none → batch" in said(app)
    button(app, "Keep for comparison").click().run()
    set_to(app, "depth", 3)
    again = open_page(**address(app))
    assert "Depth 3 → 4" in said(again)
    button(again, "Swap").click().run()
    assert shown(again).config.depth == 4
    assert "Depth 4 → 3" in said(again)


def test_a_network_that_breaks_is_not_measured_against_one_that_works() -> None:
    app = open_page(preset="keras_basic", height="250", tab="Compare", against="preset=keras_basic", layer="encoder2")
    table = app.table[0].value
    assert table.loc["Output"].tolist()[0] == "breaks"
    assert set(table["Right is"]) == {""}
    assert table.loc["Parameters"].tolist()[0].startswith("≥\u202f")
    assert table.loc["Parameters"].tolist()[1] == "7\u202f782\u202f913"
    assert "include only the layers before the break" in said(app)
    assert [data["selected"] for data in components(app) if "selected" in data] == [
        "encoder2"
    ] * 3  # the page's diagram and both


@pytest.mark.slow
def test_feature_maps_show_every_block_of_the_shipped_model() -> None:
    app = open_page(tab="Feature maps")
    assert "of the model **Pets**" in said(app)
    titles = [entry.label for entry in app.button if str(entry.key).startswith("architecture-map-")]
    assert titles == [
        "Show this model above",
        "Photo",
        "E1",
        "E2",
        "E3",
        "E4",
        "B",
        "D4",
        "D3",
        "D2",
        "D1",
        "Head",
        "Mask",
    ]
    button(app, "B").click().run()
    assert "**Bottleneck**, 7×7×320" in said(app)
    button(app, "Show this model above").click().run()
    assert shown(app).preset == "pets"
    assert shown(app).layer == "bottleneck"


def test_without_a_model_the_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(tmp_path / "none"))
    assert "manifest.json is missing" in said(open_page(tab="Feature maps"))


# --- the table's and the picture's numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ronneberger2015", "mobilenetv2_tutorial"])
def test_the_blocks_hold_every_layer_once_and_their_sums_are_the_totals(name: str) -> None:
    traced = trace(preset_config(name))
    found = blocks(traced)
    assert [layer for block in found for layer in block.layers] == list(traced.layers)
    assert sum(block.params for block in found) == traced.total_params
    assert sum(block.macs for block in found) == traced.total_macs
    assert [block.title for block in found][1:3] == ["Encoder 1", "Encoder 2"]


def test_the_csv_has_one_line_per_layer_with_plain_numbers() -> None:
    traced = trace(preset_config("subclassed"))
    rows = list(csv.DictReader(io.StringIO(to_csv(traced))))
    assert [row["name"] for row in rows] == [layer.name for layer in traced.layers]
    assert sum(int(row["params"]) for row in rows) == 1_862_849
    assert next(row["inputs"] for row in rows if row["op"] == "concat") == "encoder2_conv2_activation decoder2_upconv"


def test_counts_are_written_with_a_prefix() -> None:
    assert [short(value) for value in (999, 1_000, 31_030_658, 150_100_000_000)] == [
        "999", "1.0\u202fk", "31.0\u202fM", "150\u202fG",
    ]  # fmt: skip


def test_the_window_is_drawn_to_scale_on_the_photo() -> None:
    picture = Image.open(io.BytesIO(field_picture(320, 640, 100, 4))).convert("RGB")
    assert picture.size == (320, 160)
    shade = np.asarray(picture, int)[80]
    orange = np.abs(shade - (230, 159, 0)).max(axis=1) < 40
    assert orange[[160 - 24, 160 + 23]].all()  # the middle of a line of three pixels
    assert not orange[[160 - 30, 160 + 29]].any()
    beyond = Image.open(io.BytesIO(field_picture(100, 100, 200, 4)))
    assert beyond.getpixel((5, 160))[3] < 255  # outside the photo there is nothing


def test_a_network_that_works_has_all_its_files_and_a_broken_one_no_keras_view() -> None:
    found = [entry.label for entry in open_page(preset="subclassed", tab="Compare").get("download_button")]
    own = ["Download config (JSON)", "SVG", "PNG", "Table (CSV)"]
    assert found == [*own, "model.summary()", "plot_model (SVG)", "plot_model (PNG)"]
    broken = open_page(preset="subclassed", height="250", tab="Compare").get("download_button")
    assert [entry.label for entry in broken] == own


# --- downloads --------------------------------------------------------------------------------------------------------


FILES = [(name, "light") for name in PRESETS] + [("pets", "dark")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "theme"),
    [case if case[0] == "subclassed" else pytest.param(*case, marks=pytest.mark.slow) for case in FILES],
)
def test_every_file_of_a_preset_opens_and_holds_its_network(name: str, theme: str) -> None:
    config = preset_config(name)
    traced = trace(config)
    made = {file.name: file.make() for file in files(state.View(config, name), traced, theme)}
    stem = f"unet_{name.replace('+', '_')}"
    assert list(made) == [
        stem + end for end in (".json", ".svg", ".png", ".csv", "_summary.txt", "_plot.svg", "_plot.png")
    ]
    assert from_json(made[f"{stem}.json"]) == config
    assert len(list(csv.DictReader(io.StringIO(made[f"{stem}.csv"])))) == len(traced.layers)
    assert f"Total params: {traced.total_params:,}" in made[f"{stem}_summary.txt"]
    for picture in ("", "_plot"):
        svg = ElementTree.fromstring(made[f"{stem}{picture}.svg"])
        png = Image.open(io.BytesIO(made[f"{stem}{picture}.png"]))
        png.load()
        assert png.width / png.height == pytest.approx(float(svg.get("width")) / float(svg.get("height")), rel=0.01)
        assert len(set(png.convert("L").resize((64, 64)).get_flattened_data())) > 8, "an empty picture"
    for form in FORMS:
        program = file_name(state.View(config, name), form)
        assert program.removesuffix(".py").isidentifier()
        assert program == f"{stem}_{form.lower()}.py"
        compile(written(form, config), program, "exec")


def test_a_changed_network_has_files_of_its_own_name() -> None:
    config = preset_config("keras_basic+batchnorm")
    views = [state.View(config.replace(depth=depth), "keras_basic+batchnorm") for depth in (4, 3, 5)]
    stems = [state.file_stem(view) for view in views]
    assert stems[0] == "unet_keras_basic_batchnorm"
    assert all(re.fullmatch(r"unet_keras_basic_batchnorm_changed_[0-9a-f]{6}", stem) for stem in stems[1:])
    assert len(set(stems)) == 3
    names = [file.name for file in files(views[1], trace(views[1].config), "light")]
    assert all(name.startswith(stems[1]) for name in names)


def test_hostile_words_in_a_configuration_stay_words() -> None:
    hostile = '</title><script>"\'"""\n$x$ {0} `[a](b)`\\.weights.h5'
    config = preset_config("pets_fast").replace(encoder_weights=hostile)
    for file in files(state.View(config, "pets_fast"), trace(config), "light"):
        if file.name.endswith(".svg"):
            assert not ElementTree.fromstring(file.make()).findall(".//{*}script")
        if file.name.endswith(".json"):
            assert json.loads(file.make())["encoder_weights"] == hostile
    for form in FORMS:
        tree = ast.parse(written(form, config))
        words = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        assert all("<script>" not in word or word == hostile for word in words)
        assert any(word == hostile for word in words)
