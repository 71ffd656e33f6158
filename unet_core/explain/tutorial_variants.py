"""Three ways to write one subclassed U-Net, each with a question that it raises and the answer.

Each is a complete program that needs only Keras; `unet_core.explain.real_error` runs it at any input size. All three
are the network of the preset "subclassed".
"""

from __future__ import annotations

from dataclasses import dataclass

from unet_core.architecture.doctor import Diagnosis, diagnose
from unet_core.architecture.presets import preset_config
from unet_core.architecture.table import grouped

PRESET = "subclassed"
PARAMETERS = 1_862_849  # of each of the three


@dataclass(frozen=True)
class TutorialVariant:
    """One way to write it: its name, a question about it with the answer, and its source."""

    name: str
    title: str
    question: str
    answer: str
    source: str


def outcome(size: tuple[int, int]) -> Diagnosis:
    """Diagnose the network of all three at an input size (height, width).

    Raises:
        ConfigError: a side is not between 1 and 16384 pixels.
    """
    return diagnose(preset_config(PRESET), size)


_LAYERS = '''\
import keras
from keras import layers


class UNet(keras.Model):
    """64, 128 and 256 filters; one sigmoid channel."""

    def __init__(self, **options):
        super().__init__(**options)
        self.conv1a = layers.Conv2D(64, 3, padding="same", activation="relu")
        self.conv1b = layers.Conv2D(64, 3, padding="same", activation="relu")
        self.conv2a = layers.Conv2D(128, 3, padding="same", activation="relu")
        self.conv2b = layers.Conv2D(128, 3, padding="same", activation="relu")
        self.conv3a = layers.Conv2D(256, 3, padding="same", activation="relu")
        self.conv3b = layers.Conv2D(256, 3, padding="same", activation="relu")
        self.pool = layers.MaxPooling2D(2)
        self.up2 = layers.Conv2DTranspose(128, 2, strides=2{padding})
        self.conv4a = layers.Conv2D(128, 3, padding="same", activation="relu")
        self.conv4b = layers.Conv2D(128, 3, padding="same", activation="relu")
        self.up1 = layers.Conv2DTranspose(64, 2, strides=2{padding})
        self.conv5a = layers.Conv2D(64, 3, padding="same", activation="relu")
        self.conv5b = layers.Conv2D(64, 3, padding="same", activation="relu")
        self.head = layers.Conv2D(1, 1, activation="sigmoid")

    def call(self, x):
        skip1 = self.conv1b(self.conv1a(x))
        skip2 = self.conv2b(self.conv2a(self.pool(skip1)))
        x = self.conv3b(self.conv3a(self.pool(skip2)))
        x = layers.concatenate([skip2, self.up2(x)])
        x = self.conv4b(self.conv4a(x))
        x = layers.concatenate([skip1, self.up1(x)])
        x = self.conv5b(self.conv5a(x))
        return self.head(x)
'''

_BLOCKS = '''\
import keras
from keras import layers, ops


class DoubleConvolution(layers.Layer):
    """Two 3x3 convolutions with ReLU."""

    def __init__(self, filters, **options):
        super().__init__(**options)
        self.first = layers.Conv2D(filters, 3, padding="same", activation="relu")
        self.second = layers.Conv2D(filters, 3, padding="same", activation="relu")

    def call(self, features):
        return self.second(self.first(features))


class UNet(keras.Model):
    """64, 128 and 256 filters; one sigmoid channel."""

    def __init__(self, **options):
        super().__init__(**options)
        self.encoder1, self.encoder2 = DoubleConvolution(64), DoubleConvolution(128)
        self.bottleneck = DoubleConvolution(256)
        self.decoder2, self.decoder1 = DoubleConvolution(128), DoubleConvolution(64)
        self.pool1, self.pool2 = layers.MaxPooling2D(2), layers.MaxPooling2D(2)
        self.up2 = layers.Conv2DTranspose(128, 2, strides=2, padding="same")
        self.up1 = layers.Conv2DTranspose(64, 2, strides=2, padding="same")
        self.head = layers.Conv2D(1, 1, activation="sigmoid")

    def call(self, image):
        encoder1 = self.encoder1(image)
        encoder2 = self.encoder2(self.pool1(encoder1))
        bottleneck = self.bottleneck(self.pool2(encoder2))
        upsampled2 = self.up2(bottleneck)
        decoder2 = self.decoder2(ops.concatenate([encoder2, upsampled2], axis=-1))
        upsampled1 = self.up1(decoder2)
        decoder1 = self.decoder1(ops.concatenate([encoder1, upsampled1], axis=-1))
        return self.head(decoder1)
'''

COMMON = (
    f"All three are the same network with {grouped(PARAMETERS)} parameters. Its two poolings halve the picture twice, "
    "so height and width must be multiples of 4, however the network is written. Other sizes fail at a merge; below 4 "
    "pixels, a pooling fails because nothing is left to halve."
)

VARIANTS: dict[str, TutorialVariant] = {
    variant.name: variant
    for variant in (
        TutorialVariant(
            name="no_padding",
            title="Conv2DTranspose without padding",
            question='Do the merges fail on 256×256 because Conv2DTranspose has no padding="same"?',
            answer="No. With kernel 2 and stride 2, every pixel fills its own 2×2 patch: patches neither overlap nor "
            "extend beyond the border, so both paddings give exactly twice the size. 256×256 works.",
            source=_LAYERS.replace("{padding}", ""),
        ),
        TutorialVariant(
            name="same_padding",
            title='Conv2DTranspose with padding="same"',
            question='Does padding="same" in Conv2DTranspose make more sizes work?',
            answer="No. The shapes are the same with and without it, and so are the sizes that fail.",
            source=_LAYERS.replace("{padding}", ', padding="same"'),
        ),
        TutorialVariant(
            name="named_tensors",
            title="Blocks and named tensors",
            question="Do separate blocks and a name for every tensor prevent errors at the merges?",
            answer="No. The computation is the same, with the same shapes, parameters and sizes that fail. But the "
            "code is easier to read, and each tensor can be inspected by name.",
            source=_BLOCKS,
        ),
    )
}
