"""The augmentation chosen for training on the Data page: kept in the session and in the URL."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from ui.data.sets import Dataset
from ui.shared import url
from ui.train import options
from unet_core.data.augmentation import AugmentationConfig
from unet_core.data.own.report import saved_report
from unet_core.errors import ConfigError

AUGMENTATION = "training_augmentation"  # session key: an AugmentationConfig
DEFAULTS = "usual"  # in the URL: every field has its default


def training_augmentation() -> AugmentationConfig | None:
    """Return the augmentation chosen for training, None if none was; an invalid one in the URL is ignored."""
    applied: AugmentationConfig | None = st.session_state.get(AUGMENTATION)
    written = url.asked(options.AUGMENTATION)
    if applied is not None:
        if not written:  # a menu link has led here
            url.write(options.AUGMENTATION, _as_text(applied))
        return applied
    if written:
        try:
            applied = AugmentationConfig() if written == DEFAULTS else AugmentationConfig.from_json(written)
        except ConfigError:
            url.write(options.AUGMENTATION, "")
            return None
        st.session_state[AUGMENTATION] = applied
    return applied


def apply_augmentation(config: AugmentationConfig) -> None:
    """Choose `config` for training."""
    st.session_state[AUGMENTATION] = config
    url.write(options.AUGMENTATION, _as_text(config))


def background_class(dataset: Dataset, classes: int | None = None) -> int:
    """Return the background's class id, which is not pasted: in a dataset's masks, or for a network's `classes`."""
    if classes == 1:
        return 0  # masks of a network with one output: the object is 1
    report = saved_report(dataset.data) if dataset.kind == "own" else None
    return AugmentationConfig().paste_background if report is None else report.background


def drop_augmentation() -> None:
    """Forget the chosen augmentation."""
    st.session_state.pop(AUGMENTATION, None)
    url.write(options.AUGMENTATION, "")


def _as_text(config: AugmentationConfig) -> str:
    changed = changes(config)
    return json.dumps(changed, separators=(",", ":")) if changed else DEFAULTS


def changes(config: AugmentationConfig) -> dict[str, Any]:
    """Return the fields that differ from the defaults; only `enabled` if augmentation is off."""
    if not config.enabled:
        return {"enabled": False}
    defaults = AugmentationConfig().model_dump(mode="json")
    return {field: value for field, value in config.model_dump(mode="json").items() if value != defaults[field]}


def command_options(config: AugmentationConfig) -> list[str]:
    """Return the options that give `python -m unet_core train` this augmentation."""
    options = []
    for field, value in changes(config).items():
        assignment = f"augmentation.{field}={json.dumps(value, separators=(',', ':'))}"
        options.append(f"--set '{assignment}'" if "[" in assignment else f"--set {assignment}")
    return options
