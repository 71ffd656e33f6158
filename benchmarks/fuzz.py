"""What damaged and hostile files do to every decoder and reader: answers in a sentence, leaks, time and memory.

    python benchmarks/fuzz.py [--inputs 20000] [--seed 0] [--first 0] [--only TARGET …] [--keep FOLDER] [--json FILE]

Each input is a valid file with some bytes, numbers or values changed, made from the seed and its number alone, so that
`--first N --inputs 1` repeats one. A child process reads it, while its time and memory are measured:

    accepted  it was read            refused  an error that is meant for people
    leak      any other exception    crash    the process ended, or took more than 20 s
    slow      more than 2 s          big      more than 100 MB
    outside   a file was written outside the input's own folder

It ends with exit code 1 if there is any leak, crash or file outside. `--keep` stores the inputs that were not answered.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import random
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(Path(__file__).resolve().parent), str(ROOT)]

import numpy as np  # noqa: E402
from common import summary, write_figures  # noqa: E402
from PIL import Image  # noqa: E402

from tests.helpers import made_runs, own_datasets, zips  # noqa: E402
from tests.helpers.onnx_models import pixel_config, pixel_model  # noqa: E402
from ui.architecture import state  # noqa: E402
from ui.shared import url  # noqa: E402
from unet_core.architecture import query  # noqa: E402
from unet_core.architecture.config import UNetConfig  # noqa: E402
from unet_core.architecture.presets import preset_config  # noqa: E402
from unet_core.architecture.trace import trace  # noqa: E402
from unet_core.data.augmentation import AugmentationConfig  # noqa: E402
from unet_core.data.own.archive import unpack_upload  # noqa: E402
from unet_core.data.own.coding import mask_facts  # noqa: E402
from unet_core.data.own.report import DatasetReport, inspect_dataset, save_report, saved_report  # noqa: E402
from unet_core.errors import UNetError  # noqa: E402
from unet_core.images.decode import decode_image, decode_mask, photo_facts  # noqa: E402
from unet_core.jobs.background_job import BackgroundJob  # noqa: E402
from unet_core.jobs.names import is_file_name, one_line  # noqa: E402
from unet_core.scoring.truth import read_truth  # noqa: E402
from unet_core.segment.engine import OnnxEngine  # noqa: E402
from unet_core.settings import Settings  # noqa: E402
from unet_core.train import previews, queue  # noqa: E402
from unet_core.train.config import TrainConfig  # noqa: E402
from unet_core.train.curves import Curves  # noqa: E402
from unet_core.train.find_model import find_model  # noqa: E402
from unet_core.train.run_directory import RunDirectory, best_epoch, remaining_seconds  # noqa: E402
from unet_core.zoo.manifest import load_manifest  # noqa: E402

SLOW_SECONDS, BIG_MB, PATIENCE = 2.0, 100.0, 20.0
MEMORY_LIMIT = 6 << 30  # bytes of address space of a child
_INTERNALS = re.compile(r"Errno|Traceback|\b[A-Z]\w+Error\b|0x[0-9a-f]{8}")
SIZE = (24, 32)  # height and width of the pictures


class Input(NamedTuple):
    """One changed file: what kind it is, and its bytes."""

    target: str
    name: str
    data: bytes


@dataclass(frozen=True)
class Target:
    """A kind of file: valid ones by name, and a function that reads one in an empty folder."""

    seeds: Mapping[str, bytes]
    read: Callable[[str, bytes, Path], object]


@dataclass
class Answer:
    """How one input was answered."""

    outcome: str
    detail: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0
    flags: list[str] = field(default_factory=list)


# --- the readers ------------------------------------------------------------------------------------------------------


def read_photo(name: str, data: bytes, folder: Path) -> None:
    photo_facts(data, name=name)
    decode_image(data, name=name, max_side=256)
    decode_image(data, name=name)


def read_mask(name: str, data: bytes, folder: Path) -> None:
    mask_facts(decode_mask(data, name=name), name)
    read_truth(data, SIZE, name=name)


def read_zip(name: str, data: bytes, folder: Path) -> None:
    settings = Settings(datasets_dir=folder / "inside")
    dataset = unpack_upload(data, name, settings)
    report = inspect_dataset(dataset, settings=settings)
    save_report(report, dataset)
    check_sentences(report)


def read_coco(name: str, data: bytes, folder: Path) -> None:
    dataset = folder / "inside"
    dataset.mkdir()
    for number in range(4):
        Image.new("RGB", SIZE[::-1], (9 * number, 0, 0)).save(dataset / f"{number}.png")
    (dataset / "annotations.json").write_bytes(data)
    check_sentences(inspect_dataset(dataset))


def read_annotations(name: str, data: bytes, folder: Path) -> None:
    """Read an annotation file of another program, or a table of class names, beside photos and masks."""
    dataset = folder / "inside"
    dataset.mkdir()
    for number in range(4):
        Image.new("RGB", SIZE[::-1], (9 * number, 0, 0)).save(dataset / f"{number}.png")
        if name.endswith((".csv", "map.txt")):
            ids = own_datasets.class_map(number, 3, SIZE)
            own_datasets.save_mask(dataset / "masks" / f"{number}.png", ids)
    (dataset / name).write_bytes(data)
    check_sentences(inspect_dataset(dataset))


def annotation_seeds() -> dict[str, bytes]:
    """Return one file of each program, for photos 0.png to 3.png."""
    height, width = SIZE
    square = [[2, 2], [20, 2], [20, 18], [2, 18]]
    shares = [[100 * x / width, 100 * y / height] for x, y in square]
    exterior = {"exterior": square, "interior": [[[4, 4], [6, 4], [6, 6]]]}
    region = {
        "shape_attributes": {"name": "polygon", "all_points_x": [2, 20, 20], "all_points_y": [2, 2, 18]},
        "region_attributes": {"label": "cat"},
    }
    result = {
        "original_width": width,
        "original_height": height,
        "value": {"points": shares, "polygonlabels": ["cat"]},
    }
    texts = {
        "0.json": json.dumps(
            {
                "shapes": [{"label": "cat", "points": square}],
                "imagePath": "0.png",
                "imageWidth": width,
                "imageHeight": height,
            }
        ),
        "0.png.json": json.dumps(
            {
                "size": {"width": width, "height": height},
                "objects": [{"classTitle": "cat", "geometryType": "polygon", "points": exterior}],
            }
        ),
        "via.json": json.dumps({f"{i}.png1": {"filename": f"{i}.png", "regions": [region]} for i in range(4)}),
        "tasks.json": json.dumps(
            [{"data": {"image": f"/x/{i}.png"}, "annotations": [{"result": [result]}]} for i in range(4)]
        ),
        "annotations.xml": '<annotations><image name="0.png" width="48" height="40">'
        '<polygon label="cat" points="2,2;20,2;20,18"/><box label="cat" xtl="1"/></image></annotations>',
        "0.txt": "0 0.1 0.1 0.5 0.1 0.5 0.6\n1 0.5 0.5 0.1 0.1\n",
        "class_dict.csv": "name,r,g,b\ncat,0,0,0\ndog,9,9,9\n",
        "labelmap.txt": "background:0,0,0::\ncat:1,1,1::\n",
    }
    return {name: text.encode() for name, text in texts.items()}


def check_sentences(report: DatasetReport) -> None:
    """Refuse a report that shows the program's internals to people."""
    for problem in report.problems:
        if _INTERNALS.search(problem.message):
            raise RuntimeError(f"internals in a finding: {problem.message[:200]}")


