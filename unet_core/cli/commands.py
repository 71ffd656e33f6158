"""What each command of the command line does. Heavy libraries are imported inside the commands that need them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.encoders import ENCODERS
from unet_core.architecture.presets import PRESETS, preset_config
from unet_core.errors import ConfigError
from unet_core.quiet_tensorflow import import_tensorflow_quietly
from unet_core.settings import Settings, get_settings
from unet_core.strict import parse_json_object
from unet_core.train.find_model import split_options

if TYPE_CHECKING:
    from unet_core.architecture.trace import Trace
    from unet_core.cli.output import Output
    from unet_core.data.sources import Part
    from unet_core.scoring.evaluate import Measurement
    from unet_core.train.config import TrainConfig
    from unet_core.train.find_model import ModelSource
    from unet_core.train.fit import Summary

OK, SOME_FAILED = 0, 1


# --- architectures ----------------------------------------------------------------------------------------------------


def presets(arguments: Namespace, output: Output) -> int:
    """List the presets with their shapes and parameters."""
    from unet_core.architecture.trace import trace

    entries = []
    for preset in PRESETS.values():
        traced = trace(preset.config)
        entries.append(
            {
                "name": preset.name,
                "title": preset.title,
                "description": preset.description,
                "input_shape": traced.input_shape,
                "output_shape": traced.output_shape,
                "total_params": traced.total_params,
                "total_macs": traced.total_macs,
                "config": preset.config.model_dump(mode="json"),
            }
        )
    rows = [
        (entry["name"], _shape(entry["input_shape"]), _shape(entry["output_shape"]), f"{entry['total_params']:,}")
        for entry in entries
    ]
    output.result(entries, _table(("preset", "input", "output", "parameters"), rows))
    return OK


def trace_command(arguments: Namespace, output: Output) -> int:
    """Trace an architecture at a size; a size that does not fit is a result, not an error."""
    from unet_core.architecture.trace import trace

    config, preset = _architecture(arguments)
    traced = trace(config, arguments.size)
    output.result(traced.to_dict(preset), _trace_text(traced))
    return OK


def _architecture(arguments: Namespace) -> tuple[UNetConfig, str | None]:
    """Return the configuration and the preset's name; with both, the file's fields replace the preset's."""
    if arguments.config is not None and arguments.preset:
        changed = {**preset_config(arguments.preset).model_dump(), **parse_json_object(_read_text(arguments.config))}
        return UNetConfig.from_dict(changed), arguments.preset
    if arguments.config is not None:
        return UNetConfig.from_json(_read_text(arguments.config)), None
    if arguments.preset:
        return preset_config(arguments.preset), arguments.preset
    raise ConfigError("name an architecture: --preset NAME (see: python -m unet_core presets) or --config FILE")


def _trace_text(traced: Trace) -> str:
    rows = [
        (layer.name, layer.op, _shape(layer.output_shape), f"{layer.params:,}", f"{layer.macs / 1e6:,.1f}")
        for layer in traced.layers
    ]
    lines = [_table(("layer", "operation", "output", "parameters", "million MACs"), rows), ""]
    if traced.problem is None:
        lines.append(
            f"{_shape(traced.input_shape)} → {_shape(traced.output_shape)}, {traced.total_params:,} parameters, "
            f"{traced.total_macs / 1e9:,.2f} billion multiply-accumulates"
        )
    else:
        lines.append(f"does not work: {traced.problem.message}")
        sizes = ", ".join(f"{height}x{width}" for height, width in traced.problem.suggested_sizes)
        lines += [f"sizes that work: {sizes}"] if sizes else []
    return "\n".join(lines)


# --- photos -----------------------------------------------------------------------------------------------------------


def predict(arguments: Namespace, output: Output) -> int:
    """Segment photos; one that cannot be used is reported in its own entry and the others are still done."""
    from tqdm import tqdm

    if arguments.engine == "keras":
        import_tensorflow_quietly()
    from unet_core.segment import Segmenter

    settings = get_settings()
    segmenter = Segmenter(arguments.model, arguments.engine, settings)
    folder = Path(arguments.out)
    _make_folder(folder)
    stems = _result_stems(arguments.images, folder)
    entries = []
    for path, stem in tqdm(list(zip(arguments.images, stems)), unit="photo", disable=None, leave=False):
        try:
            entries.append(_predict_one(segmenter, path, folder, stem, arguments.flip, settings))
        except (ValueError, MemoryError) as error:
            entries.append({"path": path, "error": " ".join(str(error).split()) or "there is not enough memory"})
        except OSError as error:
            entries.append({"path": path, "error": f"{error.filename or path}: {error.strerror or error}"})
    failures = [entry for entry in entries if "error" in entry]
    output.result(entries, _predictions_text(entries))
    if failures:
        print(f"error: {len(failures)} of {len(entries)} photos could not be segmented", file=sys.stderr)
    return SOME_FAILED if failures else OK


