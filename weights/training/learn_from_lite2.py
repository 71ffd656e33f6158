"""Train a network on, on a CPU, with the teacher of `train_on_gpu.py` beside the masks. Needs this library.

    python weights/training/learn_from_lite2.py trained/teacher.npz --config learn.json --run runs/learned

The arguments after the teacher's values are those of `python -m unet_core train`; the config's `distill_weight` is the
teacher's share, and what its `distill_from` names is not used. The teacher gets the student's augmented photos at its
own size. Frozen are the same stages as in `wake_encoder.py train`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
import wake_encoder
from gpu_files import lite2_unet, put_values

from unet_core.train import fit
from unet_core.train.distillation import Student
from unet_core.train.find_model import find_model


def main(arguments: Sequence[str]) -> int:
    """Run the training."""
    if len(arguments) < 2 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    values, *rest = arguments
    teacher = lite2_unet(find_model("pets").config)
    put_values(teacher, np.load(values))

    def student(inputs: list, outputs: list, _: keras.Model, *others, name: str) -> Student:
        return Student(inputs, outputs, teacher, *others, name=name)

    fit.Student = student
    return wake_encoder.main(["train", *rest])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