def read_config(name: str, data: bytes, folder: Path) -> None:
    kind = {"train": TrainConfig, "augmentation": AugmentationConfig, "report": DatasetReport}.get(name, UNetConfig)
    config = kind.from_json(data)
    network = config.model if isinstance(config, TrainConfig) else config
    if isinstance(network, UNetConfig):
        trace(network)


def read_upload_config(name: str, data: bytes, folder: Path) -> None:
    trace(query.from_json(data))


def read_manifest(name: str, data: bytes, folder: Path) -> None:
    (folder / "inside").mkdir()
    (folder / "inside" / "manifest.json").write_bytes(data)
    load_manifest(Settings(weights_dir=folder / "inside"))


def read_run(name: str, data: bytes, folder: Path) -> None:
    """Read a run, one of whose files is damaged, as the pages and the queue do."""
    path = folder / "inside" / "run"
    shutil.copytree(_run_template(), path)
    (path / name).write_bytes(data)
    settings = Settings(runs_dir=folder / "inside", workers=0)
    run = RunDirectory(path)
    for listed in queue.all_runs(settings):
        time.strftime("%d %b %H:%M", time.localtime(listed.label().created)).encode()
    queue.is_pending(run, settings)
    curves = Curves()
    curves.refresh(run)
    best_epoch(curves.epochs)
    json.dumps(run.environment())
    result = run.test()
    if result is not None:
        json.dumps([result.iou, result.dice, result.mean_iou, result.pixel_accuracy])
    BackgroundJob(path, "download").status()
    saved_report(path)
    for sample in previews.samples(run):
        previews.picture(run, sample.index)
        previews.truth(run, sample.index)
        for epoch in previews.epochs(run):
            previews.mask(run, epoch, sample.index)
    config = run.config()
    trace(config.model)
    remaining_seconds(run)


