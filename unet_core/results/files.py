"""The result files: weights/results/<model>.json and comparison.json. Checked when read, never written by hand.

A model's file holds the SHA-256 of the model file it was measured on, so that a file of another version of the model
is detected.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, model_validator

from unet_core.errors import ConfigError, UNetError
from unet_core.jobs.tables import write_atomically
from unet_core.settings import Settings, get_settings
from unet_core.strict import Strict
from unet_core.zoo.manifest import ModelEntry

VERSION = 1
FOLDER = "results"
COMPARISON_NAME = "comparison"
LARGEST_BYTES = 5_000_000  # far more than these files need

Number = float | None
Form = TypeVar("Form", bound=Strict)


class ResultsError(UNetError):
    """A result file that cannot be used; the text says in one sentence why and how to fix it."""


class Provenance(Strict):
    """When, how and on what something was measured. `load` is the machine's one-minute load average."""

    command: str
    date: str  # ISO 8601, UTC
    seconds: float
    machine: str
    cores: int
    load: Number = None
    system: str
    python: str
    packages: dict[str, str]
    engine: str = ""
    device: str = ""


class Calibration(Strict):
    """Reliability in bins of equal width over 0…1 by confidence; a bin without pixels has null.

    `error` is the expected calibration error, `overconfidence` mean confidence minus accuracy.
    """

    pixels: tuple[int, ...]
    confidence: tuple[Number, ...]
    accuracy: tuple[Number, ...]
    error: float
    overconfidence: float


class Group(Strict):
    """Scores of a group of photos: a breed, a species or a size of pet."""

    name: str
    photos: int
    pixel_accuracy: Number
    mean_iou: Number
    iou: dict[str, Number]  # by class
    pet_iou: Number  # over all pixels, border counted as pet
    photo_iou: Number  # mean over photos
    species: str = ""  # of a breed


class Photos(Strict):
    """One entry for each photo, in the dataset's order.

    `iou` is that of the pet with its border (the mean over classes if a dataset has no pet), `pet_share` the true share
    of the pet with its border, `uncertainty` the mean entropy of the pixels as a share of the maximum.
    """

    name: tuple[str, ...]
    iou: tuple[float, ...]
    mean_iou: tuple[float, ...]
    pet_share: tuple[float, ...]
    uncertainty: tuple[float, ...]
    breed: tuple[int, ...] = ()  # indices into the part's breeds

    @model_validator(mode="after")
    def _columns_are_equally_long(self) -> Photos:
        columns = (self.iou, self.mean_iou, self.pet_share, self.uncertainty, self.breed or self.name)
        if any(len(column) != len(self.name) for column in columns):
            raise ValueError("photos: all columns need one entry for each photo")
        return self

    def ranked(self, by: str = "iou", *, largest: bool = False) -> list[int]:
        """Return the photos' indices in the order of a column; ties by name, so that the order is stable."""
        values = getattr(self, by)
        sign = -1 if largest else 1
        return sorted(range(len(self.name)), key=lambda index: (sign * values[index], self.name[index]))


class PartResult(Strict):
    """One part of a dataset, with the figures of `evaluate` and the details behind them."""

    title: str
    images: int
    image_size: tuple[int, int]
    classes: tuple[str, ...]
    pixel_accuracy: Number
    mean_iou: Number
    mean_dice: Number
    iou: dict[str, Number]
    dice: dict[str, Number]
    precision: dict[str, Number]
    recall: dict[str, Number]
    pet_iou: dict[str, Number] | None
    pet_alone_iou: dict[str, Number] | None
    confusion_matrix: tuple[tuple[int, ...], ...]
    milliseconds_per_image: Number
    calibration: Calibration
    species: tuple[Group, ...] = ()
    breeds: tuple[Group, ...] = ()
    pet_sizes: tuple[Group, ...] = ()
    photos: Photos


