"""A file made on a click can be fetched although other pages rerun in between, and is dropped in the end."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from streamlit import runtime
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.media_file_storage import MediaFileStorageError
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from ui.shared import download


@pytest.fixture
def storage() -> MemoryMediaFileStorage:
    return MemoryMediaFileStorage("/media")


@pytest.fixture
def manager(storage: MemoryMediaFileStorage, monkeypatch: pytest.MonkeyPatch) -> MediaFileManager:
    """Streamlit's own keeper of files, with one visitor whose page is being run."""
    found = MediaFileManager(storage)
    monkeypatch.setattr(download, "get_script_run_ctx", lambda: SimpleNamespace(session_id="visitor"))
    monkeypatch.setattr(runtime, "exists", lambda: True)
    monkeypatch.setattr(runtime, "get_instance", lambda: SimpleNamespace(media_file_mgr=found))
    return found


def clicked(manager: MediaFileManager, make, name: str) -> str:
    """Click a button that offers `make`, and return the name under which its file is stored."""
    offered = manager.add_deferred(make, "text/plain", "button", name)
    return manager.execute_deferred(offered).rsplit("/", 1)[-1]


def rerun_everywhere(manager: MediaFileManager) -> None:
    """End a few script runs, as the pages of a full room do between a click and the browser's request."""
    for _ in range(3):
        manager.remove_orphaned_files()


def test_streamlit_alone_drops_a_file_made_on_a_click(manager, storage) -> None:
    stored = clicked(manager, lambda: "text", "a.txt")
    rerun_everywhere(manager)
    with pytest.raises(MediaFileStorageError):
        storage.get_file(stored)


@pytest.mark.parametrize("content", ["text, é", b"bytes"])
def test_a_file_made_on_a_click_outlives_the_reruns_of_others(manager, storage, content: str | bytes) -> None:
    make = download.fetchable(lambda: content, "a.txt", "text/plain")
    stored = clicked(manager, make, "a.txt")
    manager.clear_session_refs("visitor")  # the visitor's own page reruns too
    rerun_everywhere(manager)
    assert storage.get_file(stored).content == (content if isinstance(content, bytes) else content.encode())


def test_two_files_made_at_once_are_both_kept(manager, storage) -> None:
    makes = [download.fetchable(lambda text=text: text, "a.txt", "text/plain") for text in ("one", "two")]
    stored = [clicked(manager, make, "a.txt") for make in makes]
    rerun_everywhere(manager)
    assert [storage.get_file(name).content for name in stored] == [b"one", b"two"]


def test_the_file_is_dropped_after_the_time_to_fetch_it(manager, storage, monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[tuple] = []

    class Timer:
        daemon = False

        def __init__(self, seconds: float, function, arguments: list) -> None:
            timers.append((seconds, function, arguments))

        def start(self) -> None:
            pass

    monkeypatch.setattr(download.threading, "Timer", Timer)
    stored = clicked(manager, download.fetchable(lambda: "text", "a.txt", "text/plain"), "a.txt")
    ((seconds, release, arguments),) = timers
    assert seconds == download.FETCH_SECONDS
    release(*arguments)
    rerun_everywhere(manager)
    with pytest.raises(MediaFileStorageError):
        storage.get_file(stored)


def test_without_a_server_nothing_is_held() -> None:
    def make() -> str:
        return "text"

    assert download.fetchable(make, "a.txt", "text/plain") is make