def read_onnx(name: str, data: bytes, folder: Path) -> None:
    config = pixel_config()
    OnnxEngine(data, config, threads=1)


def read_name(name: str, data: bytes, folder: Path) -> None:
    """Use a text as every name that comes from outside: of a run, a dataset, a model, an archive, a parameter."""
    text = data.decode("utf-8", errors="surrogateescape" if name == "surrogates" else "replace")
    settings = Settings(runs_dir=folder / "inside", datasets_dir=folder / "inside", workers=0)
    url.is_malformed(text)
    one_line(text).encode()
    if is_file_name(text):
        (folder / "inside" / text).exists()
    for use in (
        lambda: queue.find_run(text, settings),
        lambda: find_model(text, settings),
        lambda: state.read({"preset": text, "depth": text, "against": text, "tab": text, "layer": text}),
        lambda: state.second(text),
        lambda: unpack_upload(_small_zip(), text, settings),
        lambda: AugmentationConfig.from_json(text),
        lambda: decode_image(b"x", name=text),
    ):
        try:
            use()
        except UNetError as error:
            if len(str(error)) > 3_000 + 2 * len(text):
                raise RuntimeError("a sentence of more than 3000 characters") from None


# --- valid files ------------------------------------------------------------------------------------------------------


def photo_seeds() -> dict[str, bytes]:
    height, width = SIZE
    ramp = np.arange(height * width * 3, dtype=np.uint32).reshape(height, width, 3)
    rgb = Image.fromarray((ramp % 251).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [rgb, rgb.rotate(180)]
    return {
        "a.jpg": _saved(rgb, "JPEG", exif=exif),
        "progressive.jpg": _saved(rgb, "JPEG", progressive=True),
        "cmyk.jpg": _saved(rgb.convert("CMYK"), "JPEG"),
        "a.png": _saved(rgb, "PNG", exif=exif),
        "palette.png": _saved(rgb.quantize(9), "PNG", transparency=2),
        "grey16.png": _saved(Image.fromarray((ramp[..., 0] * 60).astype(np.uint16)), "PNG"),
        "interlaced_alpha.png": _saved(rgb.convert("RGBA"), "PNG"),
        "a.webp": _saved(rgb, "WEBP"),
        "lossless.webp": _saved(rgb, "WEBP", lossless=True),
        "animated.webp": _saved(rgb, "WEBP", save_all=True, append_images=frames),
        "animated.gif": _saved(rgb, "GIF", save_all=True, append_images=frames),
        "a.bmp": _saved(rgb, "BMP"),
        "raw.tif": _saved(rgb, "TIFF"),
        "lzw.tif": _saved(rgb, "TIFF", compression="tiff_lzw"),
        "deflate.tif": _saved(rgb, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tif": _saved(rgb, "TIFF", compression="jpeg"),
        "pages.tif": _saved(rgb, "TIFF", save_all=True, append_images=frames),
        "planar.tif": _tiff(ramp.astype(np.uint16), planarconfig="separate", photometric="rgb"),
        "colours.npy": _array((ramp % 251).astype(np.uint8)),
        "bands.npy": _array(np.repeat(ramp.astype(np.uint16), 2, axis=2)),
        "float.tif": _saved(Image.fromarray(ramp[..., 0].astype(np.float32)), "TIFF"),
    }


def mask_seeds() -> dict[str, bytes]:
    ids = own_datasets.class_map(1, 3, SIZE).astype(np.uint8)
    palette = Image.fromarray(ids)
    palette.putpalette(own_datasets.voc_palette())
    colours = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0)], np.uint8)[ids]
    return {
        "ids.png": _saved(Image.fromarray(ids), "PNG"),
        "palette.png": _saved(palette, "PNG"),
        "colours.png": _saved(Image.fromarray(colours), "PNG"),
        "ids16.png": _saved(Image.fromarray(ids.astype(np.uint16)), "PNG"),
        "bits.png": _saved(Image.fromarray(ids > 0), "PNG"),
        "ids.tif": _saved(Image.fromarray(ids), "TIFF", compression="tiff_lzw"),
        "ids.gif": _saved(Image.fromarray(ids), "GIF"),
        "soft.jpg": _saved(Image.fromarray((ids > 0).astype(np.uint8) * 255), "JPEG"),
        "ids.npy": _array(ids),
    }