class Curve(Strict):
    """Scores under one corruption at increasing strength; the first entry is for the unchanged photos."""

    name: str
    title: str
    description: str
    strengths: tuple[str, ...]  # as text, without the first entry
    mean_iou: tuple[float, ...]
    pet_iou: tuple[Number, ...]


class Robustness(Strict):
    """Scores under corruptions, on a fixed selection of test photos."""

    images: int
    chosen: str  # how they were selected, as text
    side: int  # photos are first reduced to at most so many pixels, so that strengths are comparable
    curves: tuple[Curve, ...]


class EverydayKind(Strict):
    """One kind of composed photo, scored by the pet with its border: mean and worst IoU, mean precision and recall.

    Photos without any predicted pet have no precision.
    """

    name: str
    title: str
    description: str
    images: int
    photo_iou: float
    worst: float
    precision: Number
    recall: float


class EverydayPhotos(Strict):
    """One entry for each composed photo; `kind`, `number` and the names of its `sources` are enough to compose it."""

    name: tuple[str, ...]
    kind: tuple[str, ...]
    number: tuple[int, ...]
    sources: tuple[tuple[str, ...], ...]
    iou: tuple[float, ...]
    pet_share: tuple[float, ...]

    @model_validator(mode="after")
    def _columns_are_equally_long(self) -> EverydayPhotos:
        columns = (self.kind, self.number, self.sources, self.iou, self.pet_share)
        if any(len(column) != len(self.name) for column in columns):
            raise ValueError("everyday photos: all columns need one entry for each photo")
        return self


class Everyday(Strict):
    """Stand-ins for everyday photos, composed from validation photos; `photo_iou` is the mean over them.

    `recipe` is the version of the composition, `everyday_photos.COMPOSITION`.
    """

    recipe: int
    side: int
    images: int
    photo_iou: float
    kinds: tuple[EverydayKind, ...]
    photos: EverydayPhotos


class Evaluation(Strict):
    """The result file of one model."""

    version: Literal[1] = VERSION
    kind: Literal["evaluation"] = "evaluation"
    model: str
    file: str  # of the model that was measured
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    data: str
    data_description: str
    flip: bool = False  # horizontal-flip averaging
    second_look: bool = False  # zoomed second pass
    measured: Provenance
    parts: dict[str, PartResult] = Field(min_length=1)  # test, validation, drawn
    robustness: Robustness | None = None
    everyday: Everyday | None = None  # missing in older files


class ComparedRun(Strict):
    """One architecture, trained under the comparison's budget.

    `seconds` is the time of the epochs on `machine`, `cpu_seconds` the processor time of the whole training run.
    Scores are of the weights after the last step, on the budget's number of test photos.
    """

    name: str
    title: str
    group: str
    teaches: str
    changed: str  # how it differs from its group's first entry
    input_shape: tuple[int, int, int]
    parameters: int
    macs: int  # multiply-accumulates per photo
    onnx_bytes: int
    milliseconds: float  # the network alone, median
    milliseconds_load: Number = None
    pixel_accuracy: Number
    mean_iou: Number
    pet_iou: Number
    iou: dict[str, Number]
    validation_mean_iou: Number
    final_loss: float
    seconds: float
    cpu_seconds: float
    machine: str
    fingerprint: str


class Budget(Strict):
    """What every compared run gets."""

    side: int
    photos: int
    epochs: int
    batch_size: int
    steps: int
    learning_rate: float
    optimizer: str
    seed: int
    test_photos: int
    validation_photos: int
    width: str  # how much narrower the tutorials' networks were made, as text


class Comparison(Strict):
    """The file of the comparison under one budget; `left_out` gives the reason for each preset left out."""

    version: Literal[1] = VERSION
    kind: Literal["comparison"] = "comparison"
    measured: Provenance
    budget: Budget
    runs: tuple[ComparedRun, ...]
    left_out: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """A model's result file as a page needs it: the figures if they can be used, and the problem if there is one."""

    evaluation: Evaluation | None
    problem: str = ""  # a sentence; together with an evaluation: it is of another version of the model
    command: str = ""

    @property
    def stale(self) -> bool:
        """Whether the figures are those of another version of the model."""
        return self.evaluation is not None and bool(self.problem)


