"""Give a shipped model a second output that tells cats from dogs. Needs this library.

    python weights/training/learn_kinds.py learn pets --oxford DATA_DIR --everyday everyday --weights weights
    python weights/training/learn_kinds.py measure pets --oxford DATA_DIR --everyday everyday --weights weights

The network itself is frozen, so its masks stay as they are. Of each training photo, six views are stored as feature
maps: the whole one and its mirror image, the part that the zoomed second pass takes, and three others around it with
other brightness and tints. The head learns from them which animal it is, with the pet's probability as the weight of
each place. `DATA_DIR` has the Oxford-IIIT Pet dataset as TFDS stores it; `everyday` has `photos.csv` (`id, cat, dog`
as shares of the photo), `images` and `masks`. `learn` does not use its held-out photos
(`unet_core.scoring.outline.part_of`); `measure` chooses on them from which probability on a kind is named.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
import tensorflow as tf

from unet_core.data.oxford.oxford_pets import OxfordPets
from unet_core.data.pipeline import open_source
from unet_core.images.preprocess import network_input
from unet_core.images.probabilities import class_probabilities
from unet_core.models.kinds import kinds_head, with_kinds
from unet_core.scoring.outline import all_examples, part_of
from unet_core.segment.kinds import subject_weights
from unet_core.segment.passes import zoom_boxes
from unet_core.segment.segmenter import Segmenter
from unet_core.settings import Settings, get_settings
from unet_core.train.find_model import find_model
from unet_core.zoo.export import export
from unet_core.zoo.kinds import KindsOutput
from unet_core.zoo.manifest import file_record, load_manifest, verified_path, write_entry
from unet_core.zoo.meaning import Meaning

KINDS = "cat", "dog"
LAYERS = {"pets": ("block5c_add", "block6d_add", "block7a_project_bn")}  # features at strides 16 and 32
EPOCHS, BATCH, PHOTOS = 10, 128, 20_000  # views seen in an epoch
RATE, DROPPED, SMOOTHING = 2e-3, 0.3, 0.05
EVERYDAY = 0.5  # of the views seen
CATS = 1.3  # how much a cat counts: half as many of Oxford's photos show one


def photos(oxford: Path, everyday: Path, config) -> Iterator[tuple[np.ndarray, int, bool]]:
    """Yield the training photos that show one kind of animal: pixels, number of the kind, whether everyday."""
    for example in OxfordPets(oxford).examples("train"):
        yield example.decode()[0], KINDS.index(example.species.lower()), False
    for photo, shown in everyday_photos(everyday, config, held_out=False):
        if len(shown) == 1:
            yield photo, KINDS.index(shown[0]), True


def everyday_photos(folder: Path, config, *, held_out: bool) -> Iterator[tuple[np.ndarray, tuple[str, ...]]]:
    """Yield everyday photos with the kinds that they show."""
    with (folder / "photos.csv").open(newline="") as file:
        shares = {row["id"]: row for row in csv.DictReader(file)}
    part, rest = part_of(all_examples(open_source(str(folder), config)), 300, 150)
    for example in part if held_out else rest:
        row = shares[Path(example.name).stem]
        yield example.decode()[0], tuple(kind for kind in KINDS if float(row[kind]) > 0)


def views(photo: np.ndarray, first: np.ndarray, config, background: int, chance: np.random.Generator) -> np.ndarray:
    """Return six inputs of the network; `first` is what it says of the whole photo."""

    def prepared(pixels: np.ndarray, mirrored: bool) -> np.ndarray:
        found = network_input(pixels, config, (config.height, config.width))[0]
        return found[:, ::-1] if mirrored else found

    height, width = photo.shape[:2]
    boxes = zoom_boxes(first, background, height, width)
    top, left, tall, wide = max(boxes, key=lambda box: box[2] * box[3]) if boxes else (0, 0, height, width)
    inputs = [prepared(photo, False), prepared(photo, True), prepared(photo[top:][:tall, left:][:, :wide], True)]
    for number in range(3):
        above, below = (tall * chance.uniform(-0.12, 0.15, 2)).astype(int)
        before, behind = (wide * chance.uniform(-0.12, 0.15, 2)).astype(int)
        part = photo[
            max(0, top - above) : min(height, top + tall + below),
            max(0, left - before) : min(width, left + wide + behind),
        ]
        tinted = part * chance.uniform(0.7, 1.3) * chance.uniform(0.9, 1.1, 3)
        inputs.append(prepared(np.clip(tinted, 0, 255).astype(np.uint8), number % 2 == 0))
    return np.stack(inputs).astype(np.float32)


def learned(
    features: list[np.ndarray], weights: np.ndarray, kinds: np.ndarray, everyday: np.ndarray, seed: int = 1
) -> keras.Model:
    """Train a head on views: its feature maps, the weight of each place, the number of the kind, whether everyday."""
    keras.utils.set_random_seed(seed)
    shapes = [maps.shape[1:] for maps in features]
    head = kinds_head(shapes, len(KINDS))
    inputs = [keras.Input(shape) for shape in shapes]
    statistics = []
    for maps in features:
        some = maps[::7].astype(np.float32)
        statistics.append((some.mean(axis=(0, 1, 2)), some.std(axis=(0, 1, 2)) + 1e-2))
    scaled = [(each - mean) / spread for each, (mean, spread) in zip(inputs, statistics, strict=True)]
    dropped = [keras.layers.SpatialDropout2D(DROPPED)(each) for each in scaled]
    found = head(dropped)
    place = keras.Input((*weights.shape[1:], 1))
    mean = keras.ops.sum(found * place, axis=(1, 2)) / keras.ops.sum(place, axis=(1, 2))
    model = keras.Model([*inputs, place], mean)
    steps = PHOTOS // BATCH
    model.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(RATE, steps * EPOCHS), weight_decay=1e-3),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING),
    )
    chance = np.random.default_rng(seed)
    groups = np.flatnonzero(~everyday), np.flatnonzero(everyday)
    targets = keras.utils.to_categorical(kinds, len(KINDS))
    for epoch in range(EPOCHS):
        losses = []
        for _ in range(steps):
            some = round(BATCH * EVERYDAY)
            rows = np.concatenate([chance.choice(groups[0], BATCH - some), chance.choice(groups[1], some)])
            batch = [*(maps[rows].astype(np.float32) for maps in features), weights[rows, ..., None]]
            counts = np.where(kinds[rows] == 0, CATS, 1).astype(np.float32)
            losses.append(float(model.train_on_batch(batch, targets[rows], sample_weight=counts)))
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}", flush=True)
    for number, (centre, spread) in enumerate(statistics):  # the head gets the features as they are
        layer = head.get_layer(f"kinds_features{number}")
        kernel, bias = (np.asarray(values) for values in layer.get_weights())
        kernel = kernel / spread[:, None]
        layer.set_weights([kernel, bias - (kernel * centre[:, None]).sum(axis=(0, 1, 2))])
    return head


def learn(model: str, oxford: Path, everyday: Path, settings: Settings) -> None:
    """Train the second output, and add it to the model's files and entry."""
    entry, names = load_manifest(settings).entry(model), LAYERS[model]
    config = entry.config
    network = find_model(model, settings).load()
    tapped = keras.Model(network.inputs, [network.output, *(network.get_layer(name).output for name in names)])
    run = tf.function(lambda batch: tapped(batch, training=False))
    chance = np.random.default_rng(0)
    maps: list[list[np.ndarray]] = [[] for _ in names]
    weights, kinds, common = [], [], []
    for number, (photo, kind, is_everyday) in enumerate(photos(oxford, everyday, config)):
        whole = network_input(photo, config, (config.height, config.width))[0][None].astype(np.float32)
        first = class_probabilities(run(whole)[0].numpy())[0]
        outputs, *found = run(views(photo, first, config, entry.background, chance))
        for stored, values in zip(maps, found, strict=True):
            stored.append(values.numpy().astype(np.float16))
        side = max(values.shape[1] for values in found)
        weights.append(subject_weights(outputs.numpy(), config.head_activation, entry.background, (side, side)))
        kinds += [kind] * len(outputs)
        common += [is_everyday] * len(outputs)
        if number % 500 == 0:
            print(f"{number} photos", flush=True)
    features = [np.concatenate(stored) for stored in maps]
    head = learned(features, np.concatenate(weights), np.array(kinds), np.array(common))
    head.save_weights(head_file(model, settings))
    add(model, network, settings)


