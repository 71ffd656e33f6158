"""What the command line does for result files. Heavy libraries are imported inside the commands that need them."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_core.errors import ConfigError
from unet_core.results.files import COMPARISON_NAME, command_for, result_path, write_result
from unet_core.settings import get_settings

if TYPE_CHECKING:
    from unet_core.cli.output import Output
    from unet_core.train.find_model import ModelSource

OK = 0
_CONTRACT = (
    "images",
    "image_size",
    "classes",
    "pixel_accuracy",
    "mean_iou",
    "mean_dice",
    "iou",
    "dice",
    "pet_iou",
    "pet_alone_iou",
    "confusion_matrix",
    "milliseconds_per_image",
)


def evaluate_in_full(
    source: ModelSource, network: Any, data: str, split_options: dict[str, Any], arguments: Namespace
) -> tuple[dict[str, Any], Path]:
    """Measure everything about a model and write its result file.

    Returns:
        The figures of the chosen split as `evaluate` gives them, and the file.

    Raises:
        ConfigError: the split is not measured in full, or a run has no --out.
    """
    if arguments.split not in ("test", "validation"):
        raise ConfigError("--full measures the test and validation parts: leave out --split, or name one of them")
    if arguments.out is None and source.entry is None:
        raise ConfigError(f"{source.name} is not a shipped model: say with --out FILE.json where its results go")
    from unet_core.results.evaluation import full_evaluation

    path = Path(arguments.out) if arguments.out else result_path(source.name, get_settings())
    with _bars() as draw:
        found = full_evaluation(
            source,
            network,
            data,
            split_options=split_options,
            size=arguments.size,
            flip=arguments.flip,
            limit=arguments.limit,
            command=_command(source, data, arguments),
            progress=draw,
        )
    write_result(path, found)
    part = found.parts.get(arguments.split)
    if part is None:
        raise ConfigError(f"{data} has no {arguments.split} part; the others are in {path}")
    return part.model_dump(mode="json", include=set(_CONTRACT)), path


def _command(source: ModelSource, data: str, arguments: Namespace) -> str:
    """Return the command that repeats this, without what is usual."""
    words = [command_for(source.name)]
    if data != "oxford_iiit_pet":
        words.append(f"--data {Path(data).name}")
    if tuple(arguments.size) != (128, 128):
        words.append(f"--size {arguments.size[0]}x{arguments.size[1]}")
    words += ["--flip"] * bool(arguments.flip)
    words += [f"--limit {arguments.limit}"] * bool(arguments.limit)
    return " ".join(words)


def compare_command(arguments: Namespace, output: Output) -> int:
    """Train architectures under one equal small budget, one after the other; finished ones are not trained again."""
    from unet_core.quiet_tensorflow import import_tensorflow_quietly

    if arguments.list:
        return _list(output)
    import_tensorflow_quietly()
    from unet_core.results.comparison import budget_of, remeasure_latency, run_comparison

    out = Path(arguments.out) if arguments.out else result_path(COMPARISON_NAME, get_settings())

    def say(sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    if arguments.latency:
        found = remeasure_latency(out, say)
    else:
        fields = ("side", "photos", "epochs", "batch_size", "test_photos")
        changes = {name: value for name in fields if (value := getattr(arguments, name)) is not None}
        found = run_comparison(
            budget_of(**changes),
            out,
            only=arguments.only,
            encoders=Path(arguments.encoders) if arguments.encoders else None,
            data=arguments.data,
            say=say,
        )
    rows = [f"{run.name}: mean IoU {run.mean_iou:.3f}, {run.milliseconds:.1f} ms" for run in found.runs]
    output.result(found.model_dump(mode="json"), "\n".join([*rows, str(out)]))
    return OK


def _list(output: Output) -> int:
    from unet_core.results.comparison_recipes import RECIPES

    entries = [{"name": entry.name, "title": entry.title, "group": entry.group} for entry in RECIPES]
    output.result(entries, "\n".join(f"{entry.name:<34}{entry.title}" for entry in RECIPES))
    return OK


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """Yield what draws a progress bar for each phase."""
    from tqdm import tqdm

    bars: dict[str, tqdm[Any]] = {}

    def draw(phase: str, done: int, total: int) -> None:
        if phase not in bars:
            for bar in bars.values():
                bar.close()
            bars[phase] = tqdm(total=total, desc=f"measuring on {phase}", unit="photo", disable=None, leave=False)
        bars[phase].update(done - bars[phase].n)

    try:
        yield draw
    finally:
        for bar in bars.values():
            bar.close()
