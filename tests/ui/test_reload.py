"""A new session of a visitor takes over the workspace that they have left, and no other."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from ui.segment import reload
from ui.segment.photos import Photo
from ui.segment.workspace import Workspace
from unet_core.settings import Settings


@pytest.fixture
def arrive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Workspace]]:
    """Start a session of a visitor; `connected` names the sessions whose pages are open."""
    now: dict[str, object] = {}

    class Runtime:
        def is_active_session(self, session: str) -> bool:
            return session in now["connected"]

    monkeypatch.setattr(reload.attention, "session_id", lambda: now["session"])
    monkeypatch.setattr(reload.visitor, "key", lambda: now["visitor"])
    monkeypatch.setattr(reload.runtime, "exists", lambda: True)
    monkeypatch.setattr(reload.runtime, "get_instance", Runtime)

    def open_page(session: str, visitor: str = "ann", connected: tuple[str, ...] = ()) -> Workspace:
        now.update(session=session, visitor=visitor, connected={session, *connected})
        return reload.workspace_of_session(Workspace)

    yield open_page
    reload._workspaces.clear()


def with_photo(workspace: Workspace, name: str = "a.jpg") -> Workspace:
    workspace.store.add([Photo.of(name, name.encode())], Settings())
    return workspace


def names(workspace: Workspace) -> list[str]:
    return [photo.name for photo in workspace.photos]


def test_a_session_takes_over_the_photos_of_the_one_that_its_visitor_has_left(arrive) -> None:
    left = with_photo(arrive("1"))
    left.uploads["photos-0"] = {"file": "digest"}
    after = arrive("2")
    assert names(after) == ["a.jpg"]
    assert not after.uploads
    with_photo(after, "b.jpg")
    assert names(left) == ["a.jpg"]  # should its page connect again, each has its own


def test_a_session_that_is_connected_keeps_its_photos_to_itself(arrive) -> None:
    first = with_photo(arrive("1"))
    assert not arrive("2", connected=("1",)).photos
    assert names(first) == ["a.jpg"]


def test_photos_never_come_to_another_visitor(arrive) -> None:
    left = with_photo(arrive("1"))
    assert not arrive("2", visitor="bob").photos
    assert names(left) == ["a.jpg"]


def test_what_one_session_has_taken_over_another_does_not_get(arrive) -> None:
    left = with_photo(arrive("1"))
    second = arrive("2")
    assert not arrive("3", connected=("2",)).photos
    assert names(left) == names(second)


def test_the_newest_workspace_with_photos_is_taken(arrive) -> None:
    older, newer = with_photo(arrive("1")), with_photo(arrive("2", connected=("1",)), "b.jpg")
    empty = arrive("3", connected=("1", "2"))
    assert names(arrive("4")) == names(newer)
    assert (names(older), names(empty)) == (["a.jpg"], [])


def test_nothing_outlives_streamlits_own_session(arrive) -> None:
    with_photo(arrive("1"))
    gc.collect()
    assert not arrive("2").photos
