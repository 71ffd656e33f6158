"""A room of visitors: each gets their own result, without an error, and the server stays small."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.helpers.crowd import crowd, make_photos, truth_of
from tests.helpers.server import started
from unet_core.settings import ROOT

pytestmark = pytest.mark.slow
PAGES = ("", "Architecture", "Results", "Data", "Train")
MOST_MB = 450  # of the web process


def test_visitors_at_once_get_their_own_results_without_errors(tmp_path: Path) -> None:
    photos = make_photos(tmp_path, 12)
    truth = truth_of(photos)
    with started(tmp_path, environment={"UNET_WEIGHTS_DIR": str(ROOT / "weights")}) as server:
        met = crowd(server.address, 12, 20, photos, truth, others=PAGES)
        memory = psutil.Process(server.process.pid).memory_info().rss / 1e6
    assert met.errors == []
    assert met.wrong == []
    assert met.unread == 0
    assert met.right >= 12
    assert memory < MOST_MB
