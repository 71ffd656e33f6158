"""Run directories as a training would have left them, made in milliseconds: for tests of what shows them."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image

from unet_core.data.synthetic.pets import SyntheticPets
from unet_core.train.config import TrainConfig
from unet_core.train.presets import TRAINING_PRESETS
from unet_core.train.run_directory import RunDirectory, Status

STEPS = 20
SIDE = 64
CLASSES = ("pet", "background", "border")


def made_run(
    path: Path, *, epochs: int = 6, done: int | None = None, state: str = "finished", name: str = "", **changes: object
) -> RunDirectory:
    """Write a run of the 60-second demo with `done` of `epochs` epochs; a finished one has a test result and weights.

    A run in state "running" is only told as such while somebody holds it: `with run.held(): …`.
    """
    config: TrainConfig = TRAINING_PRESETS["demo_60s"].config.replace(epochs=epochs, **changes)
    run = RunDirectory.create(path, config, name)
    done = epochs if done is None else done
    for epoch in range(done):
        add_epoch(run, epoch)
    _write_samples(run)
    for epoch in range(done + 1):
        add_preview(run, epoch)
    now = time.time()
    status = Status(epochs=epochs, epoch=done, steps=STEPS, phase="training", launched=now - 8 * done, started=now)
    if state != "running":
        status = dataclasses.replace(status, phase="", finished=now)
    run.write_status(dataclasses.replace(status, state=state))
    run.write_environment({"processor": "a processor", "cores": 2, "packages": {"keras": "3.15.1"}, "seed": 0})
    run.log(f"epoch {done}: written by a test")
    if done:
        run.best_weights.write_bytes(b"weights")
    if state == "finished":
        run.write_test(_test_report())
        (run.path / "exports").mkdir()
        (run.path / "exports" / "model.onnx").write_bytes(b"onnx")
    return run


def add_epoch(run: RunDirectory, epoch: int) -> None:
    """Append an epoch's lines to all tables: the loss falls, the IoU rises."""
    for step in range(2, STEPS + 1, 2):
        progress = epoch + step / STEPS
        run.steps.append(
            {
                "epoch": epoch,
                "step": step,
                "loss": 1.5 / (1 + progress) + 0.02 * (step % 3),
                "learning_rate": 6e-3 / (1 + progress),
                "seconds": 0.2 * step,
                "elapsed": 6 * epoch + 0.2 * step,
                "images_per_second": 80.0,
                "mean_iou": 0.8 - 0.6 / (1 + progress),
                "weight_change": 0.02 / (1 + progress),
            }
        )
        run.system.append({"time": time.time(), "memory_mb": 900, "cpu_percent": 180, "images_per_second": 80})
    quality = 0.8 - 0.5 / (1 + epoch)
    part = {
        "loss": 1.4 / (2 + epoch),
        "pixel_accuracy": quality + 0.1,
        "mean_iou": quality,
        "mean_dice": quality + 0.05,
    }
    row = {"epoch": epoch, **part, **{f"val_{key}": value - 0.02 for key, value in part.items()}}
    run.metrics.append(
        {
            **row,
            "learning_rate": 6e-3 / (1 + epoch),
            "seconds": 6.0,
            "elapsed": 6.0 * (epoch + 1),
            "images_per_second": 80,
        }
    )


def _write_samples(run: RunDirectory) -> None:
    folder = run.path / "previews"
    folder.mkdir(exist_ok=True)
    samples = []
    for index, example in enumerate(itertools.islice(SyntheticPets(size=(SIDE, SIDE)).examples("validation"), 4)):
        photo, truth = example.decode()
        _save(folder / f"input_{index}.png", photo)
        _save(folder / f"truth_{index}.png", truth)
        named = {"index": index, "name": example.name, "kind": "validation", "width": SIDE, "height": SIDE}
        samples.append({**named, "score_classes": CLASSES})
    (folder / "samples.json").write_text(json.dumps(samples))


def add_preview(run: RunDirectory, epoch: int) -> None:
    """Write masks that are right from the left edge on, further with every epoch."""
    for index in range(4):
        mask = np.asarray(Image.open(run.path / "previews" / f"truth_{index}.png")).copy()
        mask[:, min(SIDE, 10 * (epoch + 1)) :] = 0
        _save(run.path / "previews" / f"{epoch:05d}_{index}.png", mask)


def _save(path: Path, pixels: np.ndarray) -> None:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())


def _test_report() -> dict[str, object]:
    return {
        "classes": CLASSES,
        "confusion_matrix": [[800, 100, 100], [50, 1900, 50], [200, 100, 300]],
        "images": 100,
        "of": 200,
        "milliseconds_per_image": 4.2,
    }
