"""How fast a photo is segmented compared with the alternatives, in one run on one machine with the same weights.

    python benchmarks/segment_speed.py [--model NAME] [--photo FILE] [--rounds 15] [--json FILE]

"network" is the network's part of one photo, from a NumPy array to a NumPy array: our engine, bare ONNX Runtime, a
compiled `tf.function` and `model.predict`. "photo" is the page's path from a 12-megapixel JPEG's bytes to the three
pictures that go to the browser, including the compression of the stored result, compared with Pillow's plain
decoding of the whole file. All candidates alternate in short blocks, so that other programs on the machine slow them
all down; a ratio is the median of the rounds' ratios, followed by the ratio of the fastest blocks.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
from common import as_json, described, machine, summary, write_figures  # noqa: E402
from PIL import Image  # noqa: E402

from ui.segment.photos import Photo  # noqa: E402
from ui.segment.session_results import SHOWN_SIDE, Choice, Result, segment_photo  # noqa: E402
from ui.segment.views import CUTOUT, ViewOptions, staged_pictures  # noqa: E402
from unet_core.images import render  # noqa: E402
from unet_core.segment import Segmenter, available_cores, decode_image, get_engine  # noqa: E402
from unet_core.settings import get_settings  # noqa: E402
from unet_core.zoo.manifest import read_verified, verified_path  # noqa: E402

Candidates = dict[str, Callable[[], object]]

OURS, BARE, COMPILED, PREDICT = "our engine", "bare ONNX Runtime", "tf.function", "model.predict"
SHOWN, PLAIN = "bytes to pictures, as on the page", "Pillow's full decode"
PHOTO_SIZE = (4000, 3000)
PACKAGES = ("onnxruntime", "tensorflow", "keras", "numpy", "pillow")
# The largest allowed ratio of our time to another's.
NETWORK_TARGETS = {BARE: 1.1, COMPILED: 0.8, PREDICT: 0.3}
PHOTO_TARGETS = {PLAIN: 1.0}


def main() -> None:
    """Measure, print a table, and write JSON if requested."""
    arguments = _arguments()
    logging.getLogger("streamlit").setLevel(logging.ERROR)  # it warns that there is no browser
    about = machine(PACKAGES)  # first: records the load of other programs
    segmenter = Segmenter(arguments.model, "onnx")
    photo = arguments.photo.read_bytes() if arguments.photo else sample_photo()
    candidates = network_candidates(segmenter)
    report = {
        "machine": about,
        "model": segmenter.model,
        "input": list(segmenter.entry.config.input_shape),
        "rounds": arguments.rounds,
        "greatest_difference_of_outputs": greatest_difference(candidates),
        "network": compared(candidates, OURS, NETWORK_TARGETS, arguments.rounds, arguments.block_ms),
        "photo_file": {"bytes": len(photo), "size": list(Image.open(io.BytesIO(photo)).size)},
        "shown_side": SHOWN_SIDE,
        "photo": compared(photo_candidates(segmenter, photo), SHOWN, PHOTO_TARGETS, arguments.rounds, 0),
        "photo_stages": stages(segmenter, photo, arguments.rounds),
    }
    print(table(report))
    if arguments.json is None:
        print(as_json(report))
    write_figures(report, arguments.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("--model", help="a name in the manifest (default: its default)")
    parser.add_argument("--photo", type=Path, help="a photo file (default: a 12-megapixel JPEG of the sample cat)")
    parser.add_argument("--rounds", type=int, default=15, help="number of rounds (default: 15)")
    parser.add_argument(
        "--block-ms", type=float, default=100, help="length of a block of the network in milliseconds (default: 100)"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file instead of printing them")
    return parser.parse_args()


def sample_photo() -> bytes:
    """Return a JPEG of 12 megapixels: the sample cat enlarged, with a camera's grain, at quality 90."""
    from unet_core.images.samples import cat_png

    cat = Image.open(io.BytesIO(cat_png())).convert("RGB").resize(PHOTO_SIZE, Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(0, 4, (*PHOTO_SIZE[::-1], 1)).astype(np.float32)
    photo = np.rint(np.asarray(cat) + grain).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def network_candidates(segmenter: Segmenter) -> Candidates:
    """Return the candidates that run the network on one photo's input, all with the same weights."""
    import keras
    import onnxruntime
    import tensorflow as tf

    from unet_core import models

    entry, settings = segmenter.entry, get_settings()
    engine = get_engine(entry, "onnx", settings)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads or available_cores()
    session = onnxruntime.InferenceSession(
        read_verified(entry, "onnx", settings), sess_options=options, providers=["CPUExecutionProvider"]
    )
    model: keras.Model = models.build(entry.config.replace(encoder_weights="none"))
    model.load_weights(verified_path(entry, "weights", settings))
    compiled = tf.function(
        lambda batch: model(batch, training=False),
        input_signature=[tf.TensorSpec([None, *entry.config.input_shape], tf.float32)],
    )
    batch = np.random.default_rng(0).uniform(-1, 1, (1, *entry.config.input_shape)).astype(np.float32)

    def candidate(run: Callable[[np.ndarray], np.ndarray]) -> Callable[[], np.ndarray]:
        """Give a candidate the same work as our engine has."""
        if not entry.second_look:
            return lambda: run(batch)

        def both() -> np.ndarray:
            return (run(batch) + run(np.ascontiguousarray(batch[:, :, ::-1]))[:, :, ::-1]) / 2

        return both

    return {
        OURS: lambda: engine.predict(batch),
        BARE: candidate(lambda both: session.run(None, {"image": both})[0]),
        COMPILED: candidate(lambda both: compiled(tf.constant(both)).numpy()),
        PREDICT: candidate(lambda both: model.predict(both, verbose=0)),
    }


def greatest_difference(candidates: Candidates) -> float:
    """Return the largest difference between the candidates' outputs."""
    outputs = [np.asarray(candidate()) for candidate in candidates.values()]
    return float(max(np.abs(output - outputs[0]).max() for output in outputs))


def photo_candidates(segmenter: Segmenter, photo: bytes) -> Candidates:
    """Return the page's path to its pictures, parts of it, and the alternatives."""
    brought, choice = Photo.of("photo.jpg", photo), Choice(segmenter.model)

    def on_the_page() -> list[bytes]:
        result = segment_photo(brought, choice, segmenter)
        assert isinstance(result, Result), result
        return pictures(result)

    def full_size() -> np.ndarray:
        image = decode_image(photo)
        return render.overlay(image, segmenter.segment(image).mask)

    return {
        SHOWN: on_the_page,
        "bytes to full-size overlay": full_size,
        "our decoding for the screen": lambda: decode_image(photo, max_side=SHOWN_SIDE),
        "Pillow's draft decode": lambda: pillow_decode(photo, SHOWN_SIDE),
        PLAIN: lambda: pillow_decode(photo),
    }


def pictures(result: Result) -> list[bytes]:
    """Return what the page sends of a photo: itself, its outline and its mask."""
    return list(staged_pictures(result, ViewOptions(CUTOUT, result.pixel_classes.colours)))


def pillow_decode(photo: bytes, side: int | None = None) -> Image.Image:
    """Decode with Pillow alone, the whole photo or a draft of at least `side` pixels."""
    image = Image.open(io.BytesIO(photo))
    if side is not None:
        image.draft(None, (side, side * image.height // image.width))
    image.load()
    return image


def stages(segmenter: Segmenter, photo: bytes, rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each stage of the page's path."""
    found = []
    for number in range(rounds):
        brought = Photo(f"{number}.jpg", photo, str(number))
        start = time.perf_counter()
        result = segment_photo(brought, Choice(segmenter.model), segmenter)
        assert isinstance(result, Result), result
        segmented = 1000 * (time.perf_counter() - start)
        pictures(result)
        whole = 1000 * (time.perf_counter() - start)
        timings = {name: value for name, value in result.timings.items() if name != "total"}
        timings["keep"] = segmented - result.timings["total"]
        timings["pictures"] = whole - segmented
        found.append(timings)
    return {name: round(float(np.median([timings[name] for timings in found])), 2) for name in found[0]}


def compared(candidates: Candidates, ours: str, targets: dict[str, float], rounds: int, block_ms: float) -> list[dict]:
    """Alternate the candidates in random order; return each one's milliseconds and the ratio of our time to it."""
    for candidate in candidates.values():
        for _ in range(3):
            candidate()
    medians: dict[str, list[float]] = {name: [] for name in candidates}
    random = np.random.default_rng(0)
    for _ in range(rounds):
        for name in random.permutation(list(candidates)).tolist():
            medians[name].append(block_median(candidates[name], block_ms))
    rows = []
    for name, values in medians.items():
        ratio = float(np.median(np.divide(medians[ours], values)))
        target = targets.get(name)
        rows.append(
            {
                "candidate": name,
                "milliseconds": round(float(np.median(values)), 3),
                "milliseconds_fastest": round(min(values), 3),
                "ratio": round(ratio, 3),
                "ratio_fastest": round(min(medians[ours]) / min(values), 3),
                "target": target,
                "met": None if target is None else ratio <= target,
            }
        )
    return rows


def block_median(candidate: Callable[[], object], block_ms: float) -> float:
    """Run for `block_ms`, at least once, and return the median milliseconds, after one warm-up run."""
    if block_ms:
        candidate()
    values: list[float] = []
    while not values or sum(values) < block_ms:
        start = time.perf_counter()
        candidate()
        values.append(1000 * (time.perf_counter() - start))
    return float(np.median(values))


def table(report: dict) -> str:
    """Return the figures as text."""
    height, width = report["input"][:2]
    photo_width, photo_height = report["photo_file"]["size"]
    lines = [
        described(report["machine"]),
        "",
        f"network: {report['model']}, one photo of {height}×{width}; outputs differ by at most "
        f"{report['greatest_difference_of_outputs']:.1e}",
        *_rows(report["network"]),
        "",
        f"photo: JPEG of {photo_width}×{photo_height}, {report['photo_file']['bytes'] / 1e6:.1f} MB; "
        f"{report['shown_side']} pixels shown",
        *_rows(report["photo"]),
        "",
        "stages of the shown overlay (ms): "
        + ", ".join(f"{name} {value:.1f}" for name, value in report["photo_stages"].items()),
        "",
    ]
    return "\n".join(lines)


def _rows(rows: list[dict]) -> list[str]:
    lines = [f"{'':<32}{'median ms':>11}{'fastest ms':>12}{'ours / this':>13}{'of fastest':>12}   target"]
    for row in rows:
        verdict = "" if row["target"] is None else f"≤ {row['target']:<4} {'met' if row['met'] else 'MISSED'}"
        lines.append(
            f"{row['candidate']:<32}{row['milliseconds']:>11.2f}{row['milliseconds_fastest']:>12.2f}{row['ratio']:>13.3f}"
            f"{row['ratio_fastest']:>12.3f}   {verdict}".rstrip()
        )
    return lines


if __name__ == "__main__":
    main()
