"""Train `pets` and `pets_fast` on one GPU, with a larger teacher that both learn from. Needs no TensorFlow.

    python weights/training/gpu_files.py prepare --everyday photos/ --teacher lite2.npz --out prepared
    python weights/training/train_on_gpu.py --data prepared --out trained --teacher-seconds 225 --student-seconds 510

The second command needs PyTorch, NumPy and Pillow. Everything happens on the GPU: photos stay there as bytes, and each
batch is drawn, distorted, recoloured and composed there. The schedules follow the clock, so a faster machine makes more
steps. `gpu_files.py run` turns the result into a run folder for `python -m unet_core publish`.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from gpu_batches import BACKGROUND, BORDER, IGNORE, PET, Batches, read_photos
from gpu_network import Network, keras_values, load_network
from torch import Tensor, nn


def loss_of(logits: Tensor, labels: Tensor, teacher: Tensor | None, teacher_share: float) -> Tensor:
    """Return cross-entropy plus Dice over the classes, plus the same of background against the rest.

    With a teacher's probabilities (B, 3, H, W), they are `teacher_share` of the cross-entropies' targets.
    """
    logs = F.log_softmax(logits.float(), 1)
    known = (labels != IGNORE).float()
    target = F.one_hot(torch.where(labels == IGNORE, BACKGROUND, labels), 3).permute(0, 3, 1, 2).float()
    soft, weight = target * known[:, None], known
    if teacher is not None:
        soft = (1 - teacher_share) * soft + teacher_share * teacher
        weight = (1 - teacher_share) * known + teacher_share
    total = weight.sum()
    loss = -(soft * logs).sum() / total
    loss = loss + dice(logs.exp(), target, known)
    rest = torch.logsumexp(logs[:, [PET, BORDER]], 1)
    background = logs[:, BACKGROUND]
    loss = loss - ((soft[:, PET] + soft[:, BORDER]) * rest + soft[:, BACKGROUND] * background).sum() / total
    return loss + dice(rest.exp()[:, None], 1 - target[:, BACKGROUND, None], known)


def dice(probabilities: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Return one minus the soft Dice coefficient, per photo and class, averaged."""
    probabilities, target = probabilities * known[:, None], target * known[:, None]
    overlap, total = (probabilities * target).sum((2, 3)), probabilities.sum((2, 3)) + target.sum((2, 3))
    return (1 - (2 * overlap + 1) / (total + 1)).mean()


def rate_at(progress: float) -> float:
    """Return the share of the learning rate at a progress of 0…1: a short rise, then a cosine to zero."""
    return min(1.0, progress / 0.04) * (1 + math.cos(math.pi * progress)) / 2


# --- training ------------------------------------------------------------------------------------------------------


class Learner:
    """A network with its optimizer and the moving average of its values."""

    def __init__(self, network: Network, graph: dict, device: torch.device, rate: float, options) -> None:
        self.graph, self.rate, self.options, self.device = graph, rate, options, device
        self.network = network.to(device).to(memory_format=torch.channels_last)
        kernels = [value for value in self.network.parameters() if value.ndim == 4]
        others = [value for value in self.network.parameters() if value.ndim != 4]
        groups = [{"params": kernels, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99), fused=device.type == "cuda")
        self.state = [*self.network.parameters(), *self.network.buffers()]
        self.average = [value.detach().clone() for value in self.state]
        self.steps = 0

    def inputs(self, photos: Tensor) -> Tensor:
        """Scale photos as the network expects them."""
        return (photos * 2 - 1).to(getattr(torch, self.options.dtype)).contiguous(memory_format=torch.channels_last)

    def step(self, photos: Tensor, labels: Tensor, teacher: Tensor | None, progress: float) -> Tensor:
        """Make one step; `progress` 0…1 sets the learning rate. Return the loss."""
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = max(self.rate * rate_at(progress), 1e-7)
        loss = loss_of(self.network(self.inputs(photos)), labels, teacher, self.options.teacher_share)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0, foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        decay = min(self.options.average, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.average, [value.detach() for value in self.state], 1 - decay)
        return loss.detach()

    def use_average(self) -> None:
        """Give the network its averaged values, for good."""
        with torch.no_grad():
            torch._foreach_copy_(self.state, self.average)

    def averaged(self) -> Network:
        """Return a copy with the averaged values."""
        copy = Network(self.graph, keras_values(self.network, self.graph)).to(self.device)
        with torch.no_grad():
            for value, average in zip([*copy.parameters(), *copy.buffers()], self.average, strict=True):
                value.copy_(average)
        return copy.eval()

    def save(self, path: Path, half: bool = False) -> None:
        """Write the averaged values in Keras' layout."""
        values = keras_values(self.averaged(), self.graph)
        np.savez(path, **{key: value.astype(np.float16) if half else value for key, value in values.items()})

    @torch.no_grad()
    def probabilities(self, photos: Tensor, size: int) -> Tensor:
        """Return what the network predicts, (B, 3, size, size); for a trained teacher."""
        self.network.eval()
        logits = self.network(self.inputs(photos)).float()
        if logits.shape[-1] != size:
            logits = F.interpolate(logits, (size, size), mode="bilinear", align_corners=False)
        return logits.softmax(1)


