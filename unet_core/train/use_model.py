"""Use of a trained model, named as in `find_model`: segment a photo, evaluate, export."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from PIL import Image

from unet_core.data.oxford.oxford_pets import NAME as OXFORD_PETS
from unet_core.data.pipeline import TargetCoding, open_source, target_coding
from unet_core.data.sources import Source, SplitName
from unet_core.data.splits import SplitConfig
from unet_core.data.synthetic.pets import NAME as SYNTHETIC
from unet_core.errors import ConfigError
from unet_core.images.decode import decode_bands, decode_image, photo_pixels
from unet_core.scoring.evaluate import (
    EVALUATION_SIZE,
    Comparison,
    Counts,
    EvaluationError,
    Measurement,
    Size,
    counted,
    measurement,
    report,
)
from unet_core.scoring.matching import listed, matched_coding, never_there_warning
from unet_core.scoring.on_cluster import OnCluster, Work, counted_on_cluster
from unet_core.segment.batch import PackedModel
from unet_core.segment.network import Network
from unet_core.train.find_model import ModelSource, data_of, find_model, split_for
from unet_core.zoo.meaning import UNKNOWN

if TYPE_CHECKING:
    from unet_core.segment.engine import EngineChoice
    from unet_core.segment.segmentation import Segmentation
    from unet_core.zoo.export import BundleFormat, Export

_SIZE = (EVALUATION_SIZE, EVALUATION_SIZE)


@dataclass(frozen=True)
class Subject:
    """A loaded model, and the dataset to evaluate it on."""

    source: ModelSource
    network: Network
    data: str
    split: SplitConfig | None = None  # by default that of `split_for`

    @cached_property
    def dataset(self) -> Source:
        """The dataset, divided as in the model's training if it was trained on it.

        Raises:
            UNetError: there is no such dataset, or it cannot be used.
        """
        return open_source(self.data, self.source.config, self.split or split_for(self.source, self.data))

    def packed(self) -> PackedModel:
        """Return the model as it is sent to the workers of a cluster."""
        return PackedModel.of(self.source.segmenter("onnx" if self.network.name == "onnx" else "keras"))


def segment(
    photo: str | Path | bytes | Image.Image | np.ndarray,
    model: str | Path | None = None,
    *,
    engine: EngineChoice = "auto",
    flip: bool = False,
) -> Segmentation:
    """Segment a photo.

    Args:
        photo: a file, its bytes, a Pillow image, or an array (H, W, 3) uint8; for a model of C bands a file, its bytes
            or an array (H, W, C) of uint8 or uint16.
        model: a shipped model, a run's folder or id, or its `.weights.h5`; None takes the default model.
        engine: "onnx", "keras", or "auto", which is Keras for a shipped model on a GPU and for a run that was not
            exported, and ONNX Runtime otherwise.
        flip: average the probabilities with those of the mirrored photo; no effect with a zoomed second pass.

    Returns:
        The mask, (H, W) uint8 class ids, with the classes, their shares and probabilities.

    Raises:
        ImageError: the photo cannot be used.
        WeightsError: there is no such model, or it has no file for that engine.
        OSError: the file cannot be read.
    """
    source = find_model(model)
    return source.segmenter(engine).segment(_pixels(photo, source.config.channels), flip=flip)


def _pixels(photo: str | Path | bytes | Image.Image | np.ndarray, channels: int) -> np.ndarray:
    if isinstance(photo, np.ndarray):
        return photo
    if isinstance(photo, Image.Image):
        return photo_pixels(photo)
    decode = decode_image if channels in (1, 3) else partial(decode_bands, channels=channels)
    if isinstance(photo, bytes):
        return decode(photo)
    return decode(Path(photo).read_bytes(), name=Path(photo).name)


def evaluate(
    model: str | Path | None = None,
    *,
    data: str | Path | None = None,
    split: SplitName = "test",
    engine: EngineChoice = "auto",
    size: tuple[int, int] = _SIZE,
    flip: bool = False,
    limit: int | None = None,
    cluster: OnCluster | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure a trained model on a part of a dataset, as `python -m unet_core evaluate` does.

    Args:
        model: a shipped model, a run's folder or id, or its `.weights.h5`; None takes the default model.
        data: "oxford_iiit_pet", "synthetic", or a folder or ZIP of photos and masks; None takes a run's own dataset,
            the Oxford pets for a shipped model.
        split: "train", "validation" or "test".
        engine: runs the model: "auto" (Keras for a run, see `Segmenter` for a shipped model), "onnx" or "keras".
        size: height and width in pixels at which prediction and ground truth are compared.
        flip: average the probabilities with those of the mirrored photo; no effect with a zoomed second pass.
        limit: use at most this many photos.
        cluster: where workers predict, see `unet_core.jobs.cluster.open_cluster`; None is this process. The figures are
            the same, but for the time of a photo.
        progress: called with the number of photos done and the total.

    Returns:
        The figures, ready for JSON: accuracy, IoU and Dice of each class, the confusion matrix, the time of a photo,
        and warnings. The model's classes and those of the data are matched by name.

    Raises:
        UNetError: there is no such model or dataset, they do not fit each other, or there is no photo.
    """
    subject = evaluation_subject(model, data, engine)
    return evaluation(subject, split, size=size, flip=flip, limit=limit, cluster=cluster, progress=progress)


