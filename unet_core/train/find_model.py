"""Finding a trained model: by a shipped model's name, a run directory, or a weights file in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_core.architecture.config import UNetConfig
from unet_core.classes import PixelClasses
from unet_core.data.splits import DEFAULT_SPLIT, SplitConfig
from unet_core.jobs.disclosure import data_title
from unet_core.settings import Settings, get_settings
from unet_core.train.meaning import classes_of, origin_of
from unet_core.train.run_directory import RunDirectory
from unet_core.zoo.manifest import (
    MANIFEST_NAME,
    FileKind,
    ModelEntry,
    ModelFile,
    WeightsError,
    file_record,
    load_manifest,
    verified_path,
)
from unet_core.zoo.meaning import DataOrigin, Meaning

if TYPE_CHECKING:
    import keras

    from unet_core.segment.engine import EngineChoice
    from unet_core.segment.network import Network
    from unet_core.segment.segmenter import Segmenter


@dataclass(frozen=True)
class ModelSource:
    """A trained model that is known but not loaded: its name, its architecture, and where its weights are stored."""

    name: str
    config: UNetConfig
    weights: Path | None  # None: only an ONNX file is shipped
    entry: ModelEntry | None = None  # of a shipped model
    run: RunDirectory | None = None  # of a training run

    @property
    def classes(self) -> PixelClasses:
        """What the class ids in the model's masks mean."""
        return self.entry.classes if self.entry is not None else classes_of(self._of_run()[0])[0]

    @property
    def has_names(self) -> bool:
        """Whether the names of the classes are known; those of an old run on own data are only numbered."""
        return self.entry is not None or classes_of(self._of_run()[0])[1]

    @property
    def origin(self) -> DataOrigin:
        """The data that the model was trained on."""
        if self.entry is not None:
            return self.entry.origin
        run = self._of_run()[0]
        return run.origin() or origin_of(run.config())

    @property
    def meaning(self) -> Meaning:
        """What the model's outputs mean, and the data that it was trained on."""
        return Meaning(self.classes, self.origin)

    @property
    def title(self) -> str:
        """The model's name for people."""
        return self.entry.title or self.name if self.entry is not None else self._of_run()[0].label().name

    @property
    def second_look(self) -> bool:
        """Whether the model segments with a zoomed second pass, see `unet_core.segment.passes`."""
        return self.entry is not None and self.entry.second_look

    @property
    def needs_keras(self) -> bool:
        """Whether only Keras can run the model: it has no ONNX file."""
        if self.entry is not None:
            return "onnx" not in self.entry.files
        return self._exported("auto") is None

    def load(self) -> keras.Model:
        """Build the Keras model and load its weights.

        Raises:
            WeightsError: the weights are missing or belong to another architecture.
        """
        from unet_core.models import build

        if self.weights is None:
            raise WeightsError(f"the model {self.name!r} has no Keras weights: use the ONNX engine")
        model = build(self.config.replace(encoder_weights="none"))
        try:
            model.load_weights(self.weights)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).strip().splitlines()[0]
            raise WeightsError(f"{self.weights} does not fit its configuration or is damaged ({reason})") from error
        return model

    def engine(self, choice: EngineChoice = "auto", settings: Settings | None = None) -> Network:
        """Load an engine that runs the model.

        Raises:
            WeightsError: a file is missing or altered, or the model has no file for that engine.
        """
        from unet_core.segment.engine import OnnxEngine, get_engine
        from unet_core.segment.keras_engine import KerasEngine

        if self.entry is not None:
            return get_engine(self.entry, choice, settings or get_settings())
        exported = self._exported(choice)
        if exported is not None:
            return OnnxEngine(exported.read_bytes(), self.config, threads=(settings or get_settings()).threads)
        return KerasEngine(self._of_run()[1], self.config)

    def segmenter(self, choice: EngineChoice = "auto", settings: Settings | None = None) -> Segmenter:
        """Load a segmenter for this model; for a run, "auto" is ONNX Runtime once the run is exported.

        Raises:
            WeightsError: a file is missing or altered, or the model has no file for that engine.
        """
        from unet_core.segment.segmenter import Segmenter

        settings = settings or get_settings()
        if self.entry is not None:
            return Segmenter(self.name, choice, settings)
        exported = self._exported(choice)
        path = self._of_run()[1] if exported is None else exported
        kind: FileKind = "weights" if exported is None else "onnx"
        entry = self.run_entry({kind: file_record(path)})
        settings = settings.replace(weights_dir=path.parent)
        return Segmenter(self.name, "keras" if exported is None else "onnx", settings, entry=entry)

    def run_entry(self, files: Mapping[FileKind, ModelFile]) -> ModelEntry:
        """Return what a manifest would say about a run's model, stored in `files`."""
        origin = self.origin
        return ModelEntry(
            title=self._of_run()[0].label().name,
            config=self.config,
            preprocessing=self.config.preprocessing,
            classes=self.classes,
            files=dict(files),
            data=origin.model_dump(exclude={"licence", "credit"}),
            licence=origin.licence,
            credit=origin.credit,
        )

    def _exported(self, choice: EngineChoice) -> Path | None:
        """Return the ONNX file of a run's engine, None if Keras runs it.

        Raises:
            WeightsError: ONNX Runtime was requested, but the run is not exported.
        """
        from unet_core.train.downloads import export_path

        # The export holds the run's best weights, not those of another file that was named.
        run, weights = self._of_run()
        exported = export_path(run, "onnx") if choice != "keras" and weights == run.weights else None
        if exported is None and choice == "onnx":
            raise WeightsError(
                f"{self.name} is a training run and has Keras weights only: use --engine keras, or first "
                f"python -m unet_core export --model {self.name} --format onnx"
            )
        return exported

    def _of_run(self) -> tuple[RunDirectory, Path]:
        assert self.run is not None  # a model that is not shipped comes from a run,
        assert self.weights is not None  # whose weights were found
        return self.run, self.weights


