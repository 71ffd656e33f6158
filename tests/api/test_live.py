"""Pictures of a camera: each comes back as an outline, only to a page that is open, and others do not wait for them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.api import Answer, Client, serving
from tests.helpers.processes import wait_until
from tests.helpers.tiny_model import write_tiny_model
from ui.components import decoded
from unet_core.api.live import VISITS, Visits
from unet_core.api.problems import Problem
from unet_core.api.routes import api_app
from unet_core.segment import Segmenter
from unet_core.segment.turns import concurrency_limit
from unet_core.settings import Settings, get_settings


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving(api_app()) as client:
        yield client


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(write_tiny_model(tmp_path / "weights")))
    return get_settings()


@pytest.fixture
def ticket(settings: Settings) -> str:
    return VISITS.admit("anna", Segmenter(settings=settings), lambda: True)


def half_red() -> bytes:
    """A picture whose left half is what the tiny model takes for a pet."""
    pixels = np.zeros((192, 256, 3), np.uint8)
    pixels[:, :128] = 255, 0, 0
    pixels[:, 128:] = 0, 0, 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def send(client: Client, ticket: str, picture: bytes | None = None, **headers: str) -> Answer:
    return client.ask("POST", "/live", picture or half_red(), {"X-Live-Ticket": ticket, **headers})


def test_the_outline_is_opaque_where_the_subject_is(client: Client, ticket: str) -> None:
    answer = send(client, ticket)
    assert (answer.status, answer.kind) == (200, "image/png")
    outline = np.asarray(Image.open(io.BytesIO(answer.body)))
    assert (outline.shape, outline.dtype) == ((192, 256), np.uint8)
    assert outline[:, :110].min() > 200
    assert outline[:, 146:].max() < 50
    assert answer.headers["x-pause"] == "0"
    assert "network;dur=" in answer.headers["server-timing"]


def test_only_an_open_page_may_send_pictures(client: Client, settings: Settings) -> None:
    opened = [True]
    ticket = VISITS.admit("anna", Segmenter(settings=settings), lambda: opened[0])
    assert send(client, ticket).status == 200
    opened[0] = False
    assert not VISITS.holds(ticket)
    for unknown in (ticket, "", "guessed"):
        answer = send(client, unknown)
        assert (answer.status, answer.kind) == (401, "application/problem+json")
    assert send(client, VISITS.admit("anna", Segmenter(settings=settings), lambda: True)).status == 200


def test_closed_pages_are_forgotten(settings: Settings) -> None:
    visits, opened = Visits(), [True]
    old = visits.admit("anna", Segmenter(settings=settings), lambda: opened[0])
    opened[0] = False
    visits.admit("bob", Segmenter(settings=settings), lambda: True)
    opened[0] = True  # would count again if it were still known
    with pytest.raises(Problem):
        visits.of(old)


def test_the_camera_works_where_the_api_is_closed_but_not_from_other_websites(
    client: Client, ticket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNET_API", "off")
    assert send(client, ticket).status == 200
    assert send(client, ticket, Origin="https://evil.example").status == 403


def test_what_is_no_small_picture_is_refused(client: Client, ticket: str) -> None:
    assert send(client, ticket, b"no picture").status == 422
    assert send(client, ticket, bytes(400_000)).status == 413


def test_a_page_has_one_picture_on_its_way_and_leaves_the_queue_when_it_closes(
    client: Client, ticket: str, settings: Settings
) -> None:
    limit = concurrency_limit(settings)
    with ExitStack() as held:
        for _ in range(settings.max_concurrent):
            held.enter_context(limit.slot())
        connection = client.connect()
        connection.request("POST", "/api/live", half_red(), {"X-Live-Ticket": ticket})
        wait_until(lambda: limit.waiting == 1, "the picture", 30)
        assert send(client, ticket).status == 429
        connection.close()
        wait_until(lambda: limit.waiting == 0, "the picture to be dropped", 30)
    assert send(client, ticket).status == 200


def test_pictures_leave_time_to_those_who_wait(client: Client, ticket: str, settings: Settings) -> None:
    limit = concurrency_limit(settings)
    with ThreadPoolExecutor(1) as pool, ExitStack() as held:
        for _ in range(settings.max_concurrent - 1):
            held.enter_context(limit.slot())  # somebody else's photo is being segmented
        assert int(pool.submit(send, client, ticket).result(30).headers["x-pause"]) > 0
    assert send(client, ticket).headers["x-pause"] == "0"


def test_a_taken_picture_is_decoded_only_if_it_is_one_of_the_allowed_size() -> None:
    assert decoded("aGFsbG8=", 10) == b"hallo"
    assert decoded("aGFsbG8=", 1) is None
    for wrong in (None, 3, {"a": 1}, "no base64!"):
        assert decoded(wrong, 1000) is None
