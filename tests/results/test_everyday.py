"""Stand-ins for everyday photos: composed deterministically, with exact ground truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.helpers.tiny_model import write_tiny_model
from ui.results import everyday as figures_everyday
from ui.results import pictures
from ui.shared import frame
from unet_core.data.oxford.oxford_pets import OxfordPets
from unet_core.data.pipeline import target_coding
from unet_core.data.sources import PET_AND_BORDER, SplitName
from unet_core.data.synthetic.chance import Chance
from unet_core.data.synthetic.pets import SyntheticExample, SyntheticPets
from unet_core.results import everyday, everyday_photos
from unet_core.results.evaluation import full_evaluation
from unet_core.results.everyday import measure_everyday, validation_photos
from unet_core.results.everyday_photos import KINDS, SIDE, Composed, CutOut, Scene, Unfit, compose, composed_photos
from unet_core.results.files import Evaluation, ResultsError, read_evaluation, result_path, write_result
from unet_core.segment import Segmenter
from unet_core.settings import ROOT, Settings
from unet_core.train.find_model import ModelSource
from unet_core.zoo.manifest import load_manifest

RED, BLUE = (255, 0, 0), (0, 0, 255)
DRAWN = SyntheticPets(size=(96, 128))


@dataclass(frozen=True)
class Watched(SyntheticPets):
    """Synthetic pets that record which parts are read."""

    asked: list[SplitName] = field(default_factory=list)

    def examples(self, part: SplitName) -> Iterator[SyntheticExample]:
        self.asked.append(part)
        return super().examples(part)


@cache
def drawn() -> tuple[tuple[str, ...], everyday_photos.Lookup]:
    return validation_photos(DRAWN)


@pytest.fixture(scope="module")
def two_of_each() -> list[Composed]:
    return list(composed_photos(*drawn(), limit=2 * len(KINDS)))


# --- composing --------------------------------------------------------------------------------------------------------


def test_every_kind_is_there_at_everyday_proportions(two_of_each: list[Composed]) -> None:
    assert [found.kind for found in two_of_each] == 2 * [kind.name for kind in KINDS]
    assert {found.pet.shape for found in two_of_each} == {(375, 500), (500, 375)}
    for found in two_of_each:
        assert found.photo.shape == (*found.pet.shape, 3)
        assert max(found.pet.shape) == SIDE
        assert 0.01 < found.pet.mean() < 0.9, found.name
        assert len(found.sources) == len(set(found.sources))
    assert {everyday_photos.frame_size(number) for number in range(4)} == {
        (500, 375), (375, 500), (500, 281), (500, 500),
    }  # fmt: skip


def test_the_same_photos_come_out_whatever_the_order_of_names(two_of_each: list[Composed]) -> None:
    names, lookup = drawn()
    for found, again in zip(two_of_each[:9], composed_photos(names[::-1], lookup, limit=9), strict=True):
        assert (found.name, found.sources) == (again.name, again.sources)
        assert np.array_equal(found.photo, again.photo)
        assert np.array_equal(found.pet, again.pet)


def test_a_photo_can_be_composed_again_from_what_is_written_down(two_of_each: list[Composed]) -> None:
    for found in two_of_each[9:]:
        again = compose(found.kind, found.number, found.sources, drawn()[1])
        assert np.array_equal(found.photo, again.photo)
        assert np.array_equal(found.pet, again.pet)


def test_kinds_are_what_they_say(two_of_each: list[Composed]) -> None:
    for found in two_of_each:
        if found.kind == "small":
            assert found.pet.mean() < 1 / 8
        if found.kind == "part":  # the frame cuts it off
            edges = (found.pet[0], found.pet[-1], found.pet[:, 0], found.pet[:, -1])
            assert any(edge.any() for edge in edges)
    grey = _first_fitting("poor", 4, [["field 0", f"pet {index}"] for index in range(9)]).photo
    assert np.array_equal(grey[..., 0], grey[..., 2])


def test_a_pasted_pet_is_where_numpy_puts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everyday_photos, "SOFT", 0)
    shape = np.array([[0, 1, 1], [1, 1, 1], [1, 0, 1]], bool)
    scene = Scene((5, 6), 0, Chance(0, 0), ())
    scene.photo = np.full((5, 6, 3), BLUE, np.uint8)
    scene.paste(CutOut(np.full((3, 3, 3), RED, np.uint8), shape, frozenset()), (3, 3), (3, -1))
    true = np.zeros((5, 6), bool)
    true[3:5, 0:2] = shape[:2, 1:]
    assert np.array_equal(scene.pet, true)
    assert np.array_equal(scene.photo, np.where(true[..., None], RED, BLUE))
    board = np.zeros((5, 6), bool)
    board[4] = True
    scene.cover(board, np.full((5, 6, 3), 128, np.uint8))
    true[4] = False
    assert np.array_equal(scene.pet, true)
    assert (scene.photo[4] == 128).all()


def painted(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Give a blue field without a pet, a pet cut out of red (its margin is red too), or a red pet in a blue field."""
    down, across = np.mgrid[:60, :80]
    kind, _, number = name.partition(" ")
    if kind == "field":
        return np.full((60, 80, 3), BLUE, np.uint8), np.zeros((60, 80), bool)
    if kind == "pet":
        wide = 9 + 2 * int(number)
        pet = ((down - 30) / 22) ** 2 + ((across - 36) / wide) ** 2 < 1
        return np.full((60, 80, 3), RED, np.uint8), pet & ~((down < 25) & (across > 40))
    pet = ((down - 30) / 24) ** 2 + ((across - 20 - 4 * int(number)) / 14) ** 2 < 1
    return np.where(pet[..., None], RED, BLUE).astype(np.uint8), pet


