"""Everything about one model in one pass over the photos: what `evaluate` measures, with all details behind it."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.data.oxford.oxford_pets import NAME as OXFORD_PETS
from unet_core.data.pipeline import TargetCoding, open_source
from unet_core.data.sources import Example, Source, SplitName
from unet_core.data.synthetic.pets import NAME as SYNTHETIC
from unet_core.images.interpolate import argmax_planes
from unet_core.machine import available_cores
from unet_core.results.calibration import Reliability
from unet_core.results.everyday import everyday_total, measure_everyday
from unet_core.results.files import (
    Evaluation,
    Everyday,
    Group,
    PartResult,
    Photos,
    Provenance,
    Robustness,
    command_for,
    measured_file,
)
from unet_core.results.robustness import PHOTOS, chosen_names, measure_robustness
from unet_core.scores import binary_iou, confusion_matrix, scores_from_confusion
from unet_core.scoring.evaluate import ComparedClasses, Network, evaluate, report
from unet_core.train.environment import processor_name
from unet_core.train.find_model import ModelSource, split_for
from unet_core.train.use_model import coding_for
from unet_core.zoo.manifest import WeightsError

PACKAGES = ("onnxruntime", "numpy", "pillow", "tensorflow", "keras", "tensorflow-datasets")
PET_SIZES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0)  # shares of the photo, border included
DRAWN = "drawn"  # the part of the synthetic pets
_DRAWN_SIDE = 224  # pixels at which they are drawn

Progress = Callable[[str, int, int], None]  # phase, photos done, total


@dataclass
class _Pooled:
    """The pixels of a group of photos, counted together."""

    confusion: np.ndarray
    photos: list[float] = field(default_factory=list)  # IoU of each
    species: str = ""


class Collector:
    """Collects what `evaluate` observes into a `PartResult`."""

    def __init__(self, config: UNetConfig, coding: TargetCoding) -> None:
        self._masks = ComparedClasses(config.classes, coding)
        self._reliability = Reliability()
        self._columns: dict[str, list[Any]] = {
            name: [] for name in ("name", "iou", "mean_iou", "pet_share", "uncertainty")
        }
        self._breed_of: list[str] = []
        self._breeds: dict[str, _Pooled] = {}
        self._species: dict[str, _Pooled] = {}
        self._sizes: dict[str, _Pooled] = {name: self._pooled() for name in _size_names()}

    def _pooled(self, species: str = "") -> _Pooled:
        count = len(self._masks.classes)
        return _Pooled(np.zeros((count, count), np.int64), species=species)

    def observe(self, example: Example, truth: np.ndarray, planes: np.ndarray) -> None:
        """Add one photo: its example, its true ids (H, W) and probabilities (classes, H, W)."""
        predicted, confidence = argmax_planes(planes), planes.max(axis=0)
        self._reliability.add(truth, predicted, confidence)
        confusion = confusion_matrix(truth, predicted, len(self._masks.classes))
        mean_iou = scores_from_confusion(confusion).mean_iou
        foreground = self._masks.foreground
        iou = mean_iou if foreground is None else float(np.nan_to_num(binary_iou(confusion, foreground), nan=1.0))
        share = 0.0 if foreground is None else float(np.isin(truth, foreground).mean())
        row = (example.name, iou, mean_iou, share, _mean_entropy(planes))
        for column, value in zip(self._columns.values(), row, strict=True):
            column.append(value)
        breed, species = getattr(example, "breed", ""), getattr(example, "species", "")
        pools = []
        if breed:
            self._breed_of.append(breed)
            pools.append(self._breeds.setdefault(breed, self._pooled(species)))
        if species:
            pools.append(self._species.setdefault(species, self._pooled()))
        if foreground is not None:
            pools.append(self._sizes[_size_name(share)])
        for pool in pools:
            pool.confusion += confusion
            pool.photos.append(iou)

    def result(self, title: str, figures: dict[str, Any]) -> PartResult:
        """Return the result; `figures` are those of `unet_core.scoring.evaluate.report`."""
        matrix = np.asarray(figures["confusion_matrix"], np.float64)
        names = figures["classes"]
        breeds = sorted(self._breeds, key=str.lower)
        positions = {breed: index for index, breed in enumerate(breeds)}
        columns = {
            name: tuple(values if name == "name" else (round(value, 4) for value in values))
            for name, values in self._columns.items()
        }
        known = len(self._breed_of) == len(columns["name"])
        return PartResult(
            title=title,
            **figures,
            precision=_ratios(np.diag(matrix), matrix.sum(axis=0), names),
            recall=_ratios(np.diag(matrix), matrix.sum(axis=1), names),
            calibration=self._reliability.result(),
            species=tuple(self._group(name, self._species[name]) for name in sorted(self._species)),
            breeds=tuple(self._group(name, self._breeds[name]) for name in breeds) if known else (),
            pet_sizes=tuple(self._group(name, pool) for name, pool in self._sizes.items() if pool.photos),
            photos=Photos(**columns, breed=tuple(positions[breed] for breed in self._breed_of) if known else ()),
        )

    def _group(self, name: str, pool: _Pooled) -> Group:
        scores = scores_from_confusion(pool.confusion)
        foreground = self._masks.foreground
        return Group(
            name=name,
            photos=len(pool.photos),
            pixel_accuracy=_number(scores.pixel_accuracy),
            mean_iou=_number(scores.mean_iou),
            iou={label: _number(value) for label, value in zip(self._masks.classes, scores.iou, strict=True)},
            pet_iou=None if foreground is None else _number(binary_iou(pool.confusion, foreground)),
            photo_iou=_number(float(np.mean(pool.photos))),
            species=pool.species,
        )


def _size_names() -> list[str]:
    percents = [round(100 * bound) for bound in PET_SIZES]
    bounds = [f"{low} to {high} %" for low, high in itertools.pairwise(percents)]
    return [f"under {percents[1]} %", *bounds[1:-1], f"over {percents[-2]} %"]


def _size_name(share: float) -> str:
    """Return the name of the range that a share is in, lower bound included."""
    return _size_names()[sum(share >= bound for bound in PET_SIZES[1:-1])]


def _mean_entropy(planes: np.ndarray) -> float:
    """Return the pixels' mean entropy as a share of the maximum for this number of classes, 0…1."""
    entropy = -np.sum(planes * np.log(np.maximum(planes, 1e-12)), axis=0, dtype=np.float64)
    return float(np.clip(entropy.mean() / math.log(len(planes)), 0, 1))


