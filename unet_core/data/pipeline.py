"""From a dataset to batches: one call gives the three splits as `tf.data`, ready for `fit` and `evaluate`.

Every photo is decoded and resized once and kept as uint8 in memory; an epoch then only gathers, augments and scales
batches. A split that does not fit into memory is decoded again in every epoch.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.trace import trace
from unet_core.classes import BACKGROUND, IGNORE_ID, PET
from unet_core.data.mixture import MixedSource, Mixture, drawn_order, mixed
from unet_core.data.own.archive import unpack_upload
from unet_core.data.own.folder import ImageFolder
from unet_core.data.oxford.oxford_pets import NAME as OXFORD_PETS
from unet_core.data.oxford.oxford_pets import OxfordPets
from unet_core.data.sources import (
    PARTS,
    PET_AND_BORDER,
    DataError,
    Example,
    LabelError,
    Source,
    SplitName,
    photo_channels,
    values_in,
)
from unet_core.data.splits import DEFAULT_SPLIT, SplitConfig
from unet_core.data.synthetic.pets import NAME as SYNTHETIC
from unet_core.data.synthetic.pets import SyntheticPets
from unet_core.data.tiles import TiledSource, TileSize, cut
from unet_core.images.preprocess import DEEP, in_bytes, in_channels
from unet_core.images.square import resized_mask, resized_photo
from unet_core.settings import get_settings
from unet_core.zoo.meaning import further_names

if TYPE_CHECKING:
    import tensorflow as tf

    from unet_core.data.augmentation import Augmentation

Progress = Callable[[SplitName, int, int], None]  # split, examples done, total

_BYTES = np.dtype(np.uint8)
_CHUNK = 256  # examples decoded between two progress reports


@dataclass(frozen=True)
class TargetCoding:
    """How a dataset's class ids become a model's.

    If the model has as many classes or more, ids stay. A one-class head learns 1 = pet, border included, and 0 = rest.
    A two-class model of a three-class dataset learns 0 = pet, border included, and 1 = background. `IGNORE_ID` stays.
    """

    table: np.ndarray  # (256,) uint8, dataset id -> model id
    padding: int  # model id of the padding around a photo
    foreground: tuple[int, ...] | None  # model ids that count as the object in a binary mask
    class_names: tuple[str, ...]  # by model id

    def ids(self, mask: np.ndarray, name: str) -> np.ndarray:
        """Return a mask of the dataset's class ids, (H, W) uint8, as the model's.

        Raises:
            LabelError: the mask of `name` holds a number that is neither a class nor `IGNORE_ID`.
        """
        ids = self.table[mask]
        unknown = [value for value in values_in(ids) if value >= len(self.class_names) and value != IGNORE_ID]
        if unknown:
            raise LabelError(
                f"{name}: the mask has the class ids {unknown}, but there are only 0 to {len(self.class_names) - 1}, "
                f"and {IGNORE_ID} for pixels without a label."
            )
        return ids

    @property
    def reversed_table(self) -> np.ndarray:
        """The table of a one-class head for masks in which 0 is the object and 1 the rest."""
        return np.where(self.table == IGNORE_ID, self.table, 1 - self.table).astype(np.uint8)


@dataclass(frozen=True)
class Datasets:
    """The requested splits, each a `tf.data.Dataset` of (photos, labels) or (photos, labels, weights).

    photos (B, H, W, C) float32, scaled; labels (B, h, w) int32, the area of the mask that the model predicts; weights
    (B, h, w) float32. Pixels without a label have the id `IGNORE_ID`. `train` is shuffled and augmented again in each
    iteration; the others keep their order.
    """

    train: tf.data.Dataset | None
    validation: tf.data.Dataset | None
    test: tf.data.Dataset | None
    sizes: dict[str, int]  # examples; pieces of photos with `crops`
    names: dict[str, tuple[str, ...]]  # in the order of validation and test
    steps: int  # training steps in an epoch, 0 without `train`
    output_size: tuple[int, int]
    coding: TargetCoding
    description: str


def make_datasets(
    data: str | Mixture | Source,
    config: UNetConfig,
    split: SplitConfig = DEFAULT_SPLIT,
    *,
    batch_size: int,
    augmentation: Augmentation | None = None,
    parts: Sequence[SplitName] = PARTS,
    data_dir: str | Path | None = None,
    output_size: tuple[int, int] | None = None,
    limit: int | None = None,
    first_epoch: int = 0,
    class_weights: Sequence[float] | None = None,
    drop_remainder: bool = False,
    cache_mb: float | None = None,
    crops: bool = False,
    validation_subsplits: int = 1,
    progress: Progress | None = None,
) -> Datasets:
    """Open a dataset and prepare it for a model.

    Args:
        data: "oxford_iiit_pet", "synthetic" or a folder or ZIP of photos and masks, see `find_layout`; a mixture of
            them; or an open dataset, which is already split.
        config: the model; its size, channels, classes and preprocessing determine the batches.
        split: which examples are in which split; its seed is also that of shuffling and augmentation.
            Equal seeds give equal epochs, regardless of parallelism.
        batch_size: examples in a batch.
        augmentation: for the training split only.
        parts: the splits to prepare; the others are None and cost nothing.
        data_dir: TFDS's data folder, by default the settings'.
        output_size: height and width of the model's output, by default traced from `config`.
        limit: maximum number of examples of each split.
        first_epoch: number of the epoch that the first iteration over `train` gives; a resumed run continues exactly.
        class_weights: one per class (two for a one-class head: rest, pet), applied to every pixel of that class as a
            third element of the training batches.
        drop_remainder: drop a last, smaller training batch.
        cache_mb: memory for decoded photos of each split, by default the settings'.
        crops: train on random pieces of the photos in the network's size, at their own scale, and validate on a fixed
            grid of them, instead of resizing photos.
        validation_subsplits: validate on every so-manyth photo only, the same ones in each epoch.
        progress: called with split, examples done and total while photos are decoded.

    Raises:
        DatasetMissing: Oxford pets are not in `data_dir`.
        ArchiveError: a ZIP cannot be unpacked.
        LabelError: a mask has values without a class.
        DataError: the data do not fit the model, or a folder cannot be used; the text says why.
    """
    if batch_size < 1:
        raise DataError(f"batch_size: must be at least 1. Received: {batch_size}")
    source = open_source(data, config, split, data_dir=data_dir) if isinstance(data, (str, tuple)) else data
    check_channels(source, config)
    coding = target_coding(source, config.classes)
    output_size = output_size or _output_size(config)
    budget = (get_settings().cache_mb if cache_mb is None else cache_mb) * 2**20
    batcher = _Batcher(
        config, batch_size, output_size, augmentation, split.seed, first_epoch, class_weights, drop_remainder
    )
    batcher.check(coding)
    tiles = TileSize.of(config, output_size)
    sources: dict[SplitName, Source] = dict.fromkeys(parts, source)
    if crops:
        sources = {part: source if part == "train" else TiledSource(source, tiles, limit) for part in parts}
    every = {part: validation_subsplits if part == "validation" else 1 for part in parts}
    most = {part: limit if sources[part] is source else None for part in parts}
    names = {part: sources[part].names(part)[:: every[part]][: most[part]] for part in parts}
    prepared: dict[str, tf.data.Dataset] = {}
    counts: dict[str, int] = {}
    for part in parts:
        if not names[part]:
            raise DataError(f"{source.description}: the {part} split is empty; add examples or change the split.")
        reader = _Reader.of(config, coding, source, part)
        selected = itertools.islice(sources[part].examples(part), 0, None, every[part])
        examples = itertools.islice(selected, len(names[part]))
        if crops and part == "train":
            store: _Store = _RandomTiles(tuple(examples), reader, tiles, budget, progress)
        elif len(names[part]) * reader.bytes_per_example <= budget:
            store = _Decoded(*reader.read_all(examples, part, len(names[part]), progress))
        else:
            store = _Encoded(tuple(examples), reader)
        counts[part] = store.count
        prepared[part] = batcher.training(store, _Shares.of(source, store)) if part == "train" else batcher.plain(store)
    return Datasets(
        train=prepared.get("train"),
        validation=prepared.get("validation"),
        test=prepared.get("test"),
        sizes=counts,
        names=names,
        steps=batcher.steps(counts.get("train", 0)),
        output_size=output_size,
        coding=coding,
        description=source.description,
    )


def open_source(
    data: str | Mixture, config: UNetConfig, split: SplitConfig = DEFAULT_SPLIT, *, data_dir: str | Path | None = None
) -> Source:
    """Return the dataset called "oxford_iiit_pet" or "synthetic", the folder or ZIP at that path, or a mixture.

    Args:
        data: the dataset's name or path, or several with their shares.
        config: the model; synthetic pets have the size of its input.
        split: which examples are in which split.
        data_dir: TFDS's data folder, by default the settings'.

    Raises:
        DatasetMissing: Oxford pets are not in `data_dir`.
        ArchiveError: the ZIP cannot be unpacked.
        DataError: there is no such folder, or it cannot be used; or datasets cannot be mixed.
    """
    if not isinstance(data, str):
        opened = [open_source(share.source, config, split, data_dir=data_dir) for share in data]
        return mixed(data, opened, config.classes)
    if data == OXFORD_PETS:
        return OxfordPets(Path(data_dir) if data_dir is not None else get_settings().data_dir, split)
    if data == SYNTHETIC:
        return SyntheticPets(split.seed, (config.height, config.width), split.validation_fraction)
    path = Path(data).expanduser().absolute()  # other machines and processes may start elsewhere
    if path.is_file():
        with open(path, "rb") as file:
            path = unpack_upload(file, path.name)
    if not path.is_dir():
        raise DataError(f"data: must be {OXFORD_PETS!r}, {SYNTHETIC!r}, a folder or a ZIP. Received: {data!r}")
    return ImageFolder(path, split.validation_fraction, split_scheme=split.split_scheme, asked_channels=config.channels)


def target_coding(source: Source, classes: int) -> TargetCoding:
    """Decide how the dataset's class ids become those of a model with `classes` classes.

    Raises:
        DataError: the model has fewer classes than the dataset, and the dataset has no binary reading.
    """
    table = np.arange(256, dtype=np.uint8)
    own = len(source.class_names)
    if classes == 1 and source.foreground is not None:
        ids = _with_ignored(np.isin(table, source.foreground))
        shown = PET.name if source.foreground == PET_AND_BORDER else source.class_names[source.foreground[0]]
        return TargetCoding(ids, 0, (1,), (source.class_names[source.background], shown))
    if classes == 2 and own == 3 and source.foreground == PET_AND_BORDER:
        table = _with_ignored(np.where(np.isin(table, PET_AND_BORDER), PET.id, BACKGROUND.id))
        return TargetCoding(table, BACKGROUND.id, (PET.id,), (PET.name, BACKGROUND.name))
    if classes < own:
        listed = ", ".join(source.class_names)
        raise DataError(f"classes: the dataset has {own} ({listed}); the model has only {classes}. Set it to {own}.")
    padding = own if classes > own else source.background
    names = (*source.class_names, *further_names(source.class_names, classes))
    return TargetCoding(table, padding, source.foreground, names)


def _with_ignored(table: np.ndarray) -> np.ndarray:
    table = table.astype(np.uint8)
    table[IGNORE_ID] = IGNORE_ID
    return table


def _output_size(config: UNetConfig) -> tuple[int, int]:
    traced = trace(config)
    if traced.output_shape is None:
        raise DataError(f"This network cannot be built at {config.height}×{config.width}: `trace` shows the layer.")
    return traced.output_shape[0], traced.output_shape[1]


def check_channels(source: Source, config: UNetConfig) -> None:
    """Refuse a network whose channels the dataset's photos do not have; RGB photos serve networks for grey values too.

    Raises:
        DataError: they differ; the text has both numbers.
    """
    own = photo_channels(source)
    allowed = (3, 1) if own == 3 else (own,)
    if config.channels not in allowed:
        words = "3 (RGB) or 1 (grey values), as these photos have" if own == 3 else f"{own}, as these photos have"
        raise DataError(f"channels: must be {words}. Received: {config.channels}")


@dataclass(frozen=True)
class _Reader:
    """Decodes examples for the cache: photo (H, W, C), uint8 or uint16, and the model's class ids (H, W) uint8."""

    config: UNetConfig
    coding: TargetCoding
    kind: np.dtype = _BYTES  # of photos

    @classmethod
    def of(cls, config: UNetConfig, coding: TargetCoding, source: Source, part: SplitName) -> _Reader:
        """Return a reader for a split, 16-bit if its first photo is; RGB and grey photos are 8-bit."""
        if photo_channels(source) == 3:
            return cls(config, coding)
        photo, _ = next(iter(source.examples(part))).decode()
        return cls(config, coding, photo.dtype)

    @property
    def bytes_per_example(self) -> int:
        each = self.config.channels * self.kind.itemsize + 1
        return self.config.height * self.config.width * each

    def read(self, example: Example) -> tuple[np.ndarray, np.ndarray]:
        size, how = (self.config.height, self.config.width), self.config.preprocessing.resize
        photo, ids = self.decode(example)
        mask = resized_mask(ids, size, how, self.coding.padding)
        return self.pixels(resized_photo(photo, size, how, self.config.channels)), mask

    def pixels(self, photo: np.ndarray) -> np.ndarray:
        """Return a photo with as many bits as the split's others."""
        if photo.dtype == self.kind:
            return photo
        return in_bytes(photo) if self.kind == _BYTES else photo.astype(np.uint16) * DEEP

    def decode(self, example: Example) -> tuple[np.ndarray, np.ndarray]:
        """Return the photo as it is, (H, W, C), and the model's class ids, (H, W) uint8."""
        photo, ids = example.decode()
        if photo.shape[:2] != ids.shape:
            raise DataError(f"{example.name}: photo and mask differ in size: {photo.shape[:2]} and {ids.shape}.")
        return photo, self.coding.ids(ids, example.name)

    def read_all(
        self, examples: Iterator[Example], part: SplitName, count: int, progress: Progress | None
    ) -> tuple[np.ndarray, np.ndarray]:
        height, width, channels = self.config.input_shape
        photos = np.empty((count, height, width, channels), self.kind)
        masks = np.empty((count, height, width), np.uint8)
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow releases the GIL while decoding
            for start in range(0, count, _CHUNK):
                chunk = itertools.islice(examples, _CHUNK)
                for index, (photo, mask) in enumerate(pool.map(self.read, chunk), start):
                    photos[index], masks[index] = photo, mask
                if progress is not None:
                    progress(part, min(start + _CHUNK, count), count)
        return photos, masks


