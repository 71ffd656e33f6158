"""Segment photos with the model beside this file; needs NumPy and Pillow, and ONNX Runtime or Keras with TensorFlow.

    python segment.py model.onnx photo.jpg mask.png
    python segment.py model.keras photo.jpg mask.png

The mask has the photo's size and the codes of the model's data, which classes.json names.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

Run = Callable[[np.ndarray], np.ndarray]


def load_onnx(path: str) -> Run:
    """Return a function from inputs (N, H, W, C) float32 to outputs (N, h, w, classes), run by ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {session.get_inputs()[0].name: batch})[0]


def load_keras(path: str) -> Run:
    """Return the same function, run by Keras."""
    import keras

    model = keras.saving.load_model(path, compile=False)
    return lambda batch: np.asarray(model(batch, training=False))


def read_photo(path: str) -> np.ndarray:
    """Read a photo upright, with transparency on white: (H, W, 3) uint8."""
    with Image.open(path) as file:
        photo = ImageOps.exif_transpose(file)
    if photo.has_transparency_data:
        photo = photo.convert("RGBA")
        photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo)
    return np.asarray(photo.convert("RGB"))


def read_bands(path: str, count: int) -> np.ndarray:
    """Read a photo of `count` bands, a .npy array or a TIFF (which needs tifffile): (H, W, C) uint8 or uint16."""
    if path.endswith(".npy"):
        bands = np.load(path)
    else:
        import tifffile

        bands = tifffile.imread(path)
    if bands.shape[2] != count == bands.shape[0]:
        bands = np.moveaxis(bands, 0, -1)
    if bands.dtype == np.uint8:
        return bands
    if bands.dtype.kind == "f":  # fractions of the brightest, or whole numbers
        bands = np.nan_to_num(bands, nan=0.0, posinf=0.0, neginf=0.0)
        bands = bands * 65535.0 if bands.max() <= 1 else bands
    return np.rint(bands).astype(np.uint16)


def pictures_of(photo: np.ndarray, channels: int) -> list[Image.Image]:
    """Return a photo as Pillow images: one of RGB or grey values, else one for each band, 16 bits as float32."""
    if channels == 3:
        return [Image.fromarray(photo)]
    if channels == 1:
        return [Image.fromarray(photo).convert("L")]
    kind = np.uint8 if photo.dtype == np.uint8 else np.float32
    return [Image.fromarray(band.astype(kind)) for band in np.moveaxis(photo, 2, 0)]


