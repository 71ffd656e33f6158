"""Published results on this dataset, each with its source, its setting and our comparable figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unet_core.results.files import Number, PartResult

Comparable = Literal["yes", "roughly", "no"]


@dataclass(frozen=True)
class Reported:
    """One figure as published; `ours` names the same metric of a `PartResult`, "" if there is none."""

    label: str
    value: float
    ours: str = ""


@dataclass(frozen=True)
class Published:
    """One published result."""

    title: str
    network: str
    setting: str
    figures: tuple[Reported, ...]
    comparable: Comparable
    why: str
    source: str
    url: str


PUBLISHED: tuple[Published, ...] = (
    Published(
        title="A U-Net from scratch",
        network="U-Net without pretraining, Adam, 10 epochs",
        setting="128×128 px, three classes, horizontal flips, test part",
        figures=(
            Reported("pixel accuracy", 0.8739, "pixel_accuracy"),
            Reported("mean IoU", 0.6800, "mean_iou"),
            Reported("mean Dice", 0.7858, "mean_dice"),
        ),
        comparable="roughly",
        why="Same size and classes. The page does not say which photos are in the test part, nor whether its means "
        "are over pixels or photos.",
        source="techvasolutions.com, Oxford Pets U-Net segmentation",
        url="http://techvasolutions.com/fns12/oxford-pets-unet-segmentation",
    ),
    Published(
        title="TensorFlow's tutorial",
        network="Frozen MobileNetV2 (ImageNet) with a decoder of transposed convolutions, 6.5 million parameters",
        setting="128×128 px, three classes, official test part",
        figures=(Reported("pixel accuracy", 0.877, "pixel_accuracy"),),
        comparable="roughly",
        why="Same photos, size and classes. The tutorial validates on this part while training, and reports no IoU.",
        source="tensorflow.org, Image segmentation",
        url="https://www.tensorflow.org/tutorials/images/segmentation",
    ),
    Published(
        title="FPN with ResNet-34",
        network="Feature pyramid network on an ImageNet ResNet-34, 23.2 million parameters",
        setting="256×256 px, two classes, the border counted as pet, official test part",
        figures=(
            Reported("pet IoU, all pixels", 0.9146, "pet_iou.dataset"),
            Reported("pet IoU, mean over photos", 0.9070, "pet_iou.per_image_mean"),
        ),
        comparable="roughly",
        why="Same photos; ours with the border counted as pet too. It was trained for exactly these two classes and "
        "compares at twice the side length.",
        source="Hugging Face, model card of segmentation_models.pytorch's pet example",
        url="https://huggingface.co/lynton1980/oxford-pet-segmentation",
    ),
    Published(
        title="FCN with ResNet-101",
        network="Fully convolutional network on a ResNet-101, pretrained on COCO photos that show cats and dogs",
        setting="128×128 px, its own test part of 368 photos, trained on 90 % of all photos",
        figures=(Reported("pixel accuracy", 0.95), Reported("IoU", 0.93)),
        comparable="no",
        why="Another test part, twice the training photos, pretraining with masks of cats and dogs; near-duplicates "
        "may be in both parts; it does not say over which classes the IoU is.",
        source="github.com/d-f/oxford-semantic-segmentation",
        url="https://github.com/d-f/oxford-semantic-segmentation",
    ),
)


def ours(part: PartResult, measure: str) -> Number:
    """Return the figure of a part that `Reported.ours` names; None if there is none."""
    name, _, key = measure.partition(".")
    value = getattr(part, name, None) if name else None
    return value.get(key) if key and isinstance(value, dict) else value