class Targets:
    """What a student learns from besides the masks: a teacher, and on Oxford's photos also the shipped network."""

    def __init__(self, teacher: Learner, shipped: Learner, size: int) -> None:
        self.teacher, self.shipped, self.size = teacher, shipped, size

    def __call__(self, photos: list[Tensor], is_oxford: Tensor) -> Tensor:
        """Return their probabilities, (B, 3, size, size), for photos at the shipped and the teacher's size."""
        wanted = self.teacher.probabilities(photos[1], self.size)
        known = self.shipped.probabilities(photos[0], self.size)
        return torch.where(is_oxford[:, None, None, None], (wanted + known) / 2, wanted)


class Students:
    """`pets` and `pets_fast`, which learn from the same photos and targets."""

    def __init__(self, pets: Learner, fast: Learner, targets: Targets, batches: Batches, options) -> None:
        self.pets, self.fast, self.targets, self.batches, self.options = pets, fast, targets, batches, options
        self.unsaved = [0.75, 0.93]  # of the schedule, should the machine be taken away before its end
        self.fast_loss = torch.zeros((), device=pets.device)

    def step(self, progress: float, strength: float, count: int) -> Tensor:
        """Make one step of each; return their losses."""
        size, small = self.pets.network.size[0], self.fast.network.size[0]
        photos, labels = self.batches.draw(self.options.batch, (size, self.targets.teacher.network.size[0]), strength)
        wanted = self.targets(photos, self.batches.is_oxford)
        loss = self.pets.step(photos[0], labels, wanted, progress)
        if count % self.options.fast_every == 0:
            narrow = F.interpolate(photos[0], (small, small), mode="bilinear", align_corners=False)
            coarse = F.interpolate(labels[:, None].float(), (small, small), mode="nearest-exact")[:, 0].long()
            softer = F.interpolate(wanted, (small, small), mode="bilinear", align_corners=False)
            self.fast_loss = self.fast.step(narrow, coarse, softer, progress)
        if self.unsaved and progress > self.unsaved[0]:
            self.save(f"_{round(100 * self.unsaved.pop(0))}", half=True)
        return torch.stack([loss, self.fast_loss])

    def save(self, suffix: str = "", half: bool = False) -> None:
        """Write the averaged values of both."""
        self.pets.save(self.options.out / f"pets{suffix}.npz", half)
        self.fast.save(self.options.out / f"pets_fast{suffix}.npz", half)


