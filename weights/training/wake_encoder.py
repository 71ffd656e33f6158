"""Wake a network whose encoder's deepest stages have fallen silent, and train it on. Needs this library.

    python weights/training/wake_encoder.py start runs/tired --config wake.json --out runs/woken
    python weights/training/wake_encoder.py train --config wake.json --run runs/trained
    python weights/training/wake_encoder.py mix runs/trained --start runs/woken --config wake.json --out runs/pets

`start` gives EfficientNet-Lite0's stages 6 and 7 their ImageNet weights again, with BatchNorm statistics of the photos
that the config trains on. MobileNetV2's blocks 13 to 16 keep their convolutions, and only their BatchNorm starts
afresh. What the silent stages gave the decoder, a constant, moves into its BatchNorm, so that the network computes what
it did before; the decoder's weights for the woken features start at zero.

`train` takes the arguments of `python -m unet_core train`; Lite0's stem and stages 1 to 3 are frozen, and BatchNorm of
the woken layers uses the statistics of each batch, so that no layer can drift into saturation. `mix` takes the mean of
the weights after the last epoch and those at the start, and measures the woken layers' statistics again.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
import tensorflow as tf

from unet_core.architecture.config import UNetConfig
from unet_core.cli.parser import main as unet_core
from unet_core.models import build
from unet_core.train import fit
from unet_core.train.callbacks import save_model_weights
from unet_core.train.config import TrainConfig
from unet_core.train.find_model import find_model
from unet_core.train.recipe_files import load_recipe
from unet_core.train.run_directory import RunDirectory

FROZEN = ("stem", "block1", "block2", "block3")
WOKEN = "block6", "block7", "block_13", "block_14", "block_15", "block_16"  # two of Lite0, four of MobileNetV2
KEPT = "block6a_expand", "block_13_expand"  # their output, at stride 16, is a skip connection that works
BATCHES = 24  # that BatchNorm's statistics are of
MOMENTUM = 0.85, 0.95, 0.93  # of these statistics: at the start, in training, and of the mean
CENTRE = 0.4  # of the decoder's depthwise kernels for the woken features


def is_woken(layer: keras.Layer) -> bool:
    """Return whether a layer gets new weights."""
    return layer.name.startswith(WOKEN) and not layer.name.startswith(KEPT)


def is_woken_norm(layer: keras.Layer) -> bool:
    """Return whether a layer is the BatchNorm of layers that get new weights."""
    return isinstance(layer, keras.layers.BatchNormalization) and is_woken(layer)


def wake(model: keras.Model, config: UNetConfig, batches: Sequence[np.ndarray]) -> None:
    """Give a U-Net on EfficientNet-Lite0 or MobileNetV2 its deepest stages back, without changing what it computes.

    Args:
        model: whose deepest stages give nearly the same for every photo.
        config: of the network.
        batches: network inputs (B, H, W, 3) that BatchNorm's statistics are measured on.
    """
    _silence(model, batches)
    if config.encoder == "efficientnet_lite0":
        imagenet = build(config.replace(encoder_weights="imagenet"))
        for layer in filter(is_woken, model.layers):
            layer.set_weights([variable.numpy() for variable in imagenet.get_layer(layer.name).weights])
    else:
        for norm in filter(is_woken_norm, model.layers):
            linear = "project" in norm.name  # no ReLU6 behind it
            gamma, _, mean, variance = norm.get_weights()
            norm.set_weights([np.ones_like(gamma), np.full_like(gamma, 0 if linear else 0.5), mean, variance])
    measure_norms(model, batches, MOMENTUM[0])


def measure_norms(model: keras.Model, batches: Sequence[np.ndarray], momentum: float) -> None:
    """Take the BatchNorm statistics of the woken layers from batches (B, H, W, 3) of network inputs."""
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    kept = {layer.name: layer.get_weights() for layer in norms if not is_woken(layer)}
    for layer in norms:
        layer.trainable, layer.momentum = is_woken(layer), momentum
    in_training = tf.function(lambda batch: model(batch, training=True))
    for batch in batches:
        in_training(tf.constant(batch))
    for name, values in kept.items():
        model.get_layer(name).set_weights(values)


def _silence(model: keras.Model, batches: Sequence[np.ndarray]) -> None:
    """Replace what the deepest features give to the decoder by its mean, within the photo, over some batches."""
    deepest = keras.Model(model.input, model.get_layer("decoder4_upsample").output)
    convolution, norm = model.get_layer("decoder4_conv1"), model.get_layer("decoder4_conv1_norm")
    depthwise, pointwise = convolution.get_weights()
    features = slice(depthwise.shape[2] - deepest.output.shape[-1], None)  # behind the skip connection's
    given = []
    for batch in batches[:6]:
        maps = tf.nn.depthwise_conv2d(
            deepest.predict_on_batch(batch), depthwise[:, :, features], [1, 1, 1, 1], padding="SAME"
        )
        given.append((maps.numpy()[:, 2:-2, 2:-2] @ pointwise[0, 0, features]).mean(axis=(0, 1, 2)))
    gamma, beta, mean, variance = norm.get_weights()
    norm.set_weights([gamma, beta, mean - np.mean(given, axis=0), variance])
    depthwise[:, :, features], pointwise[:, :, features] = 0, 0
    depthwise[1, 1, features] = CENTRE
    convolution.set_weights([depthwise, pointwise])


def start(run: str, config: TrainConfig, out: Path) -> None:
    """Write a run directory with the woken network of `run`, for `start_from`."""
    model = find_model(run).load()
    wake(model, config.model, _batches(config, 0, BATCHES))
    _write(model, run, out)


def mix(run: str, first: str, share: float, config: TrainConfig, out: Path) -> None:
    """Write a run directory with `share` of the last weights of `run` and the rest of those of the run `first`."""
    last = find_model(RunDirectory(run).last_weights).load()
    pairs = zip(last.get_weights(), find_model(first).load().get_weights(), strict=True)
    last.set_weights([share * one + (1 - share) * other for one, other in pairs])
    measure_norms(last, _batches(config, config.epochs - 1, 2 * BATCHES), MOMENTUM[2])
    _write(last, run, out)


def _batches(config: TrainConfig, epoch: int, count: int) -> list[np.ndarray]:
    photos = fit._make_datasets(config, epoch, None).train
    return [batch[0].numpy() for batch in itertools.islice(photos, count)]


def _write(model: keras.Model, run: str, out: Path) -> None:
    shutil.copytree(run, out, ignore=shutil.ignore_patterns("*.npz", "tensorboard", "*.lock"))
    for path in (RunDirectory(out).best_weights, RunDirectory(out).last_weights):
        save_model_weights(model, path)


def built_for_training(config: UNetConfig) -> keras.Model:
    """Build a network of which `train` trains all but the first stages, with BatchNorm as the module says."""
    model = build(config)
    for layer in model.layers:
        if layer.name.startswith(FROZEN):
            layer.trainable = False
        elif is_woken_norm(layer):
            layer.trainable, layer.momentum = True, MOMENTUM[1]
    return model


def main(arguments: Sequence[str]) -> int:
    """Run a command."""
    if arguments[:1] == ["train"]:
        fit.build = built_for_training
        return unet_core(arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("start", "train", "mix"))
    parser.add_argument("run", help="the silent network's run directory, or the trained one's")
    parser.add_argument("--config", required=True, help="the training")
    parser.add_argument("--start", help="of mix: the run directory that `start` wrote")
    parser.add_argument("--share", type=float, default=0.7, help="of mix: of the trained weights (default: 0.7)")
    parser.add_argument("--out", required=True, type=Path, help="a new run directory")
    given = parser.parse_args(arguments)
    config = load_recipe(given.config)
    if given.command == "start":
        start(given.run, config, given.out)
    else:
        mix(given.run, given.start, given.share, config, given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
