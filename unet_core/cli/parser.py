"""The command line: `python -m unet_core COMMAND`.

Results go to stdout (with --json one JSON document and nothing else), progress and everything libraries say to stderr.
The exit code is 0, or not 0 with one line on stderr that says what is wrong. TensorFlow is imported by the commands
that train, export or measure with Keras, never by the others.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, TextIO

from unet_core.architecture.encoders import ENCODERS
from unet_core.cli import commands
from unet_core.cli.output import Output

FAILED, USAGE, INTERRUPTED = 1, 2, 130

DESCRIPTION = "Explore, train and use U-Nets. Start with: python -m unet_core presets"
EPILOG = """examples:
  python -m unet_core trace --preset ronneberger2015
  python -m unet_core predict cat.jpg dog.jpg --out masks
  python -m unet_core download
  python -m unet_core train --preset pets_fast --epochs 10 --run runs/first
  python -m unet_core evaluate --model runs/first
  python -m unet_core export --model runs/first --format onnx --out first.onnx

python -m unet_core COMMAND --help explains a command. Folders come from UNET_DATA_DIR, UNET_RUNS_DIR, UNET_WEIGHTS_DIR.
"""


class _OneLineParser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        parsed = _parser().parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        with _only_results_on_stdout() as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parsed.command(parsed, Output(stream, getattr(parsed, "json", False)))
    except KeyboardInterrupt as interrupt:
        return _complain(str(interrupt) or "interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILED
    except Exception as error:
        if os.environ.get("UNET_DEBUG"):
            traceback.print_exc()
        return _complain(_message(error), FAILED)


def _complain(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr, flush=True)
    return code


def _message(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, ValueError) and text:
        return text
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {text[:300]} (set UNET_DEBUG=1 for the whole story)"


@contextlib.contextmanager
def _only_results_on_stdout() -> Iterator[TextIO]:
    """Yield the real stdout; meanwhile everything else that is printed, by native code too, goes to stderr."""
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


# --- the commands' arguments ------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(
        prog="python -m unet_core",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (_add_presets, _add_trace, _add_predict, _add_download, _add_train, _add_evaluate, _add_export):
        add(subparsers)
    _add_catalogue(subparsers)
    _add_calibrate(subparsers)
    _add_runs(subparsers)
    _add_publish(subparsers)
    _add_encoder_weights(subparsers)
    _add_compare(subparsers)
    return parser


def _command(subparsers: Any, name: str, function: Any, text: str, *examples: str) -> argparse.ArgumentParser:
    lines = "\n".join(f"  python -m unet_core {name} {example}".rstrip() for example in examples)
    parser = subparsers.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=f"examples:\n{lines}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=function)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    return parser


def _add_presets(subparsers: Any) -> None:
    _command(subparsers, "presets", commands.presets, "list the architectures by name", "", "--json")


def _add_trace(subparsers: Any) -> None:
    parser = _command(
        subparsers,
        "trace",
        commands.trace_command,
        "show every layer's shape, parameters and cost, and where a size does not fit",
        "--preset ronneberger2015",
        "--preset keras_basic --size 250x250 --json",
        "--config my_unet.json",
    )
    _add_architecture(parser)
    parser.add_argument("--size", type=_size, metavar="HxW", help="height and width of the input, such as 160x128")


def _add_architecture(parser: argparse.ArgumentParser, **more: str) -> None:
    parser.add_argument("--preset", metavar="NAME", help="an architecture by name")
    parser.add_argument("--config", metavar="FILE", help=more.get("config", "an architecture as a JSON file"))


def _add_predict(subparsers: Any) -> None:
    parser = _command(
        subparsers,
        "predict",
        commands.predict,
        "segment photos: for each a mask (1 pet, 2 background, 3 border) and an overlay as PNG",
        "cat.jpg --out masks",
        "photos/*.jpg --out masks --model pets_fast --json",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a photo: JPEG, PNG, WebP, GIF, BMP or TIFF")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results, made if missing")
    parser.add_argument("--model", metavar="NAME", help="a shipped model (default: the manifest's)")
    parser.add_argument(
        "--flip",
        action="store_true",
        help="average with the mirrored photo: better, half as fast; without effect on a model that looks twice",
    )
    _add_engine(parser)


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine",
        choices=("auto", "onnx", "keras"),
        default="auto",
        help="what runs the model; auto takes Keras on a GPU, else ONNX Runtime",
    )


def _add_data(parser: argparse.ArgumentParser, default: str | None) -> None:
    parser.add_argument(
        "--data",
        default=default,
        metavar="DATA",
        help="oxford_iiit_pet, synthetic, or a folder or ZIP of photos and masks (default: oxford_iiit_pet)",
    )
    parser.add_argument("--limit", type=_positive, metavar="N", help="use at most N photos of each part")


def _add_download(subparsers: Any) -> None:
    parser = _command(
        subparsers,
        "download",
        commands.download,
        "download the Oxford-IIIT Pet dataset (about 800 MB) into UNET_DATA_DIR",
        "",
        "--dir /big/disk/tensorflow_datasets",
    )
    parser.add_argument("--dir", metavar="DIR", help="another folder than UNET_DATA_DIR")


def _add_catalogue(subparsers: Any) -> None:
    parser = _command(
        subparsers,
        "catalogue",
        commands.catalogue,
        "make a dataset browsable: one file with its numbers and thumbnails, as the Data page shows it",
        "--data oxford_iiit_pet",
        "--data synthetic --json",
    )
    parser.add_argument(
        "--data",
        default="oxford_iiit_pet",
        metavar="DATA",
        help="oxford_iiit_pet, synthetic, or a folder or ZIP of photos and masks (default: oxford_iiit_pet)",
    )


def _add_train(subparsers: Any) -> None:
    parser = _command(
        subparsers,
        "train",
        commands.train_command,
        "train a model; everything about the run is kept in its run directory",
        "--preset pets_fast --data oxford_iiit_pet --epochs 10 --run runs/first",
        "--recipe pets_fast --run runs/pets_fast",
        "--preset machinecurve2022 --data synthetic --epochs 2 --limit 64 --set augmentation.enabled=false",
        "--preset machinecurve2022 --data my_photos.zip --epochs 20",
        "--run runs/first --resume",
    )
    _add_training(parser)
    parser.add_argument("--run", metavar="DIR", help="the run directory (default: a new one in UNET_RUNS_DIR)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --run after its last whole epoch")


def _add_training(parser: argparse.ArgumentParser) -> None:
    """Add what names and changes a training configuration."""
    _add_architecture(parser, config="an architecture or a whole training configuration as a JSON file")
    parser.add_argument("--recipe", metavar="NAME|FILE", help="a whole training configuration of this project, by name")
    _add_data(parser, default=None)
    parser.add_argument("--epochs", type=_positive, metavar="N")
    parser.add_argument("--batch-size", type=_positive, metavar="N")
    parser.add_argument("--learning-rate", type=float, metavar="RATE")
    parser.add_argument("--seed", type=int, metavar="N")
    parser.add_argument("--time-limit", type=float, metavar="MINUTES", help="end the run after so many minutes")
    parser.add_argument(
        "--encoder-weights", metavar="FILE", help="start a pretrained encoder from FILE (.weights.h5), imagenet or none"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change any field of the training configuration, such as loss=dice or model.depth=4; may be repeated",
    )


def _add_calibrate(subparsers: Any) -> None:
    parser = _command(
        subparsers,
        "calibrate",
        commands.calibrate_command,
        "measure a few training steps, so that the time of a run on this machine is known before it starts",
        "--recipe pets_5min",
        "--preset machinecurve2022 --batch-size 50 --json",
    )
    _add_training(parser)
    parser.set_defaults(run=None)


def _add_runs(subparsers: Any) -> None:
    parser = _command(
        subparsers,
        "runs",
        commands.runs_command,
        "list the training runs in UNET_RUNS_DIR with their state and best score",
        "",
        "--stop 20260102-120000-pets",
    )
    parser.add_argument("--stop", metavar="RUN", help="first stop this run, or take it out of the queue")


def _add_evaluate(subparsers: Any) -> None:
    parser = _command(
        subparsers,
        "evaluate",
        commands.evaluate_command,
        "measure a model: accuracy, IoU and Dice per class, confusion matrix, time",
        "--model pets_fast --data oxford_iiit_pet --split test --json",
        "--model runs/first --split validation",
        "--model pets_fast --full",
    )
    parser.add_argument("--model", metavar="NAME|PATH", help="a shipped model, a run directory or its .weights.h5")
    _add_data(parser, default=None)
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test", help="default: test")
    parser.add_argument(
        "--size",
        type=_evaluation_size,
        default=(128, 128),
        metavar="N|HxW",
        help="compare masks at this size, whatever size the model works at (default: 128)",
    )
    parser.add_argument(
        "--flip",
        action="store_true",
        help="average with the mirrored photo; without effect on a model that looks twice",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="write all that the Results page shows (test, validation, breeds, calibration, corruptions) to a file",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="with --full: the file (default: UNET_WEIGHTS_DIR/results/NAME.json)"
    )
    _add_engine(parser)


def _add_compare(subparsers: Any) -> None:
    def compare(arguments: argparse.Namespace, output: Output) -> int:
        from unet_core.cli.evaluate import compare_command

        return compare_command(arguments, output)

    parser = _command(
        subparsers,
        "compare-architectures",
        compare,
        "train many architectures under one equal small budget; a second call goes on with those that are missing",
        "",
        "--list",
        "--only pets_fast keras_basic --encoders my_encoders",
    )
    parser.add_argument("--list", action="store_true", help="list the architectures and train nothing")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="train only these; the file keeps the others")
    parser.add_argument(
        "--encoders", metavar="DIR", help="folder of pretrained encoders (default: Keras downloads them)"
    )
    parser.add_argument("--data", default="oxford_iiit_pet", metavar="DATA", help="default: oxford_iiit_pet")
    parser.add_argument("--latency", action="store_true", help="only measure the time of a photo again, for all runs")
    parser.add_argument("--out", metavar="FILE", help="default: UNET_WEIGHTS_DIR/results/comparison.json")
    for option, text in (
        ("--side", "side in pixels of what each network predicts"),
        ("--photos", "training photos"),
        ("--epochs", "epochs"),
        ("--batch-size", "photos in a step"),
        ("--test-photos", "test photos that are measured"),
    ):
        parser.add_argument(option, type=_positive, metavar="N", help=f"{text}: another budget than the usual")


def _add_export(subparsers: Any) -> None:
    parser = _command(
        subparsers,
        "export",
        commands.export_command,
        "write a trained model for use elsewhere; the file is compared with Keras before it is kept",
        "--model pets_fast --format litert --out pets_fast.tflite",
        "--model runs/first --format onnx --out first.onnx",
    )
    parser.add_argument("--model", metavar="NAME|RUN", help="a shipped model or a run directory")
    parser.add_argument("--format", choices=("onnx", "keras", "litert"), required=True)
    parser.add_argument(
        "--out", metavar="PATH", help="ends in .onnx, .keras or .tflite (default for a run: its folder `exports`)"
    )


def _add_encoder_weights(subparsers: Any) -> None:
    parser = _command(
        subparsers,
        "encoder-weights",
        commands.encoder_weights_command,
        "write a pretrained encoder's ImageNet weights to a file, for a machine without network or another program",
        "efficientnet_lite0 --out efficientnet_lite0.weights.h5",
        "mobilenet_v2 --width 0.35 --out mobilenet_v2_0.35.weights.h5",
    )
    parser.add_argument("encoder", choices=tuple(ENCODERS))
    parser.add_argument("--width", type=float, default=1.0, help="factor of the encoder's filters (default: 1.0)")
    parser.add_argument("--out", metavar="FILE", required=True, help="ends in .weights.h5")


def _add_publish(subparsers: Any) -> None:
    parser = _command(
        subparsers,
        "publish",
        commands.publish_command,
        "put a run's best model into the weights folder, measured, with its manifest entry",
        "runs/pets_fast --name pets_fast --default",
    )
    parser.add_argument("run", metavar="RUN", help="a run directory")
    parser.add_argument("--name", required=True, type=_model_name, help="of the model; an older one is replaced")
    parser.add_argument("--default", action="store_true", help="take this model when none is named")
    parser.add_argument(
        "--average-with",
        metavar="RUN",
        nargs="+",
        default=[],
        help="further runs of the same architecture: the model's weights are the means over all",
    )
    parser.add_argument(
        "--second-look",
        action="store_true",
        help="the model looks at every photo twice, the second time closer: better, and the network runs twice",
    )
    parser.add_argument("--title", help="shown to people (default: that of the preset of this name)")
    parser.add_argument("--description", help="one sentence shown to people")
    parser.add_argument("--licence", help="of the weights")
    parser.add_argument(
        "--measure",
        nargs="*",
        choices=("validation", "test"),
        default=["validation", "test"],
        help="parts of the run's dataset to measure on (default: both; give none where it is not at hand)",
    )


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d{1,6})\s*[xX×]\s*(\d{1,6})\s*", text)
    if not match:
        raise argparse.ArgumentTypeError(f"must be height x width, such as 160x128. Received: {text!r}")
    return int(match[1]), int(match[2])


def _evaluation_size(text: str) -> tuple[int, int]:
    size = (int(text), int(text)) if text.isdecimal() else _size(text)
    if not all(1 <= side <= 4096 for side in size):
        raise argparse.ArgumentTypeError(f"each side must be 1 to 4096. Received: {text!r}")
    return size


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1. Received: {text!r}")
    return int(text)


def _model_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", text):
        raise argparse.ArgumentTypeError(f"may hold letters, digits and . _ + - only. Received: {text!r}")
    return text
