"""The figures in `weights/results` are those of today's program, photo by photo: who changes it measures again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unet_core.data.oxford.oxford_pets import NAME as OXFORD_PETS
from unet_core.data.pipeline import open_source
from unet_core.results.evaluation import full_evaluation
from unet_core.results.files import Evaluation, read_file, result_path
from unet_core.results.whole_photos import WholePhotos, photos_path, whole_photos
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
    chosen = slice(None, None, len(recorded.name) // PHOTOS)
    photos = open_source(str(folder), source.config)
    examples = [example for example in all_examples(photos) if example.name in recorded.name[chosen]]
    scores = score_outlines(source.segmenter("onnx"), photos, examples)
    today = whole_photos(scores, name, load_manifest().entry(name), recorded.photos, recorded.measured)
    assert today.name == recorded.name[chosen]
    assert today.decision == recorded.decision[chosen]
    pairs = list(zip(today.iou, recorded.iou[chosen], strict=True))
    assert [now is None for now, _ in pairs] == [before is None for _, before in pairs]
    assert np.mean([abs(now - before) for now, before in pairs if now is not None]) < ROUNDING