def _tiff(values: np.ndarray, **options: Any) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.moveaxis(values, -1, 0), **options)
    return buffer.getvalue()


def _array(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def coco_content() -> dict[str, Any]:
    square = [2, 2, 20, 2, 20, 18, 2, 18]
    pixels = SIZE[0] * SIZE[1]
    shapes = [[square], [square, [1, 1, 4, 1, 4, 4]], {"size": list(SIZE), "counts": [100, 200, pixels - 300]}]
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "width": SIZE[1], "height": SIZE[0]} for i in range(4)],
        "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": [
            {
                "id": number,
                "image_id": number % 4,
                "category_id": 7 if number % 2 else 9,
                "segmentation": shapes[number % 3],
                "area": 288,
                "bbox": [2, 2, 18, 16],
            }
            for number in range(8)
        ],
    }


def zip_seeds() -> dict[str, bytes]:
    pairs = {f"{kind}/{i}.png": zips.png(i) for i in range(4) for kind in ("images", "masks")}
    annotated = {f"{i}.png": _saved(Image.new("RGB", SIZE[::-1]), "PNG") for i in range(4)}
    return {
        "pairs.zip": zips.plain_zip(pairs),
        "coco.zip": zips.plain_zip({**annotated, "a.json": json.dumps(coco_content()).encode()}),
        "nested.zip": zips.plain_zip({f"set/train/{name}": data for name, data in pairs.items()}),
    }


def config_seeds() -> dict[str, bytes]:
    train = TrainConfig(model=preset_config("pets_fast"))
    return {
        "train": train.to_json().encode(),
        "network": preset_config("pets").to_json().encode(),
        "augmentation": AugmentationConfig().to_json().encode(),
        "report": _report().to_json().encode(),
    }


def run_seeds() -> dict[str, bytes]:
    template = _run_template()
    names = (
        *("config.json", "label.json", "status.json", "environment.json", "test.json", "previews/samples.json"),
        *("metrics.csv", "steps.csv", "system.csv", "previews/input_0.png", "previews/truth_0.png"),
        *("previews/00003_0.png", "dataset.json", "download.status.json"),
    )
    return {name: (template / name).read_bytes() for name in names}


