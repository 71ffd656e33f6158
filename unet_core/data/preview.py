"""Random variations of one photo for people to look at, drawn by the very object that training uses.

That object needs Keras, which the web process does not load: a worker process does, starts when it is first needed,
answers through its pipes, and ends when nobody has asked for two minutes. `python -m unet_core.data.preview` is it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
from typing import IO, Any, BinaryIO

import numpy as np

from unet_core.data.augmentation import AugmentationConfig
from unet_core.errors import UNetError
from unet_core.images.checks import check_same_size
from unet_core.settings import ROOT

Draws = list[tuple[np.ndarray, np.ndarray]]  # photos (H, W, 3) uint8 and masks (H, W) uint8

IDLE_SECONDS = 120.0  # without a question, until the worker ends and gives its memory back
START_SECONDS = 90.0  # for the first answer: importing Keras takes seconds, on a busy machine many
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
    timeout: float | None = None,
) -> Draws:
    """Vary one photo and its mask `count` times, as training with this configuration would.

    May be called from several threads; they take turns. Equal arguments give equal draws.

    Args:
        photo: (H, W, 3) uint8, at most `MAX_SIDE` pixels on a side.
        mask: (H, W) uint8 class ids.
        config: what may change.
        count: 1 to `MAX_COUNT`.
        seed: of the draws.
        timeout: seconds to wait for the worker; by default long enough for its start.

    Raises:
        PreviewError: the worker cannot be started, is too slow, or died twice.
        ValueError: the arguments do not fit.
    """
    _check(photo, mask, count)
    if not config.moves and not config.recolours:
        return [(photo.copy(), mask.copy()) for _ in range(count)]
    question = {"config": config.model_dump(mode="json"), "count": count, "seed": seed, "size": mask.shape}
    return _worker.ask(question, np.ascontiguousarray(photo), np.ascontiguousarray(mask), timeout)


def _check(photo: np.ndarray, mask: np.ndarray, count: int) -> None:
    check_same_size(photo, mask)
    if photo.dtype != np.uint8 or mask.dtype != np.uint8:
        raise ValueError(f"Photo and mask must be uint8. Received: {photo.dtype} and {mask.dtype}")
    if not 1 <= min(mask.shape) <= max(mask.shape) <= MAX_SIDE:
        raise ValueError(f"A preview is at most {MAX_SIDE} pixels on a side. Received: {mask.shape}")
    if not 1 <= count <= MAX_COUNT:
        raise ValueError(f"count: must be 1 to {MAX_COUNT}. Received: {count}")


# --- in the web process -----------------------------------------------------------------------------------------------


class _Gone(Exception):
    """The worker's pipe ended before its answer."""


class _Worker:
    """The worker process as seen from here; one question at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answered = False  # whether the present process has answered once, so that Keras is loaded

    @property
    def pid(self) -> int | None:
        """The worker's process number, None where none runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def ask(self, question: dict[str, Any], photo: np.ndarray, mask: np.ndarray, timeout: float | None) -> Draws:
        with self._lock:
            try:
                return self._asked_once(question, photo, mask, timeout)
            except _Gone:
                self._end()
            try:  # it had ended for want of work, or fell over: a new one is started once
                return self._asked_once(question, photo, mask, timeout)
            except _Gone:
                self._end()
                raise PreviewError("The preview's process ended unexpectedly: try again.") from None

    def _asked_once(
        self, question: dict[str, Any], photo: np.ndarray, mask: np.ndarray, timeout: float | None
    ) -> Draws:
        process = self._running()
        seconds = timeout or (ANSWER_SECONDS if self._answered else START_SECONDS)
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()  # what waits for its pipe below then sees the end

        timer = threading.Timer(seconds, give_up)
        timer.start()
        try:
            _send(process.stdin, question, photo.tobytes(), mask.tobytes())
            header, draws = _received_draws(process.stdout)
        except (OSError, ValueError, _Gone):
            if late.is_set():
                self._end()
                raise PreviewError(f"The preview took longer than {seconds:.0f} seconds: try again.") from None
            raise _Gone from None
        finally:
            timer.cancel()
        if "error" in header:
            raise PreviewError(f"The preview could not be drawn: {header['error']}")
        self._answered = True
        return draws

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        # A preview is small: the GPU's memory and start-up time are left to training.
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "unet_core.data.preview", str(IDLE_SECONDS)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise PreviewError(f"The preview's process cannot be started ({error.strerror or error}).") from None
        return self._process

    def _end(self) -> None:
        """End the process, if any, and take its pipes away."""
        process, self._process, self._answered = self._process, None, False
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()