def _ratios(part: np.ndarray, whole: np.ndarray, names: Sequence[str]) -> dict[str, float | None]:
    return {name: round(float(a / b), 6) if b else None for name, a, b in zip(names, part, whole, strict=True)}


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


# --- a whole file -----------------------------------------------------------------------------------------------------


def full_evaluation(
    source: ModelSource,
    network: Network,
    data: str,
    *,
    size: tuple[int, int] = (128, 128),
    flip: bool = False,
    limit: int | None = None,
    command: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a model on the test and validation parts, synthetic pets, corrupted test photos and composed photos.

    Args:
        source: the model.
        network: the engine that runs it.
        data: as `unet_core.data.pipeline.open_source` takes it; the model's training data is split as in training.
        size: height and width at which prediction and ground truth are compared.
        flip: horizontal-flip averaging, unless the model has a zoomed second pass; robustness is measured without.
        limit: use at most `limit` photos of each part and of the composed ones.
        command: reproduces this.
        progress: called with phase, photos done and total.

    Raises:
        ValueError: the dataset is missing or does not fit the model.
    """
    started = time.perf_counter()
    dataset = open_source(data, source.config, split_for(source, data))
    coding = coding_for(source, dataset, data)
    flip = flip and not source.second_look
    measured = _Measurements(source, network, coding, size, flip, limit, progress or (lambda *_: None))
    parts = {"test": measured.part("test", dataset, "test")}
    if len(dataset.names("validation")):
        parts["validation"] = measured.part("validation", dataset, "validation")
    if data == OXFORD_PETS:
        pets = open_source(SYNTHETIC, source.config.replace(height=_DRAWN_SIDE, width=_DRAWN_SIDE))
        parts[DRAWN] = measured.part("synthetic pets", pets, "test")
    name, sha256 = file_of(source)
    return Evaluation(
        model=source.name,
        file=name,
        sha256=sha256,
        data=data,
        data_description=dataset.description,
        flip=flip,
        second_look=source.second_look,
        parts=parts,
        robustness=measured.robustness(dataset),
        everyday=measured.everyday(dataset),
        measured=provenance(
            command or command_for(source.name), time.perf_counter() - started, network.name, network.device
        ),
    )


@dataclass(frozen=True)
class _Measurements:
    """The measurements of one model, with what they have in common."""

    source: ModelSource
    network: Network
    coding: TargetCoding
    size: tuple[int, int]
    flip: bool
    limit: int | None
    show: Progress

    def part(self, title: str, pets: Source, part: SplitName) -> PartResult:
        total = len(pets.names(part)[: self.limit])
        collector = Collector(self.source.config, self.coding)
        found = evaluate(
            self.network,
            self.source.config,
            itertools.islice(pets.examples(part), total),
            self.coding,
            size=self.size,
            flip=self.flip,
            progress=lambda done: self.show(title, done, total),
            observe=collector.observe,
        )
        return collector.result(title, report(found))

    def robustness(self, dataset: Source) -> Robustness:
        chosen = chosen_names(dataset.names("test"), min(PHOTOS, self.limit or PHOTOS))
        return measure_robustness(
            self.network,
            self.source.config,
            (example for example in dataset.examples("test") if example.name in chosen),
            self.coding,
            size=self.size,
            progress=lambda done: self.show("corrupted photos", done, len(chosen)),
        )

    def everyday(self, dataset: Source) -> Everyday | None:
        total = everyday_total(self.limit)
        return measure_everyday(
            self.network,
            self.source.config,
            dataset,
            self.coding,
            flip=self.flip,
            limit=self.limit,
            progress=lambda done: self.show("composed photos", done, total),
        )


def file_of(source: ModelSource) -> tuple[str, str]:
    """Return name and SHA-256 of the file that a model's figures belong to.

    Raises:
        WeightsError: it has none.
    """
    if source.entry is not None:
        return measured_file(source.entry)
    if source.weights is None:
        raise WeightsError(f"{source.name} has no model file to measure")
    return source.weights.name, hashlib.sha256(source.weights.read_bytes()).hexdigest()


def provenance(command: str, seconds: float, engine: str = "", device: str = "") -> Provenance:
    """Return the software and hardware of a measurement that took `seconds` and ends now."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return Provenance(
        command=command,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        machine=processor_name(),
        cores=available_cores(),
        load=load(),
        system=platform.system(),
        python=platform.python_version(),
        packages=versions,
        engine=engine,
        device=device,
    )


def load() -> float | None:
    """Return the load average of the last minute; None where the system does not report it."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