def head_file(model: str, settings: Settings) -> Path:
    """Return where the second output's weights are."""
    return settings.weights_dir / f"{model}_kinds.weights.h5"


def add(model: str, network: keras.Model, settings: Settings) -> None:
    """Add the learned second output to the model's ONNX file and its entry."""
    entry, names = load_manifest(settings).entry(model), LAYERS[model]
    head, onnx_file = head_file(model, settings), verified_path(entry, "onnx", settings)
    both = with_kinds(network, names, len(KINDS), head)
    exported = export(both, entry.config, "onnx", onnx_file, meaning=Meaning(entry.classes, entry.origin), kinds=KINDS)
    print(f"{onnx_file}: differs from Keras by at most {exported.difference:.1e}")
    files = {**entry.files, "onnx": file_record(onnx_file), "kinds": file_record(head)}
    kinds = KindsOutput(names=KINDS, layers=names, sure_from=1.0)  # until `measure` finds it
    write_entry(model, entry.replace(files=files, kinds=kinds), settings.weights_dir)


def measure(model: str, oxford: Path, everyday: Path, settings: Settings, right: float) -> None:
    """Choose the probability from which a kind is named, on every second held-out photo; print figures on the others.

    Args:
        model, oxford, everyday, settings: see `learn`.
        right: the share of the named kinds that shall be right on the photos that it is chosen on.
    """
    entry = load_manifest(settings).entry(model)
    kinds = entry.kinds
    assert kinds is not None  # the parser's `learn` comes first
    segmenter = Segmenter(model, "onnx", settings, entry=entry.replace(kinds=kinds.replace(sure_from=0.5 + 1e-9)))

    def answers(shown: Iterable[tuple[np.ndarray, tuple[str, ...]]]) -> list[tuple[str | None, float, tuple[str, ...]]]:
        found = ((segmenter.segment(photo).presence, truth) for photo, truth in shown)
        return [(presence.kind, presence.kind_probability or 0, truth) for presence, truth in found]

    held = answers(everyday_photos(everyday, entry.config, held_out=True))
    alone = [answer for answer in held if len(answer[2]) == 1]
    limits = sorted({probability for _, probability, _ in alone[::2]})
    limit = next(limit for limit in limits if share_right(alone[::2], limit)[1] >= right)
    limit = float(np.floor(1e4 * limit) / 1e4)
    validation = [
        (example.decode()[0], (example.species.lower(),)) for example in OxfordPets(oxford).examples("validation")
    ]
    groups = {
        "everyday, chosen on": alone[::2],
        "everyday, the others": alone[1::2],
        "everyday, both kinds": [answer for answer in held if len(answer[2]) == 2],
        "everyday, no pet": [answer for answer in held if not answer[2]],
        "Oxford, validation": answers(validation),
    }
    for title, group in groups.items():
        named, correct = share_right(group, limit)
        print(f"{title}: {len(group)} photos, a kind named for {named}, right {100 * correct:.1f} % of them")
    photos_in_words = f"{len(alone[::2])} everyday photos of PASCAL VOC 2012 that training did not see"
    chosen = kinds.replace(sure_from=limit, photos=photos_in_words)
    write_entry(model, entry.replace(kinds=chosen), settings.weights_dir)


def share_right(answers: Sequence[tuple[str | None, float, tuple[str, ...]]], limit: float) -> tuple[int, float]:
    """Return how many kinds are named from a probability on, and the share of these that is right."""
    named = [kind in truth for kind, probability, truth in answers if kind is not None and probability >= limit]
    return len(named), float(np.mean(named)) if named else 0.0


def main() -> int:
    """Run a step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("learn", "measure"))
    parser.add_argument("model", choices=sorted(LAYERS))
    parser.add_argument("--oxford", type=Path, required=True)
    parser.add_argument("--everyday", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="the weights folder to change")
    parser.add_argument("--right", type=float, default=0.97, help="of the named kinds, to choose the limit")
    arguments = parser.parse_args()
    settings = get_settings().replace(weights_dir=arguments.weights)
    given = arguments.model, arguments.oxford, arguments.everyday, settings
    if arguments.step == "learn":
        learn(*given)
    else:
        measure(*given, arguments.right)
    return 0


if __name__ == "__main__":
    sys.exit(main())
