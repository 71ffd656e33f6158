"""Result files and the measuring behind them, against NumPy written out by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.tiny_model import write_tiny_model
from tests.scoring.test_evaluate import COLOURS, CONFIG, ColourNetwork, blocks, coding
from unet_core.architecture.trace import trace
from unet_core.classes import PET_CLASSES
from unet_core.cli.parser import main
from unet_core.data.synthetic.pets import SyntheticPets
from unet_core.errors import ConfigError
from unet_core.images.corruptions import CORRUPTIONS
from unet_core.results import compared_networks
from unet_core.results.calibration import Reliability
from unet_core.results.compared_networks import (
    ALL_BUGS,
    LEFT_OUT,
    NETWORKS,
    default_budget,
    find_network,
    fingerprint,
    sized,
    train_config,
)
from unet_core.results.comparison_data import ComparedPhotos, PreparedExample
from unet_core.results.evaluation import Collector, full_evaluation
from unet_core.results.files import (
    Comparison,
    Evaluation,
    ResultsError,
    find_evaluation,
    measured_file,
    read_comparison,
    read_evaluation,
    read_file,
    result_path,
    write_result,
)
from unet_core.results.published import PUBLISHED, ours
from unet_core.results.robustness import chosen_names, measure_robustness
from unet_core.scoring.evaluate import evaluate, report
from unet_core.settings import Settings
from unet_core.train.find_model import ModelSource
from unet_core.zoo.manifest import load_manifest

SIDE = (32, 32)


@dataclass(frozen=True)
class Animal:
    """A painted photo that says what it shows."""

    ids: np.ndarray
    name: str
    breed: str
    species: str
    photo: np.ndarray | None = None

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        return COLOURS[self.ids] if self.photo is None else self.photo, self.ids


class Unsure(ColourNetwork):
    """Sees colours through a veil and never says border as loudly as the others, so that it errs at times."""

    def predict(self, batch: np.ndarray) -> np.ndarray:
        grain = np.random.default_rng(7).normal(0, 0.5, batch.shape)
        return ((batch + grain) * np.array([2.0, 1.5, 0.8])).astype(np.float32)


def animals(count: int = 6) -> list[Animal]:
    kinds = (("Bengal", "Cat"), ("pug", "Dog"), ("boxer", "Dog"))
    return [Animal(blocks(seed).ids, f"{kinds[seed % 3][0]}_{seed}", *kinds[seed % 3]) for seed in range(count)]


# --- one pass ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def part():
    collector = Collector(CONFIG, coding())
    found = evaluate(Unsure(), CONFIG, animals(), coding(), size=SIDE, observe=collector.observe)
    return collector.result("test", report(found))


def predictions() -> list[tuple[np.ndarray, np.ndarray]]:
    """True ids and probabilities (H, W, C) of the animals, with NumPy alone."""
    found = []
    for animal in animals():
        values = Unsure().predict(COLOURS[animal.ids][None] / np.float32(255))[0].astype(np.float64)
        values = np.exp(values - values.max(axis=-1, keepdims=True))
        found.append((animal.ids, values / values.sum(axis=-1, keepdims=True)))
    return found


def test_precision_and_recall_are_shares_of_columns_and_rows(part) -> None:
    true = np.stack([ids for ids, _ in predictions()])
    said = np.stack([values.argmax(-1) for _, values in predictions()])
    for number, name in enumerate(part.classes):
        both = np.sum((true == number) & (said == number))
        assert part.precision[name] == pytest.approx(both / np.sum(said == number), abs=1e-6)
        assert part.recall[name] == pytest.approx(both / np.sum(true == number), abs=1e-6)


def test_each_photo_has_its_own_iou_and_the_true_share_of_its_pet(part) -> None:
    for index, (ids, values) in enumerate(predictions()):
        true, said = ids != 1, values.argmax(-1) != 1
        assert part.photos.iou[index] == pytest.approx((true & said).sum() / (true | said).sum(), abs=1e-4)
        assert part.photos.pet_share[index] == pytest.approx(true.mean(), abs=1e-4)
    assert np.mean(part.photos.iou) == pytest.approx(part.pet_iou["per_image_mean"], abs=1e-4)


def test_uncertainty_is_the_mean_entropy_as_a_share_of_the_largest(part) -> None:
    for index, (_, values) in enumerate(predictions()):
        entropy = -(values * np.log(values)).sum(-1).mean() / np.log(3)
        assert part.photos.uncertainty[index] == pytest.approx(entropy, abs=1e-3)


def test_groups_pool_the_pixels_of_their_photos(part) -> None:
    assert [(group.name, group.photos) for group in part.species] == [("Cat", 2), ("Dog", 4)]
    assert [(group.name, group.species) for group in part.breeds] == [
        ("Bengal", "Cat"),
        ("boxer", "Dog"),
        ("pug", "Dog"),
    ]
    dogs = [pair for animal, pair in zip(animals(), predictions(), strict=True) if animal.species == "Dog"]
    true = np.stack([ids for ids, _ in dogs])
    said = np.stack([values.argmax(-1) for _, values in dogs])
    border = ((true == 2) & (said == 2)).sum() / ((true == 2) | (said == 2)).sum()
    assert part.species[1].iou["border"] == pytest.approx(border, abs=1e-4)
    assert part.species[1].pixel_accuracy == pytest.approx((true == said).mean(), abs=1e-4)
    assert sum(group.photos for group in part.pet_sizes) == 6


def test_photos_are_ranked_the_same_way_each_time(part) -> None:
    worst_first = part.photos.ranked()
    assert [part.photos.iou[index] for index in worst_first] == sorted(part.photos.iou)
    assert part.photos.ranked(largest=True) == worst_first[::-1]


def test_the_observer_changes_no_figure(part) -> None:
    plain = report(evaluate(Unsure(), CONFIG, animals(), coding(), size=SIDE))
    assert [list(row) for row in part.confusion_matrix] == plain["confusion_matrix"]
    assert (part.mean_iou, part.iou, part.pet_alone_iou) == (plain["mean_iou"], plain["iou"], plain["pet_alone_iou"])


def test_calibration_error_is_that_of_the_paper() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0.34, 1, 5000)
    predicted = random.integers(0, 3, 5000)
    truth = np.where(random.random(5000) < confidence**2, predicted, (predicted + 1) % 3)
    collected = Reliability(10)
    for chunk in np.array_split(np.arange(5000), 7):
        collected.add(truth[chunk], predicted[chunk], confidence[chunk])
    error = 0.0
    for number in range(10):
        inside = (confidence > number / 10) & (confidence <= (number + 1) / 10)
        if inside.any():
            right = (truth == predicted)[inside].mean()
            error += inside.mean() * abs(right - confidence[inside].mean())
    found = collected.result()
    assert found.error == pytest.approx(error, abs=1e-6)
    assert found.overconfidence == pytest.approx(confidence.mean() - (truth == predicted).mean(), abs=1e-6)
    assert found.accuracy[0] is None
    assert sum(found.pixels) == 5000


# --- photos made worse ------------------------------------------------------------------------------------------------


def photo_and_ids() -> tuple[np.ndarray, np.ndarray]:
    example = next(iter(SyntheticPets(size=(96, 120)).examples("test")))
    return example.decode()


@pytest.mark.parametrize("entry", CORRUPTIONS, ids=lambda entry: entry.name)
def test_a_corruption_is_repeatable_and_grows_with_its_strength(entry) -> None:
    photo, ids = photo_and_ids()
    changes = []
    for strength in entry.strengths:
        corrupted, mask = entry.apply(photo, ids, strength, "cat.jpg")
        again, _ = entry.apply(photo, ids, strength, "cat.jpg")
        assert corrupted.shape == photo.shape
        assert corrupted.dtype == np.uint8
        assert np.array_equal(corrupted, again)
        assert set(np.unique(mask)) <= {0, 1, 2}
        assert np.array_equal(mask, ids) == (entry.name != "rotation")
        changes.append(np.abs(corrupted.astype(float) - photo).mean())
    if entry.name not in ("rotation", "downscale"):
        assert changes == sorted(changes)
    assert changes[-1] > changes[0] > 0 or entry.name == "downscale"
    assert len({entry.shown(strength) for strength in entry.strengths}) == 5


def test_noise_has_the_stated_deviation_and_depends_on_the_name() -> None:
    grey = np.full((100, 100, 3), 128, np.uint8)
    noise = next(entry for entry in CORRUPTIONS if entry.name == "noise")
    first, _ = noise.apply(grey, grey[..., 0], 16, "a")
    second, _ = noise.apply(grey, grey[..., 0], 16, "b")
    assert first.astype(float).std() == pytest.approx(16, rel=0.03)
    assert not np.array_equal(first, second)


def test_rotation_turns_the_mask_with_the_photo() -> None:
    rotation = next(entry for entry in CORRUPTIONS if entry.name == "rotation")
    painted = blocks(3, side=64)
    for strength in rotation.strengths:
        photo, ids = rotation.apply(COLOURS[painted.ids], painted.ids, strength, "x")
        assert (photo.argmax(-1) == ids).mean() > 0.93, strength
    half, _ = rotation.apply(COLOURS[painted.ids], painted.ids, 180, "x")
    assert np.array_equal(half, COLOURS[painted.ids][::-1, ::-1])


def test_robustness_compares_corrupted_photos_with_the_masks_that_belong_to_them() -> None:
    found = measure_robustness(ColourNetwork(), CONFIG, animals(2), coding(), size=SIDE)
    assert found.images == 2
    assert [len(curve.mean_iou) for curve in found.curves] == [6] * 7
    assert {curve.mean_iou[0] for curve in found.curves} == {1.0}
    by_name = {curve.name: curve.mean_iou for curve in found.curves}
    assert by_name["rotation"][-1] == 1.0, "upside down the colours are the same"
    assert by_name["noise"][1] > by_name["noise"][-1]


def test_the_same_photos_are_chosen_whatever_their_order() -> None:
    names = [f"pet_{number}" for number in range(50)]
    assert chosen_names(names, 10) == chosen_names(names[::-1], 10)
    assert len(chosen_names(names, 10)) == 10
    assert chosen_names(names, 10) < chosen_names(names, 20)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(weights_dir=write_tiny_model(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def evaluation(weights: Settings) -> Evaluation:
    source = ModelSource("tiny", load_manifest(weights).entry().config, None, entry=load_manifest(weights).entry())
    return full_evaluation(source, source.engine("onnx", weights), "synthetic", size=(64, 64), limit=3)


def test_a_full_evaluation_has_every_part_and_says_what_it_measured(evaluation: Evaluation, weights: Settings) -> None:
    assert {name: part.images for name, part in evaluation.parts.items()} == {"test": 3, "validation": 3}
    assert evaluation.sha256 == measured_file(load_manifest(weights).entry())[1]
    assert evaluation.robustness.images == 3
    assert evaluation.measured.command == "python -m unet_core evaluate --model tiny --full"
    assert "onnxruntime" in evaluation.measured.packages


def test_a_file_is_read_as_it_was_written(evaluation: Evaluation, tmp_path: Path) -> None:
    path = write_result(tmp_path / "deep" / "tiny.json", evaluation)
    assert read_evaluation(path) == evaluation
    assert max(len(line) for line in path.read_text().splitlines()) < 2000, "a line for each field"


def test_figures_of_another_version_of_the_model_are_found_out(
    evaluation: Evaluation, weights: Settings, tmp_path: Path
) -> None:
    settings, entry = Settings(weights_dir=tmp_path), load_manifest(weights).entry()
    assert "not been measured" in find_evaluation("tiny", entry, settings).problem
    write_result(result_path("tiny", settings), evaluation)
    fresh = find_evaluation("tiny", entry, settings)
    assert fresh.evaluation == evaluation
    assert not fresh.problem
    write_result(result_path("tiny", settings), evaluation.replace(sha256="0" * 64))
    stale = find_evaluation("tiny", entry, settings)
    assert stale.stale
    assert "another version" in stale.problem


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "version None"),
        ('{"version": 9}', "version 9"),
        ('{"version": 1, "kind": "evaluation"}', "cannot be used"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_file_that_cannot_be_used_is_explained(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "tiny.json"
    path.write_text(content)
    with pytest.raises(ResultsError, match=message):
        read_evaluation(path)


def test_columns_of_photos_must_be_equally_long(evaluation: Evaluation, tmp_path: Path) -> None:
    values = evaluation.model_dump(mode="json")
    values["parts"]["test"]["photos"]["iou"].pop()
    (tmp_path / "tiny.json").write_text(json.dumps(values))
    with pytest.raises(ResultsError, match="one entry for each photo"):
        read_evaluation(tmp_path / "tiny.json")


def test_published_figures_find_ours_by_name(part) -> None:
    for entry in PUBLISHED:
        assert entry.url.startswith("http")
        for figure in entry.figures:
            assert 0 < figure.value < 1
            assert (ours(part, figure.ours) is None) == (figure.ours == "")
    assert ours(part, "pet_iou.dataset") == part.pet_iou["dataset"]


# --- processes --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_writes_the_file_and_prints_what_evaluate_prints(
    weights: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(weights.weights_dir))
    path = tmp_path / "tiny.json"
    common = ["evaluate", "--model", "tiny", "--data", "synthetic", "--limit", "2", "--json"]
    assert main([*common, "--full", "--out", str(path)]) == 0
    full = json.loads(capsys.readouterr().out)
    assert main(common) == 0
    plain = json.loads(capsys.readouterr().out)
    assert full.pop("results") == str(path)
    for document in (full, plain):
        document.pop("milliseconds_per_image")
    assert full == plain
    assert read_evaluation(path).measured.command.endswith("--full --data synthetic --limit 2")
    assert main([*common, "--full", "--split", "train"]) != 0


@pytest.mark.slow
def test_the_comparison_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "comparison.json"
    command = ["compare-architectures", "--data", "synthetic", "--side", "32", "--photos", "16", "--epochs", "1"]
    command += ["--test-photos", "4", "--out", str(out), "--only"]
    assert main([*command, "plain_depth2"]) == 0
    assert main([*command, "plain_depth2", "tutorial2022_as_written"]) == 0
    said = capsys.readouterr().err
    assert "1 of 2: plain_depth2 is finished already" in said
    found = read_file(out, Comparison)
    assert [run.name for run in found.runs] == ["tutorial2022_as_written", "plain_depth2"]
    assert found.measured.seconds == pytest.approx(sum(run.seconds for run in found.runs), abs=0.1)
    depth2 = found.runs[1]
    assert depth2.parameters == trace(sized(find_network("plain_depth2"), 32)).total_params
    assert 0 < depth2.mean_iou < 1
    assert main([*command[:-1], "--latency"]) == 0
    assert [run.mean_iou for run in read_file(out, Comparison).runs] == [run.mean_iou for run in found.runs]
    assert main(["compare-architectures", "--data", "synthetic", "--epochs", "2", "--out", str(out)]) != 0
    assert "another budget" in capsys.readouterr().err


# --- the comparison's networks and data -------------------------------------------------------------------------------


def test_every_network_predicts_the_same_size_within_the_budget() -> None:
    budget = default_budget()
    assert budget.steps == 1000
    assert len({entry.name for entry in NETWORKS}) == len(NETWORKS)
    for entry in NETWORKS:
        config = sized(entry, budget.side)
        assert trace(config).output_shape == (budget.side, budget.side, 3), entry.name
        assert config.head_activation == "none"
    assert not set(LEFT_OUT) & {entry.name for entry in NETWORKS}


def test_a_changed_network_or_budget_is_trained_again() -> None:
    entry, budget = find_network("plain"), default_budget()
    assert fingerprint(entry, budget) == fingerprint(entry, default_budget())
    assert fingerprint(entry, budget) != fingerprint(entry, default_budget(epochs=9))
    assert fingerprint(find_network("plain_depth3"), budget) != fingerprint(entry, budget)
    assert fingerprint(find_network("tutorial2022_flips"), budget) != fingerprint(
        find_network("tutorial2022_fixed"), budget
    )
    with pytest.raises(ConfigError, match="choose from pets"):
        find_network("unknown")


@dataclass(frozen=True)
class Paintings:
    """Painted photos as a dataset."""

    description = "paintings"
    classes = PET_CLASSES
    class_names = ("pet", "background", "border")
    foreground = (0, 2)
    background = 1
    photos: tuple[Animal, ...]

    def names(self, part: str) -> tuple[str, ...]:
        return tuple(animal.name for animal in self.photos)

    def examples(self, part: str) -> Iterator[Animal]:
        return iter(self.photos)


def compared(name: str, part: str = "train", count: int = 40) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the examples of a compared network of 32 × 32 pixels."""
    entry, budget = find_network(name), default_budget(side=32)
    config = sized(entry, 32)
    photos = ComparedPhotos(Paintings(tuple(animals(count))), entry, budget, config, (32, 32))
    return [example.decode() for example in photos.examples(part)]