class _Decoded:
    """All examples, decoded, in memory."""

    def __init__(self, photos: np.ndarray, masks: np.ndarray) -> None:
        import tensorflow as tf

        self.count = len(photos)
        with tf.device("CPU"):  # a GPU's memory is for the model
            self._photos, self._masks = tf.constant(photos), tf.constant(masks)

    def batches(
        self, indices: tf.data.Dataset, batch_size: int, drop_remainder: bool, draw: tf.Tensor | int
    ) -> tf.data.Dataset:
        """Turn indices into batches of photos and masks."""
        import tensorflow as tf

        photos, masks = self._photos, self._masks

        def gathered(chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.gather(photos, chosen), tf.gather(masks, chosen)

        return indices.batch(batch_size, drop_remainder).map(gathered, num_parallel_calls=tf.data.AUTOTUNE)


class _Encoded:
    """All examples as stored, decoded each time they are needed."""

    def __init__(self, examples: tuple[Example, ...], reader: _Reader) -> None:
        self.count = len(examples)
        self._examples = examples
        self._reader = reader

    def batches(
        self, indices: tf.data.Dataset, batch_size: int, drop_remainder: bool, draw: tf.Tensor | int
    ) -> tf.data.Dataset:
        """Turn indices into batches of photos and masks."""
        import tensorflow as tf

        examples, reader = self._examples, self._reader
        shape = reader.config.input_shape

        def decoded(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            read = lambda chosen: reader.read(examples[chosen])  # noqa: E731
            photo, mask = tf.numpy_function(read, [index], (tf.as_dtype(reader.kind), tf.uint8))
            return tf.ensure_shape(photo, shape), tf.ensure_shape(mask, shape[:2])

        return indices.map(decoded, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size, drop_remainder)


class _RandomTiles:
    """Random pieces of the photos at their own scale; photos stay in memory as far as the budget goes.

    A photo gives as many pieces in an epoch as tiles cover it, at most `MOST_TILES`.
    """

    def __init__(
        self,
        examples: tuple[Example, ...],
        reader: _Reader,
        size: TileSize,
        budget: float,
        progress: Progress | None,
    ) -> None:
        self._examples, self._reader, self._size = examples, reader, size
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        photo_of: list[int] = []  # by tile
        for index, example in enumerate(examples):
            photo, ids = reader.decode(example)
            photo_of += [index] * size.number(ids.shape)
            if photo.nbytes + ids.nbytes <= budget:
                budget -= photo.nbytes + ids.nbytes
                self._kept[index] = photo, ids
            if progress is not None:
                progress("train", index + 1, len(examples))
        self.photo_of = np.array(photo_of, np.int64)
        self.count = len(photo_of)

    def batches(
        self, indices: tf.data.Dataset, batch_size: int, drop_remainder: bool, draw: tf.Tensor | int
    ) -> tf.data.Dataset:
        """Turn indices into batches of pieces, which `draw` and the index decide."""
        import tensorflow as tf

        def read(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            photo, mask = tf.numpy_function(self._piece, [index, draw], (tf.as_dtype(self._reader.kind), tf.uint8))
            shape = self._reader.config.input_shape
            return tf.ensure_shape(photo, shape), tf.ensure_shape(mask, shape[:2])

        return indices.map(read, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size, drop_remainder)

    def _piece(self, index: int, draw: int) -> tuple[np.ndarray, np.ndarray]:
        number = int(self.photo_of[index])
        photo, ids = self._kept.get(number) or self._reader.decode(self._examples[number])
        corner = self._size.random_corner(ids.shape, np.random.default_rng((int(draw), int(index))))
        piece, labels = cut(photo, ids, corner, self._size.taken)
        return self._reader.pixels(in_channels(piece, self._reader.config.channels)), labels


_Store = _Decoded | _Encoded | _RandomTiles


@dataclass(frozen=True, eq=False)
class _Shares:
    """What decides how often each stored training example is drawn: its dataset by number, and the datasets' shares."""

    owners: np.ndarray | None = None  # None: of one dataset, each once
    shares: tuple[float, ...] = ()

    @classmethod
    def of(cls, source: Source, store: _Store) -> _Shares:
        """Return those of a mixture, and of any other source that each example comes once."""
        if not isinstance(source, MixedSource):
            return cls()
        owners = source.owners
        return cls(owners[store.photo_of] if isinstance(store, _RandomTiles) else owners[: store.count], source.shares)


def _on_8_bits(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Bring 16-bit photos to the scale of 0…255, as float32: what augmentation and scaling take."""
    import tensorflow as tf

    specification: Any = batches.element_spec
    if specification[0].dtype != tf.uint16:
        return batches
    return batches.map(lambda photos, masks: (tf.cast(photos, tf.float32) / DEEP, masks))


@dataclass(frozen=True)
class _Batcher:
    """Turns stored examples into batches for training or evaluation."""

    config: UNetConfig
    batch_size: int
    output_size: tuple[int, int]
    augmentation: Augmentation | None
    seed: int
    first_epoch: int
    class_weights: Sequence[float] | None
    drop_remainder: bool

    def check(self, coding: TargetCoding) -> None:
        """Raise a DataError if the arguments do not fit the model."""
        wanted = len(coding.class_names)
        if self.class_weights is not None and len(self.class_weights) != wanted:
            names = ", ".join(coding.class_names)
            raise DataError(
                f"class_weights: needs {wanted} numbers ({names}). Received: {[float(w) for w in self.class_weights]}"
            )
        if min(self.output_size) < 1:
            raise DataError(f"output_size: must be at least 1×1. Received: {self.output_size}")

    def steps(self, count: int) -> int:
        """Return the number of training batches in an epoch."""
        return count // self.batch_size if self.drop_remainder else -(-count // self.batch_size)

    def plain(self, store: _Store) -> tf.data.Dataset:
        """Return all examples in order, without augmentation."""
        import tensorflow as tf

        batches = _on_8_bits(store.batches(tf.data.Dataset.range(store.count), self.batch_size, False, 0))
        return self._finished(batches, None).prefetch(2)

    def training(self, store: _Store, shares: _Shares) -> tf.data.Dataset:
        """Return the examples shuffled and augmented, differently in each iteration."""
        import tensorflow as tf

        steps = self.steps(store.count)
        if not steps:
            raise DataError(f"batch_size: {self.batch_size} is more than the {store.count} training examples.")
        # Order and draws of an epoch are functions of (seed, epoch) alone. Epochs are counted here because `fit` starts
        # a new iteration for each one and does not pass its number to the dataset.
        epochs = itertools.count(self.first_epoch)

        def shuffled() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            random = np.random.default_rng((self.seed, next(epochs)))
            order = drawn_order(random, shares.owners, shares.shares, store.count)
            yield order, random.integers(2**31, size=steps)

        signature = (tf.TensorSpec((store.count,), tf.int64), tf.TensorSpec((steps,), tf.int64))
        epoch = tf.data.Dataset.from_generator(shuffled, output_signature=signature)
        # One iteration of the generator gives both, so order and draws stay in step.
        batches = epoch.flat_map(lambda *numbers: self._augmented(store, *numbers))
        return batches.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(2)

    def _augmented(self, store: _Store, order: tf.Tensor, draws: tf.Tensor) -> tf.data.Dataset:
        import tensorflow as tf

        indices = tf.data.Dataset.from_tensor_slices(order)
        batches = _on_8_bits(store.batches(indices, self.batch_size, self.drop_remainder, draws[0]))
        if self.augmentation is not None and self.augmentation.config.enabled:
            augment = self.augmentation
            numbered = tf.data.Dataset.zip(batches, tf.data.Dataset.from_tensor_slices(draws))
            batches = numbered.map(
                lambda batch, draw: augment(batch[0], batch[1], draw), num_parallel_calls=tf.data.AUTOTUNE
            )
        return self._finished(batches, self.class_weights)

    def _finished(self, batches: tf.data.Dataset, class_weights: Sequence[float] | None) -> tf.data.Dataset:
        """Scale the photos, crop the labels to the model's output and weight their pixels."""
        import tensorflow as tf

        divisor, shift = self.config.preprocessing.scaling
        height, width = self._predicted_size()
        top, left = (self.config.height - height) // 2, (self.config.width - width) // 2

        weights = np.zeros(256, np.float32)  # ignored pixels have none
        weights[: len(class_weights or ())] = class_weights or ()

        def finish(photos: tf.Tensor, masks: tf.Tensor) -> tuple[tf.Tensor, ...]:
            scaled = tf.cast(photos, tf.float32) / divisor - shift
            masks = masks[:, top : top + height, left : left + width]
            if (height, width) != self.output_size:  # padded skips can make the output larger than the input
                masks = tf.image.resize(tf.expand_dims(masks, -1), self.output_size, method="nearest")[..., 0]
            labels = tf.cast(masks, tf.int32)
            if class_weights is None:
                return scaled, labels
            return scaled, labels, tf.gather(tf.constant(weights), labels)

        return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE)

    def _predicted_size(self) -> tuple[int, int]:
        """Return height and width of the input's centre that is predicted: valid padding crops all sides equally."""
        return min(self.output_size[0], self.config.height), min(self.output_size[1], self.config.width)
