"""A limit on the memory that uploads take: on its own, Streamlit keeps any number of files that a session sends.

An uploader's limit is checked by the browser and for each file alone; whoever sends requests of their own could fill
the memory, even from a page without an uploader. Here, each page allows a session a number of megabytes.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from streamlit import runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlit.runtime.uploaded_file_manager import UploadedFileRec, UploadFileUrlInfo

_MAX_ISSUED = 20_000  # addresses for uploads that a session may have open; a whole folder asks for its files at once


class BoundedUploads(MemoryUploadedFileManager):
    """Streamlit's store of uploaded files, which refuses what a session may not send."""

    def __init__(self, upload_endpoint: str) -> None:
        super().__init__(upload_endpoint)
        self._allowed: dict[str, tuple[str, float]] = {}  # by session: the page, and its bytes
        self._issued: dict[str, dict[str, None]] = {}
        self._read: dict[str, set[str]] = {}
        self._bounds = threading.RLock()

    def allow(self, session_id: str, page: str, megabytes: float) -> None:
        """Set what a session may send from its page; on another page, files of the former one's widgets are freed."""
        with self._bounds:
            before = self._allowed.get(session_id)
            self._allowed[session_id] = page, megabytes * 1e6
            if before is not None and before[0] != page:
                self._forget_files(session_id)

    def get_upload_urls(self, session_id: str, file_names: Sequence[str]) -> list[UploadFileUrlInfo]:
        """Return addresses for uploads; only files with one of them are accepted."""
        urls = super().get_upload_urls(session_id, file_names)
        with self._bounds:
            issued = self._issued.setdefault(session_id, {})
            issued |= {url.file_id: None for url in urls}
            for oldest in list(issued)[: max(0, len(issued) - _MAX_ISSUED)]:
                del issued[oldest]
        return urls

    def get_files(self, session_id: str, file_ids: Sequence[str]) -> list[UploadedFileRec]:
        """Return a session's files, as Streamlit does, and note that the page has read them."""
        found = super().get_files(session_id, file_ids)
        if found:
            with self._bounds:
                self._read.setdefault(session_id, set()).update(file.file_id for file in found)
        return found

    def add_file(self, session_id: str, file: UploadedFileRec) -> None:
        """Store a file.

        Raises:
            HTTPException: nobody asked for its address (403), or the session would hold too much (413).
        """
        with self._bounds:
            if file.file_id not in self._issued.get(session_id, {}):
                raise HTTPException(403, "This upload was not asked for")
            allowed = self._allowed.get(session_id, ("", 0.0))[1]
            held = {other.file_id: len(other.data) for other in self._files(session_id)}
            held[file.file_id] = len(file.data)
            for old in self._read.get(session_id, set()) & held.keys() - {file.file_id}:
                if sum(held.values()) <= allowed:
                    break
                self.remove_file(session_id, old)  # its page has taken what it needs
                del held[old]
            if file.data and sum(held.values()) > allowed:
                raise HTTPException(413, "This page accepts fewer megabytes")
            super().add_file(session_id, file)

    def remove_file(self, session_id: str, file_id: str) -> None:
        """Remove a session's file."""
        super().remove_file(session_id, file_id)
        with self._bounds:
            self._read.get(session_id, set()).discard(file_id)

    def remove_session_files(self, session_id: str) -> None:
        """Remove a session's files, and what is known about it."""
        with self._bounds:
            self._forget_files(session_id)
            self._allowed.pop(session_id, None)

    def _forget_files(self, session_id: str) -> None:
        super().remove_session_files(session_id)
        self._issued.pop(session_id, None)
        self._read.pop(session_id, None)

    def _files(self, session_id: str) -> list[UploadedFileRec]:
        with self._lock:
            return list(self.file_storage.get(session_id, {}).values())


_INSTALLING = threading.Lock()


def allow(page: str, megabytes: float) -> None:
    """Allow the current session so many megabytes of uploads on a page; has no effect outside a server."""
    context = get_script_run_ctx()
    if context is None or not runtime.exists():
        return
    manager = _bounded(runtime.get_instance().uploaded_file_mgr)
    if manager is not None:
        manager.allow(context.session_id, page, megabytes)


def _bounded(manager: object) -> BoundedUploads | None:
    """Return the server's store of files, changed into one with limits at the first call; None if it is another kind.

    The web server's routes hold the store itself, so that another one cannot be put in its place.
    """
    if isinstance(manager, BoundedUploads):
        return manager
    with _INSTALLING:
        if type(manager) is MemoryUploadedFileManager:
            fresh = BoundedUploads(manager.endpoint)
            vars(manager).update({name: value for name, value in vars(fresh).items() if name not in vars(manager)})
            manager.__class__ = BoundedUploads
    return manager if isinstance(manager, BoundedUploads) else None
