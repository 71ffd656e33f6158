"""The Results page, run as Streamlit runs it but without a browser, with its files and without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.helpers.tiny_model import write_tiny_model
from ui.results import compare, speed, subject
from ui.results import gallery as figures_gallery
from ui.results.charts import POINT
from ui.results.options import SECTION, SECTIONS
from ui.shared import format as text
from ui.shared import frame
from unet_core.architecture.trace import trace
from unet_core.images.samples import SAMPLES
from unet_core.results.compared_networks import COMMAND, LEFT_OUT, default_budget, find_network, fingerprint, sized
from unet_core.results.evaluation import full_evaluation, provenance
from unet_core.results.files import (
    ComparedRun,
    Comparison,
    Evaluation,
    Photos,
    measured_file,
    result_path,
    write_result,
)
from unet_core.results.resolutions import Resolutions, resolutions_path
from unet_core.results.whole_photos import photos_path, whole_photos
from unet_core.scoring.outline import OutlineScore
from unet_core.segment.measure import KERAS, ONNX, EngineTime, MeasureError
from unet_core.settings import ROOT, Settings
from unet_core.train.find_model import ModelSource
from unet_core.zoo.manifest import load_manifest, write_entry
from unet_core.zoo.presence import FIGURES


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Evaluation]:
    """A tiny model with the figures and the time that a published one has, and its evaluation on synthetic pets."""
    settings = Settings(weights_dir=write_tiny_model(tmp_path_factory.mktemp("weights")))
    entry = load_manifest(settings).entry()
    source = ModelSource("tiny", entry.config, None, entry=entry)
    found = full_evaluation(source, source.engine("onnx", settings), "synthetic", size=(64, 64), limit=6)
    test = found.parts["test"]
    figures = {"images": 6, "image_size": [64, 64], "classes": list(test.classes), "mean_iou": test.mean_iou}
    entry = entry.replace(metrics={"test": figures}, latency={"milliseconds": 0.5, "what": "network alone"})
    write_entry("tiny", entry, settings.weights_dir)
    return settings, found.replace(parts={**found.parts, "drawn": test})


@pytest.fixture(autouse=True)
def weights(shipped: tuple[Settings, Evaluation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder of this test's own, with the model's result file."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for file in shipped[0].weights_dir.glob("*.*"):
        (folder / file.name).write_bytes(file.read_bytes())
    write_result(folder / "results" / "tiny.json", shipped[1])
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(folder))
    for name in ("data", "cache"):
        monkeypatch.setenv(f"UNET_{name.upper()}_DIR", str(tmp_path / name))
    return folder


def open_results(**query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / frame.RESULTS.script), default_timeout=30)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def texts(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.error, app.warning, app.info, app.code)
    return "\n".join(str(element.value) for elements in kinds for element in elements)


def comparison() -> Comparison:
    """A comparison whose figures are made up, for looking at."""
    budget = default_budget(photos=16, epochs=1)
    runs = []
    for index, name in enumerate(("pets_fast", "plain", "plain_no_skips")):
        entry = find_network(name)
        config = sized(entry, budget.side)
        traced = trace(config)
        runs.append(
            ComparedRun(
                name=name, title=entry.title, group=entry.group, teaches=entry.teaches, changed=entry.changed,
                input_shape=config.input_shape, parameters=traced.total_params, macs=traced.total_macs,
                onnx_bytes=1_000_000, milliseconds=1.5, pixel_accuracy=0.8, mean_iou=0.6 - 0.1 * index, pet_iou=0.7,
                iou={}, validation_mean_iou=0.6, final_loss=0.5, seconds=100, cpu_seconds=180, machine="here",
                fingerprint=fingerprint(entry, budget),
            )
        )  # fmt: skip
    measured = provenance(COMMAND, 0.0)
    return Comparison(measured=measured, budget=budget, runs=tuple(runs), left_out=LEFT_OUT)


# --- with its files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_is_drawn_with_how_it_was_measured(section: str, shipped: tuple[Settings, Evaluation]) -> None:
    app = open_results(figures=section)
    assert not app.exception
    assert app.segmented_control(key=SECTION.name).value == section
    assert "How this was measured" in texts(app)
    assert "python -m unet_core evaluate --model tiny --full" in texts(app)
    accuracy = next(metric for metric in app.metric if metric.label == "Pixel accuracy")
    assert accuracy.value == f"{100 * shipped[1].parts['test'].pixel_accuracy:.1f}\u202f%"


def test_figures_at_other_sizes_are_shown_for_the_installed_version_alone(weights: Path) -> None:
    assert "Compared at other sizes" not in texts(open_results())
    entry = load_manifest(Settings(weights_dir=weights)).entry()
    scores = {"pixel_accuracy": 0.91, "mean_iou": 0.8, "iou": {"pet": 0.8}, "pet_iou": 0.876, "photo_iou": None}
    figures = Resolutions(
        model="tiny",
        file="tiny.onnx",
        sha256=measured_file(entry)[1],
        data="oxford_iiit_pet",
        split="test",
        images=3662,
        coarse_masks=2956,
        sizes=({"size": (256, 128), **scores}, {"size": "own", **scores}),
        measured=provenance("a command", 1.0),
    )
    path = resolutions_path("tiny", Settings(weights_dir=weights))
    write_result(path, figures)
    shown = texts(open_results())
    assert f"| Masks at | {text.pixels(128, 256)} | own size |" in shown
    assert f"| Pet and border | {text.percent(0.876)} | {text.percent(0.876)} |" in shown
    assert "| Mean over photos | – | – |" in shown
    assert f"{text.number(2956)} of {text.number(3662)} masks have no finer detail" in shown
    write_result(path, figures.replace(sha256="0" * 64))
    assert "Compared at other sizes" not in texts(open_results())


def test_failures_are_shown_by_kind_before_and_after(weights: Path) -> None:
    entry = load_manifest(Settings(weights_dir=weights)).entry()

    def described(failing: int) -> list[OutlineScore]:
        figures = np.zeros(len(FIGURES))
        ious = [0.2] * failing + [0.9] * (6 - failing)
        found = [OutlineScore(f"p{n}", 0.05, iou, 0.1, True, figures, pieces=1) for n, iou in enumerate(ious)]
        return [*found, OutlineScore("none", 0.0, None, 0.1 * failing, True, figures)]

    measured = provenance("a command", 1.0)
    old = whole_photos(described(4), "tiny", entry, "Seven photos", measured)
    beside = {"person": {"p0", "p5"}}
    path = photos_path("tiny", Settings(weights_dir=weights))
    write_result(path, whole_photos(described(1), "tiny", entry, "Seven photos", measured, beside=beside, earlier=old))
    shown = texts(open_results(figures="Everyday photos"))
    assert "Photos | Before | Now |" in shown
    assert "| all | 6 | 4 | 1 |" in shown
    assert "| beside a person | 2 | 1 | 1 |" in shown
    assert "| without a person | 1 | 1 | 0 |" in shown
    assert f"SHA-256 {old.sha256[:8]}" in shown
    write_result(path, old)
    shown = texts(open_results(figures="Everyday photos"))
    assert "| all | 6 | 4 |" in shown
    assert "| Before |" not in shown


def test_published_figures_stand_beside_ours_with_source_and_setting() -> None:
    said = texts(open_results())
    assert "TensorFlow's tutorial" in said.replace("\\", "")
    assert "https://www.tensorflow.org/tutorials/images/segmentation" in said
    assert "ours **" in said
    assert any(word in said for word in ("roughly comparable", "not comparable"))


def test_the_network_in_the_address_has_its_card(weights: Path) -> None:
    write_result(weights / "results" / "comparison.json", comparison())
    app = open_results(network="No skip connections (small budget)")
    assert not app.exception
    said = texts(app).replace("\\", "")
    assert "**No skip connections (small budget)**" in said
    assert "No skip connections: **−10.0 points** against Plain U-Net" in said
    assert "3 networks, each trained here on 16 photos" in said


@pytest.mark.slow
def test_every_chart_is_drawn_without_altair(weights: Path) -> None:
    write_result(weights / "results" / "comparison.json", comparison())
    code = f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(ROOT / frame.RESULTS.script)!r}, default_timeout=60)
charts = []
app.run()
for section in {SECTIONS[:4]}:
    app.segmented_control(key={SECTION.name!r}).set_value(section).run()
    assert not app.exception, app.exception
    charts.append(len(app.get("vega_lite_chart")))
print(charts)
sys.exit("imported: altair" if "altair" in sys.modules else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert min(json.loads(done.stdout)) > 0


def test_the_points_of_the_costs_can_be_selected(weights: Path) -> None:
    write_result(weights / "results" / "comparison.json", comparison())
    chart = open_results().get("vega_lite_chart")[0].proto
    assert list(chart.selection_mode) == [POINT]
    assert json.loads(chart.spec)["params"] == [{"name": POINT, "select": {"type": "point", "fields": ["key"]}}]


def test_a_click_on_a_point_opens_its_card(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"cost-chart": {"selection": {"point": [{"key": "budget:plain"}]}}}
    put: list[tuple[str, str]] = []
    monkeypatch.setattr(compare.st, "session_state", state)
    monkeypatch.setattr(compare, "put", lambda name, value: put.append((name, value)))
    compare._take_point()
    assert [(option.name, value) for option, value in put] == [("network", "budget:plain")]
    state["cost-chart"]["selection"]["point"] = []
    compare._take_point()
    assert len(put) == 1


def test_galleries_start_with_the_most_extreme_photo() -> None:
    photos = Photos(
        name=tuple("abcdefg"),
        iou=(0.5, 0.1, 0.9, 0.7, 0.3, 0.6, 0.8),
        mean_iou=(0.5,) * 7,
        pet_share=(0.2,) * 7,
        uncertainty=(0.1, 0.2, 0.3, 0.9, 0.4, 0.5, 0.6),
    )
    shown = {
        kind: "".join(photos.name[index] for index in figures_gallery.chosen(photos, kind, 3))
        for kind in figures_gallery.KINDS
    }
    assert shown == {"worst": "bea", "most uncertain": "dgf", "median": "afd", "best": "cgd"}


def test_without_the_dataset_a_model_of_drawings_shows_synthetic_pets_with_both_masks(
    weights: Path, shipped: tuple[Settings, Evaluation]
) -> None:
    entry = load_manifest(shipped[0]).entry("tiny")
    write_entry("tiny", entry.replace(data={**entry.data, "pictures": "drawn"}), weights)
    app = open_results(figures="Gallery", gallery="best")
    assert "Drawn by this program" in texts(app)
    captions = [caption.value for caption in app.caption if "IoU" in caption.value]
    assert sum("synthetic" in caption for caption in captions) == 6
    assert sum("of the photos" in caption for caption in captions) == 3


def test_without_the_dataset_a_model_of_photos_shows_real_samples_and_no_drawings() -> None:
    app = open_results(figures="Gallery", gallery="best")
    said = texts(app)
    assert "synthetic" not in said
    assert "The Data page downloads them" in said
    assert "without a score" in said
    credits = [caption.value for caption in app.caption]
    assert all(sample.credit in credits for sample in SAMPLES.values())


# --- without, or with bad ones ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("section", SECTIONS)
def test_a_model_without_a_file_says_how_to_get_one(section: str, weights: Path) -> None:
    (weights / "results" / "tiny.json").unlink()
    app = open_results(figures=section)
    assert not app.exception
    said = texts(app)
    assert "there is no tiny.json" in said.replace("\\", "")
    assert "`python -m unet_core evaluate --model tiny --full`" in said


def test_figures_of_another_version_are_shown_as_such(weights: Path, shipped: tuple[Settings, Evaluation]) -> None:
    path = weights / "results" / "tiny.json"
    write_result(path, shipped[1].replace(sha256="f" * 64))
    app = open_results()
    assert "another version" in texts(app)
    assert not any(metric.label == "Pixel accuracy" for metric in app.metric), "the manifest has only the mean IoU"


@pytest.mark.parametrize("content", ["{", '{"version": 7}', '{"version": 1, "kind": 3}'])
@pytest.mark.parametrize("name", ["tiny", "comparison"])
def test_a_file_that_cannot_be_used_is_named_and_the_page_still_works(name: str, content: str, weights: Path) -> None:
    (weights / "results" / f"{name}.json").write_text(content)
    app = open_results()
    assert not app.exception
    assert f"{name}.json" in texts(app).replace("\\", "")
    assert "Published figures" in texts(app)


def test_a_manifest_of_an_unknown_version_is_reported_and_the_page_still_works(weights: Path) -> None:
    manifest = json.loads((weights / "manifest.json").read_text())
    (weights / "manifest.json").write_text(json.dumps({**manifest, "version": 99}))
    app = open_results()
    assert not app.exception
    assert "version 99" in app.error[0].value
    assert "Published figures" in texts(app)


def test_an_address_with_nonsense_opens_the_page() -> None:
    app = open_results(figures="x", network="y", cost="z", gallery="w", of="v", corruption="u")
    assert not app.exception
    assert app.title[0].value == "Results"


# --- measuring here ---------------------------------------------------------------------------------------------------


def test_nothing_is_measured_before_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def measure(model: str, settings: Settings) -> list[EngineTime]:
        asked.append(model)
        return [EngineTime(ONNX, "CPU (2 cores)", 1.25), EngineTime(KERAS, problem="No file for it.")]

    monkeypatch.setattr(speed, "measure_here", measure)
    app = open_results(figures="Measure here")
    assert not asked
    assert "**0.5\u202fms**, network alone" in texts(app)
    app.button(key="measure").click().run()
    assert asked == ["tiny"]
    row = app.dataframe[0].value.iloc[0]
    assert (row["engine"], row["measured here"], row["stored"]) == (ONNX, "1.2\u202fms", "0.5\u202fms")
    assert "No file for it" in texts(app)
    app.button(key="measure").click().run()
    assert asked == ["tiny", "tiny"]


def test_a_measurement_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MeasureError("This machine is busy.")

    monkeypatch.setattr(speed, "measure_here", fail)
    app = open_results(figures="Measure here")
    app.button(key="measure").click().run()
    assert not app.exception
    assert "This machine is busy" in app.warning[0].value


def test_the_default_model_comes_first(shipped: tuple[Settings, Evaluation]) -> None:
    manifest = load_manifest(shipped[0])
    both = manifest.replace(models={"another": manifest.entry(), **manifest.models})
    assert list(subject.subjects(both, shipped[0])) == ["tiny", "another"]
    assert result_path("tiny", shipped[0]).name == "tiny.json"
