"""Every setting that comes from the environment, in one place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from unet_core.strict import Strict

ROOT = Path(__file__).resolve().parent.parent


class Settings(Strict):
    """Folders and limits; each field is read from the environment variable `UNET_<FIELD NAME>`."""

    data_dir: Path = Path.home() / "tensorflow_datasets"  # where TFDS keeps its datasets
    runs_dir: Path = ROOT / "runs"  # one folder per training run
    weights_dir: Path = ROOT / "weights"  # manifest.json and the shipped models
    cache_dir: Path = ROOT / "cache"  # browsable copies of datasets; may be deleted at any time
    datasets_dir: Path = ROOT / "datasets"  # datasets that people uploaded
    max_upload_mb: float = Field(25, gt=0)  # per photo
    max_megapixels: float = Field(50, gt=0, le=178)  # per photo, from its header; Pillow itself stops at 178
    max_files: int = Field(20, ge=1)  # photos that one visitor's page holds at a time
    max_session_mb: float = Field(100, gt=0)  # and their files together; they are kept in memory
    max_concurrent: int = Field(2, ge=1)  # photos that are segmented at a time, for all visitors together
    max_archive_mb: float = Field(300, gt=0)  # one uploaded dataset, as ZIP
    max_archive_files: int = Field(5_000, ge=1)  # files in it
    max_unpacked_mb: float = Field(1_500, gt=0)  # and their size in all once unpacked
    workers: int = Field(1, ge=0)  # training runs at a time on this machine; 0 lets all wait
    keep_runs: int = Field(50, ge=1)  # older ones are deleted when a run is added, never pinned ones
    max_run_mb: float = Field(2_000, gt=0)  # size of one run directory
    cache_mb: float = Field(2048, ge=0)  # decoded photos kept in memory for each part of a training set
    threads: int = Field(0, ge=0)  # ONNX Runtime's threads; 0 = one per core
    mixed_precision: bool = False  # float16 arithmetic of the Keras engine, on a GPU only


def get_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `environment` (the process's own by default).

    Raises:
        ConfigError: a variable is out of range; the text names its field.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {
        field: environment[variable]
        for field in Settings.model_fields
        if environment.get(variable := f"UNET_{field.upper()}")
    }
    return Settings(**values)