def results_folder(settings: Settings | None = None) -> Path:
    """Return the folder of the result files."""
    return (settings or get_settings()).weights_dir / FOLDER


def result_path(name: str, settings: Settings | None = None) -> Path:
    """Return the path of a model's result file, whether it exists or not."""
    return results_folder(settings) / f"{name}.json"


def command_for(name: str) -> str:
    """Return the command that measures a model and writes its file."""
    return f"python -m unet_core evaluate --model {name} --full"


def measured_file(entry: ModelEntry) -> tuple[str, str]:
    """Return name and SHA-256 of the file that figures belong to: the ONNX model, or the weights if there is none."""
    record = entry.files["onnx" if "onnx" in entry.files else "weights"]
    return record.name, record.sha256


def find_evaluation(name: str, entry: ModelEntry, settings: Settings | None = None) -> Found:
    """Return a model's figures, or a sentence that says what is wrong; never raises."""
    path, command = result_path(name, settings), command_for(name)
    if not path.is_file():
        return Found(None, f"{name} has not been measured in full yet: there is no {path.name}.", command)
    try:
        found = read_evaluation(path)
    except ResultsError as error:
        return Found(None, str(error), command)
    if (found.sha256, found.second_look) != (measured_file(entry)[1], entry.second_look):
        problem = f"{path.name} was measured on another version of {name} than the installed one."
        return Found(found, problem, command)
    return Found(found, "", command)


def read_evaluation(path: Path) -> Evaluation:
    """Read a model's file.

    Raises:
        ResultsError: it is missing, damaged or of an unknown version.
    """
    return read_file(path, Evaluation)


def read_comparison(settings: Settings | None = None) -> Comparison:
    """Read the comparison's file.

    Raises:
        ResultsError: it is missing, damaged or of an unknown version.
    """
    return read_file(result_path(COMPARISON_NAME, settings), Comparison)


def read_file(path: Path, form: type[Form]) -> Form:
    """Read a result file of the given type.

    Raises:
        ResultsError: it is missing, damaged or of an unknown version.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ResultsError(f"{path.name} is too large for a result file: measure again.")
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ResultsError(f"There is no {path.name} yet.") from None
    except OSError as error:
        raise ResultsError(f"{path.name} cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError):
        raise ResultsError(f"{path.name} is damaged, it is not valid JSON: measure again.") from None
    version = values.get("version") if isinstance(values, dict) else None
    if version != VERSION:
        raise ResultsError(
            f"{path.name} has version {version!r}, but this program reads version {VERSION}: measure again."
        )
    try:
        return form.from_dict(values)
    except (ConfigError, TypeError) as error:
        raise ResultsError(f"{path.name} cannot be used ({str(error)[:200]}): measure again.") from None


def write_result(path: str | os.PathLike[str], result: Strict) -> Path:
    """Write a file atomically: a line for each field, long columns on one line, so that diffs are readable.

    Raises:
        OSError: the folder cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _written(result.model_dump(mode="json"), 0) + "\n")
    return path


def _written(value: Any, depth: int) -> str:
    """Write JSON with one line for each field, and lists of plain values on one line."""
    if isinstance(value, dict) and value and any(isinstance(entry, (dict, list)) for entry in value.values()):
        indent = " " * (depth + 1)
        fields = (f"{indent}{json.dumps(key)}: {_written(entry, depth + 1)}" for key, entry in value.items())
        return "{\n" + ",\n".join(fields) + "\n" + " " * depth + "}"
    if isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        indent = " " * (depth + 1)
        return "[\n" + ",\n".join(f"{indent}{json.dumps(entry, ensure_ascii=False)}" for entry in value) + "]"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":") if isinstance(value, list) else None)
