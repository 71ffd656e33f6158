"""What a session may upload: bounded by its page, only where it was asked for, and freed with its page."""

from __future__ import annotations

import asyncio
import urllib.error
from pathlib import Path

import pytest
from starlette.exceptions import HTTPException
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from tests.helpers.server import Server, started
from tests.helpers.visitor import Visitor
from ui.shared.upload_limits import BoundedUploads, _bounded
from unet_core.images.samples import cat_png

MB = 1_000_000


@pytest.fixture
def store() -> BoundedUploads:
    found = _bounded(MemoryUploadedFileManager("/upload"))
    assert found is not None
    found.allow("visitor", "Segment", 10)
    return found


def send(store: BoundedUploads, megabytes: float, session: str = "visitor") -> str:
    (url,) = store.get_upload_urls(session, ["a.png"])
    store.add_file(session, record(url.file_id, megabytes))
    return url.file_id


def record(file_id: str, megabytes: float) -> UploadedFileRec:
    return UploadedFileRec(file_id, "a.png", "image/png", bytes(int(megabytes * MB)))


def test_files_up_to_the_pages_limit_are_accepted_and_no_more(store):
    first, second = send(store, 4), send(store, 6)
    with pytest.raises(HTTPException) as refused:
        send(store, 1)
    assert refused.value.status_code == 413
    assert [file.file_id for file in store.get_files("visitor", [first, second])] == [first, second]


def test_files_that_the_page_has_read_make_room(store):
    old = send(store, 8)
    store.get_files("visitor", [old])
    new = send(store, 8)
    assert [file.file_id for file in store.get_files("visitor", [old, new])] == [new]


def test_a_file_whose_bytes_were_dropped_takes_no_room(store):
    for _ in range(5):
        file_id = send(store, 9)
        store.add_file("visitor", record(file_id, 0))


def test_an_address_that_was_not_asked_for_is_refused(store):
    with pytest.raises(HTTPException) as refused:
        store.add_file("visitor", record("invented", 0.001))
    assert refused.value.status_code == 403
    (url,) = store.get_upload_urls("another", ["a.png"])
    with pytest.raises(HTTPException):
        store.add_file("visitor", record(url.file_id, 0.001))


def test_another_page_frees_the_files_and_a_page_without_uploader_takes_none(store):
    file_id = send(store, 5)
    store.allow("visitor", "Segment", 10)
    assert store.get_files("visitor", [file_id])
    store.allow("visitor", "Home", 0)
    assert not store.get_files("visitor", [file_id])
    with pytest.raises(HTTPException):
        send(store, 0.001)


def test_the_end_of_a_session_frees_everything_of_it_alone(store):
    store.allow("another", "Segment", 10)
    theirs = send(store, 5, "another")
    send(store, 5)
    store.remove_session_files("visitor")
    assert list(store.file_storage) == ["another"]
    assert store.get_files("another", [theirs])
    with pytest.raises(HTTPException):
        send(store, 0.001)


def test_files_that_were_there_before_the_limits_stay():
    manager = MemoryUploadedFileManager("/upload")
    manager.add_file("visitor", record("early", 1))
    found = _bounded(manager)
    assert found is manager
    assert found.get_files("visitor", ["early"])


@pytest.mark.slow
def test_on_a_running_server_requests_of_ones_own_fill_no_memory(tmp_path: Path):
    photo = tmp_path / "cat.png"
    photo.write_bytes(cat_png())

    async def visit(server: Server) -> tuple[list[int], list[str]]:
        async with Visitor(server.address) as visitor:
            await visitor.run("")
            codes = []
            home = f"/_stcore/upload_file/{visitor.session}/"
            for address in (f"{home}invented", f"{home}another"):
                codes.append(await asyncio.to_thread(status, visitor, address, bytes(40 * MB)))
            page = await visitor.run("Segment")
            codes.append(await asyncio.to_thread(status, visitor, f"{home}third", bytes(1000)))
            state = await visitor.upload(page.element("file_uploader"), photo)
            seen = await visitor.run("Segment", states=(state,))
            return codes, seen.errors

    with started(tmp_path) as server:
        codes, errors = asyncio.run(visit(server))
    assert codes == [403, 403, 403]
    assert not errors


def status(visitor: Visitor, address: str, data: bytes) -> int:
    try:
        return visitor.put(FileURLs(upload_url=address), "a.png", data)
    except urllib.error.HTTPError as error:
        return error.code