@pytest.mark.parametrize(
    ("kind", "first", "last", "crossings"),
    [
        ("ordinary", "own", "", 0),
        ("elsewhere", "field", "", 0),
        ("small", "field", "", 0),
        ("several", "field", "", 0),
        ("overlapping", "own", "", 0.001),  # where two soft edges cross, the colours of both add up
        ("part", "own", "", 0),
        ("angle", "field", "", 0),
        ("hidden", "field", "field 9", 0.001),
    ],
)
def test_truth_is_where_the_pets_pixels_are(kind: str, first: str, last: str, crossings: float) -> None:
    """Pets are red and all else is blue, so that the composed pixels say by themselves where pets are."""
    for number in range(4):
        count = next(entry for entry in KINDS if entry.name == kind).needed(number)
        pets = [[f"pet {start + index}" for index in range(count - 1 - bool(last))] for start in range(9)]
        choices = [[f"{first} {place}", *some, *filter(None, [last])] for place in range(6) for some in pets]
        found = _first_fitting(kind, number, choices)
        assert found.pet.any()
        assert np.mean((found.photo[..., 0] >= 128) != found.pet) <= crossings, number


def _first_fitting(kind: str, number: int, choices: list[list[str]]) -> Composed:
    for sources in choices:
        try:
            return compose(kind, number, sources, painted)
        except Unfit as unfit:
            reason = unfit
    raise AssertionError(f"{kind} {number}: {reason}")


def test_photos_that_do_not_fit_are_told() -> None:
    names, lookup = drawn()
    with pytest.raises(Unfit, match="no such kind"):
        compose("nonsense", 0, names[:1], lookup)
    with pytest.raises(Unfit, match="given twice"):
        compose("elsewhere", 0, (names[0], names[0]), lookup)
    full = np.zeros((40, 40, 3), np.uint8), np.ones((40, 40), bool)
    with pytest.raises(Unfit, match="too little of this photo free") as caught:
        compose("elsewhere", 0, ("a", "b"), lambda name: full)
    assert caught.value.role == 0
    assert not list(composed_photos(("a", "b", "c"), lambda name: (full[0], ~full[1]))), "no pet, no photo"