def export(model: str | Path | None, format: BundleFormat, path: str | Path, *, end_to_end: bool = False) -> Export:
    """Write a trained model for use elsewhere; the file is run and compared with Keras before it is kept.

    ONNX and Keras files carry what the model means: its classes, preprocessing, data and licence.

    Args:
        model: a shipped model, a run's folder or id, or its `.weights.h5`; None takes the default model.
        format: "onnx", "keras", "litert", also called "tflite", or "zip": everything with a program that uses it.
        path: ends in .onnx, .keras, .tflite or .zip; a folder gets `unet` with that ending.
        end_to_end: of ONNX: with scaling and argmax inside, see `unet_core.zoo.export.export`.

    Raises:
        WeightsError: there is no such model, or it has no Keras weights.
        ExportError: the model cannot be converted, gives other outputs than Keras, or the file cannot be written.
    """
    from unet_core.zoo.bundle import export_everything
    from unet_core.zoo.export import export

    source = find_model(model)
    if format == "zip":
        return export_everything(
            source.load(), source.config, path, source.meaning, source.title, second_look=source.second_look
        )
    return export(source.load(), source.config, format, path, meaning=source.meaning, end_to_end=end_to_end)


def evaluation_subject(
    model: str | Path | None, data: str | Path | None = None, engine: EngineChoice = "auto"
) -> Subject:
    """Find and load the model that `evaluate` measures.

    Raises:
        UNetError: there is no such model, or it has no file for that engine.
    """
    source = find_model(model)
    segmenter = source.segmenter("keras" if engine == "auto" and source.entry is None else engine)
    return Subject(source, segmenter.network, str(data or _own_data(source)))


