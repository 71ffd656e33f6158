"""The HTTP API in the app as people start it, and the README's clients of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.pages import readme_block
from tests.helpers.server import Server, get, started
from unet_core.images.samples import cat_png
from unet_core.settings import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"UNET_WEIGHTS_DIR": str(ROOT / "weights")}
    with started(tmp_path_factory.mktemp("server"), environment=environment) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a photo, where the README's programs run."""
    (tmp_path / "cat.jpg").write_bytes(cat_png())
    return tmp_path


def readme(mark: str, server: Server) -> str:
    """Return a block of code of the README, for this server."""
    return readme_block(mark).replace("http://localhost:8501", server.address)


def test_pages_and_api_are_served_by_one_process(server: Server) -> None:
    assert "<title>" in get(server.address)
    assert json.loads(get(f"{server.address}/api/health"))["status"] == "ok"
    assert json.loads(get(f"{server.address}/api/openapi.json"))["servers"] == [{"url": "/api"}]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_the_readmes_line_of_curl_cuts_a_photo_out(server: Server, folder: Path) -> None:
    subprocess.run(["bash", "-c", readme("api-curl", server)], cwd=folder, check=True, capture_output=True)
    with Image.open(folder / "cat_cutout.png") as cut:
        assert (cut.mode, cut.size) == ("RGBA", (451, 300))


def test_the_readmes_client_gets_figures_and_a_mask(server: Server, folder: Path) -> None:
    program = readme("api-python", server)
    assert len([line for line in program.splitlines() if line.strip()]) <= 10
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, capture_output=True, text=True)
    shares = eval(done.stdout)
    assert shares.keys() == {"pet", "background", "border"}
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    with Image.open(folder / "cat_mask.png") as mask:
        assert mask.size == (451, 300)
        assert {value for _, value in mask.getcolors()} <= {1, 2, 3}  # type: ignore[misc]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc")
def test_the_api_brings_no_tensorflow_into_the_process(server: Server, folder: Path) -> None:
    subprocess.run([sys.executable, "-c", readme("api-python", server)], cwd=folder, check=True, capture_output=True)
    assert "tensorflow" not in Path(f"/proc/{server.process.pid}/maps").read_text()


def test_the_api_moves_with_the_pages_base_path(tmp_path: Path) -> None:
    with started(tmp_path, environment={"STREAMLIT_SERVER_BASE_URL_PATH": "studio"}, base="/studio") as server:
        assert json.loads(get(f"{server.address}/studio/api/openapi.json"))["servers"] == [{"url": "/studio/api"}]
