"""The running server: it finishes photos before it stops, and reports figures to its operators if asked to."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.helpers.server import Server, get, started
from tests.helpers.visitor import Seen, Visitor
from unet_core.images.samples import cat_png
from unet_core.settings import Settings
from unet_core.train import queue
from unet_core.train.presets import TRAINING_PRESETS
from unet_core.train.run_directory import RunDirectory

pytestmark = pytest.mark.slow

# The app, which segments no photo for as long as the file in HOLD exists.
HELD_APP = """
import os, sys, time
from streamlit.web import cli
from unet_core.segment import display

segment = display.segment_for_display

def held(*arguments, **options):
    while os.path.exists(os.environ["HOLD"]):
        time.sleep(0.02)
    return segment(*arguments, **options)

display.segment_for_display = held
sys.argv = ["streamlit", "run", "streamlit_app.py", "--server.headless", "true", *sys.argv[1:]]
cli.main()
"""
HELD = "-c", HELD_APP
REPORTING = {"UNET_METRICS": "true"}


@pytest.fixture
def hold(tmp_path: Path) -> Path:
    return tmp_path / "hold"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "cat.png"
    file.write_bytes(cat_png())
    return file


async def _uploaded(visitor: Visitor, photo: Path) -> Seen:
    page = await visitor.run("Segment")
    assert not page.errors
    return await visitor.run("Segment", states=(await visitor.upload(page.element("file_uploader"), photo),))


def figures(address: str) -> dict[str, float]:
    """Return the server's figures of its own, by name and labels."""
    lines = [line for line in get(f"{address}/_stcore/metrics").splitlines() if line.startswith("unet_")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_a_stop_finishes_the_running_photo_and_refuses_the_next(tmp_path: Path, hold: Path, photo: Path):
    async def visit(server: Server) -> tuple[Seen, Seen]:
        async with Visitor(server.address) as first, Visitor(server.address) as second:
            page = await second.run("Segment")
            hold.touch()
            running = asyncio.create_task(_uploaded(first, photo))
            while not figures(server.address)['unet_photos_pending{state="running"}']:
                await asyncio.sleep(0.05)
            server.process.send_signal(signal.SIGTERM)
            while "stopping" not in server.log.read_text():
                await asyncio.sleep(0.05)
            state = await second.upload(page.element("file_uploader"), photo)
            refused = await second.run("Segment", states=(state,))
            assert server.process.poll() is None, "it did not wait for the running photo"
            hold.unlink()
            return await running, refused

    environment = {**REPORTING, "UNET_STOP_SECONDS": "60", "HOLD": str(hold)}
    with started(tmp_path, command=HELD, environment=environment) as server:
        finished, refused = asyncio.run(visit(server))
        assert server.process.wait(30) == 0
        assert "Traceback" not in server.log.read_text()
    assert not finished.errors
    assert sum(finished.shares(("pet", "background", "border")).values()) == pytest.approx(1, abs=0.002)
    assert any("restarting" in error for error in refused.errors)


@pytest.mark.parametrize(("seconds", "signals"), [("0.5", 1), ("600", 2)], ids=["after the time", "on a second signal"])
def test_a_stop_leaves_a_photo_unfinished(tmp_path: Path, hold: Path, photo: Path, seconds: str, signals: int):
    async def visit(server: Server) -> None:
        async with Visitor(server.address) as visitor:
            page = await visitor.run("Segment")
            state = await visitor.upload(page.element("file_uploader"), photo)
            hold.touch()
            never = asyncio.create_task(visitor.run("Segment", states=(state,)))
            while not figures(server.address)['unet_photos_pending{state="running"}']:
                await asyncio.sleep(0.05)
            for _ in range(signals):
                server.process.send_signal(signal.SIGTERM)
                while "stopping" not in server.log.read_text():
                    await asyncio.sleep(0.05)
            await asyncio.wait([never], timeout=30)
            never.exception()

    environment = {**REPORTING, "UNET_STOP_SECONDS": seconds, "HOLD": str(hold)}
    with started(tmp_path, command=HELD, environment=environment) as server:
        asyncio.run(visit(server))
        assert server.process.wait(30) == 0
        assert ("photos are unfinished" in server.log.read_text()) == (signals == 1)


def test_figures_are_reported_only_if_the_settings_say_so(tmp_path: Path, photo: Path):
    async def visit(address: str) -> dict[str, float]:
        async with Visitor(address) as visitor:
            assert not (await _uploaded(visitor, photo)).errors
            while not (reported := figures(address)).get('unet_held_bytes{kind="results"}', 1):
                await asyncio.sleep(0.05)  # the result is being compressed
            return reported

    with started(tmp_path, environment=REPORTING) as server:
        reported = asyncio.run(visit(server.address))
        text = get(f"{server.address}/_stcore/metrics")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    assert reported['unet_photos_total{outcome="segmented"}'] == 1
    assert reported['unet_photos_total{outcome="failed"}'] == 0
    assert reported["unet_photo_duration_seconds_count"] == 1
    assert reported["unet_photo_duration_seconds_sum"] > 0
    assert reported['unet_photos_pending{state="waiting"}'] == 0
    assert reported['unet_training_runs{state="active"}'] == 0
    assert reported['unet_held_bytes{kind="photos"}'] == photo.stat().st_size
    assert reported['unet_held_bytes{kind="results"}'] > 0
    assert reported['unet_processes{job="web"}'] == 1
    assert reported['unet_memory_bytes{job="web"}'] > 50e6
    assert "active_sessions" in text, "Streamlit's own figures stand beside ours"
    assert "cat" not in text.lower().replace("category", ""), "nothing of a visitor's may be reported"

    (tmp_path / "plain").mkdir()
    with started(tmp_path / "plain") as server:
        assert asyncio.run(visit(server.address)) == {}


async def _shown(server: Server, run: RunDirectory) -> Seen:
    async with Visitor(server.address) as visitor:
        return await visitor.run("Train", f"run={run.id}")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a kill that cannot be caught")
def test_a_server_that_was_killed_has_lost_no_run_and_starts_again(tmp_path: Path):
    environment = {"UNET_RUNS_DIR": str(tmp_path / "runs"), "UNET_WORKERS": "0", "UNET_SHARED": "true"}
    settings = Settings(runs_dir=tmp_path / "runs", workers=0)
    run = queue.submit(TRAINING_PRESETS["demo_60s"].config, "Kept", settings=settings)

    for _ in range(2):
        with started(tmp_path, environment=environment) as server:
            seen = asyncio.run(_shown(server, run))
            server.process.kill()
            server.process.wait()
        assert not seen.errors
        assert queue.position(run, settings) == 1


def test_two_servers_on_one_runs_folder_show_the_same_runs_and_keep_both_changes(tmp_path: Path):
    environment = {"UNET_RUNS_DIR": str(tmp_path / "runs"), "UNET_WORKERS": "0", "UNET_SHARED": "true"}
    settings = Settings(runs_dir=tmp_path / "runs", workers=0)
    run = queue.submit(TRAINING_PRESETS["demo_60s"].config, "Before", settings=settings)

    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with (
        started(tmp_path / "one", environment=environment) as one,
        started(tmp_path / "two", environment=environment) as two,
    ):
        assert not asyncio.run(_shown(one, run)).errors
        queue.rename(run, "After")
        queue.pin(run)
        shown = asyncio.run(_shown(two, run))
    assert not shown.errors
    assert (run.label().name, run.label().pinned) == ("After", True)