def name_seeds() -> dict[str, bytes]:
    texts = {
        "run": "20260101-120000-pets",
        "parent": "../../etc/passwd",
        "address": "preset=pets&depth=3&filters=16",
        "json": AugmentationConfig().to_json(),
        "unicode": "Ka\u0308tze \U0001f408\u202e \u200dx",
        "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    }
    return {name: text.encode() for name, text in texts.items()} | {"surrogates": b"a\xff\xfe\xed\xa0\x80b"}


def targets() -> dict[str, Target]:
    """Return every decoder and reader by name."""
    return {
        "photo": Target(photo_seeds(), read_photo),
        "mask": Target(mask_seeds(), read_mask),
        "zip": Target(zip_seeds(), read_zip),
        "coco": Target({"coco.json": json.dumps(coco_content()).encode()}, read_coco),
        "annotations": Target(annotation_seeds(), read_annotations),
        "config": Target(config_seeds(), read_config),
        "upload": Target({"network.json": preset_config("pets").to_json().encode()}, read_upload_config),
        "manifest": Target({"manifest.json": (ROOT / "weights" / "manifest.json").read_bytes()}, read_manifest),
        "run": Target(run_seeds(), read_run),
        "onnx": Target({"pixel.onnx": pixel_model(pixel_config())}, read_onnx),
        "name": Target(name_seeds(), read_name),
    }


# --- changes ----------------------------------------------------------------------------------------------------------

_NUMBERS = ("-1", "0", "1", "65536", "2147483648", "99999999999999999999", "1e308", "1e999", "NaN", "-0.5", "9" * 5000)
_ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**31, 10**30, 1e308, 1.5, "", "x" * 3000, "\ud800", "\u202e", "\0", "../../x", "<b>", [], {},
    [[]], {"self": 1}, "NaN", [None] * 50, "self",
)  # fmt: skip
_BYTES = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff", b"\r\n")


