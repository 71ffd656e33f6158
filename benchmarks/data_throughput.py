"""How many examples per second each kind of dataset delivers to training, with and without augmentation.

    python benchmarks/data_throughput.py [--size 128] [--limit 512] [--json FILE]

Every dataset goes through `make_datasets`, as in training. "prepare" is opening and decoding (or drawing) into memory,
once per run; "epoch" is what an epoch then delivers; "streamed" is an epoch without memory for decoded photos. Other
programs on the machine slow all of them down, so the processor seconds per 1000 examples are shown too.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
from common import as_json, described, machine, summary, write_figures  # noqa: E402
from PIL import Image  # noqa: E402

from unet_core.architecture.config import UNetConfig  # noqa: E402
from unet_core.data.augmentation import Augmentation  # noqa: E402
from unet_core.data.oxford import oxford_pets  # noqa: E402
from unet_core.data.pipeline import Datasets, make_datasets  # noqa: E402
from unet_core.data.sources import PARTS  # noqa: E402
from unet_core.data.synthetic import pets as synthetic  # noqa: E402
from unet_core.settings import get_settings  # noqa: E402

_DRAWING_REPEATS = 5


@dataclass(frozen=True)
class Pace:
    """Examples per second of wall-clock time, and the processor time of all cores for 1000 examples."""

    examples_per_second: float
    cpu_seconds_per_1000: float


@dataclass(frozen=True)
class Row:
    """One dataset with or without augmentation; `prepare` is the same work for both."""

    dataset: str
    augmentation: bool
    examples: int
    prepare: Pace
    epoch: Pace
    streamed: Pace


def main() -> None:
    """Measure, print a table, and write JSON if requested."""
    arguments = _arguments()
    about = with_gpus()  # first: records the load of other programs, and imports TensorFlow before timing
    print("Drawing on one core …", file=sys.stderr)
    drawing = {str(side): drawing_pace(side) for side in (128, 256)}
    rows = [
        measured(name, data, augmented, arguments) for name, data in datasets(arguments) for augmented in (False, True)
    ]
    report = {
        "machine": about,
        "size": arguments.size,
        "batch_size": arguments.batch_size,
        "epochs": arguments.epochs,
        "drawing_on_one_core": drawing,
        "rows": [asdict(row) for row in rows],
    }
    print(table(report, rows))
    if arguments.json is None:
        print(as_json(report))
    write_figures(report, arguments.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("--size", type=int, default=128, help="side of photos and masks in pixels (default: 128)")
    parser.add_argument("--batch-size", type=int, default=32, help="examples in a batch (default: 32)")
    parser.add_argument("--limit", type=int, default=512, help="examples of each dataset (default: 512)")
    parser.add_argument(
        "--epochs", type=int, default=3, help="number of epochs, of which the fastest counts (default: 3)"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file instead of printing them")
    return parser.parse_args()


def drawing_pace(side: int, pictures: int = 60) -> dict[str, float]:
    """Draw pictures in this thread: wall-clock and thread time, taking the fastest draw of each picture."""
    fastest = np.full((2, pictures), np.inf)
    for _ in range(_DRAWING_REPEATS):
        for index in range(pictures):
            clock, own = time.perf_counter(), time.thread_time()
            synthetic.draw_pet(0, index, (side, side))
            spent = (time.perf_counter() - clock, time.thread_time() - own)
            fastest[:, index] = np.minimum(fastest[:, index], spent)
    by_clock, by_cpu = pictures / fastest.sum(1)
    return {"examples_per_second": round(by_clock, 1), "examples_per_cpu_second": round(by_cpu, 1)}


def datasets(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield name and location of each available dataset; the folder is drawn for this measurement."""
    found = oxford_pets.status(get_settings().data_dir)
    if found.present:
        yield "Oxford pets", oxford_pets.NAME
    else:
        print(f"Without Oxford pets. {found.problem}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        write_folder(Path(folder), arguments.limit)
        yield "folder", folder
    yield "synthetic", synthetic.NAME


def write_folder(root: Path, training_examples: int, side: int = 224) -> None:
    """Write synthetic pets as `images/*.jpg` and `masks/*.png`, enough for this many training examples."""
    for name in ("images", "masks"):
        (root / name).mkdir()
    for index in range(int(training_examples * 1.5)):
        photo, trimap = synthetic.draw_pet(0, index, (side, side))
        Image.fromarray(photo).save(root / "images" / f"pet{index:05d}.jpg", quality=90)
        Image.fromarray(trimap).save(root / "masks" / f"pet{index:05d}.png")


def measured(name: str, data: str, augmented: bool, arguments: argparse.Namespace) -> Row:
    """Prepare the training part and run through it, from memory and streamed."""
    print(f"{name}, {'with' if augmented else 'without'} augmentation …", file=sys.stderr)
    config = UNetConfig(height=arguments.size, width=arguments.size, classes=3, depth=2, base_filters=4)

    def opened(cache_mb: float, limit: int = arguments.limit) -> Datasets:
        return make_datasets(
            data,
            config,
            batch_size=arguments.batch_size,
            augmentation=Augmentation() if augmented else None,
            parts=PARTS[:1],
            limit=limit,
            cache_mb=cache_mb,
        )

    opened(cache_mb=1e6, limit=arguments.batch_size)  # warm-up: imports and one-time initialization
    with timed() as prepare:
        prepared = opened(cache_mb=1e6)
    count = prepared.sizes["train"]
    return Row(
        name,
        augmented,
        count,
        prepare(count),
        fastest_epoch(prepared, count, arguments.epochs),
        fastest_epoch(opened(cache_mb=0), count, arguments.epochs),
    )


def fastest_epoch(prepared: Datasets, count: int, epochs: int) -> Pace:
    """Return the pace of the fastest of `epochs`, after a warm-up epoch."""
    paces = []
    for _ in range(1 + epochs):
        with timed() as epoch:
            for _batch in prepared.train or ():
                pass
        paces.append(epoch(count))
    return max(paces[1:], key=lambda pace: pace.examples_per_second)


@contextmanager
def timed() -> Iterator[Callable[[int], Pace]]:
    """Time a block; the yielded function converts the number of examples into their pace."""
    start, cpu_start = time.perf_counter(), time.process_time()
    spent: list[float] = []
    yield lambda examples: Pace(round(examples / spent[0], 1), round(1000 * spent[1] / examples, 2))
    spent += [time.perf_counter() - start, time.process_time() - cpu_start]


def with_gpus() -> dict[str, Any]:
    """Return the machine of the measurement, with the number of GPUs."""
    import tensorflow as tf

    about = machine(("tensorflow", "keras", "numpy", "pillow"))
    return {**about, "gpus": len(tf.config.list_physical_devices("GPU"))}


def table(report: dict, rows: list[Row]) -> str:
    """Return the figures as text."""
    lines = [
        described(report["machine"]),
        f"{report['size']}×{report['size']} pixels, batches of {report['batch_size']}",
        "",
        "drawing on one core     wall-clock      thread time",
    ]
    for side, pace in report["drawing_on_one_core"].items():
        by_clock, by_cpu = pace["examples_per_second"], pace["examples_per_cpu_second"]
        lines.append(f"{side + ' px':<18}{by_clock:>14.0f} /s {by_cpu:>14.0f} /s")
    lines += ["", f"{'':<26}{'prepare':>18}{'epoch':>20}{'streamed':>20}"]
    lines.append(f"{'dataset':<14}{'augmented':<12}" + "   examples/s  (cpu)" * 3)
    for row in rows:
        cells = "".join(
            f"{pace.examples_per_second:>13.0f} {f'({pace.cpu_seconds_per_1000:.1f})':>6}"
            for pace in (row.prepare, row.epoch, row.streamed)
        )
        lines.append(f"{row.dataset:<14}{'yes' if row.augmentation else 'no':<12}{cells}")
    lines.append("(cpu): processor seconds of all cores per 1000 examples")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
