"""Everything about a trained model in one ZIP: model files, classes, licence, and a program that uses them."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_core.architecture.config import UNetConfig
from unet_core.images.mask_files import described_codes
from unet_core.zoo.export import Export, ExportError, ExportFormat, export
from unet_core.zoo.meaning import UNKNOWN, DataOrigin, Meaning, described

if TYPE_CHECKING:
    import keras

FORMS: tuple[ExportFormat, ...] = ("onnx", "keras")

_README = """# {title}

A U-Net, trained with U-Net Studio on: {source}.

Classes: {classes}. A mask file has these values: {codes}.
{note}
| file | what it is |
|---|---|
| `model.onnx` | the model for ONNX Runtime, on any machine, without TensorFlow; it carries its metadata |
| `model.keras` | the same model for `keras.saving.load_model` |
| `classes.json` | the classes by id: names, colours, values in masks, the background; and the preprocessing |
| `segment.py` | uses either model; NumPy and Pillow, and ONNX Runtime or Keras with TensorFlow |
| `LICENCE.txt` | what is known about the licence of the data |

    pip install numpy pillow onnxruntime
    python segment.py model.onnx photo.jpg mask.png

Input: {height} × {width} × {channels} pixels, {order}, float32; from values 0 to 255 they are computed as
value / {divisor} - {shift}{deep}. Output: {output} for {count} classes at {output_height} × {output_width}.
`segment.py` shows every step, for whole photos. {equal}
"""


_SECOND_LOOK = (
    "The app makes a zoomed second pass with this model, which this program does not, so that its masks are coarser."
)


def export_everything(
    model: keras.Model,
    config: UNetConfig,
    path: str | Path,
    meaning: Meaning,
    title: str,
    *,
    second_look: bool = False,
) -> Export:
    """Write the ZIP with all files of a model; both model files are run and compared with Keras before.

    Args:
        model: a built model of `config`.
        config: its architecture.
        path: ends in .zip; a folder gets `unet.zip`.
        meaning: its classes and its data.
        title: shown in its README.
        second_look: the app makes a zoomed second pass with the model, which the program in the ZIP does not.

    Raises:
        ExportError: as `export`.
    """
    path = Path(path)
    path = path / "unet.zip" if path.is_dir() else path
    if path.suffix != ".zip":
        raise ExportError(f"out: the file for zip must end in .zip. Received: {path}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as made:
            folder = Path(made)
            written = [export(model, config, form, folder / f"model.{form}", meaning=meaning) for form in FORMS]
            _write_texts(folder, config, meaning, title, second_look)
            with zipfile.ZipFile(folder / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                for file in sorted(folder.iterdir()):
                    if file.name != "all.zip":
                        archive.write(file, file.name)
            os.replace(folder / "all.zip", path)
    except (FileExistsError, NotADirectoryError) as error:
        raise ExportError(f"{path} cannot be written: {path.parent} is a file, not a folder") from error
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror or error}") from error
    worst = max(written, key=lambda each: each.difference / each.tolerance)
    return Export(str(path), "zip", path.stat().st_size, worst.difference, worst.tolerance)


def _write_texts(folder: Path, config: UNetConfig, meaning: Meaning, title: str, second_look: bool) -> None:
    about = described(config, meaning)
    (folder / "classes.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "segment.py").write_bytes(Path(__file__).with_name("standalone.py").read_bytes())
    (folder / "LICENCE.txt").write_text(_licence(meaning.origin), encoding="utf-8")
    (folder / "README.md").write_text(_readme(config, meaning, about, title, second_look), encoding="utf-8")


def _readme(config: UNetConfig, meaning: Meaning, about: dict[str, Any], title: str, second_look: bool) -> str:
    steps, origin = about["preprocessing"], meaning.origin
    return _README.format(
        title=title,
        source=about["source"],
        classes=", ".join(meaning.classes.names),
        codes=described_codes(meaning.classes, most=len(meaning.classes.names)),
        note=f"\n{origin.note}\n" if origin.note else "",
        height=steps["height"],
        width=steps["width"],
        channels=steps["channels"],
        order=steps["channel_order"],
        divisor=steps["divisor"],
        shift=steps["shift"],
        deep="" if config.channels in (1, 3) else ", 16-bit values divided by 257 first",
        output="logits" if config.head_activation == "none" else "probabilities",
        count=config.classes,
        output_height=steps["output_height"],
        output_width=steps["output_width"],
        equal=_SECOND_LOOK if second_look else "Its masks equal those of the app.",
    )


def _licence(origin: DataOrigin) -> str:
    credit = "".join(f"Credit: {text}\n" for text in origin.credit)
    if origin.licence == UNKNOWN:
        return (
            f"The licence of the data that this model was trained on, {origin.name}, is unknown.\n"
            f"Ask whoever owns the photos and masks before you publish the model.\n{credit}"
        )
    return f"Data: {origin.name}\nLicence: {origin.licence}\n{credit}"
