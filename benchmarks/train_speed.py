"""Training speed with a tutorial's network and batch: this project's training compared with the tutorial's code.

    python benchmarks/train_speed.py [--photos 200] [--batch-size 50] [--rounds 3] [--json FILE]

The tutorial (a U-Net of three blocks on Oxford pets, 100×100 photos in, 60×60 masks out, batches of 50, class weights,
Adam) is reimplemented here: photos resized and flipped in a parallel `map`, cached, shuffled and batched by `tf.data`,
a model of plain Keras layers, `fit`. Both train on the same synthetic pets, alternating, and the median ratio of the
pairs is reported, so that other programs on the machine slow both alike. The input pipelines are also timed alone: how
many photos they deliver while the network trains on one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from common import described, summary, write_figures  # noqa: E402
from data_throughput import with_gpus  # noqa: E402

from unet_core.data.augmentation import Augmentation  # noqa: E402
from unet_core.data.pipeline import make_datasets  # noqa: E402
from unet_core.data.synthetic.pets import SyntheticPets  # noqa: E402
from unet_core.train.config import TrainConfig  # noqa: E402
from unet_core.train.fit import compiled_model  # noqa: E402
from unet_core.train.presets import TRAINING_PRESETS  # noqa: E402

_PHOTO_SIDE = 300  # pixels of the source photos, about the median of the Oxford pets


@dataclass(frozen=True)
class Pace:
    """Photos per second, of training and of the input pipeline alone; processor milliseconds per training photo."""

    training: float
    pipeline: float
    processor_ms: float

    @property
    def headroom(self) -> float:
        """How many times faster the pipeline is than the step it feeds."""
        return self.pipeline / self.training


def main() -> None:
    """Measure both alternately, print a table, and write JSON if requested."""
    arguments = _arguments()
    about = with_gpus()
    config = TRAINING_PRESETS["tutorial2022"].config.replace(
        data="synthetic", limit=arguments.photos, batch_size=arguments.batch_size, split_scheme="official"
    )
    candidates = {"tutorial": tutorial(config), "ours": ours(config)}
    rounds: list[dict[str, Pace]] = []
    for number in range(1 + arguments.rounds):  # the first one compiles and fills the caches
        rounds.append({name: measure() for name, measure in candidates.items()})
        paces = ", ".join(
            f"{name} {pace.training:.1f} /s, {pace.processor_ms:.0f} ms" for name, pace in rounds[-1].items()
        )
        print(f"round {number} of {arguments.rounds}: {paces}", file=sys.stderr)
    report = {"machine": about, "photos": arguments.photos, "batch_size": arguments.batch_size, **medians(rounds[1:])}
    print(table(report))
    write_figures(report, arguments.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("--photos", type=int, default=200, help="training photos (default: 200)")
    parser.add_argument("--batch-size", type=int, default=50, help="photos in a batch (default: 50, the tutorial's)")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds (default: 3)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args()


def _paced(model: keras.Model, data: tf.data.Dataset, photos: int) -> Pace:
    """Run one epoch of training, and one through the data alone."""
    processor = time.process_time()
    training = _seconds(lambda: model.fit(data, epochs=1, verbose=0, shuffle=False))
    processor = time.process_time() - processor
    return Pace(photos / training, photos / _seconds(lambda: _drain(data)), 1000 * processor / photos)


def _drain(data: tf.data.Dataset) -> None:
    for _ in data:
        pass


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# --- ours -------------------------------------------------------------------------------------------------------------


def ours(config: TrainConfig) -> Callable[[], Pace]:
    """Prepare the preset as training does."""
    datasets = make_datasets(
        config.data,
        config.model,
        batch_size=config.batch_size,
        augmentation=Augmentation(config.augmentation, config.seed),
        parts=("train",),
        limit=config.limit,
        class_weights=config.class_weights,
    )
    photos = datasets.train
    assert photos is not None  # requested above
    model = compiled_model(config, datasets.steps)
    return lambda: _paced(model, photos, datasets.sizes["train"])


# --- the tutorial -----------------------------------------------------------------------------------------------------


def tutorial(config: TrainConfig) -> Callable[[], Pace]:
    """Prepare the tutorial's training with the same photos, including its mistakes, which affect the time."""
    examples = list(SyntheticPets(seed=0, size=(_PHOTO_SIDE, _PHOTO_SIDE)).examples("train"))[: config.limit]
    decoded = [example.decode() for example in examples]
    photos, trimaps = np.stack([photo for photo, _ in decoded]), np.stack([ids for _, ids in decoded])

    def prepared(photo: tf.Tensor, ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        photo = tf.cast(tf.image.resize(photo, (100, 100)), tf.float32) / 255.0
        return photo, tf.image.resize(tf.expand_dims(ids, -1), (60, 60))[..., 0]

    def flipped(photo: tf.Tensor, ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ids = tf.expand_dims(ids, -1)
        photo = tf.image.random_flip_up_down(tf.image.random_flip_left_right(photo))
        return photo, tf.image.random_flip_up_down(tf.image.random_flip_left_right(ids))[..., 0]

    weights = tf.constant([1.0, 1.0, 2.0]) / 4.0

    def weighted(photos: tf.Tensor, ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return photos, ids, tf.gather(weights, tf.cast(ids, tf.int32))

    data = (
        tf.data.Dataset.from_tensor_slices((photos, trimaps))
        .map(prepared, num_parallel_calls=tf.data.AUTOTUNE)
        .map(flipped, num_parallel_calls=tf.data.AUTOTUNE)
        .cache()
        .shuffle(config.batch_size)
        .batch(config.batch_size)
        .map(weighted, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
    model = _tutorial_model()
    rates = keras.optimizers.schedules.PiecewiseConstantDecay([20, 50, 80], [3e-4, 1e-4, 1e-5, 1e-6])
    model.compile(
        optimizer=keras.optimizers.Adam(rates),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return lambda: _paced(model, data, len(photos))


def _tutorial_model() -> keras.Model:
    """Return the tutorial's U-Net: blocks of 64, 128 and 256 filters, valid padding, skips cropped at the centre."""
    layers = keras.layers

    def block(features: keras.KerasTensor, filters: int) -> keras.KerasTensor:
        for _ in range(2):
            features = layers.Conv2D(filters, 3, kernel_initializer="he_normal")(features)
            features = layers.Activation("relu")(features)
        return features

    image = keras.Input((100, 100, 3))
    features, skips = image, []
    for filters in (64, 128):
        features = block(features, filters)
        skips.append(features)
        features = layers.MaxPooling2D(2)(features)
    features = block(features, 256)
    for filters, skip in zip((128, 64), reversed(skips), strict=True):
        features = layers.Conv2DTranspose(filters, 2, strides=2, kernel_initializer="he_normal")(features)
        skip = layers.CenterCrop(features.shape[1], features.shape[2])(skip)
        features = block(layers.Concatenate()([skip, features]), filters)
    return keras.Model(image, layers.Conv2D(3, 1, kernel_initializer="he_normal")(features))


# --- figures ----------------------------------------------------------------------------------------------------------


def medians(rounds: list[dict[str, Pace]]) -> dict[str, object]:
    """Return the medians over the rounds; the ratio is taken within each round."""
    paces = {
        name: Pace(
            statistics.median(found[name].training for found in rounds),
            statistics.median(found[name].pipeline for found in rounds),
            statistics.median(found[name].processor_ms for found in rounds),
        )
        for name in rounds[0]
    }
    return {
        "pace": {name: {**asdict(pace), "headroom": round(pace.headroom, 1)} for name, pace in paces.items()},
        "ratio": round(statistics.median(found["ours"].training / found["tutorial"].training for found in rounds), 3),
    }


def table(report: dict) -> str:
    """Return the figures as text."""
    lines = [
        described(report["machine"]),
        f"{report['photos']} photos, batches of {report['batch_size']}",
        "",
        f"{'':<10}{'training':>14}{'pipeline':>14}{'headroom':>12}{'processor':>17}",
    ]
    for name, pace in report["pace"].items():
        lines.append(
            f"{name:<10}{pace['training']:>11.1f} /s{pace['pipeline']:>11.0f} /s{pace['headroom']:>11.0f}×"
            f"{pace['processor_ms']:>9.0f} ms/photo"
        )
    return "\n".join([*lines, "", f"ours : tutorial = {report['ratio']:.2f} photos trained per second"])


if __name__ == "__main__":
    main()
