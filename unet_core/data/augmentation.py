"""Data augmentation of photo and mask together: one affine transform, one colour transform, blur and noise.

All geometric changes are composed into one matrix, so the photo is resampled only once and stays sharp; likewise all
colour changes are one matrix. Keras only, imported at first use, so reading a configuration is cheap; the same object
works inside `tf.data` with every Keras backend.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field, model_validator

from unet_core.classes import IGNORE_ID
from unet_core.strict import Strict

# Luma weights (ITU-R BT.601) and the matching chroma axes: a hue rotation changes chroma and keeps luma.
_RGB_TO_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
_LUMA = _RGB_TO_YIQ[0]
_RANDOM_NUMBERS = 12  # per image: 8 for geometry, 4 for colour
_MORE_NUMBERS = 5  # per image: cut-and-paste, grey, blur and its strength, noise; separate, so the others stay the same
_MORE_SEED = 1_000_003  # added to the seed for those
_BLUR_SIDE = 5  # pixels

Share = Annotated[float, Field(ge=0, le=1)]
Degrees = Annotated[float, Field(ge=0, le=180)]


class AugmentationConfig(Strict):
    """What may change, and by how much. Every range is symmetric around "no change" and sampled uniformly.

    Raises:
        ConfigError: one error that names each invalid field, what is allowed and what was received.
    """

    enabled: bool = True

    # --- photo and mask together; the outside of the photo is filled by reflection --------------------------------
    flip_horizontal: bool = True
    flip_vertical: bool = False
    rotation: Degrees = 15.0
    zoom: tuple[float, float] = (0.75, 1.4)  # size of the pet: 0.5 = half as large; sampled on a logarithmic scale
    stretch: Annotated[float, Field(ge=1, le=4)] = 1.15  # largest change of the aspect ratio
    shear: Annotated[float, Field(ge=0, le=60)] = 5.0  # degrees
    translation: Share = 0.1  # share of the side

    # --- photo only -----------------------------------------------------------------------------------------------
    brightness: Share = 0.15  # share of the full range, added
    contrast: Share = 0.25  # 0.25 = 0.75 to 1.25 times the distance from the photo's mean
    saturation: Share = 0.25  # 0.25 = 0.75 to 1.25 times the colourfulness
    hue: Degrees = 8.0  # around the colour circle
    grey: Share = 0.0  # of photos that lose their colour
    blur: Share = 0.0  # of photos that are blended with their mean over 5x5 pixels
    noise: Share = 0.0  # largest standard deviation of Gaussian noise, share of the full range

    # --- two photos of a batch -------------------------------------------------------------------------------------
    paste: Share = 0.0  # of photos onto which the next one's objects are pasted
    paste_background: Annotated[int, Field(ge=0)] = 1  # class id that is not pasted; 1 is the background of the pets

    @model_validator(mode="after")
    def _zoom_is_a_range(self) -> AugmentationConfig:
        if not 0.1 <= self.zoom[0] <= self.zoom[1] <= 10:
            raise ValueError(f"zoom: needs 0.1 ≤ smallest ≤ largest ≤ 10. Received: {list(self.zoom)}")
        return self

    @property
    def moves(self) -> bool:
        """Whether the geometry may change."""
        return self.enabled and (self.flip_horizontal or self.flip_vertical or self.distorts)

    @property
    def distorts(self) -> bool:
        """Whether photos may be resampled, that is changed in geometry other than by flips."""
        still = self.rotation == self.shear == self.translation == 0 and self.zoom == (1, 1) and self.stretch == 1
        return self.enabled and not still

    @property
    def recolours(self) -> bool:
        """Whether the colours may change."""
        return self.enabled and not self.brightness == self.contrast == self.saturation == self.hue == self.grey == 0

    @property
    def degrades(self) -> bool:
        """Whether photos may become blurred or noisy."""
        return self.enabled and not self.blur == self.noise == 0


OFF = AugmentationConfig(enabled=False)
FLIPS_ONLY = AugmentationConfig(
    rotation=0, zoom=(1, 1), stretch=1, shear=0, translation=0, brightness=0, contrast=0, saturation=0, hue=0
)


class Augmentation:
    """Applies an `AugmentationConfig` to batches; equal `seed` and `draw` give equal results on one type of device."""

    def __init__(self, config: AugmentationConfig | None = None, seed: int = 0) -> None:
        self.config = config or AugmentationConfig()
        self.seed = seed

    def __call__(self, photos: Any, masks: Any, draw: Any) -> tuple[Any, Any]:
        """Augment a batch.

        Args:
            photos: (B, H, W, C) with values 0…255, any number type.
            masks: (B, H, W), integer class ids.
            draw: number of the variation: an integer, or a scalar integer tensor inside `tf.data`.

        Returns:
            Photos (B, H, W, C) float32, 0…255, and masks (B, H, W) of unchanged type.
        """
        backend = _backend()
        photos = backend.cast(backend.convert_to_tensor(photos), "float32")
        masks = backend.convert_to_tensor(masks)
        if not self.config.enabled:
            return photos, masks
        config = self.config
        numbers = _random_numbers(backend, photos, self.seed, draw)
        if config.distorts:
            photos, masks = _transformed(backend, photos, masks, _affine(backend, photos, numbers, config))
        elif config.moves:
            photos, masks = _flipped(backend, photos, masks, numbers, config)
        paste, grey, *spoils = _random_numbers(backend, photos, self.seed + _MORE_SEED, draw, _MORE_NUMBERS)
        if config.paste:
            photos, masks = _pasted(backend, photos, masks, _happens(paste, config.paste), config.paste_background)
        if config.recolours:
            photos = _recoloured(backend, photos, numbers, _happens(grey, config.grey), config)
        if config.degrades:
            photos = _degraded(backend, photos, spoils, self.seed, draw, config)
        return photos, masks


def _backend() -> Any:
    """Return TensorFlow's operations inside `tf.data`, else those of the Keras backend."""
    from keras.src.utils import backend_utils  # used by Keras' own preprocessing layers; it has no public name

    return backend_utils.DynamicBackend("tensorflow" if backend_utils.in_tf_graph() else None)