# --- measuring --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Evaluation]:
    settings = Settings(weights_dir=write_tiny_model(tmp_path_factory.mktemp("weights")))
    entry = load_manifest(settings).entry()
    source = ModelSource("tiny", entry.config, None, entry=entry)
    found = full_evaluation(source, source.engine("onnx", settings), "synthetic", size=(64, 64), limit=18)
    return settings, found.replace(parts={"test": found.parts["test"]})


@pytest.mark.slow
def test_the_figure_is_the_mean_iou_of_the_masks_that_a_visitor_gets(shipped: tuple[Settings, Evaluation]) -> None:
    segmenter = Segmenter("tiny", "onnx", shipped[0])
    config = segmenter.entry.config
    found = measure_everyday(segmenter.network, config, DRAWN, target_coding(DRAWN, config.classes), limit=9)
    values, shares = [], []
    for photo in composed_photos(*drawn(), limit=9):
        said = np.isin(segmenter.segment(photo.photo).mask, PET_AND_BORDER)
        both = (said & photo.pet).sum()
        values.append(both / (said | photo.pet).sum())
        shares.append((both / said.sum(), both / photo.pet.sum()))
    assert found.photos.iou == pytest.approx(values, abs=1e-4)
    assert found.photo_iou == pytest.approx(np.mean(values), abs=1e-5)
    assert [kind.photo_iou for kind in found.kinds] == pytest.approx(values, abs=1e-5)
    assert np.allclose([(kind.precision, kind.recall) for kind in found.kinds], shares, atol=1e-5)


def test_only_validation_photos_are_used(shipped: tuple[Settings, Evaluation]) -> None:
    dataset = Watched(size=(64, 64))
    segmenter = Segmenter("tiny", "onnx", shipped[0])
    config = segmenter.entry.config
    found = measure_everyday(segmenter.network, config, dataset, target_coding(dataset, config.classes), limit=9)
    assert dataset.asked == ["validation"]
    used = {name for sources in found.photos.sources for name in sources}
    assert used <= set(dataset.names("validation"))
    assert not used & set(dataset.names("test"))


def test_data_without_pets_have_no_figure(shipped: tuple[Settings, Evaluation]) -> None:
    @dataclass(frozen=True)
    class Things(SyntheticPets):
        foreground = None

    segmenter = Segmenter("tiny", "onnx", shipped[0])
    assert measure_everyday(segmenter.network, segmenter.entry.config, Things(), target_coding(Things(), 3)) is None


def test_two_empty_masks_agree() -> None:
    assert everyday.pet_overlap(np.zeros((2, 2), bool), np.zeros((2, 2), bool)) == 1


