"""All settings that are read from environment variables."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from unet_core.strict import Strict

ROOT = Path(__file__).resolve().parent.parent


class Settings(Strict):
    """Folders and limits; each field is read from the environment variable `UNET_<FIELD NAME>`."""

    data_dir: Path = Path.home() / "tensorflow_datasets"  # the TFDS data directory
    runs_dir: Path = ROOT / "runs"  # one folder per training run
    weights_dir: Path = ROOT / "weights"  # manifest.json and the shipped models
    cache_dir: Path = ROOT / "cache"  # indexed copies of datasets; may be deleted at any time
    datasets_dir: Path = ROOT / "datasets"  # datasets that people uploaded
    max_upload_mb: Annotated[float, Field(gt=0)] = 25  # per photo
    max_megapixels: Annotated[float, Field(gt=0, le=178)] = 50  # per photo, from its header; 178 is Pillow's own limit
    max_files: Annotated[int, Field(ge=1)] = 200  # photos per session
    max_session_mb: Annotated[float, Field(gt=0)] = 100  # total size of a session's photos, which are kept in memory
    max_photos_mb: Annotated[float, Field(gt=0)] = 600  # total size of all sessions' photos
    max_results_mb: Annotated[float, Field(gt=0)] = 32  # total size of all sessions' results, which are compressed
    max_concurrent: Annotated[int, Field(ge=1)] = 2  # photos segmented at a time, over all sessions
    photo_processes: Annotated[int, Field(ge=0)] = 2  # in which an app segments photos; 0 does it in the web process
    max_runs: Annotated[int, Field(ge=1)] = 1_000  # of the network on one photo: tiles, each once or twice
    max_archive_mb: Annotated[float, Field(gt=0)] = 300  # an uploaded dataset, as ZIP
    max_archive_files: Annotated[int, Field(ge=1)] = 5_000  # files in the ZIP
    max_unpacked_mb: Annotated[float, Field(gt=0)] = 1_500  # their total size, unpacked
    training: Literal["on", "password", "off"] = "on"  # whether visitors may start runs, downloads, exports and uploads
    training_password: Annotated[str, Field(repr=False, max_length=200)] = ""  # for `training = "password"`
    visitor_runs: Annotated[int, Field(ge=0)] = 3  # runs of one visitor that train or wait at a time; 0 is no limit
    visitor_run_minutes: Annotated[float, Field(ge=0)] = 120  # of training for each of their runs; 0 is no limit
    visitor_datasets: Annotated[int, Field(ge=0)] = 5  # uploaded datasets of one visitor; 0 is no limit
    visitor_datasets_mb: Annotated[float, Field(ge=0)] = 2_000  # their total size, unpacked; 0 is no limit
    dataset_days: Annotated[float, Field(ge=0)] = 7  # an uploaded dataset is kept; 0 is until it is deleted
    workers: Annotated[int, Field(ge=0)] = 1  # training runs at a time on this machine; 0 keeps all of them queued
    keep_runs: Annotated[int, Field(ge=1)] = 50  # adding a run deletes older ones, except pinned ones
    max_run_mb: Annotated[float, Field(gt=0)] = 2_000  # size of one run directory
    cache_mb: Annotated[float, Field(ge=0)] = 2048  # decoded photos kept in memory per split of a training set
    threads: Annotated[int, Field(ge=0)] = 0  # of ONNX Runtime; 0 is one per core
    mixed_precision: bool = False  # compute in float16 with the Keras engine, on a GPU only
    stop_seconds: Annotated[float, Field(ge=0)] = 8  # for photos to be finished when the server is asked to stop
    metrics: bool = False  # report figures about photos, runs, jobs and memory at /_stcore/metrics
    api: Literal["on", "token", "off"] = "on"  # whether programs may send photos to /api/segment
    api_token: Annotated[str, Field(repr=False, max_length=200)] = ""  # for `api = "token"`
    api_per_minute: Annotated[int, Field(ge=0)] = 60  # photos of one address without a token; 0 is no limit
    cluster: str = ""  # the Dask scheduler that --cluster uses, such as tcp://10.0.0.5:8786 or tls://…; empty is none
    cluster_ca: str = ""  # for tls://: the file of the authority that signed the cluster's certificates
    cluster_cert: str = ""  # this program's certificate
    cluster_key: str = ""  # and the certificate's key
    cluster_photos: str = ""  # folder or URL of photos for the Segment page, which the workers reach; empty is none
    cluster_results: str = ""  # for their results; empty is cluster_photos with -results at its end
    cluster_training: str = ""  # what a training needs of a worker, such as gpu=1; empty trains on this machine
    shared: bool = False  # every visitor sees and changes all runs and datasets, as a team may want

    @model_validator(mode="after")
    def _has_secrets(self) -> Self:
        if self.training == "password" and not self.training_password:
            raise ValueError("training_password: must be set, because training is set to 'password'")
        if self.api == "token" and not self.api_token:
            raise ValueError("api_token: must be set, because api is set to 'token'")
        return self

    @model_validator(mode="after")
    def _has_a_cluster_address(self) -> Self:
        if self.cluster and not re.fullmatch(r"(tcp|tls)://[^\s/]+:\d{1,5}", self.cluster):
            raise ValueError(f"cluster: must be tcp://HOST:PORT or tls://HOST:PORT. Received: {self.cluster!r}")
        if self.cluster.startswith("tls://") and not (self.cluster_ca and self.cluster_cert and self.cluster_key):
            raise ValueError("cluster: tls:// needs the files cluster_ca, cluster_cert and cluster_key")
        return self

    @model_validator(mode="after")
    def _has_cluster_folders(self) -> Self:
        if self.cluster_results and not self.cluster_photos:
            raise ValueError("cluster_results: needs the folder of the photos in cluster_photos")
        if not self.cluster_photos:
            return self
        if not self.cluster:
            raise ValueError("cluster_photos: needs the scheduler's address in cluster")
        if not self.cluster_results and re.fullmatch(r"\w+://[^/]+/?", self.cluster_photos):
            raise ValueError("cluster_results: must be set, because cluster_photos is a whole bucket")
        places = {"cluster_photos": self.cluster_photos, "cluster_results": self.cluster_results_folder}
        for field, place in places.items():
            if not (os.path.isabs(place) or "://" in place) or ".." in place.split("/") or not place.strip("/"):
                raise ValueError(f"{field}: must be the absolute path or URL of a folder. Received: {place!r}")
        photos, results = (
            f"{os.path.normpath(place)}/" for place in (self.cluster_photos, self.cluster_results_folder)
        )
        if photos.startswith(results) or results.startswith(photos):
            raise ValueError("cluster_results: must be a folder beside cluster_photos, neither in it nor around it")
        return self

    @model_validator(mode="after")
    def _has_training_resources(self) -> Self:
        if self.cluster_training and not self.cluster:
            raise ValueError("cluster_training: needs the scheduler's address in cluster")
        if not self.training_resources and self.cluster_training:
            raise ValueError(f"cluster_training: must be NAME=NUMBER,… Received: {self.cluster_training!r}")
        return self

    @property
    def cluster_results_folder(self) -> str:
        """The folder or URL for the results of `cluster_photos`."""
        return self.cluster_results or f"{self.cluster_photos.rstrip('/')}-results"

    @property
    def starts_runs(self) -> bool:
        """Whether queued runs are trained at all, on this machine or on a cluster."""
        return bool(self.workers or self.cluster_training)

    @property
    def training_resources(self) -> dict[str, float]:
        """What each training needs of a cluster's worker, by name; empty if none runs there."""
        needs = (need.partition("=") for need in self.cluster_training.split(","))
        try:
            found = {name.strip(): float(number) for name, _, number in needs if name.strip()}
        except ValueError:
            return {}
        return found if all(0 < number < math.inf for number in found.values()) else {}


def get_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `environment`, by default that of the process.

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