def _predict_one(segmenter: Any, path: str, folder: Path, stem: str, flip: bool, settings: Settings) -> dict[str, Any]:
    result = segmenter.segment_bytes(_read_photo(Path(path), settings), Path(path).name, flip=flip)
    segmentation = result.segmentation
    mask_path, overlay_path = folder / f"{stem}_mask.png", folder / f"{stem}_overlay.png"
    mask_path.write_bytes(segmentation.to_trimap_png())
    overlay_path.write_bytes(segmentation.to_overlay_png(result.image))
    height, width = segmentation.size
    return {
        "path": path,
        "width": width,
        "height": height,
        "model": segmentation.model,
        "engine": segmentation.engine,
        "device": segmentation.device,
        "milliseconds": round(segmentation.timings["total"], 3),
        "shares": {name: round(share, 6) for name, share in segmentation.shares.items()},
        "mask": str(mask_path),
        "overlay": str(overlay_path),
    }


def _read_photo(path: Path, settings: Settings) -> bytes:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: name the photos in it, such as {path}/*.jpg")
    if path.exists() and not path.is_file():  # a pipe or device never ends
        raise ConfigError(f"{path} is not a file")
    limit = math.floor(settings.max_upload_mb * 1e6)
    with open(path, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ConfigError(f"{path.name} is larger than the {settings.max_upload_mb:g} MB that are read")
    return data


def _result_stems(images: list[str], folder: Path) -> list[str]:
    """Give each photo its own stem: a second photo of one name, or results that would overwrite a photo, get a number.

    A number never takes the name of another photo, so results are where their photo's name says.
    """
    photos = {os.path.realpath(image) for image in images}
    names = {Path(image).stem for image in images}

    def overwrites(stem: str) -> bool:
        return any(os.path.realpath(folder / f"{stem}_{kind}.png") in photos for kind in ("mask", "overlay"))

    taken: set[str] = set()
    stems = []
    for image in images:
        base = stem = Path(image).stem
        number = 1
        while stem in taken or overwrites(stem) or (stem != base and stem in names):
            number += 1
            stem = f"{base}_{number}"
        taken.add(stem)
        stems.append(stem)
    return stems


def _predictions_text(entries: list[dict[str, Any]]) -> str:
    lines = []
    for entry in entries:
        if "error" in entry:
            lines.append(f"{entry['path']}: error: {entry['error']}")
            continue
        shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in entry["shares"].items())
        lines.append(f"{entry['path']}: {shares} ({entry['milliseconds']:.0f} ms) → {entry['mask']}")
    return "\n".join(lines)


# --- data and training ------------------------------------------------------------------------------------------------


def download(arguments: Namespace, output: Output) -> int:
    """Download the Oxford-IIIT Pet dataset."""
    import_tensorflow_quietly()
    from unet_core.data.oxford import download_job

    folder = Path(arguments.dir) if arguments.dir else get_settings().data_dir
    with _bars() as watch:
        found = download_job.download(folder, lambda sentence: print(sentence, file=sys.stderr), watch)
    counts = ", ".join(f"{count:,} {name}" for name, count in found.splits.items())
    output.result(
        {"folder": str(found.folder), "version": found.version, "splits": found.splits, "bytes": found.bytes},
        f"{found.folder}: {counts} photos",
    )
    return OK


def catalogue(arguments: Namespace, output: Output) -> int:
    """Make a dataset browsable."""
    if arguments.data == "oxford_iiit_pet":
        import_tensorflow_quietly()
    from unet_core.data.catalogue import Catalogue, build_catalogue

    with _bars() as watch:
        path = build_catalogue(arguments.data, progress=lambda done, total: watch("read", done, total))
    found = Catalogue.open(arguments.data).statistics()
    output.result(
        {"path": str(path), "photos": found.photos, "splits": found.split_counts, "shares": found.class_shares},
        f"{path}: {found.photos:,} photos, {path.stat().st_size / 1e6:.0f} MB",
    )
    return OK


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """Yield what draws a progress bar on a terminal, one for each phase it is called with."""
    from tqdm import tqdm

    bars: dict[str, tqdm[Any]] = {}

    def draw(phase: str, done: int, total: int) -> None:
        if not total:
            return
        if phase not in bars:
            for bar in bars.values():
                bar.close()
            bars[phase] = tqdm(total=total, desc=phase, unit_scale=total > 1e6, disable=None, leave=False)
        bars[phase].update(done - bars[phase].n)

    try:
        yield draw
    finally:
        for bar in bars.values():
            bar.close()


_SHARED_CHANGES = {"data", "limit", "batch_size", "seed", "model.encoder_weights"}  # also of recipes that come before


def train_command(arguments: Namespace, output: Output) -> int:
    """Train a model, or continue a run."""
    config = _train_config(arguments)
    if config is None and not arguments.run:
        raise ConfigError("name what to train: --preset NAME, --recipe NAME or --config FILE, or --run DIR --resume")
    from unet_core.train import queue
    from unet_core.train.run_directory import new_run_folder

    named = arguments.preset or arguments.recipe or arguments.config
    run_dir = Path(arguments.run) if arguments.run else new_run_folder(Path(named).stem)
    import_tensorflow_quietly()
    from unet_core.train.fit import train

    def leave(summary: Summary) -> NoReturn:
        """Tell how the run ended and end the process, whose main thread may be busy for long."""
        output.result(dataclasses.asdict(summary), _training_text(summary))
        with contextlib.suppress(Exception):
            queue.advance()
        sys.stderr.flush()
        os._exit(OK)

    verbose = 1 if sys.stderr.isatty() else 2
    try:
        with _terminate_as_interrupt():
            if config is not None:
                config = _after_earlier_recipes(config, arguments, run_dir.parent, verbose)
            summary = train(config, run_dir, resume=arguments.resume, verbose=verbose, leave=leave)
    except KeyboardInterrupt:
        advice = f"interrupted; continue with: python -m unet_core train --run {run_dir} --resume"
        raise KeyboardInterrupt(advice) from None
    finally:
        with contextlib.suppress(ValueError, OSError):  # what waits must not fail what has ended
            queue.advance()
    output.result(dataclasses.asdict(summary), _training_text(summary))
    return OK


def _after_earlier_recipes(config: TrainConfig, arguments: Namespace, folder: Path, verbose: int) -> TrainConfig:
    """Follow the recipes that `config` builds on, each in a run of its name in `folder`; those that are done stay.

    Raises:
        RunError: an earlier recipe did not come to its end.
    """
    import keras

    from unet_core.train.find_model import is_shipped
    from unet_core.train.fit import train
    from unet_core.train.recipe_files import load_recipe, recipe_names
    from unet_core.train.run_directory import RunDirectory, RunError

    for field in ("start_from", "distill_from"):
        name = getattr(config, field)
        if name not in recipe_names() or is_shipped(name, get_settings()):
            continue  # a shipped model's weights are there already
        path = folder / name
        started = RunDirectory.exists(path)
        done = started and RunDirectory.open(path).status().state == "finished"
        if not done and not arguments.resume:  # a run that goes on has its beginning behind it
            print(f"{field}: first the recipe {name}, in {path}", file=sys.stderr)
            recipe = load_recipe(name)
            earlier = _changed(recipe, _shared_changes(arguments, config.model, recipe.model))
            earlier = _after_earlier_recipes(earlier, arguments, folder, verbose)
            summary = train(earlier, path, resume=started, verbose=verbose)
            keras.utils.clear_session()  # lets go of its memory
            if summary.state != "finished":
                raise RunError(f"{path} was {summary.state}: continue it before what builds on it")
        config = config.replace(**{field: str(path)})
    return config


def _shared_changes(arguments: Namespace, model: UNetConfig, earlier: UNetConfig) -> dict[str, Any]:
    """Return what the options change in an earlier recipe too; a file of encoder weights fits one encoder alone."""
    shared = {field: value for field, value in _changes(arguments).items() if field in _SHARED_CHANGES}
    if (earlier.encoder, earlier.encoder_width) != (model.encoder, model.encoder_width):
        shared.pop("model.encoder_weights", None)
    return shared


def _training_text(summary: Summary) -> str:
    text = f"{summary.state} after {summary.epochs} epochs in {summary.seconds / 60:.1f} min"
    text += f" ({summary.reason})" if summary.reason else ""
    best = summary.best.get("val_mean_iou")
    if best is not None:
        text += f"; best validation mean IoU {best:.4f} in epoch {summary.best_epoch}"
    return f"{text}\n{summary.run}"


@contextlib.contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Treat a polite `kill` like Ctrl-C: the run is left resumable, with its status written."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _train_config(arguments: Namespace) -> TrainConfig | None:
    """Return the training configuration of the arguments; None where only a run directory is named."""
    from unet_core.train.config import TrainConfig, default_train_config
    from unet_core.train.recipe_files import load_recipe
    from unet_core.train.run_directory import RunDirectory

    named = [option for option in ("preset", "config", "recipe") if getattr(arguments, option)]
    if len(named) > 1:
        raise ConfigError(f"give only one of {', '.join('--' + option for option in named)}")
    changes = _changes(arguments)
    if arguments.recipe:
        config = load_recipe(arguments.recipe)
    elif arguments.config and "model" in _read_json(arguments.config):
        config = TrainConfig.from_json(_read_text(arguments.config))
    elif named:
        model, _ = _architecture(arguments)
        if arguments.preset and "model.classes" not in changes:
            changes |= _classes_of_data(arguments.data, model)
        config = default_train_config(model)
    elif changes and arguments.run and RunDirectory.exists(arguments.run):
        config = RunDirectory.open(arguments.run).config()
    else:
        return None
    return _changed(config, changes)


def _changes(arguments: Namespace) -> dict[str, Any]:
    """Return what the options change, by dotted field name."""
    given = {
        "data": arguments.data,
        "limit": arguments.limit,
        "epochs": arguments.epochs,
        "batch_size": arguments.batch_size,
        "learning_rate": arguments.learning_rate,
        "seed": arguments.seed,
        "time_limit_minutes": arguments.time_limit,
        "model.encoder_weights": arguments.encoder_weights,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    for assignment in arguments.set:
        field, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set: needs FIELD=VALUE. Received: {assignment!r}")
        try:
            changes[field.strip()] = json.loads(text)
        except ValueError:
            changes[field.strip()] = text
    if arguments.data == "synthetic" and arguments.preset:
        # Drawn pets teach shapes, not photos: they train from scratch and offline.
        changes.setdefault("model.encoder_weights", "none")
        changes.setdefault("model.encoder_frozen", False)
        changes.setdefault("model.encoder_batchnorm_frozen", False)
    return changes


def _classes_of_data(data: str | None, model: UNetConfig) -> dict[str, Any]:
    """Return the change that gives a preset as many classes as somebody's own dataset has.

    One-class presets stay as they are: they tell the object from the rest.
    """
    from unet_core.data.oxford.oxford_pets import NAME as OXFORD_PETS
    from unet_core.data.pipeline import open_source
    from unet_core.data.synthetic.pets import NAME as SYNTHETIC

    if data is None or data in (OXFORD_PETS, SYNTHETIC) or model.classes == 1:
        return {}
    return {"model.classes": len(open_source(data, model).class_names)}


def _changed(config: TrainConfig, changes: dict[str, Any]) -> TrainConfig:
    """Return the configuration with fields changed, validated as a whole."""
    values = config.model_dump(mode="json")
    for field, value in changes.items():
        *parents, name = field.split(".")
        holder: Any = values
        for parent in parents:
            holder = holder.get(parent) if isinstance(holder, dict) else None
        if not isinstance(holder, dict) or name not in holder:
            raise ConfigError(f"{field}: the training configuration has no such field")
        holder[name] = value
    return type(config).from_dict(values)


# --- measuring, exporting, publishing ---------------------------------------------------------------------------------


def evaluate_command(arguments: Namespace, output: Output) -> int:
    """Measure a model on a part of a dataset."""
    from unet_core.train.find_model import find_model

    import_tensorflow_quietly()
    source = find_model(arguments.model)
    network = source.engine(_engine_choice(source, arguments.engine))
    data = arguments.data or _own_data(source)
    path = None
    if arguments.full:
        from unet_core.cli.evaluate import evaluate_in_full

        figures, path = evaluate_in_full(source, network, data, split_options(source, data), arguments)
    else:
        from unet_core.scoring.evaluate import report

        figures = report(
            _measure(source, network, data, arguments.split, arguments.size, arguments.flip, arguments.limit)
        )
    document = {
        "model": source.name,
        "data": data,
        "split": arguments.split,
        "engine": network.name,
        "device": network.device,
        "input_shape": source.config.input_shape,
        "flip": arguments.flip and not source.second_look,
        "second_look": source.second_look,
        **figures,
    }
    if path is not None:
        document["results"] = str(path)
    output.result(document, _evaluation_text(document) + (f"\n{path}" if path else ""))
    return OK


def _engine_choice(source: ModelSource, choice: str) -> Any:
    return "keras" if choice == "auto" and source.entry is None else choice


def _own_data(source: ModelSource) -> str:
    return source.run.config().data if source.run is not None else "oxford_iiit_pet"


def _measure(
    source: ModelSource,
    network: Any,
    data: str,
    part: Part,
    size: tuple[int, int],
    flip: bool = False,
    limit: int | None = None,
) -> Measurement:
    import itertools

    from tqdm import tqdm

    from unet_core.data.pipeline import open_source, target_coding
    from unet_core.scoring.evaluate import evaluate

    examples_source = open_source(data, source.config, **split_options(source, data))
    coding = target_coding(examples_source, source.config.classes)
    total = len(examples_source.names(part)[:limit])
    examples = itertools.islice(examples_source.examples(part), total)
    with tqdm(total=total, desc=f"measuring on {part}", unit="photo", disable=None, leave=False) as bar:
        return evaluate(
            network,
            source.config,
            examples,
            coding,
            size=size,
            flip=flip,
            progress=lambda done: bar.update(done - bar.n),
        )


def _evaluation_text(document: dict[str, Any]) -> str:
    def percent(value: float | None) -> str:
        return "–" if value is None else f"{value:.4f}"

    height, width = document["image_size"]
    lines = [
        f"{document['model']} on {document['data']} ({document['split']}, {document['images']:,} photos, "
        f"compared at {height}x{width})",
        f"pixel accuracy {percent(document['pixel_accuracy'])}, mean IoU {percent(document['mean_iou'])}",
        _table(
            ("class", "IoU", "Dice"),
            [(name, percent(document["iou"][name]), percent(document["dice"][name])) for name in document["classes"]],
        ),
    ]
    for key, label in (("pet_iou", "pet, border included"), ("pet_alone_iou", "pet alone")):
        if document[key]:
            lines.append(
                f"{label}: IoU {percent(document[key]['dataset'])} over all pixels, "
                f"{percent(document[key]['per_image_mean'])} mean over photos"
            )
    lines.append(f"{document['milliseconds_per_image']:.1f} ms a photo, {document['engine']} on {document['device']}")
    return "\n".join(lines)


def export_command(arguments: Namespace, output: Output) -> int:
    """Export a trained model to a file; a run's own folder takes it where none is named."""
    from unet_core.train.find_model import find_model
    from unet_core.train.run_directory import export_file

    import_tensorflow_quietly()
    from unet_core.zoo.export import export

    source = find_model(arguments.model)
    if arguments.out is None and source.run is None:
        raise ConfigError("name the file to write: --out PATH")
    path = arguments.out or export_file(source.run, arguments.format)
    with contextlib.ExitStack() as stack:
        if arguments.out is None and arguments.format != "litert":
            from unet_core.train.downloads import export_job

            stack.enter_context(export_job(source.run, arguments.format).running())
        written = export(source.load(), source.config, arguments.format, path)
    document = {"model": source.name, **dataclasses.asdict(written)}
    output.result(
        document,
        f"{written.path}: {written.bytes / 1e6:.2f} MB, differs from Keras by at most {written.difference:.1e}",
    )
    return OK


def encoder_weights_command(arguments: Namespace, output: Output) -> int:
    """Write an encoder's ImageNet weights to a file."""
    import_tensorflow_quietly()
    from unet_core.models.encoders import save_imagenet_weights

    parameters = save_imagenet_weights(arguments.encoder, arguments.width, arguments.out)
    document = {"encoder": arguments.encoder, "width": arguments.width, "path": arguments.out, "parameters": parameters}
    output.result(document, f"{arguments.out}: {parameters:,} parameters of {ENCODERS[arguments.encoder].title}")
    return OK


def calibrate_command(arguments: Namespace, output: Output) -> int:
    """Measure a training step."""
    from unet_core.train.estimate import calibrate, estimate

    config = _train_config(arguments)
    if config is None:
        raise ConfigError("name what to measure: --preset NAME, --recipe NAME or --config FILE")
    import_tensorflow_quietly()
    found = calibrate(config)
    expected = estimate(config)
    text = f"{1000 * found.step_seconds:.0f} ms a step of {config.batch_size} photos, {found.memory_mb:.0f} MB"
    if expected.seconds is not None:
        text += f"; {config.epochs} epochs take about {expected.seconds / 60:.1f} min"
    output.result({**dataclasses.asdict(found), "estimate": dataclasses.asdict(expected)}, text)
    return OK


def runs_command(arguments: Namespace, output: Output) -> int:
    """List the training runs, or stop one."""
    from unet_core.train import queue
    from unet_core.train.run_directory import best_epoch

    if arguments.stop:
        queue.stop(queue.find_run(arguments.stop))
    entries = []
    for run in queue.all_runs():
        status, rows = run.status(), run.metrics.rows()
        best = best_epoch(rows)
        entries.append(
            {
                "run": run.id,
                "name": run.label().name,
                "state": status.state,
                "reason": status.reason,
                "place": queue.place(run),
                "epoch": status.epoch,
                "epochs": status.epochs,
                "best_val_mean_iou": next((row["val_mean_iou"] for row in rows if row["epoch"] == best), None),
            }
        )
    rows_shown = [
        (
            entry["run"],
            entry["state"] + (f" {entry['place']}" if entry["place"] else ""),
            f"{entry['epoch']}/{entry['epochs']}",
            "–" if entry["best_val_mean_iou"] is None else f"{entry['best_val_mean_iou']:.4f}",
        )
        for entry in entries
    ]
    output.result(entries, _table(("run", "state", "epochs", "best mean IoU"), rows_shown))
    return OK


def publish_command(arguments: Namespace, output: Output) -> int:
    """Put a run's best model into the weights folder."""
    import_tensorflow_quietly()
    from unet_core.scoring.evaluate import EVALUATION_SIZE, report
    from unet_core.train import publish as publishing
    from unet_core.train.find_model import find_model
    from unet_core.zoo.manifest import write_entry

    entry, exported = publishing.publish(
        arguments.run,
        arguments.name,
        title=arguments.title,
        description=arguments.description,
        licence=arguments.licence or publishing.LICENCE,
        average_with=arguments.average_with,
        second_look=arguments.second_look,
        make_default=arguments.default,
    )
    source = find_model(arguments.name)
    metrics = dict(entry.metrics)
    for part in arguments.measure:
        data = source.entry.recipe["config"]["data"]
        network = source.engine("onnx")
        measurement = _measure(source, network, data, part, (EVALUATION_SIZE, EVALUATION_SIZE))
        metrics[part] = {
            "data": data,
            "split": part,
            "engine": network.name,
            "flip": False,
            "second_look": source.second_look,
            **report(measurement),
        }
    entry = entry.replace(metrics=metrics)
    write_entry(arguments.name, entry)
    output.result(
        {"name": arguments.name, "difference": exported.difference, "entry": entry.model_dump(mode="json")},
        f"{arguments.name}: {', '.join(f'{file.name} ({file.bytes / 1e6:.2f} MB)' for file in entry.files.values())}",
    )
    return OK


# --- shared -----------------------------------------------------------------------------------------------------------


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")  # Windows' editors put a mark in front
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not a text file") from None


def _read_json(path: str) -> dict[str, Any]:
    return parse_json_object(_read_text(path), path)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(f"{path} cannot be the folder for the results: there is a file of that name") from None
    except OSError as error:
        raise ConfigError(f"the folder {path} cannot be made: {error.strerror or error}") from None


def _shape(shape: tuple[int, ...] | None) -> str:
    return "×".join(map(str, shape)) if shape else "–"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Align columns; numbers, which follow the first column of names, to the right."""
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = []
    for row in table:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]))
    return "\n".join(lines)