def _happens(number: Any, share: float) -> Any:
    """Turn numbers of −1…1 into a choice that is true for `share` of them, (B,) bool."""
    return number < 2 * share - 1


def _random_numbers(backend: Any, photos: Any, seed: int, draw: Any, count: int = _RANDOM_NUMBERS) -> list[Any]:
    """Return `count` tensors of −1…1, each (B,)."""
    shape = (count, backend.shape(photos)[0])
    drawn = backend.random.uniform(shape, minval=-1.0, maxval=1.0, seed=_given_seed(backend, seed, draw))
    return [drawn[index] for index in range(count)]


def _given_seed(backend: Any, seed: int, draw: Any) -> Any:
    """Return a seed for `backend.random`: equal for equal `seed` and `draw`."""
    import keras

    class GivenSeed(keras.random.SeedGenerator):
        """A seed without state: parallel calls cannot get each other's numbers."""

        def __init__(self, value: Any) -> None:
            self.value = value

        def next(self, ordered: bool = True) -> Any:
            return self.value

    kind = backend.random_seed_dtype()
    pair = [backend.cast(backend.convert_to_tensor(value), kind) for value in (seed, draw)]
    return GivenSeed(backend.numpy.stack(pair))


def _affine(backend: Any, photos: Any, numbers: list[Any], config: AugmentationConfig) -> Any:
    """Return the map from output to input pixels as `affine_transform` takes it, (B, 8)."""
    np = backend.numpy
    flip_x, flip_y, turn, zoom, stretch, shear, shift_x, shift_y = numbers[:8]
    height, width = (backend.cast(side, "float32") for side in backend.shape(photos)[1:3])
    mirror_x = np.where(flip_x < 0, -1.0, 1.0) if config.flip_horizontal else np.ones_like(flip_x)
    mirror_y = np.where(flip_y < 0, -1.0, 1.0) if config.flip_vertical else np.ones_like(flip_y)
    low, high = math.log(config.zoom[0]), math.log(config.zoom[1])
    shrink = np.exp(-((low + high) / 2 + zoom * (high - low) / 2))  # from output to input: the inverse of the zoom
    wider = np.exp(stretch * math.log(config.stretch) / 2)
    angle = turn * math.radians(config.rotation)
    slope = np.tan(shear * math.radians(config.shear))
    # flip · rotation · shear · stretch, multiplied out
    cosine, sine = np.cos(angle) * shrink, np.sin(angle) * shrink
    a = mirror_x * cosine * wider
    b = mirror_x * (cosine * slope - sine) / wider
    c = mirror_y * sine * wider
    d = mirror_y * (sine * slope + cosine) / wider
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    to_x = centre_x + shift_x * config.translation * width - a * centre_x - b * centre_y
    to_y = centre_y + shift_y * config.translation * height - c * centre_x - d * centre_y
    zero = np.zeros_like(a)
    return np.stack([a, b, to_x, c, d, to_y, zero, zero], axis=-1)


def _transformed(backend: Any, photos: Any, masks: Any, transform: Any) -> tuple[Any, Any]:
    affine = backend.image.affine_transform
    photos = affine(photos, transform, interpolation="bilinear", fill_mode="reflect", data_format="channels_last")
    ids = backend.cast(masks, "float32")[..., None]  # class ids below 2²⁴ are exact in float32
    ids = affine(ids, transform, interpolation="nearest", fill_mode="reflect", data_format="channels_last")
    return photos, backend.cast(ids[..., 0], masks.dtype)


