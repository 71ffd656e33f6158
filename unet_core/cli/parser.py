"""The command line: `python -m unet_core COMMAND`.

Results go to stdout (with --json exactly one JSON document), progress and library messages to stderr. The exit code is
0 on success. An error that the user can correct prints one line on stderr and exits with 1 (2 for bad arguments); a bug
prints a traceback and exits with 3. Only the commands that train, export or measure with Keras import TensorFlow.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import NoReturn, TextIO

from unet_core.cli import (
    catalogue,
    compare_architectures,
    diagnose,
    download,
    encoder_weights,
    evaluate,
    export,
    inspect,
    outline,
    predict,
    presets,
    publish,
    runs,
    sweep,
    time_step,
    trace,
    train,
)
from unet_core.cli.output import BUG, FAILED, INTERRUPTED, USAGE, Output
from unet_core.errors import UNetError

COMMANDS = (
    presets,
    trace,
    diagnose,
    predict,
    download,
    inspect,
    outline,
    train,
    evaluate,
    export,
    catalogue,
    time_step,
    runs,
    sweep,
    publish,
    encoder_weights,
    compare_architectures,
)

DESCRIPTION = "Explore, train and use U-Nets. Start with: python -m unet_core presets"
EPILOG = """examples:
  python -m unet_core trace --preset ronneberger2015
  python -m unet_core predict cat.jpg dog.jpg --out masks
  python -m unet_core download
  python -m unet_core inspect photos.zip
  python -m unet_core train --preset pets_fast --epochs 10 --run runs/first
  python -m unet_core evaluate --model runs/first
  python -m unet_core export --model runs/first --format onnx --out first.onnx

python -m unet_core COMMAND --help explains a command. UNET_DATA_DIR, UNET_RUNS_DIR, UNET_WEIGHTS_DIR set the folders.
"""


class _OneLineParser(argparse.ArgumentParser):
    """An argument parser whose error message is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read a command line; `command` holds the function to run.

    Raises:
        SystemExit: help was requested, or the arguments are wrong.
    """
    parser = _OneLineParser(
        prog="python -m unet_core",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        parsed = parse(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        with _only_results_on_stdout() as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parsed.command(parsed, Output(stream, parsed.json))
    except KeyboardInterrupt as interrupt:
        return _report_error(str(interrupt) or "interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILED
    except (UNetError, OSError, MemoryError) as error:
        if os.environ.get("UNET_DEBUG"):
            traceback.print_exc()
        return _report_error(_message(error), FAILED)
    except Exception as error:
        traceback.print_exc()
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return _report_error(f"{reason} (this is a bug in U-Net Studio: please report it with the text above)", BUG)


def _report_error(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr, flush=True)
    return code


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _only_results_on_stdout() -> Iterator[TextIO]:
    """Yield the real stdout; anything else that is printed meanwhile, also by native code, goes to stderr."""
    real = sys.stdout
    try:
        own_descriptor = real.fileno() == 1
    except (OSError, ValueError, AttributeError):
        own_descriptor = False
    if not own_descriptor:
        with contextlib.redirect_stdout(sys.stderr):
            yield real
        return
    real.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    stream = open(kept, "w", encoding=real.encoding, errors="replace")  # noqa: SIM115 - closed below
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield stream
    finally:
        with contextlib.suppress(BrokenPipeError):
            stream.flush()
        os.dup2(kept, 1)
        with contextlib.suppress(BrokenPipeError):
            stream.close()
