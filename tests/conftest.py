"""What every test needs: quiet TensorFlow, and the dataset's folder where there is one."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from streamlit.components.v2 import manifest_scanner

# How long an example takes depends on what else runs on the machine; no test asserts a time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(autouse=True, scope="session")
def one_scan_for_components() -> Iterator[None]:
    """Look for components of installed packages once: a run of a page in a test would read all packages' metadata."""
    with pytest.MonkeyPatch.context() as patch:
        scan = functools.cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", scan)
        yield


@pytest.fixture(scope="session")
def oxford_dir() -> Path:
    """Folder that holds the prepared Oxford-IIIT Pet dataset; skips where it is not there."""
    folder = Path(os.environ.get("UNET_DATA_DIR", Path.home() / "tensorflow_datasets"))
    if not (folder / "oxford_iiit_pet" / "4.0.0").is_dir():
        pytest.skip("no Oxford-IIIT Pet dataset in UNET_DATA_DIR")
    return folder