@pytest.mark.slow
def test_the_quick_command_prints_a_table_or_json(
    shipped: tuple[Settings, Evaluation], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(shipped[0].weights_dir))
    # Drawn pets and ONNX need no TensorFlow:
    monkeypatch.setattr("unet_core.quiet_tensorflow.import_tensorflow_quietly", lambda: None)
    assert everyday.main(["--model", "tiny", "--data", "synthetic", "--limit", "9", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["images"] == len(document["kinds"]) == 9
    assert document["photo_iou"] == pytest.approx(np.mean(list(document["kinds"].values())), abs=1e-5)
    assert everyday.main(["--model", "tiny", "--data", "synthetic", "--limit", "9"]) == 0
    assert f"{document['photo_iou']:.3f}" in capsys.readouterr().out.splitlines()[-1]
    assert everyday.main(["--model", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err


@pytest.mark.slow
def test_the_dataset_gives_every_kind_as_often_and_no_test_photo(oxford_dir: Path) -> None:
    dataset = OxfordPets(oxford_dir)
    found = list(composed_photos(*validation_photos(dataset)))
    assert len(found) == everyday.everyday_total()
    used = {name for photo in found for name in photo.sources}
    assert not used & (set(dataset.names("test")) | set(dataset.names("train")))


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_holds_it_and_older_files_still_load(shipped: tuple[Settings, Evaluation], tmp_path: Path) -> None:
    evaluation = shipped[1]
    assert evaluation.everyday.images == 18
    path = write_result(tmp_path / "tiny.json", evaluation)
    assert read_evaluation(path) == evaluation
    values = json.loads(path.read_text())
    del values["everyday"]
    path.write_text(json.dumps(values))
    assert read_evaluation(path) == evaluation.replace(everyday=None)
    values = evaluation.model_dump(mode="json")
    values["everyday"]["photos"]["iou"].pop()
    path.write_text(json.dumps(values))
    with pytest.raises(ResultsError, match="one entry for each photo"):
        read_evaluation(path)


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def weights(shipped: tuple[Settings, Evaluation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    folder = tmp_path / "weights"
    folder.mkdir()
    for file in shipped[0].weights_dir.glob("*.*"):
        (folder / file.name).write_bytes(file.read_bytes())
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(folder))
    for name in ("data", "cache"):
        monkeypatch.setenv(f"UNET_{name.upper()}_DIR", str(tmp_path / name))
    return Settings(weights_dir=folder)


def open_section(**query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / frame.RESULTS.script), default_timeout=30)
    for name, value in {"figures": "Everyday photos", **query}.items():
        app.query_params[name] = value
    return app.run()


def captions(app: AppTest) -> str:
    return "\n".join(str(element.value) for element in (*app.caption, *app.info, *app.markdown))


def test_the_page_shows_the_stored_figures_without_the_dataset(
    shipped: tuple[Settings, Evaluation], weights: Settings
) -> None:
    write_result(result_path("tiny", weights), shipped[1].replace(data="oxford_iiit_pet"))
    app = open_section()
    assert not app.exception
    found = shipped[1].everyday
    metric = next(metric for metric in app.metric if metric.label == "IoU per photo")
    assert metric.value == f"{100 * found.photo_iou:.1f}\u202f%"
    said = captions(app)
    assert "18 photos composed from the validation part" in said
    assert "python -m unet_core.results.everyday --model tiny" in said
    assert all(kind.description in said for kind in found.kinds)
    assert "Once the dataset is ready on the Data page" in said


def test_the_page_says_how_to_measure_what_an_older_file_lacks(
    shipped: tuple[Settings, Evaluation], weights: Settings
) -> None:
    write_result(result_path("tiny", weights), shipped[1].replace(everyday=None))
    app = open_section()
    assert not app.exception
    assert "`python -m unet_core evaluate --model tiny --full` adds them" in captions(app)


def test_with_the_dataset_composed_photos_are_shown_with_both_masks(
    shipped: tuple[Settings, Evaluation], weights: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = shipped[1].replace(data="oxford_iiit_pet")
    write_result(result_path("tiny", weights), evaluation)
    examples = {example.name: example for example in SyntheticPets(size=(64, 64)).examples("validation")}
    monkeypatch.setattr(pictures, "_photographed", lambda name, settings: examples[name].decode())
    monkeypatch.setattr(figures_everyday, "dataset_ready", lambda subject, settings: True)
    app = open_section(kind="Small pet", composed="best")
    assert not app.exception
    said = captions(app)
    assert "Small pet: a pet on another background, at most an eighth of the frame" in said
    best = max(
        iou for kind, iou in zip(evaluation.everyday.photos.kind, evaluation.everyday.photos.iou) if kind == "small"
    )
    shown = [caption.value for caption in app.caption if "small pet" in caption.value]
    assert len(shown) == 2
    assert shown[0].startswith(f"IoU {100 * best:.1f}\u202f%")


def test_the_gallery_begins_with_the_worst_or_the_best(shipped: tuple[Settings, Evaluation]) -> None:
    found = shipped[1].everyday
    iou = found.photos.iou
    worst = figures_everyday.chosen(found, None, best=False)
    assert [iou[index] for index in worst] == sorted(iou)[:6]
    assert iou[figures_everyday.chosen(found, None, best=True)[0]] == max(iou)
    own = figures_everyday.chosen(found, found.kinds[0], best=False)
    assert {found.photos.kind[index] for index in own} == {found.kinds[0].name}