def test_photo_and_mask_agree_except_where_flips_out_of_step_are_the_mistake() -> None:
    for name, together in (("plain", True), ("tutorial2022_fixed", True), ("tutorial2022_flips", False)):
        pairs = compared(name)
        lost = (len(pairs[0][0]) - 32) // 2
        centre = slice(lost, lost + 32)
        agree = [np.array_equal(photo[centre, centre], COLOURS[ids[centre, centre]]) for photo, ids in pairs]
        turned = [
            np.array_equal(photo[centre, centre], COLOURS[ids[centre, centre][::-1, ::-1]]) for photo, ids in pairs
        ]
        assert all(agree) == together, name
        assert all(a or b for a, b in zip(agree, turned, strict=True))
        if not together:
            assert 10 < sum(agree) < 30, "about half"


def test_validation_photos_have_no_mistakes_and_test_photos_are_as_they_were() -> None:
    for (photo, ids), (right, mask) in zip(
        compared("tutorial2022_as_written", "validation"), compared("tutorial2022_fixed", "validation"), strict=True
    ):
        assert np.array_equal(photo, right)
        assert np.array_equal(ids, mask)
    assert [photo.shape for photo, _ in compared("tutorial2022_as_written", "test")] == [(32, 32, 3)] * 40


def test_the_budget_decides_how_many_photos_there_are_and_how_they_are_learnt() -> None:
    budget = default_budget(photos=5, epochs=3)
    config = sized(find_network("plain"), 64)
    photos = ComparedPhotos(Paintings(tuple(animals(40))), find_network("plain"), budget, config, (64, 64))
    assert len(photos.names("train")) == 5
    assert [example.name for example in photos.examples("train")] == list(photos.names("train"))
    training = train_config(find_network("plain"), budget)
    assert (training.epochs, training.batch_size, training.learning_rate) == (3, 16, 1e-3)
    assert training.model == config
    assert not training.augmentation.flip_vertical
    assert train_config(find_network("tutorial2022_fixed"), budget).augmentation.flip_vertical