class Log:
    """What a run says, on the screen and in `log.txt`, and its losses in `history.csv`."""

    def __init__(self, out: Path) -> None:
        self.began = time.time()
        self.text, self.rows = (out / "log.txt").open("a"), (out / "history.csv").open("w")
        print("phase,seconds,steps,photos,rate,loss,fast_loss", file=self.rows, flush=True)

    def say(self, *words) -> None:
        """Write a line with the seconds since the start."""
        for file in (None, self.text):
            print(f"{time.time() - self.began:6.1f}", *words, file=file, flush=True)

    def record(self, phase: str, seconds: float, progress: float, steps: int, photos: int, losses: list) -> None:
        """Write the mean losses of the latest steps."""
        speed = f"{photos / seconds:.0f}/s"
        self.say(phase, f"{progress:.2f}", steps, speed, [round(each, 4) for each in losses])
        row = (
            phase,
            round(seconds, 1),
            steps,
            photos,
            f"{rate_at(progress):.4f}",
            *(round(each, 5) for each in losses),
        )
        print(*row, sep=",", file=self.rows, flush=True)


def run_phase(name: str, seconds: float, step: Callable[[float, float, int], Tensor], options, log: Log) -> None:
    """Repeat a step for some seconds; it gets the progress, the strength of the augmentation and the steps before."""
    step(0.0, options.strength, 0)  # untimed: the first step chooses kernels
    start, count, losses, spoken = time.time(), 0, [], 0
    while (progress := (time.time() - start) / seconds) < 1:
        strength = options.strength * min(1.0, (1 - progress) / 0.3)
        losses.append(step(progress, strength, count))
        count += 1
        if count % 16 == 0:
            recent = torch.stack(losses).float().mean(0).tolist()  # waits for the GPU
            if progress * 25 >= spoken:
                log.record(name, time.time() - start, progress, count, count * options.batch, recent)
                spoken, losses = int(progress * 25) + 1, []
    log.say(name, "steps", count, "photos", count * options.batch)


# --- command ---------------------------------------------------------------------------------------------------------


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="folder of values to start from, by default the prepared ones")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--teacher-seconds", type=float, default=225)
    parser.add_argument("--student-seconds", type=float, default=510)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--teacher-rate", type=float, default=8e-4)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--fast-rate", type=float, default=1.5e-3)
    parser.add_argument("--fast-every", type=int, default=1, help="pets_fast learns from every n-th batch")
    parser.add_argument("--teacher-share", type=float, default=0.6)
    parser.add_argument("--average", type=float, default=0.998, help="momentum of the averaged values")
    parser.add_argument("--shares", type=float, nargs=3, default=(0.6, 0.26, 0.14))
    parser.add_argument("--strength", type=float, default=0.75)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def read_batches(options, device: torch.device, log: Log) -> Batches:
    """Read the prepared photos onto the GPU."""
    with Pool() as pool:
        sets = [read_photos(options.data, f"{name}.zip", pool) for name in ("oxford_train*", "everyday_train*")]
    oxford, everyday = (each.to(device) for each in sets)
    batches = Batches(oxford, everyday, tuple(options.shares), options.seed)
    log.say("photos:", len(oxford.photos), *map(len, batches.groups), "on", device)
    return batches


def main() -> None:
    """Train the teacher, then both students."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    log = Log(options.out)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = False
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    batches = read_batches(options, device, log)

    def learner(name: str, rate: float, start: Path | None = None) -> Learner:
        network, graph = load_network(options.data, name, start)
        return Learner(network, graph, device, rate, options)

    teacher = learner("teacher", options.teacher_rate, options.start)

    def teach(progress: float, strength: float, _: int) -> Tensor:
        (photos,), labels = batches.draw(options.batch, (teacher.network.size[0],), strength)
        return teacher.step(photos, labels, None, progress)[None]

    run_phase("teacher", options.teacher_seconds, teach, options, log)
    teacher.save(options.out / "teacher.npz", half=True)
    teacher.use_average()
    pets = learner("pets", options.rate, options.start)
    fast = learner("pets_fast", options.fast_rate, options.start)
    targets = Targets(teacher, learner("pets", 0.0), pets.network.size[0])
    students = Students(pets, fast, targets, batches, options)
    run_phase("students", options.student_seconds, students.step, options, log)
    students.save()
    log.say("done")


if __name__ == "__main__":
    main()