def network_input(
    photo: np.ndarray, steps: dict[str, Any], output_size: tuple[int, int]
) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Resize and scale a photo: the input (H, W, C) float32, and the rows and columns of the output that show it."""
    height, width = steps["height"], steps["width"]
    seen = min(output_size[0], height), min(output_size[1], width)
    pictures = pictures_of(photo, steps["channels"])
    picture = pictures[0]
    fitted, corner = seen, (0, 0)
    if steps["resize"] == "pad":  # keeps the proportions, on black
        ratio = min(seen[0] / picture.height, seen[1] / picture.width)
        fitted = (
            max(1, min(seen[0], round(picture.height * ratio))),
            max(1, min(seen[1], round(picture.width * ratio))),
        )
        corner = (seen[0] - fitted[0]) // 2, (seen[1] - fitted[1]) // 2
    factor = int(min(picture.height / fitted[0], picture.width / fitted[1]) / 1.5)
    smaller = [each.reduce(factor) if factor > 1 else each for each in pictures]
    smaller = [each.resize((fitted[1], fitted[0]), Image.Resampling.BILINEAR) for each in smaller]
    bands = np.concatenate([np.asarray(each).reshape(*fitted, -1) for each in smaller], axis=-1)
    pixels = np.zeros((*seen, steps["channels"]), photo.dtype)
    pixels[corner[0] : corner[0] + fitted[0], corner[1] : corner[1] + fitted[1]] = np.rint(bands)
    rows, columns = height - seen[0], width - seen[1]  # a network with valid padding predicts only the centre
    pixels = np.pad(
        pixels, ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), (0, 0)), mode="reflect"
    )
    values = pixels.astype(np.float32) / (257 if pixels.dtype == np.uint16 else 1)  # 65535 counts as 255
    values /= np.asarray(steps["divisor"], np.float32)
    values -= np.asarray(steps["shift"], np.float32)
    vertical, horizontal = output_size[0] / seen[0], output_size[1] / seen[1]
    top, left = round(corner[0] * vertical), round(corner[1] * horizontal)
    bottom, right = top + max(1, round(fitted[0] * vertical)), left + max(1, round(fitted[1] * horizontal))
    return values, (slice(top, bottom), slice(left, right))


def probabilities_of(output: np.ndarray, activation: str) -> np.ndarray:
    """Turn an output (h, w, channels) into probabilities of the classes that sum to 1."""
    if output.shape[-1] == 1:
        positive = output if activation == "sigmoid" else 0.5 * (1 + np.tanh(0.5 * output))
        return np.concatenate([positive, 1 - positive], axis=-1)
    if activation == "none":
        output = np.exp(output - output.max(axis=-1, keepdims=True))
    elif activation == "sigmoid":
        output = np.maximum(output, np.finfo(np.float32).tiny)
    return output / sum(np.split(output, output.shape[-1], axis=-1))


def resized(values: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Resize an array along an axis: a triangle filter at half-pixel centres, widened where the side shrinks."""
    source = values.shape[axis]
    ratio = source / size
    support = max(1.0, ratio)
    centres = (np.arange(size) + 0.5) * ratio - 0.5
    first = np.maximum(np.floor(centres - support).astype(int) + 1, 0)
    total = np.zeros(1, np.float32)
    indices = first + np.arange(int(np.ceil(2 * support)))[:, None]
    weights = np.clip(1 - np.abs(indices - centres) / support, 0, None)
    weights[indices >= source] = 0
    weights = (weights / weights.sum(axis=0)).astype(np.float32)
    shape = [1] * values.ndim
    shape[axis] = size
    for index, weight in zip(np.minimum(indices, source - 1), weights):
        total = total + values.take(index, axis=axis) * weight.reshape(shape)
    return total


def segment(run: Run, photo: np.ndarray, about: dict[str, Any]) -> np.ndarray:
    """Return the class id of each pixel of a photo (H, W, C): (H, W) uint8."""
    steps = about["preprocessing"]
    size = steps["output_height"], steps["output_width"]
    values, (rows, columns) = network_input(photo, steps, size)
    output = np.asarray(run(values[None]), np.float32)[0, rows, columns]
    probabilities = probabilities_of(output, about["activation"])
    return resized(resized(probabilities, photo.shape[1], 1), photo.shape[0], 0).argmax(axis=-1).astype(np.uint8)


def mask_of(ids: np.ndarray, about: dict[str, Any]) -> Image.Image:
    """Return class ids as an image with the codes of the model's data: 8-bit or 16-bit grey, or RGB colours."""
    codes = np.array(about["codes"], np.uint32)
    if about.get("in_colours") or codes.max() > 65535:
        return Image.fromarray(np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1).astype(np.uint8)[ids])
    return Image.fromarray(codes.astype(np.uint8 if codes.max() < 256 else np.uint16)[ids])


if __name__ == "__main__":
    model_path, photo_path, mask_path = sys.argv[1:]
    description = json.loads(Path(model_path).with_name("classes.json").read_text(encoding="utf-8"))
    loaded = load_keras(model_path) if model_path.endswith(".keras") else load_onnx(model_path)
    channels = description["preprocessing"]["channels"]
    taken = read_photo(photo_path) if channels in (1, 3) else read_bands(photo_path, channels)
    found = segment(loaded, taken, description)
    mask_of(found, description).save(mask_path)
    for number, name in enumerate(description["names"]):
        print(f"{name}: {100 * np.mean(found == number):.1f} %")
