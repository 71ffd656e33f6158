"""The available pretrained encoders and their properties."""

from __future__ import annotations

from typing import Literal, NamedTuple

MOBILENET_V2_WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


class EncoderKind(NamedTuple):
    """One family of pretrained contracting paths.

    `scale` is the `Preprocessing.scale` that its ImageNet weights expect, `application` its name in
    `keras.applications` (None if Keras does not have it), and `widths` the available factors of its filters.
    """

    title: str
    scale: Literal["symmetric", "raw"]
    application: str | None
    widths: tuple[float, ...]
    source: str


ENCODERS: dict[str, EncoderKind] = {
    "mobilenet_v2": EncoderKind(
        title="MobileNetV2",
        scale="symmetric",
        application="MobileNetV2",
        widths=MOBILENET_V2_WIDTHS,
        source="M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen: MobileNetV2, CVPR 2018",
    ),
    "efficientnet_b0": EncoderKind(
        title="EfficientNetB0",
        scale="raw",
        application="EfficientNetB0",
        widths=(1.0,),
        source="M. Tan, Q. V. Le: EfficientNet, ICML 2019",
    ),
    "efficientnet_lite0": EncoderKind(
        title="EfficientNet-Lite0",
        scale="symmetric",
        application=None,
        widths=(1.0,),
        source="R. Liu: Higher accuracy on vision models with EfficientNet-Lite, TensorFlow blog 2020, after M. Tan, "
        "Q. V. Le: EfficientNet, ICML 2019",
    ),
}
