"""The figures in `weights/results` are those of today's program, photo by photo: who changes it measures again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unet_core.data.oxford.oxford_pets import NAME as OXFORD_PETS
from unet_core.data.pipeline import open_source
from unet_core.results.evaluation import full_evaluation
from unet_core.results.files import Evaluation, read_file, result_path
from unet_core.results.whole_photos import WholePhotos, photos_path
from unet_core.scoring.outline import all_examples, score_outlines
from unet_core.settings import get_settings
from unet_core.train.find_model import find_model
from unet_core.zoo.manifest import load_manifest

MODELS = sorted(load_manifest(get_settings()).models)
PHOTOS = 12
ROUNDING = 2e-3  # processors differ in the last digits of a probability, and so in a pixel here and there


@pytest.mark.dataset
@pytest.mark.parametrize("name", MODELS)
def test_scores_on_oxford_pets_and_composed_photos(name: str, oxford_dir: Path) -> None:
    source = find_model(name)
    network = source.segmenter("onnx").network
    recorded = read_file(result_path(name, get_settings()), Evaluation)
    today = full_evaluation(source, network, OXFORD_PETS, limit=PHOTOS)
    for part in recorded.parts:
        found, before = today.parts[part].photos, recorded.parts[part].photos
        assert found.name == before.name[:PHOTOS]
        assert np.abs(np.array(found.iou) - before.iou[:PHOTOS]).mean() < ROUNDING
        assert np.abs(np.array(found.mean_iou) - before.mean_iou[:PHOTOS]).mean() < ROUNDING
    found, before = today.everyday.photos, recorded.everyday.photos
    assert np.abs(np.array(found.iou) - before.iou[:PHOTOS]).mean() < ROUNDING


@pytest.mark.dataset
@pytest.mark.parametrize("name", MODELS)
def test_outlines_of_everyday_photos(name: str, oxford_dir: Path) -> None:
    folder = oxford_dir / "everyday"
    if not folder.is_dir():
        pytest.skip("no everyday photos beside the dataset")
    source = find_model(name)
    recorded = read_file(photos_path(name, get_settings()), WholePhotos)
    places = range(0, len(recorded.name), len(recorded.name) // PHOTOS)
    wanted = {recorded.name[place]: place for place in places}
    photos = open_source(str(folder), source.config)
    examples = [example for example in all_examples(photos) if example.name in wanted]
    scores = score_outlines(source.segmenter("onnx"), photos, examples)
    assert {score.name for score in scores} == set(wanted)
    for score in scores:
        place = wanted[score.name]
        assert (score.iou is None) == (recorded.iou[place] is None)
        assert recorded.decision[place] == {True: "found", None: "not sure", False: "not found"}[score.found]
    pairs = [(score.iou, recorded.iou[wanted[score.name]]) for score in scores if score.iou is not None]
    assert np.mean([abs(today - before) for today, before in pairs]) < ROUNDING
