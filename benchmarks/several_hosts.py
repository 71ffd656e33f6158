"""One training shared by several processes, as on several hosts, with Keras on JAX: is it the same, and how fast?

    pip install jax                                             # or "jax[cuda13]"; see docs/several-hosts.md
    python benchmarks/several_hosts.py train --address HOST:8476 --processes 2 --place 0   # and --place 1 elsewhere
    python benchmarks/several_hosts.py measure [--processes 2] [--json FILE]

`train` is the program to start from: every process feeds its share of each batch, and Keras' `DataParallel` keeps the
weights equal. `measure` starts it here as one process and as several, each on a core of its own, and compares the loss
after every step.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
os.environ["KERAS_BACKEND"] = "jax"

import numpy as np  # noqa: E402
import psutil  # noqa: E402
from common import described, free_port, machine, summary, write_figures  # noqa: E402

from unet_core.architecture.config import UNetConfig  # noqa: E402
from unet_core.data.synthetic.pets import SyntheticPets  # noqa: E402
from unet_core.images.preprocess import scale  # noqa: E402

CONFIG = UNetConfig(height=64, width=64, depth=3, base_filters=16, normalization="batch")
EPOCHS = 3  # the first of them compiles
Batch = tuple[np.ndarray, np.ndarray]


def train(address: str, processes: int, place: int, batch_size: int, steps: int) -> dict[str, Any]:
    """Train as one of several processes, and return the epoch's mean loss after each step, and the later epochs' speed.

    Args:
        address: HOST:PORT of the process at place 0.
        processes: how many share each batch.
        place: of this process, from 0.
        batch_size: photos in a step, over all processes; a multiple of their number.
        steps: in an epoch.
    """
    import jax
    import keras

    from unet_core.models import build
    from unet_core.train.losses import get_loss

    if processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")  # ignored on GPUs
        keras.distribution.initialize(address, processes, place)
        keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    keras.utils.set_random_seed(0)  # after the distribution: equal initial weights everywhere
    model = build(CONFIG)
    model.compile(optimizer=keras.optimizers.AdamW(1e-3), loss=get_loss("cross_entropy_dice", CONFIG.classes, True))
    losses: list[float] = []
    record = keras.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: losses.append(float(logs["loss"])))
    batches = list(_batches(processes, place, batch_size, steps))

    def epochs() -> Iterator[Batch]:
        while True:
            yield from batches

    model.fit(epochs(), steps_per_epoch=steps, epochs=1, callbacks=[record], verbose=0)
    began, worked = time.perf_counter(), time.process_time()
    model.fit(epochs(), steps_per_epoch=steps, epochs=EPOCHS - 1, callbacks=[record], verbose=0)
    photos = (EPOCHS - 1) * steps * batch_size
    return {
        "losses": losses,
        "photos_per_second": photos / (time.perf_counter() - began),
        "processor_ms_a_photo": 1000 * (time.process_time() - worked) / photos,  # hardly slowed by other programs
    }


def _batches(processes: int, place: int, batch_size: int, steps: int) -> Iterator[Batch]:
    """Yield this process's share of each batch: photos (N, H, W, 3), and masks (N, H, W) of class ids."""
    source = SyntheticPets(size=(CONFIG.height, CONFIG.width))
    share = batch_size // processes
    examples = source.examples("train")
    for _ in range(steps):
        photos, masks = zip(*(example.decode() for example in islice(examples, batch_size)), strict=True)
        here = slice(place * share, (place + 1) * share)
        yield scale(np.stack(photos[here]).astype(np.float32), CONFIG.preprocessing), np.stack(masks[here])


def measure(processes: int, batch_size: int, steps: int) -> dict[str, Any]:
    """Train as one process and as several, each on a core of its own, and compare them."""
    alone = _started(1, batch_size, steps)[0]
    shared = _started(processes, batch_size, steps)
    differences = np.abs(np.array(alone["losses"]) - np.array(shared[0]["losses"]))
    return {
        "machine": machine(("jax", "keras", "numpy")),
        "processes": processes,
        "steps": len(differences),
        "batch_size": batch_size,
        "first_loss": alone["losses"][0],
        "last_loss": alone["losses"][-1],
        "largest_difference": float(differences.max()),
        "equal_in_all_processes": all(each["losses"] == shared[0]["losses"] for each in shared),
        "processor_ms_a_photo_alone": alone["processor_ms_a_photo"],
        "processor_ms_a_photo_shared": sum(each["processor_ms_a_photo"] for each in shared),
        "photos_per_second_alone": alone["photos_per_second"],
        "photos_per_second_shared": shared[0]["photos_per_second"],
    }


def _started(processes: int, batch_size: int, steps: int) -> list[dict[str, Any]]:
    """Run `train` in so many processes, the first on the first core, and return what they print."""
    address = f"127.0.0.1:{free_port()}"
    cores = psutil.Process().cpu_affinity() or [0]
    running = []
    for place in range(processes):
        command = [sys.executable, __file__, "train", "--address", address, "--processes", str(processes)]
        command += ["--place", str(place), "--batch-size", str(batch_size), "--steps", str(steps)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        psutil.Process(running[-1].pid).cpu_affinity([cores[place % len(cores)]])
    outputs = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit("a process failed; its error stands above")
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def main() -> None:
    """Read the command line, and train or measure."""
    parser = argparse.ArgumentParser(description=summary(__doc__))
    commands = parser.add_subparsers(dest="command", required=True)
    training, measuring = commands.add_parser("train"), commands.add_parser("measure")
    training.add_argument("--address", required=True, metavar="HOST:PORT")
    training.add_argument("--place", type=int, required=True)
    measuring.add_argument("--json", type=Path, metavar="FILE")
    for each in (training, measuring):
        each.add_argument("--processes", type=int, default=2)
        each.add_argument("--batch-size", type=int, default=16)
        each.add_argument("--steps", type=int, default=30, help="in an epoch")
    arguments = parser.parse_args()
    if arguments.batch_size % arguments.processes:
        parser.error("--batch-size must be a multiple of --processes")
    sizes = arguments.batch_size, arguments.steps
    if arguments.command == "train":
        print(json.dumps(train(arguments.address, arguments.processes, arguments.place, *sizes)))
        return
    report = measure(arguments.processes, *sizes)
    print(described(report["machine"]))
    for name, value in report.items():
        if name != "machine":
            print(f"{name.replace('_', ' ')}: {value:.6g}" if isinstance(value, float) else f"{name}: {value}")
    write_figures(report, arguments.json)


if __name__ == "__main__":
    main()