def test_data_are_prepared_as_in_use_or_with_the_mistakes_asked_for() -> None:
    photo, ids = photo_and_ids()
    right, wrong = find_network("tutorial2022_fixed"), find_network("tutorial2022_as_written")
    config = sized(right, 64)
    example = Animal(ids, "boxer_1", "boxer", "Dog", photo)
    pixels, mask = PreparedExample(example, right.bugs, config, (64, 64)).decode()
    assert pixels.shape == (104, 104, 3)
    assert mask.shape == (104, 104)
    centre = pixels[20:84, 20:84]
    assert np.array_equal(centre[-21:-1][::-1], pixels[84:, 20:84]), "what the photo does not fill is mirrored"
    assert set(np.unique(mask[20:84, 20:84])) <= {0, 1, 2}
    squeezed, cut = PreparedExample(example, wrong.bugs, config, (64, 64)).decode()
    assert not np.array_equal(squeezed, pixels)
    assert not np.array_equal(cut, mask)
    assert wrong.bugs == ALL_BUGS
    assert compared_networks.NARROWER == 4


def test_the_shipped_runs_are_those_of_todays_networks() -> None:
    shipped = read_comparison()
    assert {run.name: run.fingerprint for run in shipped.runs} == {
        entry.name: fingerprint(entry, shipped.budget) for entry in NETWORKS
    }
