"""The Architecture page's experiments with a trained network, run as Streamlit runs them but without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.helpers import onnx_models
from tests.helpers.made_runs import made_run
from tests.ui.test_architecture_page import address, button, components, metric, open_page, said
from ui.architecture import arithmetic, experiment, experiment_subject, failing, pixel
from ui.architecture.gates import BLOCK
from ui.components import pixel_picker
from unet_core.images.corruptions import SLIDERS
from unet_core.settings import ROOT

FAST = "pets_fast"


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("data", "runs", "cache", "datasets"):
        monkeypatch.setenv(f"UNET_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.chdir(ROOT)


@pytest.fixture
def page() -> AppTest:
    app = set_to(open_page(tab="Experiment"), experiment_subject.MODEL, FAST)
    return set_to(app, experiment.KIND, "Switch it off")


def set_to(app: AppTest, key: str, value: object) -> AppTest:
    app.get_by_key(key).set_value(value).run()
    assert not app.exception
    return app


def until(app: AppTest, label: str) -> AppTest:
    """Run the page until a figure is there: the network runs on a thread of its own."""
    for _ in range(60):
        if any(entry.label == label for entry in app.metric):
            break
        app.run()
    return app


def percent(app: AppTest, label: str) -> float:
    return float(metric(app, label).split("\u202f")[0])


# --- switch it off ----------------------------------------------------------------------------------------------------


def test_without_its_deepest_skip_the_network_loses_the_pet_and_all_is_well_when_it_is_on_again(page: AppTest) -> None:
    assert metric(page, "Agreement") == "100.0\u202f%"
    assert "yellow line" not in said(page)
    button(page, "Deepest off").click().run()
    assert percent(page, "Agreement") < 10
    assert metric(page, "Outline") == "gone"
    assert "The yellow line is the unchanged outline" in said(page)
    button(page, "All on").click().run()
    assert metric(page, "Agreement") == "100.0\u202f%"


def test_a_photo_without_a_true_mask_is_measured_against_the_unchanged_mask_and_that_is_said(page: AppTest) -> None:
    set_to(page, "gate-skip1", "Off")
    assert not [entry for entry in page.metric if entry.label == "IoU"]
    assert "Agreement is the IoU with the unchanged mask: nobody knows the true one" in said(page)
    assert 85 < percent(page, "Agreement") < 100


def test_a_photo_with_a_true_mask_has_its_iou_and_what_it_lost(page: AppTest) -> None:
    set_to(page, experiment_subject.PHOTO, "synthetic-0")
    before = percent(page, "IoU")
    set_to(page, "gate-skip4", "Off")
    lost = next(entry for entry in page.metric if entry.label == "IoU")
    assert percent(page, "IoU") < before
    assert lost.delta == f"{percent(page, 'IoU') - before:+.1f} points"
    assert "nobody knows the true one" not in said(page)


def test_some_channels_of_a_block_are_switched_and_the_rest_stays(page: AppTest) -> None:
    set_to(page, BLOCK, "decoder1")
    assert percent(page, "Agreement") < 50
    everything = percent(page, "Agreement")
    set_to(page, "gate-channels-decoder1", (20, 24))
    assert percent(page, "Agreement") > everything
    set_to(page, BLOCK, "")
    assert metric(page, "Agreement") == "100.0\u202f%"


def test_what_training_without_skips_reaches_is_said_from_the_comparison(page: AppTest) -> None:
    assert "mean IoU of 61.4\u202f% with skip connections and 57.2\u202f% without" in said(page)


def test_a_model_without_names_of_layers_is_refused_with_what_to_do(tmp_path: Path, monkeypatch) -> None:
    settings = onnx_models.install(tmp_path)
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(settings.weights_dir))
    assert "export it again" in said(open_page(tab="Experiment"))


@pytest.mark.slow
def test_an_experiment_is_a_link_and_survives_a_look_at_another_section() -> None:
    asked = {"tab": "Experiment", "experiment": "Switch it off", "switched": "skip1-Half.skip4-Off"}
    app = set_to(open_page(**asked), experiment_subject.MODEL, FAST)
    assert percent(app, "Agreement") < 10
    set_to(app, "architecture-show", "Code")
    set_to(app, "architecture-show", "Experiment")
    assert percent(app, "Agreement") < 10
    assert address(app) == asked
    set_to(app, "gate-skip4", "On")
    assert address(app)["switched"] == "skip1-Half"
    assert 90 < percent(app, "Agreement") < 100
    button(app, "All on").click().run()
    assert "switched" not in address(app)
    assert metric(app, "Agreement") == "100.0\u202f%"


@pytest.mark.parametrize("asked", [{"experiment": "Alchemy"}, {"switched": "skip4-loud"}, {"switched": "skip4"}])
def test_what_an_address_cannot_ask_for_is_named(asked: dict[str, str]) -> None:
    (name,) = asked
    assert f"{name}: must " in said(open_page(tab="Experiment", **asked))


# --- make it fail -----------------------------------------------------------------------------------------------------


def test_a_slider_makes_the_photo_worse_and_the_figures_follow(page: AppTest) -> None:
    set_to(page, experiment.KIND, "Make it fail")
    until(set_to(page, failing.KIND, "noise"), "Agreement")
    set_to(page, f"{failing.STRENGTH}-noise", "0 of 255")
    assert metric(page, "Agreement") == "100.0\u202f%"
    set_to(page, f"{failing.STRENGTH}-noise", "128 of 255")
    assert percent(page, "Agreement") < 50
    assert metric(page, "Below 50 %").endswith("of 255")
    assert "nobody knows the true mask of this one" in said(page)


@pytest.mark.parametrize("name", [each.name for each in SLIDERS])
def test_every_kind_of_failure_has_its_mask_and_its_description(page: AppTest, name: str) -> None:
    set_to(page, experiment.KIND, "Make it fail")
    assert metric(until(set_to(page, failing.KIND, name), "Agreement"), "Agreement")
    assert next(each for each in SLIDERS if each.name == name).description in said(page)


def test_a_known_mask_moves_with_the_photo_that_is_made_worse(page: AppTest) -> None:
    set_to(page, experiment_subject.PHOTO, "synthetic-0")
    set_to(page, experiment.KIND, "Make it fail")
    assert metric(until(page, "IoU"), "IoU")
    assert "with the true mask, which moves with the photo" in said(page)


# --- why this pixel? --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_can_matter_and_what_does_are_said_of_the_chosen_pixel(page: AppTest) -> None:
    set_to(page, experiment.KIND, "Why this pixel?")
    assert metric(until(page, "Can matter"), "Can matter") == "100\u202f%"
    assert percent(page, "Half within") < percent(page, "90 % within") < 100
    picker = next(data for data in components(page) if "window" in data)
    assert picker["window"] == [0, 0, 1, 1]
    before = percent(page, "Half within")
    page.session_state[pixel.PLACE] = page.session_state[pixel.WORK][0], (0.02, 0.02)
    page.run()
    assert [data["place"] for data in components(page) if "window" in data] == [[0.02, 0.02]]
    assert percent(page, "Half within") != before


@pytest.mark.parametrize("sent", [None, "middle", [0.5], [0.5, "x"], [0.5, 1.5], [0.5, float("nan")], [0.5, 0.5, 0.5]])
def test_only_a_place_is_taken_from_the_browser(sent: object) -> None:
    places: list[object] = []
    pixel_picker._choose(sent, places.append)
    assert places == []
    pixel_picker._choose([0, 0.25], places.append)
    assert places == [(0.0, 0.25)]


# --- play -------------------------------------------------------------------------------------------------------------


def test_every_box_of_the_diagram_is_a_step_with_a_picture_and_words(page: AppTest) -> None:
    set_to(page, experiment.KIND, "Play")
    played = next(data for data in components(page) if "sheet" in data)
    steps = played["steps"]
    assert [steps[0]["title"], steps[-1]["title"]] == ["Photo", "Mask"]
    assert all(step["known"] and step["title"] and step["text"] for step in steps)
    assert played["sheet"]["columns"] * played["sheet"]["rows"] >= len(steps)
    for picture in played["pictures"]:
        assert set(picture["boxes"]) == {step["key"] for step in steps}
    travelling = [step for step in steps if step["travels"]]
    assert [step["title"] for step in travelling] == [f"Decoder {n}: skip connection" for n in (4, 3, 2, 1)]
    assert [step["from"] for step in travelling] == [
        "block_13_expand", "block_6_expand", "block_3_expand", "block_1_expand",
    ]  # fmt: skip
    assert "Real values of Pets, fast for this photo" in said(page)
    before = played["key"]
    set_to(page, experiment_subject.PHOTO, "kitten")
    assert next(data for data in components(page) if "sheet" in data)["key"] != before


# --- a layer on real pixels -------------------------------------------------------------------------------------------


def test_a_layer_s_values_and_weights_reach_the_browser_and_another_operation_is_said_not_to_be_the_network_s(
    page: AppTest,
) -> None:
    set_to(page, experiment.KIND, "A layer on real pixels")
    sent = next(data for data in components(page) if "terms" in data)
    assert (sent["shape"], sent["size"], len(sent["terms"][0]), sent["activation"]) == (
        [3, 192, 192], [96, 96], 27, "relu6",
    )  # fmt: skip
    assert "sum of a window's values" in said(page)
    set_to(page, arithmetic.LAYER, "decoder1_concat")
    assert "of the upsampled features" in said(page) or "of the skip connection" in said(page)
    set_to(page, arithmetic.LAYER, "Max pooling 2×2")
    sent = next(data for data in components(page) if "terms" in data)
    assert (sent["reduce"], sent["size"]) == ("max", [48, 48])
    channel = next(entry for entry in page.number_input if entry.label == "Channel")
    channel.set_value(99).run()
    assert "has channels 0 to 15. Received: 99" in said(page)


# --- a visitor's own run ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_is_experimented_with_like_a_shipped_model(tmp_path: Path) -> None:
    from unet_core.models import build
    from unet_core.zoo.export import export

    run = made_run(tmp_path / "runs" / "2026-01-01_10-00-00", name="mine")
    config = run.config().model
    export(build(config), config, "onnx", run.path / "exports" / "model.onnx")
    app = set_to(open_page(tab="Experiment"), experiment_subject.MODEL, run.id)
    played = next(data for data in components(app) if "sheet" in data)
    assert all(step["known"] for step in played["steps"])
    assert "Real values of mine for this photo" in said(app)
    set_to(app, experiment.KIND, "Switch it off")
    labels = [group.label for group in app.button_group if group.label.startswith("Skip ")]
    assert len(labels) == config.depth - 1
    set_to(app, "gate-skip1", "Noise")
    assert percent(app, "Agreement") <= 100
