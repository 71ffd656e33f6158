"""Outlines against true masks, the part that is never trained on, and the calibration of "no pet found"."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import own_datasets
from tests.helpers.segmentations import pet_shape, segmentation
from unet_core.classes import PET_CLASSES
from unet_core.cli.parser import main
from unet_core.scoring.evaluate import EvaluationError
from unet_core.scoring.outline import OutlineScore, calibrated, outline_report, part_of
from unet_core.segment.presence import Presence, figures_of, presence_of
from unet_core.zoo.presence import FIGURES, PresenceCalibration


@dataclass
class Drawn:
    name: str
    shows: bool

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        ids = np.zeros((4, 4), np.uint8)
        ids[0, 0] = 2 if self.shows else 255
        return np.zeros((4, 4, 3), np.uint8), ids


def score(iou: float | None, *, found: bool | None = True, peak: float = 0.0, coverage: float = 0.0) -> OutlineScore:
    figures = np.zeros(len(FIGURES))
    figures[0] = peak
    return OutlineScore("x", 0.2 if iou is not None else 0.0, iou, coverage, found, figures)


def test_the_part_is_the_first_by_the_hash_of_the_name() -> None:
    examples = [Drawn(f"photo{number}", number % 3 == 0) for number in range(30)]
    part, rest = part_of(examples, 4, 2)
    ordered = sorted(examples, key=lambda each: hashlib.sha256(each.name.encode()).hexdigest())
    assert [each for each in ordered if each.shows][:4] == [each for each in part if each.shows]
    assert [each for each in ordered if not each.shows][:2] == [each for each in part if not each.shows]
    assert len(part) == 6
    assert {each.name for each in part} | {each.name for each in rest} == {each.name for each in examples}
    assert part_of(reversed(examples), 4, 2)[0] == part
    assert all(each in part_of(examples, 30, 0, background=2)[0] for each in examples if each.shows)  # the rest is 0


def test_the_report_counts_what_was_missed_and_what_was_found_falsely() -> None:
    scores = [score(0.9), score(0.4), score(0.05, found=False), score(None, coverage=0.3), score(None, found=None)]
    report = outline_report([*scores, score(None, found=False, coverage=0.4)])
    assert report["outline_iou"] == {"mean": 0.45, "median": 0.4, "below_0.5": 2, "below_0.1": 1}
    assert (report["with_subject"], report["missed"], report["without_subject"]) == (3, 1, 3)
    assert (report["found_falsely"], report["not_sure"], report["masked_over_tenth"]) == (2, 1, 2)


def test_a_calibration_separates_and_keeps_nearly_all_subjects() -> None:
    random = np.random.default_rng(1)
    scores = [score(0.9, peak=value) for value in random.normal(3, 1, 400)]
    scores += [score(None, peak=value) for value in random.normal(-3, 1, 200)]
    found = calibrated(scores, "drawn")
    assert found.weights["peak"] > 0

    def verdicts(rows: list[OutlineScore]) -> list[float]:
        return [found.probability(row.figures) for row in rows]

    present, absent = np.array(verdicts(scores[:400])), np.array(verdicts(scores[400:]))
    assert (present < found.absent_below).mean() <= 0.01
    assert (absent < found.absent_below).mean() > 0.9
    assert (present < found.present_from).mean() <= 0.05
    with pytest.raises(EvaluationError, match="with and without"):
        calibrated(scores[:400], "drawn")


def test_presence_follows_the_calibration_and_without_one_the_mask() -> None:
    certain = segmentation(pet_shape())
    nothing = segmentation(np.ones((30, 30)))
    assert presence_of(certain.probabilities, PET_CLASSES, None) == Presence(True)
    assert presence_of(nothing.probabilities, PET_CLASSES, None) == Presence(False)
    weights = dict.fromkeys(FIGURES, 0.0) | {"area": 1.0}
    offset = -float(figures_of(certain.probabilities, PET_CLASSES)[FIGURES.index("area")])  # makes it 50 %
    for limits, expected in (((0.6, 0.7), False), ((0.2, 0.6), None), ((0.2, 0.4), True)):
        calibration = PresenceCalibration(
            weights=weights, offset=offset, absent_below=limits[0], present_from=limits[1]
        )
        presence = presence_of(certain.probabilities, PET_CLASSES, calibration)
        assert presence.found is expected
        assert presence.probability == pytest.approx(0.5)
    assert Presence(None, 0.3).sentence("pet") == "Not sure there is a pet (probability 30 %)."
    assert Presence(False).sentence("pet") == "No pet found."


def test_a_network_that_is_sure_of_no_pet_still_says_how_sure() -> None:
    def peak(pet: float) -> float:
        probabilities = np.full((20, 20, 3), (pet, 1 - 2 * pet, pet), np.float32)
        return float(figures_of(probabilities, PET_CLASSES)[FIGURES.index("peak")])

    assert peak(2e-6) < peak(2e-5) < peak(2e-4), "what separates tiny pets from none lies below 1e-4"


@pytest.mark.parametrize(
    "changes", [{"weights": {"peak": 1.0}}, {"absent_below": 0.8, "present_from": 0.3}, {"absent_below": -1}]
)
def test_calibrations_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    values = {"weights": dict.fromkeys(FIGURES, 0.0), "offset": 0.0, "absent_below": 0.1, "present_from": 0.5}
    with pytest.raises(ValueError, match="weights|absent_below"):
        PresenceCalibration(**{**values, **changes})


@pytest.mark.slow
def test_the_command_scores_and_calibrates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = own_datasets.folder(tmp_path / "set", 24)
    for seed in range(8):  # photos without anything
        own_datasets.save_mask(root / "masks" / f"p{seed:02}.png", np.zeros_like(own_datasets.class_map(seed)))
    arguments = ["outline", "--model", "pets_fast", "--data", str(root), "--json"]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["photos"], report["without_subject"]) == (24, 8)
    target = tmp_path / "presence.json"
    assert main([*arguments, "--part", "4", "2", "--calibrate", str(target)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["with_subject"], report["without_subject"]) == (4, 2)
    assert PresenceCalibration(**json.loads(target.read_text())).photos.startswith("18 photos")
    assert main([*arguments, "--calibrate", str(target)]) != 0