def find_model(name_or_path: str | Path | None = None, settings: Settings | None = None) -> ModelSource:
    """Find a shipped model by name, a run by its folder or id, or a `.weights.h5` file in a run's folder.

    Args:
        name_or_path: None takes the manifest's default.

    Raises:
        WeightsError: there is no such model; the text lists the available ones.
        RunError: the directory holds no run.
    """
    settings = settings or get_settings()
    name_or_path = str(name_or_path) if name_or_path else None
    path = Path(name_or_path) if name_or_path else None
    if path is not None and (_is_folder(path) or path.suffix == ".h5"):
        return _from_run(path)
    # A run may be named by its folder inside the runs folder, as long as no shipped model has that name.
    run = settings.runs_dir / name_or_path if name_or_path else None
    if name_or_path and run and not is_shipped(name_or_path, settings) and RunDirectory.exists(run):
        return _from_run(run)
    manifest = load_manifest(settings)
    entry = manifest.entry(name_or_path)
    weights = verified_path(entry, "weights", settings) if "weights" in entry.files else None
    return ModelSource(name_or_path or manifest.default, entry.config, weights, entry=entry)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # the name is too long
        return False


def is_shipped(name: str, settings: Settings) -> bool:
    """Return whether the weights folder has a model of this name; False without a manifest.

    Raises:
        WeightsError: the manifest cannot be read.
    """
    return (settings.weights_dir / MANIFEST_NAME).exists() and name in load_manifest(settings).models


def _from_run(path: Path) -> ModelSource:
    weights = path if path.suffix == ".h5" else None
    if weights and not weights.is_file():
        raise WeightsError(f"the file {weights} does not exist")
    run = RunDirectory.open(path.parent if weights else path)
    weights = weights or run.weights
    if not weights.is_file():
        raise WeightsError(f"{run.path} has no weights yet: its first epoch has not ended")
    config = run.config().model.replace(encoder_weights="none")
    return ModelSource(str(path), config, weights, run=run)


def recipe_of(run: RunDirectory) -> dict[str, Any]:
    """Return the run's TrainConfig as plain values without this machine's paths."""
    recipe = run.config().model_dump(mode="json")
    for holder, field in (
        (recipe["model"], "encoder_weights"),
        (recipe, "start_from"),
        (recipe, "distill_from"),
    ):
        holder[field] = holder[field] and data_title(holder[field])
    if isinstance(recipe["data"], str):
        recipe["data"] = data_title(recipe["data"])
    else:
        recipe["data"] = [share | {"source": data_title(share["source"])} for share in recipe["data"]]
    return recipe


def data_of(recipe: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the datasets of a recipe's plain values, the primary one first; empty if it names none."""
    data = recipe.get("data")
    if isinstance(data, (list, tuple)):
        return tuple(share["source"] for share in data)
    return (data,) if isinstance(data, str) else ()


def split_for(source: ModelSource, data: str) -> SplitConfig:
    """Return the split for an evaluation: the training's split on its own dataset, the default on any other."""
    recipe: dict[str, Any] = {}
    if source.run is not None:
        recipe = source.run.config().model_dump()
    elif source.entry is not None:
        recipe = source.entry.recipe.get("config", {})
    return SplitConfig.among(recipe) if data in data_of(recipe) else DEFAULT_SPLIT
