"""Why a training run cannot start, found before anything starts. Imports no TensorFlow."""

from __future__ import annotations

import shutil
from pathlib import Path

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.trace import trace
from unet_core.data.oxford import oxford_pets
from unet_core.data.synthetic import pets as synthetic
from unet_core.errors import ConfigError, UNetError
from unet_core.machine import memory_mb
from unet_core.settings import Settings, get_settings
from unet_core.train.config import TrainConfig, check_config, config_problems
from unet_core.train.estimate import Estimate, estimate, has_gpu_driver
from unet_core.train.find_model import find_model
from unet_core.train.presets import NO_OWN_DATA, OWN_DATA
from unet_core.train.run_directory import RunError

_FREE_MB = 100.0  # a run whose weights are small needs about this much
_DOUBT = 0.25  # by how much a rough estimate of memory may be too high, as a share of it
_NAMED = 3  # settings in the sentence on another network
# These decide the number and shapes of the weights; the others may change from one training to the next.
_FORM = (
    "encoder",
    "encoder_width",
    "depth",
    "level_filters",
    "channels",
    "encoder_convolutions",
    "decoder_convolutions",
    "kernel_size",
    "upsampling",
    "up_convolution",
    "up_kernel",
    "convolution",
    "convolution_bias",
    "normalization",
    "skip_mode",
    "up_activation",
    "pooling",
    "head",
)


def check_start(config: TrainConfig, settings: Settings | None = None, folder: Path | None = None) -> None:
    """Refuse a new run that cannot start, in the same way for the page, the command line and the queue.

    Args:
        config: what to train.
        settings: folders and limits.
        folder: of the run, by default the runs folder.

    Raises:
        ConfigError: the network does not work at its size, or photos do not fit its input.
        RunError: anything else in `problems`.
    """
    check_config(config)
    if found := problems(config, settings, folder):
        raise RunError(found[0])


def problems(config: TrainConfig, settings: Settings | None = None, folder: Path | None = None) -> tuple[str, ...]:
    """Return why a run cannot start, one sentence for each reason; empty if it can.

    A user's own dataset is inspected once, which takes a while for many photos.
    """
    settings = settings or get_settings()
    found = config_problems(config) or start_from_problems(config, settings) or teacher_problems(config, settings)
    if found:
        return found
    expected = estimate(config, settings)
    return (
        *data_problems(config, settings),
        *(() if settings.cluster_training else memory_problems(expected)),  # another machine's is not known here
        *disk_problems(expected.disk_mb, folder or settings.runs_dir),
    )


def start_from_problems(config: TrainConfig, settings: Settings | None = None) -> tuple[str, ...]:
    """Return why a run cannot start from the weights of `config.start_from`; empty if it can, or if that is None."""
    if config.start_from is None:
        return ()
    try:
        source = find_model(config.start_from, settings)
    except (UNetError, OSError) as error:
        return (f"start_from: {error}",)
    if source.weights is None:
        return (f"start_from: the model {config.start_from!r} has no Keras weights: choose another one.",)
    different = network_differences(config.model, source.config)
    if not different:
        return ()
    more = f" and {len(different) - _NAMED} more" if len(different) > _NAMED else ""
    named = "; ".join(f"{name}: {values}" for name, values in list(different.items())[:_NAMED])
    return (
        f"start_from: {config.start_from!r} has another network ({named}{more}): use its network, or train from random "
        "weights.",
    )


def teacher_problems(config: TrainConfig, settings: Settings | None = None) -> tuple[str, ...]:
    """Return why `config.distill_from` cannot be the run's teacher; empty if it can, or if that is None."""
    if config.distill_from is None:
        return ()
    try:
        source = find_model(config.distill_from, settings)
        check_teacher(config.model, source.config, config.distill_from)
    except (UNetError, OSError) as error:
        text = str(error)
        return (text if text.startswith("distill_from") else f"distill_from: {text}",)
    if source.weights is None:
        return (f"distill_from: the model {config.distill_from!r} has no Keras weights: choose another one.",)
    return ()


