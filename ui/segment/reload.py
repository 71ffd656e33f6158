"""A visitor's workspace after a reload, which starts another session: taken over from the session they have left.

Streamlit keeps a session for about two minutes after its page is gone. Nothing is kept for longer than that here, and
nothing is written to disk: the workspaces are only referred to.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self, TypeVar

from streamlit import runtime

from ui.shared import attention, visitor


class Kept(Protocol):
    """What a workspace must offer to be taken over."""

    @property
    def photos(self) -> Sequence[object]:
        """The photos; a workspace without any is not taken over."""
        ...

    def copy(self) -> Self:
        """Return one for another session."""
        ...


W = TypeVar("W", bound=Kept)
_workspaces: weakref.WeakValueDictionary[tuple[str, str], Any] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def workspace_of_session(new: Callable[[], W]) -> W:
    """Return the workspace for a session that has none: a copy of the one that its visitor has left, or a `new` one.

    A session that is still connected keeps its photos to itself, as another tab does.
    """
    session = attention.session_id()
    if session is None or not runtime.exists():
        return new()
    is_connected = runtime.get_instance().is_active_session
    with _lock:
        workspace = _left_by(visitor.key(), is_connected) or new()
        _workspaces[visitor.key(), session] = workspace
    return workspace


def _left_by(key: str, is_connected: Callable[[str], bool]) -> Any:
    """Return a copy of the visitor's newest workspace whose session is gone, and let no other session have it."""
    theirs = [(session, workspace) for (owner, session), workspace in _workspaces.items() if owner == key]
    for session, workspace in reversed(theirs):
        if not is_connected(session) and workspace.photos:
            del _workspaces[key, session]
            return workspace.copy()
    return None