def changed(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """Return a file with one to five changes."""
    if chance.random() < 0.5 and (whole := _json(data)) is not None:
        for _ in range(chance.randint(1, 3)):
            whole = _changed_value(whole, chance)
        return json.dumps(whole).encode("utf-8", "surrogatepass")
    if data.startswith(b"PK") and chance.random() < 0.6:
        return _changed_member(data, others, chance)
    for _ in range(chance.randint(1, 5)):
        data = chance.choice(_CHANGES)(data, others, chance)
    return _with_right_checksums(data[:4_000_000]) if chance.random() < 0.6 else data[:4_000_000]


def _changed_member(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """Change one file of an archive, and write an archive that is valid in itself."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = chance.choice(list(files))
    files[name] = changed(files[name], others, chance)
    return zips.plain_zip(files)


def _with_right_checksums(data: bytes) -> bytes:
    """Correct the checksums of a PNG's chunks, without which no change gets past the first check."""
    if not data.startswith(b"\x89PNG"):
        return data
    parts, place = [data[:8]], 8
    while place + 12 <= len(data):
        length = min(int.from_bytes(data[place : place + 4], "big"), len(data) - place - 12)
        body = data[place + 4 : place + 8 + length]
        parts += [data[place : place + 4], body, zlib.crc32(body).to_bytes(4, "big")]
        place += 12 + length
    return b"".join([*parts, data[place:]])


def _json(data: bytes) -> Any:
    try:
        return json.loads(data) if data[:1] in b"{[" else None
    except ValueError:
        return None


def _changed_value(value: Any, chance: random.Random) -> Any:
    """Replace, remove or repeat something at a random place of a JSON value."""
    if not isinstance(value, (dict, list)) or not value or chance.random() < 0.15:
        return chance.choice(_ODD)
    if isinstance(value, dict):
        name = chance.choice(list(value))
        if chance.random() < 0.15:
            return {key: entry for key, entry in value.items() if key != name}
        if chance.random() < 0.1:
            return {**value, chance.choice(("self", "zz", "", "\ud800")): chance.choice(_ODD)}
        return {**value, name: _changed_value(value[name], chance)}
    place = chance.randrange(len(value))
    kept = list(value)
    if chance.random() < 0.1:
        return kept * chance.choice((0, 2, 50))
    kept[place] = _changed_value(kept[place], chance)
    return kept


def _place(data: bytes, chance: random.Random) -> int:
    return chance.randrange(len(data) + 1)


def _flip(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    flipped = bytearray(data)
    for _ in range(min(len(data), chance.choice((1, 1, 2, 8, 30)))):
        flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(flipped)


def _cut(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    return data[: _place(data, chance)]


def _remove(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    start = _place(data, chance)
    return data[:start] + data[start + chance.choice((1, 2, 4, 16, 200)) :]


def _insert(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    start = _place(data, chance)
    return data[:start] + chance.choice(_BYTES) * chance.choice((1, 1, 2, 50, 5000)) + data[start:]


def _overwrite(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    start, new = _place(data, chance), chance.choice(_BYTES)
    return data[:start] + new + data[start + len(new) :]


def _repeat(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    start = _place(data, chance)
    part = data[start : start + chance.choice((1, 8, 100))]
    return data[:start] + part * chance.choice((2, 3, 100)) + data[start:]


def _splice(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    other = chance.choice(others)
    return data[: _place(data, chance)] + other[_place(other, chance) :]


def _renumber(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    found = list(re.finditer(rb"\d+", data))
    if not found:
        return data
    number = chance.choice(found)
    return data[: number.start()] + chance.choice(_NUMBERS).encode() + data[number.end() :]


_CHANGES = (_flip, _flip, _cut, _remove, _insert, _overwrite, _repeat, _splice, _renumber, _renumber)


def make_input(all_targets: Mapping[str, Target], seed: int, number: int) -> Input:
    """Return input `number`: the kinds take turns, and everything else follows from the seed and the number."""
    chance = random.Random(f"{seed}/{number}")
    kind = list(all_targets)[number % len(all_targets)]
    seeds = all_targets[kind].seeds
    name = chance.choice(list(seeds))
    return Input(kind, name, changed(seeds[name], list(seeds.values()), chance))


# --- one child for each input -----------------------------------------------------------------------------------------


def answer(target: Target, one: Input) -> Answer:
    """Read an input in a child process."""
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room, "room")
        folder.mkdir()
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reader)
            _child(target, one, folder, writer)
        os.close(writer)
        found = _awaited(pid, reader)
        outside = [
            path.name for path in (*Path(room).iterdir(), *folder.iterdir()) if path.name not in ("room", "inside")
        ]
    if found.seconds > SLOW_SECONDS:
        found.flags.append("slow")
    if found.megabytes > BIG_MB:
        found.flags.append("big")
    if outside:
        found.flags.append("outside")
        found.detail += f" wrote {outside[:3]}"
    return found


def _child(target: Target, one: Input, folder: Path, writer: int) -> None:
    """Read the input, report, and end the process without cleaning up."""
    signal.alarm(int(2 * PATIENCE))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what native libraries print
    warnings.simplefilter("ignore")
    before, began = _memory("VmRSS"), time.perf_counter()
    found = Answer("accepted")
    try:
        target.read(one.name, one.data, folder)
    except UNetError as error:
        found = Answer("refused", str(error)[:300])
        if _INTERNALS.search(str(error).replace(one.name, "")):
            found = Answer("leak", f"internals in the sentence: {str(error)[:300]}")
    except BaseException as error:
        frame, trace_ = "", error.__traceback__
        while trace_ is not None:
            frame = f"{Path(trace_.tb_frame.f_code.co_filename).name}:{trace_.tb_lineno}"
            trace_ = trace_.tb_next
        found = Answer("leak", f"{type(error).__name__} at {frame}: {str(error)[:200]!r}")
    found.seconds = time.perf_counter() - began
    found.megabytes = max(0.0, _memory("VmHWM") - before)
    os.write(writer, pickle.dumps(found))
    os._exit(0)


def _awaited(pid: int, reader: int) -> Answer:
    ready, _, _ = select.select([reader], [], [], PATIENCE)
    data = os.read(reader, 65_536) if ready else b""
    os.close(reader)
    if not ready:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not data:
        return Answer("crash", "took too long" if not ready else f"ended with {status}", 0.0 if ready else PATIENCE)
    return pickle.loads(data)


def _memory(name: str) -> float:
    """Return this process's memory in MB, "VmRSS" now or "VmHWM" at most since it was forked."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1e3 for line in file if line.startswith(name))


# --- all of them ------------------------------------------------------------------------------------------------------


def run(
    seed: int,
    numbers: Iterable[int],
    all_targets: Mapping[str, Target],
    keep: Path | None = None,
    *,
    shown: bool = False,
) -> dict[str, Counter[str]]:
    """Answer inputs, and count the outcomes by target."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in all_targets}
    for done, number in enumerate(numbers, start=1):
        one = make_input(all_targets, seed, number)
        found = answer(all_targets[one.target], one)
        counts[one.target].update(["inputs", found.outcome, *found.flags])
        if found.flags or found.outcome in ("leak", "crash"):
            what = f"{' '.join([found.outcome, *found.flags])} {found.seconds:.1f} s +{found.megabytes:.0f} MB"
            print(f"{number} {one.target} {one.name}: {what} {found.detail}", flush=True)
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{seed}_{number}_{one.target}_{one.name.replace('/', '_')}").write_bytes(one.data)
        if shown and done % 1000 == 0:
            print(f"… {done} inputs", flush=True)
    return counts


def warm_up(all_targets: Mapping[str, Target]) -> None:
    """Read every valid file once in this process, so that no child pays for imports; all of them must be usable."""
    for target in all_targets.values():
        for name, data in target.seeds.items():
            with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    target.read(name, data, Path(folder))
                except UNetError:
                    continue  # such as a photo read as a mask


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


_made: dict[str, Any] = {}


def _run_template() -> Path:
    if "run" not in _made:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-run-"))
        path = made_runs.made_run(folder / "run", name="Pets", epochs=3).path
        (path / "dataset.json").write_text(_report().to_json())
        (path / "download.status.json").write_text('{"state": "finished", "phase": "reading", "done": 3, "total": 3}')
        _made["run"] = path
    return _made["run"]


def _report() -> DatasetReport:
    if "report" not in _made:
        with tempfile.TemporaryDirectory() as folder:
            _made["report"] = inspect_dataset(own_datasets.folder(Path(folder, "set"), 6))
    return _made["report"]


def _small_zip() -> bytes:
    if "zip" not in _made:
        _made["zip"] = zips.plain_zip({"a.png": zips.png()})
    return _made["zip"]


def forget_templates() -> None:
    """Remove the run that was written to be damaged."""
    if "run" in _made:
        shutil.rmtree(_made.pop("run").parent, ignore_errors=True)


def table(counts: Mapping[str, Counter[str]]) -> str:
    """Return the counts as a table."""
    columns = ("inputs", "accepted", "refused", "leak", "crash", "slow", "big", "outside")
    rows = {**counts, "all": sum(counts.values(), Counter())}
    lines = ["".join([f"{'':10}", *(f"{column:>10}" for column in columns)])]
    lines += ["".join([f"{name:10}", *(f"{row[column]:>10}" for column in columns)]) for name, row in rows.items()]
    return "\n".join(lines)


def main() -> None:
    """Run the fuzz and print the table."""
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--only", nargs="*", help="targets")
    parser.add_argument("--keep", type=Path, help="folder for inputs that were not answered")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    every = targets()
    warm_up(every)
    numbers = range(options.first, options.first + options.inputs)
    names = list(every)
    chosen = (number for number in numbers if not options.only or names[number % len(names)] in options.only)
    try:
        counts = run(options.seed, chosen, every, options.keep, shown=True)
    finally:
        forget_templates()
    print(table(counts))
    write_figures({"seed": options.seed, "targets": counts}, options.json)
    total = sum(counts.values(), Counter())
    sys.exit(1 if total["leak"] or total["crash"] or total["outside"] else 0)


if __name__ == "__main__":
    main()
