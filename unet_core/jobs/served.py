"""A child process that answers questions through its pipes, for work that must not run in the web process.

A message is a JSON object and any number of arrays. Each part goes through the pipe as its length, eight bytes, and
then its bytes; the object says what type and shape the arrays have. `numpy.load` would parse that from Python source,
which in CPython 3.11 fails now and then while other threads do the same: github.com/python/cpython/issues/106905.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Self

import numpy as np

from unet_core.machine import free_memory_mb
from unet_core.settings import ROOT

IDLE_SECONDS = 300.0  # without a question, until a child ends and gives its memory back
_REST_SECONDS = 2.0  # without a question, until a child may give back what it keeps only for speed
_PIPE_BYTES = 2**20  # of a pipe's buffer, where the system lets it be set: a photo goes through in a few pieces
_EXIT_SECONDS = 2.0  # between the end of a child's pipe and its exit code


class ChildEnded(Exception):
    """The child ended before it had answered."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the process ended with code {code}")
        self.code = code


class ChildTooSlow(Exception):
    """The child was killed because it had not answered in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the process took longer than {seconds:g} seconds")
        self.seconds = seconds


@dataclass(frozen=True)
class Message:
    """A question or an answer: plain values, and arrays beside them."""

    values: Mapping[str, Any]
    arrays: tuple[np.ndarray, ...] = ()


class ServedChild:
    """`python -m MODULE ARGUMENTS…`, whose `main` calls `serve`; it is started by the first question.

    Several threads may ask: one question is answered at a time.

    Args:
        module: what to run.
        arguments: its command line.
        environment: variables beside this process's own.
        start_seconds: extra time for the first answer of a new process.
        needs_mb: memory that must be free for it to be started: a server whose memory is full is killed as a whole.
        quiet: what it and its libraries print is dropped.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        start_seconds: float = 0.0,
        needs_mb: float = 0.0,
        quiet: bool = True,
    ) -> None:
        self._command = ["-m", module, *arguments]
        self._environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})}
        self._start_seconds = start_seconds
        self._needs_mb = needs_mb
        self._quiet = quiet
        self._asking = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answered = False  # whether this process has answered once: its libraries are loaded

    @property
    def pid(self) -> int | None:
        """The child's process number, None if none is running."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def ask(
        self, values: Mapping[str, Any], *arrays: np.ndarray, seconds: float | None = None, attempts: int = 2
    ) -> Message:
        """Send a question and return its answer.

        Args:
            values: plain values, as in JSON.
            arrays: of any shape and plain dtype.
            seconds: after which the child is killed; None waits forever.
            attempts: how many processes to ask: an idle one may end just when it is asked.

        Raises:
            ChildEnded: each of them ended without an answer.
            ChildTooSlow: the child did not answer in time.
            OSError: no process can be started, or too little memory is free for it.
        """
        with self._asking:
            for _ in range(attempts - 1):
                with contextlib.suppress(ChildEnded):
                    return self._ask_once(Message(values, arrays), seconds)
            return self._ask_once(Message(values, arrays), seconds)

    def start(self) -> None:
        """Start the child unless it runs, so that the first question finds its libraries loaded, or nearly so.

        Raises:
            OSError: as `ask`.
        """
        if self._asking.acquire(blocking=False):
            try:
                self._running()
            finally:
                self._asking.release()

    def close(self) -> None:
        """End the child; the next question starts another one."""
        self._end(kill=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_process", None) is not None:
            self.close()

    def _ask_once(self, question: Message, seconds: float | None) -> Message:
        process = self._running()
        limit = None if seconds is None else seconds + (0.0 if self._answered else self._start_seconds)
        with _killed_after(process, limit) as late:
            try:
                send(_pipe(process.stdin), question)
                answer = receive(_pipe(process.stdout))
            except (OSError, EOFError, ValueError):  # the pipe is closed, or was in the middle of a message
                code = self._end()
                if late.is_set():
                    raise ChildTooSlow(limit or 0.0) from None
                raise ChildEnded(code) from None
            except BaseException:  # an answer left in the pipe would be taken for that to the next question
                self.close()
                raise
        self._answered = True
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        if self._needs_mb and (free := free_memory_mb()) < self._needs_mb:
            text = f"it needs {self._needs_mb:.0f} MB of memory and {max(0.0, free):.0f} MB are free"
            raise OSError(errno.ENOMEM, text)
        self._process = subprocess.Popen(
            [sys.executable, *self._command],
            cwd=ROOT,
            env={**os.environ, **self._environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pipesize=_PIPE_BYTES,
            stderr=subprocess.DEVNULL if self._quiet else None,  # as TensorFlow's start-up messages
            start_new_session=True,  # so that it can be killed with everything it started
        )
        return self._process

    def _end(self, kill: bool = False) -> int:
        """End the process, if any, close its pipes, and return its exit code; without `kill` it may exit on its own."""
        process, self._process, self._answered = self._process, None, False
        if process is None:
            return 0
        if not kill:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_EXIT_SECONDS)
        _kill(process)
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # closing writes what is left in the buffer
                _pipe(pipe).close()
        return process.wait()


@contextlib.contextmanager
def _killed_after(process: subprocess.Popen[bytes], seconds: float | None) -> Iterator[threading.Event]:
    """Kill the process when the `with` block takes longer; yields an event that is set then."""
    late = threading.Event()
    if seconds is None:
        yield late
        return

    def kill() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # Popen was asked for it
    return pipe


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


# --- in the child -----------------------------------------------------------------------------------------------------


def serve(
    answer: Callable[[Message], Message],
    idle_seconds: float = IDLE_SECONDS,
    at_rest: Callable[[], object] = lambda: None,
) -> None:
    """Answer questions in the child, until the parent has ended or none has come for `idle_seconds`.

    `at_rest` is called when none has come for a moment, such as to give memory back.

    Anything else that is written to standard output, as by libraries, goes to standard error.
    """
    target = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # Unbuffered: `select` does not see what a buffer has taken out of the pipe.
    with contextlib.suppress(BrokenPipeError), open(0, "rb", buffering=0, closefd=False) as source, target:
        serve_pipes(answer, source, target, idle_seconds, at_rest)


def serve_pipes(
    answer: Callable[[Message], Message],
    source: IO[bytes],
    target: IO[bytes],
    idle_seconds: float = IDLE_SECONDS,
    at_rest: Callable[[], object] = lambda: None,
) -> None:
    """Answer the questions from `source`, an unbuffered pipe, on `target`; ends as `serve` does."""
    while _asked(source, idle_seconds, at_rest):
        try:
            question = receive(source)
        except EOFError:
            return
        send(target, answer(question))


def _asked(source: IO[bytes], idle_seconds: float, at_rest: Callable[[], object]) -> bool:
    """Wait for a question, and return whether one came."""
    moment = min(_REST_SECONDS, idle_seconds)
    if select.select([source], [], [], moment)[0]:
        return True
    at_rest()
    return bool(select.select([source], [], [], idle_seconds - moment)[0])


# --- what goes through the pipes --------------------------------------------------------------------------------------


def send(pipe: IO[bytes], message: Message) -> None:
    """Write a message to a pipe.

    Raises:
        OSError: the other end is closed.
    """
    arrays = [np.ascontiguousarray(array) for array in message.arrays]
    about = [[array.dtype.str, array.shape] for array in arrays]
    _write(pipe, json.dumps({"arrays": about, "values": message.values}).encode())
    for array in arrays:
        _write(pipe, array.reshape(-1).view(np.uint8).data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Message:
    """Read one message from a pipe.

    Raises:
        EOFError: the pipe ends before the message does.
    """
    header = json.loads(_read(pipe))
    arrays = (np.frombuffer(_read(pipe), dtype).reshape(shape) for dtype, shape in header["arrays"])
    return Message(header["values"], tuple(arrays))


def _write(pipe: IO[bytes], part: bytes | memoryview) -> None:
    pipe.write(struct.pack("!Q", len(part)))
    pipe.write(part)


def _read(pipe: IO[bytes]) -> bytearray:
    (length,) = struct.unpack("!Q", _exactly(pipe, 8))
    return _exactly(pipe, length)


def _exactly(pipe: IO[bytes], count: int) -> bytearray:
    content, done = bytearray(count), 0
    with memoryview(content) as rest:
        while done < count:
            read = pipe.readinto(rest[done:])  # type: ignore[attr-defined]
            if not read:
                raise EOFError("the other end is closed")
            done += read
    return content
