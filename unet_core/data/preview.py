"""Previews of data augmentation on one photo, drawn by the same object that training uses.

That object needs Keras, which the web process does not load. A child process, `python -m unet_core.data.preview`, does;
it starts at the first request and ends after two minutes without one.
"""

from __future__ import annotations

import sys

import numpy as np

from unet_core.data.augmentation import AugmentationConfig
from unet_core.errors import UNetError
from unet_core.images.checks import check_same_size
from unet_core.jobs.served import ChildEnded, ChildTooSlow, Message, ServedChild, serve
from unet_core.machine import TENSORFLOW_MB

Draws = list[tuple[np.ndarray, np.ndarray]]  # photos (H, W, 3) uint8 and masks (H, W) uint8

IDLE_SECONDS = 120.0  # without a request, until the child ends and frees its memory
START_SECONDS = 60.0  # extra for the first answer: importing Keras takes seconds, on a busy machine many
ANSWER_SECONDS = 30.0
MAX_COUNT = 64
MAX_SIDE = 1024


class PreviewError(UNetError):
    """A preview that could not be drawn; the text says why."""


def preview_draws(
    photo: np.ndarray,
    mask: np.ndarray,
    config: AugmentationConfig,
    count: int = 8,
    seed: int = 0,
    *,
    timeout: float = ANSWER_SECONDS,
) -> Draws:
    """Augment one photo and its mask `count` times, as training with this configuration would.

    Can be called from several threads, which are served one at a time. Equal arguments give equal draws.

    Args:
        photo: (H, W, 3) uint8, at most `MAX_SIDE` pixels on a side.
        mask: (H, W) uint8 class ids.
        config: what may change.
        count: 1 to `MAX_COUNT`.
        seed: of the draws.
        timeout: seconds to wait; a child that has just been started gets `START_SECONDS` more.

    Raises:
        PreviewError: the child cannot be started, is too slow, or crashed twice.
        ValueError: the arguments are not valid.
    """
    _check(photo, mask, count)
    if not config.moves and not config.recolours:
        return [(photo.copy(), mask.copy()) for _ in range(count)]
    question = {"config": config.model_dump(mode="json"), "count": count, "seed": seed}
    try:
        answer = _child.ask(question, photo, mask, seconds=timeout)
    except ChildEnded:
        raise PreviewError("The preview process ended unexpectedly: try again.") from None
    except ChildTooSlow as error:
        raise PreviewError(f"The preview took longer than {error.seconds:.0f} seconds: try again.") from None
    except OSError as error:
        raise PreviewError(f"The preview process cannot be started ({error.strerror or error}).") from None
    if "error" in answer.values:
        raise PreviewError(f"The preview could not be drawn: {answer.values['error']}")
    photos, masks = answer.arrays
    return list(zip(photos, masks))


def _check(photo: np.ndarray, mask: np.ndarray, count: int) -> None:
    check_same_size(photo, mask)
    if photo.dtype != np.uint8 or mask.dtype != np.uint8:
        raise ValueError(f"Photo and mask must be uint8. Received: {photo.dtype} and {mask.dtype}")
    if not 1 <= min(mask.shape) <= max(mask.shape) <= MAX_SIDE:
        raise ValueError(f"A preview is at most {MAX_SIDE} pixels on a side. Received: {mask.shape}")
    if not 1 <= count <= MAX_COUNT:
        raise ValueError(f"count: must be 1 to {MAX_COUNT}. Received: {count}")


_child = ServedChild(
    "unet_core.data.preview",
    str(IDLE_SECONDS),
    environment={"CUDA_VISIBLE_DEVICES": "-1"},  # a preview is small: leave the GPU's memory to training
    start_seconds=START_SECONDS,
    needs_mb=TENSORFLOW_MB,
)


# --- in the child -----------------------------------------------------------------------------------------------------


def answer(question: Message) -> Message:
    """Draw the requested previews, or return the error. Imports Keras."""
    try:
        return Message({}, _drawn(question))
    except Exception as error:  # any error of Keras is reported to the visitor
        return Message({"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"})


def _drawn(question: Message) -> tuple[np.ndarray, np.ndarray]:
    import keras

    from unet_core.data.augmentation import Augmentation

    values, (photo, mask) = question.values, question.arrays
    augment = Augmentation(AugmentationConfig.from_dict(values["config"]), seed=values["seed"])
    photos, masks = augment(np.stack([photo] * values["count"]), np.stack([mask] * values["count"]), 0)
    photos = np.rint(keras.ops.convert_to_numpy(photos)).clip(0, 255).astype(np.uint8)
    return photos, np.asarray(keras.ops.convert_to_numpy(masks), np.uint8)


def main() -> None:
    """Serve until no request has come for the seconds given on the command line."""
    serve(answer, float(sys.argv[1]))


if __name__ == "__main__":
    main()