_worker = _Worker()


# --- what goes through the pipes: a line of JSON, then the pixels -----------------------------------------------------


def _send(pipe: IO[bytes], header: dict[str, Any], *blocks: bytes) -> None:
    pipe.write(json.dumps(header).encode() + b"\n")
    for block in blocks:
        pipe.write(block)
    pipe.flush()


def _received_header(pipe: IO[bytes]) -> dict[str, Any]:
    line = pipe.readline()
    if not line.endswith(b"\n"):
        raise _Gone
    return json.loads(line)


def _received_pixels(pipe: IO[bytes], *shape: int) -> np.ndarray:
    size = int(np.prod(shape))
    data = pipe.read(size)
    if len(data) != size:
        raise _Gone
    return np.frombuffer(data, np.uint8).reshape(shape)


def _received_draws(pipe: IO[bytes]) -> tuple[dict[str, Any], Draws]:
    header = _received_header(pipe)
    if "error" in header:
        return header, []
    count, (height, width) = header["count"], header["size"]
    photos = _received_pixels(pipe, count, height, width, 3)
    masks = _received_pixels(pipe, count, height, width)
    return header, list(zip(photos, masks))


# --- in the worker process --------------------------------------------------------------------------------------------


def serve(questions: BinaryIO, answers: BinaryIO, idle_seconds: float = IDLE_SECONDS) -> None:
    """Answer questions until the other side closes its end, or none has come for `idle_seconds`."""
    waiting = selectors.DefaultSelector()
    waiting.register(questions, selectors.EVENT_READ)
    while waiting.select(idle_seconds):
        try:
            question = _received_header(questions)
            height, width = question["size"]
            photo = _received_pixels(questions, height, width, 3)
            mask = _received_pixels(questions, height, width)
        except _Gone:
            return
        try:
            photos, masks = _drawn(photo, mask, question)
        except Exception as error:  # whatever Keras says goes to the person who asked
            _send(answers, {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"})
            continue
        _send(answers, {"count": len(photos), "size": mask.shape}, photos.tobytes(), masks.tobytes())


def _drawn(photo: np.ndarray, mask: np.ndarray, question: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    import keras

    from unet_core.data.augmentation import Augmentation

    count = question["count"]
    augment = Augmentation(AugmentationConfig.from_dict(question["config"]), seed=question["seed"])
    photos, masks = augment(np.stack([photo] * count), np.stack([mask] * count), 0)
    photos = np.rint(keras.ops.convert_to_numpy(photos)).clip(0, 255).astype(np.uint8)
    return photos, np.asarray(keras.ops.convert_to_numpy(masks), np.uint8)


def _main() -> None:
    idle_seconds = float(sys.argv[1]) if len(sys.argv) > 1 else IDLE_SECONDS
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    # Unbuffered: the selector looks at the pipe itself, and must not miss what a buffer has swallowed.
    with open(0, "rb", buffering=0, closefd=False) as raw, contextlib.suppress(BrokenPipeError):
        serve(_Whole(raw), answers, idle_seconds)


class _Whole:
    """A raw pipe that reads all that was asked for."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw

    def fileno(self) -> int:
        """The pipe's number, for the selector."""
        return self._raw.fileno()

    def readline(self) -> bytes:
        """Read up to the end of a line."""
        return self._raw.readline()

    def read(self, size: int) -> bytes:
        """Read `size` bytes, fewer only at the end."""
        blocks = []
        while size > 0 and (block := self._raw.read(size)):
            blocks.append(block)
            size -= len(block)
        return b"".join(blocks)


if __name__ == "__main__":
    _main()