def _flipped(backend: Any, photos: Any, masks: Any, numbers: list[Any], config: AugmentationConfig) -> tuple[Any, Any]:
    """Flip as `_affine` does, without resampling: a flip needs none."""
    np = backend.numpy
    for number, wanted, axis in ((numbers[0], config.flip_horizontal, 2), (numbers[1], config.flip_vertical, 1)):
        if wanted:
            chosen = (number < 0)[:, None, None]
            photos = np.where(chosen[..., None], np.flip(photos, axis=axis), photos)
            masks = np.where(chosen, np.flip(masks, axis=axis), masks)
    return photos, masks


def _pasted(backend: Any, photos: Any, masks: Any, chosen: Any, background: int) -> tuple[Any, Any]:
    """Paste the objects of the batch's next photo onto the `chosen` photos: several objects, some partly hidden."""
    np = backend.numpy
    other_photos, other_masks = np.roll(photos, -1, axis=0), np.roll(masks, -1, axis=0)
    is_object = np.logical_and(np.not_equal(other_masks, background), np.not_equal(other_masks, IGNORE_ID))
    covered = np.logical_and(chosen[:, None, None], is_object)
    return np.where(covered[..., None], other_photos, photos), np.where(covered, other_masks, masks)


def _degraded(backend: Any, photos: Any, numbers: list[Any], seed: int, draw: Any, config: AugmentationConfig) -> Any:
    """Blend some photos with their blurred versions, and add noise of random strength to all."""
    np = backend.numpy
    blurs, blur, noise = numbers
    if config.blur:
        share = np.where(_happens(blurs, config.blur), (blur + 1) / 2, 0.0)[:, None, None, None]
        smooth = backend.nn.average_pool(photos, _BLUR_SIDE, strides=1, padding="same", data_format="channels_last")
        photos = photos + share * (smooth - photos)
    if config.noise:
        strength = (noise + 1) / 2 * config.noise * 255.0
        grain = backend.random.normal(backend.shape(photos), seed=_given_seed(backend, seed + 2 * _MORE_SEED, draw))
        photos = np.clip(photos + strength[:, None, None, None] * grain, 0.0, 255.0)
    return photos


def _recoloured(backend: Any, photos: Any, numbers: list[Any], grey: Any, config: AugmentationConfig) -> Any:
    """Apply contrast, saturation and hue as one matrix per photo, brightness as its offset."""
    np = backend.numpy
    brightness, contrast, saturation, hue = numbers[8:12]
    channels = photos.shape[-1]
    gain = 1.0 + contrast * config.contrast
    colourfulness = np.where(grey, 0.0, 1.0 + saturation * config.saturation)
    colour = _colour_matrix(backend, colourfulness, hue * math.radians(config.hue), channels)
    matrix = gain[:, None, None] * colour  # (B, C, C)
    luma = backend.convert_to_tensor(_LUMA if channels == 3 else [1.0 / channels] * channels, dtype="float32")
    mean = np.sum(np.mean(photos, axis=(1, 2)) * luma, axis=-1)
    offset = brightness * config.brightness * 255.0 + (1.0 - gain) * mean
    shape = backend.shape(photos)
    pixels = np.reshape(photos, (shape[0], -1, channels))
    return np.reshape(np.clip(np.matmul(pixels, matrix) + offset[:, None, None], 0.0, 255.0), shape)


def _colour_matrix(backend: Any, saturation: Any, hue: Any, channels: int) -> Any:
    """Return saturation and hue as a matrix for row vectors, (B, C, C); the identity for greyscale photos."""
    import numpy

    np = backend.numpy
    if channels != 3:
        return np.ones_like(hue)[:, None, None] * backend.convert_to_tensor(numpy.eye(channels, dtype="float32"))
    to_yiq = numpy.array(_RGB_TO_YIQ)
    from_yiq = numpy.linalg.inv(to_yiq)
    # from · (luma + s·cos·chroma + s·sin·quarter turn) · to: constant matrices, so only three products are per photo
    luma, chroma = numpy.diag([1.0, 0, 0]), numpy.diag([0, 1.0, 1.0])
    quarter = numpy.array([[0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
    parts = [
        backend.convert_to_tensor((from_yiq @ part @ to_yiq).T.astype("float32")) for part in (luma, chroma, quarter)
    ]
    cosine, sine = (saturation * np.cos(hue))[:, None, None], (saturation * np.sin(hue))[:, None, None]
    return parts[0] + cosine * parts[1] + sine * parts[2]
