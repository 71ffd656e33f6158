"""Looking into object storage from a page, in a child process."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from unet_core.jobs import storage, storage_process
from unet_core.settings import ROOT


def test_a_folder_on_a_disk_is_read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_process, "_CHILD", None)
    (tmp_path / "b").mkdir()
    (tmp_path / "a.jpg").touch()
    assert storage_process.look_into(str(tmp_path), 5) == storage.Listing(["a.jpg"], ["b"], whole=True)
    assert not storage_process.look_into(str(tmp_path), 1).whole
    assert storage_process.is_folder(str(tmp_path))


def test_a_store_is_asked_in_a_child_which_says_what_is_wrong() -> None:
    program = (
        "import sys\n"
        "from unet_core.jobs import storage, storage_process as process\n"
        "print(process.is_folder('memory://nowhere'))\n"
        "try: process.look_into('memory://nowhere', 5)\n"
        "except storage.StorageError as error: print('refused', error)\n"
        "print('fsspec' in sys.modules)\n"
        "process._CHILD.close()\n"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == ["False", "refused /nowhere", "False"], found.stderr


@pytest.mark.skipif(importlib.util.find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_missing_client_is_named() -> None:
    with pytest.raises(storage.StorageError, match="s3:// needs the package s3fs"):
        storage_process.look_into("s3://bucket/photos", 5)


def test_a_store_that_does_not_answer_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = storage_process.ServedChild("timeit", "-n", "1", "-s", "import time", "time.sleep(60)")
    monkeypatch.setattr(storage_process, "_CHILD", slow)
    monkeypatch.setattr(storage_process, "LISTING_SECONDS", 0.5)
    with pytest.raises(storage_process.TooManyError, match=r"in 0\.5 seconds"):
        storage_process.look_into("memory://photos", 5)
    assert slow.pid is None
