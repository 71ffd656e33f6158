"""weights/training/wake_encoder.py: silent stages work again, and the network first computes what it did before."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from tests.helpers.training_programs import training_program
from unet_core.train.find_model import find_model
from unet_core.train.silent_depth import silent_layer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return training_program("wake_encoder")


@pytest.mark.parametrize(
    ("name", "norm", "deepest"),
    [
        ("pets", "block7a_project_bn", "block7a_project_bn"),
        ("pets_fast", "block_16_depthwise_BN", "block_16_project"),
    ],
)
def test_woken_stages_tell_photos_apart_and_change_nothing_at_first(
    program: ModuleType, name: str, norm: str, deepest: str
) -> None:
    found = find_model(name)
    model, config = found.load(), found.config
    random = np.random.default_rng(5)
    cells = config.height // 32
    photos = [random.integers(0, 256, (cells, cells, 3), np.uint8).repeat(32, 0).repeat(32, 1) for _ in range(16)]
    batches = [np.stack(photos[first : first + 4]).astype(np.float32) / 127.5 - 1 for first in range(0, 16, 4)]
    silenced = model.get_layer(norm)
    gamma, beta, mean, variance = silenced.get_weights()
    silenced.set_weights([gamma * 0, random.normal(size=len(beta)), mean, variance])
    assert silent_layer(model, config, photos) == deepest
    before = model.predict_on_batch(batches[0])
    program.wake(model, config.replace(encoder_weights="none"), batches * 6)
    assert silent_layer(model, config, photos) is None
    after = model.predict_on_batch(batches[0])
    middle = slice(64, -64)  # the constant fades at the photo's edges, which are padded with zeros
    assert np.abs(after - before)[:, middle, middle].mean() < 0.1 * before[:, middle, middle].std()
