"""`deploy/nginx.conf` in a real nginx before two replicas: every visitor stays on one, and moves when it is down."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import tomllib
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.processes import wait_until
from tests.helpers.server import free_port, is_healthy, started
from tests.helpers.visitor import Visitor
from unet_core.images.samples import cat_png
from unet_core.settings import ROOT

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
CONFIGURATION = ROOT / "deploy" / "nginx.conf"
CLASSES = ("pet", "background", "border")
AT_A_TIME = 5

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NGINX is None, reason="there is no nginx: apt-get install nginx"),
]

AROUND = """
{user} daemon off; pid nginx.pid; error_log error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path fcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    default_type application/octet-stream;
    {configuration}
}}
"""


@contextlib.contextmanager
def balanced(folder: Path, first: int, second: int, *, affinity: bool = True) -> Iterator[str]:
    """Run nginx with the shipped configuration before replicas on two ports; yield its address."""
    port, folder = free_port(), folder / ("sticky" if affinity else "plain")
    folder.mkdir()
    configuration = CONFIGURATION.read_text()
    for before, after in {"8501": f"{first}", "8502": f"{second}", "listen 80;": f"listen 127.0.0.1:{port};"}.items():
        assert before in configuration
        configuration = configuration.replace(before, after)
    if not affinity:
        configuration = configuration.replace("http://$unet_upstream;", "http://unet_any;").replace("least_conn;", "")
    user = "user root;" if os.getuid() == 0 else ""  # else root's nginx cannot write into a test's folder
    (folder / "nginx.conf").write_text(AROUND.format(configuration=configuration, user=user))
    process = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", "nginx.conf"])
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: process.poll() is not None or is_healthy(address), "nginx", 30)
        assert process.poll() is None, (folder / "error.log").read_text()
        yield address
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Two replicas of the app."""
    with contextlib.ExitStack() as stack:
        ports = free_port(), free_port()
        for port in ports:
            stack.enter_context(started(tmp_path_factory.mktemp("replica"), port=port))
        yield ports


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("photo") / "cat.png"
    file.write_bytes(cat_png())
    return file


def first_cookies(address: str, cookies: dict[str, str] | None = None) -> dict[str, str]:
    """Open the app as a browser does, and return the cookies that it then has."""
    header = "; ".join(f"{name}={value}" for name, value in (cookies or {}).items())
    request = urllib.request.Request(address, headers={"Cookie": header} if header else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        fresh = [cookie.partition(";")[0].partition("=") for cookie in answer.headers.get_all("set-cookie") or []]
    return {**(cookies or {}), **{name: value for name, _, value in fresh}}


async def segments(address: str, photo: Path, cookies: dict[str, str]) -> str:
    """Upload a photo and return what came of it: "segmented", or the error."""
    try:
        async with Visitor(address, cookies) as visitor:
            page = await visitor.run("Segment")
            state = await visitor.upload(page.element("file_uploader"), photo)
            shown = await visitor.run("Segment", states=(state,))
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    whole = sum(shown.shares(CLASSES).values())
    return "segmented" if not shown.errors and abs(whole - 1) < 0.005 else f"{shown.errors or whole}"


async def visits(address: str, photo: Path, number: int) -> tuple[Counter[str], Counter[str]]:
    """Let visitors come, a few at a time; return what came of their uploads, and their replicas."""
    turn, replicas = asyncio.Semaphore(AT_A_TIME), Counter()

    async def visit() -> str:
        async with turn:
            cookies = await asyncio.to_thread(first_cookies, address)
            replicas[cookies.get("unet_replica", "")] += 1
            return await segments(address, photo, cookies)

    return Counter(await asyncio.gather(*(visit() for _ in range(number)))), replicas


def test_with_affinity_every_upload_works_and_without_it_some_do_not(
    ports: tuple[int, int], photo: Path, tmp_path: Path
):
    with balanced(tmp_path, *ports) as address:
        outcomes, replicas = asyncio.run(visits(address, photo, 100))
    assert outcomes == {"segmented": 100}
    assert set(replicas) == {"a", "b"}, "both replicas have visitors"
    assert min(replicas.values()) > 20, "and neither has nearly all of them"

    with balanced(tmp_path, *ports, affinity=False) as address:
        outcomes, _ = asyncio.run(visits(address, photo, 20))
    assert outcomes["HTTP 400"] > 0


def test_visitors_move_when_their_replica_is_down_and_stay_where_they_are_when_it_is_back(photo: Path, tmp_path: Path):
    a, b = free_port(), free_port()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with started(tmp_path / "b", port=b), balanced(tmp_path, a, b) as address:
        with started(tmp_path / "a", port=a) as replica:
            cookies = {"unet_replica": "a"}
            assert asyncio.run(segments(address, photo, cookies)) == "segmented"
            assert first_cookies(address, cookies) == {"unet_replica": "a", **without_replica(first_cookies(address))}
            replica.process.send_signal(signal.SIGTERM)
            assert replica.process.wait(30) == 0
        cookies = first_cookies(address, cookies)
        assert cookies["unet_replica"] == "b"
        assert asyncio.run(segments(address, photo, cookies)) == "segmented"
        with started(tmp_path / "a", port=a):
            assert asyncio.run(segments(address, photo, cookies)) == "segmented"
            assert first_cookies(address, cookies)["unet_replica"] == "b"


def without_replica(cookies: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in cookies.items() if name != "unet_replica"}


def test_limits_and_what_is_closed_and_compressed(ports: tuple[int, int], tmp_path: Path):
    limit = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["server"]["maxUploadSize"]
    assert f"client_max_body_size {limit + 1}m;" in CONFIGURATION.read_text()
    with balanced(tmp_path, *ports) as address:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{address}/_stcore/metrics", timeout=30)
        with urllib.request.urlopen(address, timeout=30) as page:
            script = re.search(r'src="\.?(/static/js/[^"]+\.js)"', page.read().decode())
        assert script, "Streamlit's page names its script"
        sizes = {}
        for coding in ("identity", "gzip"):
            request = urllib.request.Request(address + script[1], headers={"Accept-Encoding": coding})
            with urllib.request.urlopen(request, timeout=30) as answer:
                sizes[coding] = len(answer.read())
        assert sizes["gzip"] < 0.5 * sizes["identity"]
