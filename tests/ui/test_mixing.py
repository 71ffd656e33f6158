"""The Train page's choice of datasets that are mixed in, run as Streamlit runs it but without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.helpers import own_datasets
from tests.helpers.made_runs import made_run
from tests.helpers.pages import opened_page
from ui.data import sets
from ui.shared import frame, url
from ui.train.mixed_in import MOST, MixedIn, is_readable, read, written
from unet_core.errors import ConfigError
from unet_core.settings import ROOT
from unet_core.train import queue
from unet_core.train.config import TrainConfig
from unet_core.train.presets import TRAINING_PRESETS
from unet_core.train.run_directory import RunDirectory

KEY = "-0123456789abcdef0123456789abcdef"
CATS, DOGS = f"cats{KEY}", f"dogs{KEY}"
DEMO = TRAINING_PRESETS["demo_60s"].config


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Own datasets of two classes, and folders of a server that starts no runs."""
    for name in ("runs", "data", "datasets", "cache"):
        monkeypatch.setenv(f"UNET_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.setenv("UNET_WORKERS", "0")
    monkeypatch.chdir(ROOT)
    (tmp_path / "runs").mkdir()
    own_datasets.named(tmp_path / "datasets" / CATS, ("background", "cat"), 16)
    return tmp_path / "datasets"


def opened(mine: tuple[str, ...] = (CATS,), **query: str) -> AppTest:
    """Open the Train page as the owner of some datasets."""
    return opened_page(frame.TRAIN, query, 60, {sets.OWN: list(mine)})


def texts(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.error, app.warning)
    return "\n".join(str(element.value) for elements in kinds for element in elements).replace("\\", "")


def button(app: AppTest, label: str):
    return next(entry for entry in app.button if entry.label.replace("\\", "") == label)


def row(app: AppTest, number: int = 0) -> dict[str, object]:
    """What the widgets of a dataset that is mixed in show, by the last part of their keys."""
    widgets = [*app.selectbox, *app.number_input, *app.toggle]
    start = f"train-mix-{number}-"
    return {widget.key.removeprefix(start): widget.value for widget in widgets if (widget.key or "").startswith(start)}


def ready(app: AppTest, label: str = "Start the 60-second demo"):
    """Return the button that starts the run once the datasets have been checked."""
    while "still being checked" in texts(app):
        app.run()
    assert not button(app, label).disabled
    return button(app, label)


def started(app: AppTest, label: str = "Start the 60-second demo") -> RunDirectory:
    """Start the run and return it."""
    before = {run.id for run in queue.all_runs()}
    ready(app, label).click().run()
    (run,) = [run for run in queue.all_runs() if run.id not in before]
    return run


def mixed(*entries: dict[str, object]) -> str:
    return json.dumps(entries)


# --- composing --------------------------------------------------------------------------------------------------------


def test_without_a_mixture_there_is_nothing_but_a_button(datasets: Path) -> None:
    app = opened()
    assert row(app) == {}
    assert {widget.key for widget in app.button if (widget.key or "").startswith("train-mix")} == {"train-mix-add"}
    assert started(app).config() == DEMO


def test_two_datasets_are_composed_and_trained_as_shown(datasets: Path) -> None:
    app = opened()
    button(app, "Mix in another dataset").click().run()
    assert row(app) == {"dataset": CATS, "share": 25, "class-cat": None, "border": True}
    assert "Same name in both: background." in texts(app)
    assert "cats has the class cat, which synthetic does not have (pet, background, border)" in texts(app)
    assert button(app, "Start the 60-second demo").disabled
    app.selectbox(key="train-mix-0-class-cat").set_value("pet").run()
    assert "does not have" not in texts(app)
    app.number_input(key="train-mix-0-share").set_value(40).run()
    assert "**Synthetic pets** gets the rest, 60\u202f%" in texts(app)
    assert "60 % synthetic + 40 % cats; validation, previews and test are of synthetic alone" in texts(app)
    assert "**Training photos of Synthetic pets**" in texts(app)
    run = started(app)
    share = {"source": str(datasets / CATS), "share": 40, "classes": {"cat": "pet"}, "border": True}
    assert run.config().data == TrainConfig(model=DEMO.model, data=[{"source": "synthetic", "share": 60}, share]).data
    assert run.config().replace(data="synthetic") == DEMO
    assert run.label().name == "60-second demo on Synthetic pets + cats"


def test_the_estimate_counts_the_photos_of_both(datasets: Path) -> None:
    def photos(app: AppTest) -> str:
        return next(entry.value for entry in app.metric if entry.label == "Photos to train on")

    alone = opened(limit="100000")
    entry = {"dataset": CATS, "share": 25, "classes": {"cat": "pet"}}
    both = opened(limit="100000", mix=mixed(entry))
    more = int(photos(both).replace("\u202f", "")) - int(photos(alone).replace("\u202f", ""))
    assert 10 <= more < 16, "the training part of sixteen photos"


def test_shares_stay_below_a_hundred_and_the_first_dataset_has_the_rest(datasets: Path) -> None:
    own_datasets.named(datasets / DOGS, ("background", "pet"), 16)
    app = opened((CATS, DOGS), mix=mixed({"dataset": CATS, "share": 60, "classes": {"cat": "pet"}}))
    button(app, "Add a dataset").click().run()
    assert row(app, 1) == {"dataset": DOGS, "share": 20, "border": True}, "half of what the first one had"
    assert "gets the rest, 20\u202f%" in texts(app)
    assert [app.number_input(key=f"train-mix-{number}-share").max for number in (0, 1)] == [79, 39]
    shares = [share.share for share in started(app).config().data]
    assert shares == [20, 60, 20]


def test_every_dataset_can_be_chosen_once_and_removed(datasets: Path) -> None:
    own_datasets.named(datasets / DOGS, ("background", "pet"), 16)
    app = opened((CATS, DOGS))
    for label in ("Mix in another dataset", "Add a dataset", "Add a dataset"):
        button(app, label).click().run()
    assert [row(app, number)["dataset"] for number in range(3)] == [CATS, DOGS, sets.OXFORD], "what is there first"
    assert "Add a dataset" not in {entry.label for entry in app.button}
    assert list(app.selectbox(key="train-mix-1-dataset").options) == ["dogs"], "an upload's key is not shown"
    app.button(key="train-mix-0-remove").click().run()
    assert [row(app, number)["dataset"] for number in range(2)] == [DOGS, sets.OXFORD]
    app.button(key="train-mix-1-remove").click().run()
    app.button(key="train-mix-0-remove").click().run()
    assert row(app) == {}
    assert "mix" not in app.query_params
    assert started(app).config() == DEMO


def test_several_changes_at_once_are_all_kept(datasets: Path) -> None:
    app = opened(mix=mixed({"dataset": CATS, "share": 25}))
    app.selectbox(key="train-mix-0-class-cat").set_value("pet")
    app.number_input(key="train-mix-0-share").set_value(30)
    button(app, "Add a dataset").click().run()
    assert row(app) == {"dataset": CATS, "share": 30, "class-cat": "pet", "border": True}
    assert row(app, 1)["dataset"] == sets.OXFORD


def test_another_dataset_takes_over_the_share_and_nothing_of_the_classes(datasets: Path) -> None:
    own_datasets.named(datasets / DOGS, ("background", "cat", "dog"), 16)
    app = opened((CATS, DOGS), mix=mixed({"dataset": CATS, "share": 30, "classes": {"cat": "border"}}))
    app.selectbox(key="train-mix-0-dataset").set_value(DOGS).run()
    assert row(app) == {"dataset": DOGS, "share": 30, "class-cat": None, "class-dog": None, "border": True}
    assert "dogs has the classes cat, dog, which synthetic does not have" in texts(app), "all of them are named"


def test_many_classes_are_chosen_together(datasets: Path) -> None:
    own_datasets.named(datasets / DOGS, ("background", "cow", "horse", "sheep", "goat"), 16)
    app = opened((DOGS,), mix=mixed({"dataset": DOGS, "share": 30, "classes": {"cow": "pet"}}))
    app.selectbox(key="train-mix-0-others").set_value("background").run()
    expected = {"cow": "pet", "horse": "background", "sheep": "background", "goat": "background"}
    assert row(app) == {
        "dataset": DOGS, "share": 30, "border": True, **{f"class-{name}": other for name, other in expected.items()}
    }  # fmt: skip
    assert started(app).config().data[1].classes == expected


def test_names_that_differ_in_case_alone_are_matched(datasets: Path) -> None:
    own_datasets.named(datasets / DOGS, ("Back ground", "Pet"), 16)
    app = opened((DOGS,), mix=mixed({"dataset": DOGS, "share": 30}))
    assert row(app) == {
        "dataset": DOGS, "share": 30, "class-Back ground": "background", "class-Pet": "pet", "border": True
    }  # fmt: skip
    assert app.query_params["mix"] == mixed({"dataset": DOGS, "share": 30})
    app.selectbox(key="train-mix-0-class-Pet").set_value("border").run()
    assert "border" not in row(app), "its masks show it now"
    assert started(app).config().data[1].classes == {"Back ground": "background", "Pet": "border"}


def test_own_datasets_of_other_classes_need_no_border(datasets: Path) -> None:
    own_datasets.named(datasets / DOGS, ("background", "cat", "dog"), 16)
    app = opened((CATS, DOGS), dataset=DOGS, mix=mixed({"dataset": CATS, "share": 30}))
    assert row(app) == {"dataset": CATS, "share": 30}
    run = started(app, "Start training")
    assert run.config().data[1].border is False
    assert run.config().model.classes == 3
    assert run.label().name == "dogs + cats"


# --- what cannot be mixed ---------------------------------------------------------------------------------------------


def test_a_dataset_is_mixed_with_itself_in_no_way(datasets: Path) -> None:
    app = opened(recipe="60-second demo", dataset=CATS, mix=mixed({"dataset": CATS, "share": 30}))
    assert "each dataset may be there once" in texts(app)
    assert str(datasets) not in texts(app)
    assert button(app, "Start training").disabled
    app.selectbox(key="dataset").set_value("Synthetic pets").run()
    assert "each dataset may be there once" not in texts(app)


def test_a_border_that_is_turned_off_is_refused_where_it_is_chosen(datasets: Path) -> None:
    app = opened(mix=mixed({"dataset": CATS, "share": 30, "classes": {"cat": "pet"}}))
    app.toggle(key="train-mix-0-border").set_value(False).run()
    assert "the masks of cats have no border, which those of synthetic have" in texts(app)
    assert "The datasets cannot be mixed as they are" in texts(app)
    assert button(app, "Start the 60-second demo").disabled


def test_datasets_of_others_are_neither_offered_nor_said(datasets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.shared.visitor.is_local", lambda: False)
    app = opened(())
    button(app, "Mix in another dataset").click().run()
    assert list(app.selectbox(key="train-mix-0-dataset").options) == [sets.OXFORD]
    app = opened((), mix=mixed({"dataset": "../../etc", "share": 30}))
    assert "The dataset 'etc' is not among yours: choose another one or remove it." in texts(app)
    assert button(app, "Start the 60-second demo").disabled


def test_a_link_opens_the_dataset_whose_key_it_holds(datasets: Path) -> None:
    app = opened((), mix=mixed({"dataset": CATS, "share": 30, "classes": {"cat": "pet"}}))
    assert row(app) == {"dataset": CATS, "share": 30, "class-cat": "pet", "border": True}
    assert started(app).config().sources == ("synthetic", str(datasets / CATS))


# --- runs and links ---------------------------------------------------------------------------------------------------


def copied_run(runs: Path, other: Path, name: str = "done") -> TrainConfig:
    """Write a run on drawn pets and a dataset with cats, whose shares add up to four; return its configuration."""
    if not other.exists():
        own_datasets.named(other, ("background", "cat"), 16)
    share = {"source": str(other), "classes": {"cat": "pet"}, "border": True}
    made_run(runs / name, name="Both", data=[{"source": "synthetic", "share": 3}, share])
    return RunDirectory(runs / name).config()


def test_a_copied_run_fills_the_form_and_is_repeated_exactly(datasets: Path, tmp_path: Path) -> None:
    config = copied_run(tmp_path / "runs", tmp_path / "elsewhere" / "cats")
    app = opened(like="done")
    assert row(app) == {"dataset": "cats", "share": 25, "class-cat": "pet", "border": True}
    ready(app, "Start training")
    described = texts(app)
    run = started(app, "Start training")
    assert "validation, previews and test are of synthetic alone" in described
    assert str(tmp_path) not in described
    assert run.config() == config
    assert run.label().name == "Both 2"
    button(app, "Another like this").click().run()
    app.number_input(key="train-mix-0-share").set_value(10).run()
    changed = started(app, "Start training").config()
    assert [share.share for share in changed.data] == [90, 10]
    assert changed.replace(data=config.data) == config


@pytest.mark.slow
@pytest.mark.parametrize("shares", [(1e-9, 1e6), (1e6, 1e-9), (1e-300, 1e-300)])
def test_a_copied_run_of_extreme_shares_is_shown(datasets: Path, tmp_path: Path, shares: tuple[float, float]) -> None:
    entries = [{"source": name, "share": share} for name, share in zip(("synthetic", "oxford_iiit_pet"), shares)]
    made_run(tmp_path / "runs" / "done", name="Both", data=entries)
    assert 0 < row(opened(like="done"))["share"] < 100


def test_the_mixture_of_a_copied_run_can_be_removed(datasets: Path, tmp_path: Path) -> None:
    config = copied_run(tmp_path / "runs", datasets / CATS)
    app = opened(like="done")
    app.button(key="train-mix-0-remove").click().run()
    assert app.query_params["mix"] == "none"
    assert started(app, "Start training").config() == config.replace(data="synthetic")
    again = opened(like="done", mix="none")
    assert row(again) == {}
    button(again, "Back to the presets").click().run()
    assert row(again) == {}
    assert not button(again, "Start the 60-second demo").disabled


@pytest.mark.slow
def test_going_back_to_the_presets_leaves_the_run_s_mixture_behind(datasets: Path, tmp_path: Path) -> None:
    copied_run(tmp_path / "runs", datasets / CATS)
    app = opened(like="done")
    button(app, "Back to the presets").click().run()
    assert row(app) == {}
    assert started(app).config() == DEMO


def test_a_copied_run_with_a_dataset_of_somebody_else_cannot_be_started(
    datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied_run(tmp_path / "runs", datasets / CATS)
    monkeypatch.setattr("ui.shared.visitor.is_local", lambda: False)
    app = opened((), like="done")
    assert "The dataset 'cats' is not among yours: choose another one or remove it." in texts(app)
    assert row(app) == {"dataset": "cats", "share": 25}, "neither its key nor its classes"
    assert KEY not in str([(widget.options, widget.value) for widget in app.selectbox])
    assert KEY not in app.text_input(key="mix").value
    assert button(app, "Start training").disabled
    app.button(key="train-mix-0-remove").click().run()
    assert not button(app, "Start training").disabled


def test_a_link_carries_the_mixture(datasets: Path) -> None:
    app = opened()
    button(app, "Mix in another dataset").click().run()
    app.selectbox(key="train-mix-0-class-cat").set_value("pet").run()
    app.number_input(key="train-mix-0-share").set_value(40).run()
    link = app.session_state[url.REMEMBERED][frame.TRAIN.name]
    assert json.loads(link["mix"]) == [{"dataset": CATS, "share": 40, "classes": {"cat": "pet"}}]
    assert app.query_params["mix"] == link["mix"]
    again = opened(**link)
    assert row(again) == row(app)
    assert started(again).config().data == started(app).config().data


@pytest.mark.parametrize(
    "text",
    [
        "nonsense", "[]", "7", "[1]", "{}", '[{"dataset":"a"}]', '[{"dataset":"a","share":0}]', "[" * 3000,
        '[{"dataset":"a","share":NaN}]', '[{"dataset":"a","share":60},{"dataset":"b","share":40}]',
        '[{"dataset":"a","share":1,"source":"/etc"}]',
    ],
)  # fmt: skip
def test_what_is_no_mixture_is_refused_by_the_address(text: str) -> None:
    assert not is_readable(text)
    with pytest.raises(ConfigError, match=r"mix|share|source"):
        read(text)


def test_nonsense_in_the_address_is_reported_and_changes_nothing(datasets: Path) -> None:
    app = opened(mix="<b>")
    assert "mix: cannot have this value" in texts(app)
    assert row(app) == {}
    assert started(app).config() == DEMO


def test_a_text_is_read_as_it_was_written() -> None:
    most = tuple(MixedIn(dataset=f"set {number}", share=6, border=bool(number % 2)) for number in range(MOST))
    assert read(written(most)) == most
    assert read(written(())) == read("") == ()
    assert not is_readable(written((*most, most[0])))
