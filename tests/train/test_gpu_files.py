"""weights/training/gpu_files.py: everyday masks with a border, and a network's way to the GPU program and back."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.helpers.training_programs import training_program
from unet_core.models import build
from unet_core.train.find_model import find_model


@pytest.fixture(scope="module")
def gpu_files() -> ModuleType:
    return training_program("gpu_files")


def test_a_border_is_drawn_around_animals_and_far_void_stays_open(gpu_files: ModuleType) -> None:
    ids = np.zeros((256, 256), np.uint8)
    ids[60:160, 60:160] = 2
    ids[58:60, 60:160] = ids[220:230, 220:230] = 255  # along the outline, and away from it
    found = gpu_files.with_border(ids)
    assert (found[80:140, 80:140] == gpu_files.PET).all()
    assert (found[110, 57:63] == gpu_files.BORDER).all(), "on both sides of the outline"
    assert (found[58:60, 90:130] == gpu_files.BORDER).all(), "void along the outline belongs to it"
    assert (found[222:228, 222:228] == 255).all()
    assert found[0, 0] == gpu_files.BACKGROUND
    width = (found[110] == gpu_files.BORDER).sum() / 2
    ids[:] = 0
    ids[120:130, 120:130] = 1
    assert 0 < (gpu_files.with_border(ids)[125] == gpu_files.BORDER).sum() / 2 < width, "narrower around a small animal"


@pytest.mark.slow
def test_a_network_comes_back_from_its_values(gpu_files: ModuleType, tmp_path: Path) -> None:
    shipped = find_model("pets_fast").load()
    gpu_files.write_network(shipped, tmp_path, "pets_fast")
    nodes = {node["name"]: node for node in json.loads((tmp_path / "pets_fast.json").read_text())["nodes"]}
    assert not nodes["block_15_expand_BN"]["frozen"], "stored statistics let the deepest layers fall silent"
    assert nodes["block_2_expand_BN"]["frozen"]
    values = tmp_path / "pets_fast.npz"
    gpu_files.mix(values, values, 0.25, tmp_path / "mixed.npz")
    gpu_files.make_run("pets_fast", tmp_path / "mixed.npz", tmp_path / "run")
    for mine, theirs in zip(find_model(tmp_path / "run").load().get_weights(), shipped.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


@pytest.mark.slow
def test_the_teacher_is_a_larger_network_and_leaves_the_shipped_one_as_it_is(gpu_files: ModuleType) -> None:
    config = find_model("pets").config
    teacher = gpu_files.lite2_unet(config)
    assert teacher.input_shape == (None, gpu_files.TEACHER_SIDE, gpu_files.TEACHER_SIDE, 3)
    assert teacher.count_params() == 4_657_811
    values = {gpu_files.key_of(layer, each): each.numpy() + 1 for layer in teacher.layers for each in layer.weights}
    gpu_files.put_values(teacher, values)
    kernel = teacher.get_layer("stem_conv").weights[0]
    np.testing.assert_array_equal(kernel.numpy(), values["stem_conv/kernel"])
    assert build(config).count_params() == 3_134_291