def evaluation(
    subject: Subject,
    split: SplitName,
    *,
    size: tuple[int, int] = _SIZE,
    flip: bool = False,
    limit: int | None = None,
    cluster: OnCluster | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure a loaded model; arguments and result are those of `evaluate`.

    Raises:
        UNetError: the dataset is missing or does not fit the model, or there is no photo.
    """
    found = measure(subject, split, size=size, flip=flip, limit=limit, cluster=cluster, progress=progress)
    return {**evaluation_header(subject, split, flip), "device": found.device, **report(found)}


def _own_data(source: ModelSource) -> str:
    """Return the data that a model was trained on.

    Raises:
        ConfigError: they are somebody's own, and only their name came along with the model.
    """
    if source.run is not None:
        return source.run.config().primary
    recipe = source.entry.recipe.get("config", {}) if source.entry is not None else {}
    name = data_of(recipe)[0] if isinstance(recipe.get("data"), list) else source.origin.name
    if name in (OXFORD_PETS, SYNTHETIC, UNKNOWN):
        return SYNTHETIC if name == SYNTHETIC else OXFORD_PETS
    raise ConfigError(f"data: {source.name} was trained on {name}: choose that folder or ZIP with --data")


def evaluation_header(subject: Subject, split: str, flip: bool) -> dict[str, Any]:
    """Return the first fields of an evaluation: what was measured, and how."""
    source = subject.source
    return {
        "model": source.name,
        "data": subject.data,
        "split": split,
        "engine": subject.network.name,
        "device": subject.network.device,
        "input_shape": source.config.input_shape,
        "flip": flip and not source.second_look,
        "second_look": source.second_look,
        "warnings": list(evaluation_warnings(subject)),
    }


def evaluation_warnings(subject: Subject) -> tuple[str, ...]:
    """Return what to know about an evaluation: classes that the data never have, names that nobody recorded."""
    source, dataset = subject.source, subject.dataset
    found = [never_there_warning(coding_for(source, dataset, subject.data), dataset)]
    if not source.has_names:
        found.append("The run did not record the names of its classes, so they are compared by number.")
    return tuple(sentence for sentence in found if sentence)


def coding_for(source: ModelSource, dataset: Source, data: str) -> TargetCoding:
    """Return how the class ids of a dataset become those of a model, matched by name.

    Raises:
        UNetError: they have different classes, or the names of the model's classes are not known and the dataset is not
            the one that it was trained on.
    """
    if source.has_names:
        return matched_coding(source.classes, source.config.classes, dataset)
    if source.run is not None and source.run.config().primary == data:
        return target_coding(dataset, source.config.classes)
    raise EvaluationError(
        f"The run {source.name} did not record the names of its classes, so it can only be measured on the data that "
        f"it was trained on. Data: {listed(dataset.class_names)}."
    )


def measure(
    subject: Subject,
    part: SplitName,
    *,
    size: tuple[int, int] = _SIZE,
    flip: bool = False,
    limit: int | None = None,
    cluster: OnCluster | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Measurement:
    """Measure a loaded model on a part of a dataset; the arguments are those of `evaluate`.

    Raises:
        UNetError: the dataset is missing or does not fit the model, or there is no photo.
    """
    compared = comparison(subject, (size,), flip)
    return measurement(count(subject, part, compared, limit=limit, cluster=cluster, progress=progress), compared, size)


def comparison(subject: Subject, sizes: Sequence[Size], flip: bool) -> Comparison:
    """Return how a model is compared with its dataset at some sizes.

    Raises:
        UNetError: the dataset is missing or does not fit the model.
    """
    coding = coding_for(subject.source, subject.dataset, subject.data)
    return Comparison(subject.source.config, coding, tuple(sizes), flip)


def count(
    subject: Subject,
    part: SplitName,
    comparison: Comparison,
    *,
    limit: int | None = None,
    cluster: OnCluster | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Counts:
    """Count the pixels of a part of a dataset, here or on a cluster; the arguments are those of `evaluate`.

    Raises:
        UNetError: there is no such part, a photo cannot be used, or the cluster is lost.
    """
    if part not in (parts := get_args(SplitName)):
        raise ConfigError(f"split: must be one of {', '.join(parts)}. Received: {part!r}")
    dataset = subject.dataset
    total = len(dataset.names(part)[:limit])
    show = None if progress is None else lambda done: progress(done, total)
    if cluster is not None:
        return counted_on_cluster(cluster, Work(subject.packed(), comparison), dataset, part, total, show)
    return counted(subject.network, comparison, itertools.islice(dataset.examples(part), total), progress=show)