def check_teacher(student: UNetConfig, teacher: UNetConfig, name: str) -> None:
    """Refuse a teacher that does not suit this student.

    Raises:
        ConfigError: it has other classes or channels, resizes photos in another way, or its outputs are not logits.
    """
    differences = [
        f"{field.replace('_', ' ')} {getattr(student, field)} and {getattr(teacher, field)}"
        for field in ("classes", "channels", "head_activation")
        if getattr(student, field) != getattr(teacher, field)
    ]
    if student.preprocessing.resize != teacher.preprocessing.resize:
        differences.append(f"photos resized by {student.preprocessing.resize} and {teacher.preprocessing.resize}")
    if differences:
        raise ConfigError(f"distill_from: {name!r} cannot teach this network, they differ: {', '.join(differences)}")
    if student.classes < 2 or student.head_activation != "none":
        raise ConfigError("distill_from: needs a network with two or more classes whose outputs are logits")
    if student.padding != "same" or teacher.padding != "same":
        raise ConfigError("distill_from: needs two networks with padding 'same', whose outputs cover the whole photo")


def network_differences(model: UNetConfig, source: UNetConfig) -> dict[str, str]:
    """Return the settings that keep the weights of `source` out of `model`, each with its values there and here.

    Settings that change no weight's shape are left out: the size of photos, dropout, activations. So are the classes:
    the last layer then starts from random weights.
    """
    alike = model.replace(classes=source.classes, head_activation="none")  # which has no weights
    if _weights_of(alike) == _weights_of(source):
        return {}
    return {
        name.removeprefix("level_"): f"{_listed(getattr(source, name))} there, {_listed(getattr(model, name))} here"
        for name in _FORM
        if getattr(source, name) != getattr(model, name)
        and not (name == "level_filters" and source.encoder != model.encoder)
        # Cropping or resizing has no weights; whether there are skips decides the decoder's input channels.
        and not (name == "skip_mode" and "none" not in (source.skip_mode, model.skip_mode))
    }


def _weights_of(model: UNetConfig) -> list[tuple[object, ...]]:
    """Return each layer that has weights, in order, with everything that decides their shapes."""
    return [
        (layer.name, layer.op, layer.params, layer.kernel, layer.input_shape[2], layer.output_shape[2])
        for layer in trace(model).layers
        if layer.params
    ]


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def data_problems(config: TrainConfig, settings: Settings | None = None) -> tuple[str, ...]:
    """Return what is wrong with the dataset, its labels and its fit to the model.

    A folder is inspected once, labels included; the result is stored beside it.
    """
    from unet_core.data.pipeline import check_channels, open_source, target_coding

    settings = settings or get_settings()
    if absent := tuple(problem for name in config.sources if (problem := _absence(name, settings))):
        return absent
    try:
        source = open_source(config.data, config.model, config.split, data_dir=settings.data_dir)
        check_channels(source, config.model)
        target_coding(source, config.model.classes)
    except (UNetError, OSError) as error:
        return (str(error),)
    return ()


def _absence(name: str, settings: Settings) -> str:
    """Return why there is no dataset of that name or path; empty if there is one."""
    if name == OWN_DATA:
        return NO_OWN_DATA
    if name == oxford_pets.NAME:
        return oxford_pets.status(settings.data_dir).problem or ""
    if name != synthetic.NAME and not Path(name).expanduser().exists():
        return f"data: {name!r} is neither {oxford_pets.NAME!r}, {synthetic.NAME!r} nor an existing folder or ZIP."
    return ""


def memory_problems(expected: Estimate) -> tuple[str, ...]:
    """Return why the memory is too small for a run; a GPU's own memory is not known here."""
    memory = memory_mb()
    least = expected.memory_mb * (1 if expected.measured else 1 - _DOUBT)
    if least <= memory or has_gpu_driver():
        return ()
    return (
        f"This run needs about {expected.memory_mb / 1000:.1f} GB of memory and the machine has "
        f"{memory / 1000:.1f} GB: choose a smaller batch_size, image size or model.",
    )


def disk_problems(needed_mb: float, folder: Path) -> tuple[str, ...]:
    """Return why `needed_mb` cannot be written into a folder, which need not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e6
    wanted = needed_mb + _FREE_MB
    if free < wanted:
        return (f"The disk has {free:.0f} MB left and this run needs about {wanted:.0f} MB: free some space first.",)
    return ()
