"""A visitor without a browser: it speaks Streamlit's own protocol, so that many fit on one machine."""

from __future__ import annotations

import asyncio
import re
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

PATIENCE_SECONDS = 90
_EARLY_FOR_RERUN = 2  # `script_finished`: another run follows at once
_BOUNDARY = "----photo"


@dataclass
class Seen:
    """What one run of a page's script sent."""

    seconds: float = 0.0
    texts: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    elements: list[tuple[str, Any]] = field(default_factory=list)
    first_delta_seconds: float = 0.0
    message_bytes: int = 0

    def element(self, kind: str) -> Any:
        """Return the first element of a kind, None if there is none."""
        return next((element for name, element in self.elements if name == kind), None)

    def shares(self, classes: tuple[str, ...]) -> dict[str, float]:
        """Return the share of each class as the page shows it, 0 to 1."""
        found = {}
        for text in self.texts:
            plain = re.sub(r"<[^>]+>|[\u202f\u00a0\u2009]", " ", text)
            for name in classes:
                if match := re.search(rf"\b{re.escape(name)}\b\s*[:·]?\s*([\d.]+)\s*%", plain):
                    found[name] = float(match[1]) / 100
        return found


class Visitor:
    """One browser tab's connection to a running app.

    Args:
        address: of the app, such as `http://localhost:8501`.
        cookies: sent with every request, as a browser does.
    """

    def __init__(self, address: str, cookies: dict[str, str] | None = None) -> None:
        self.address, self.cookies = address, dict(cookies or {})
        self.session = ""

    async def __aenter__(self) -> Self:
        host = urllib.parse.urlsplit(self.address).netloc
        self._socket = await websockets.connect(
            f"ws://{host}/_stcore/stream",
            subprotocols=[websockets.Subprotocol("streamlit")],
            additional_headers={"Cookie": self._cookie_header()} if self.cookies else None,
            max_size=None,
            open_timeout=PATIENCE_SECONDS,
            origin=websockets.Origin(self.address),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._socket.close()

    async def run(
        self, page: str = "", query: str = "", states: tuple[WidgetState, ...] = (), *, until: str = ""
    ) -> Seen:
        """Open a page, or change widgets on it; return what came once the script has finished.

        Args:
            until: return as soon as an element of this kind came, and leave the script running.
        """
        message = BackMsg()
        message.rerun_script.page_name = page
        message.rerun_script.query_string = query
        message.rerun_script.widget_states.widgets.extend(states)
        started = time.perf_counter()
        await self._socket.send(message.SerializeToString())
        seen = Seen()
        while True:
            received = await self._receive(seen)
            kind = received.WhichOneof("type")
            if kind == "new_session":
                self.session = received.new_session.initialize.session_id or self.session
            elif kind == "delta":
                seen.first_delta_seconds = seen.first_delta_seconds or time.perf_counter() - started
                _note(received, seen)
                if until and seen.element(until) is not None:
                    break
            elif kind == "script_finished" and received.script_finished != _EARLY_FOR_RERUN:
                break
        seen.seconds = time.perf_counter() - started
        return seen

    async def upload(self, uploader: Any, photo: Path) -> WidgetState:
        """Send a file to an uploader; return the widget's state for the next `run`."""
        message = BackMsg()
        message.file_urls_request.request_id = f"{time.time()}"
        message.file_urls_request.file_names.append(photo.name)
        message.file_urls_request.session_id = self.session
        await self._socket.send(message.SerializeToString())
        while True:
            received = await self._receive(Seen())
            if received.WhichOneof("type") == "file_urls_response":
                break
        urls = received.file_urls_response.file_urls[0]
        await asyncio.to_thread(self.put, urls, photo.name, photo.read_bytes())
        state = WidgetState(id=uploader.id)
        file = state.file_uploader_state_value.uploaded_file_info.add(
            name=photo.name, size=photo.stat().st_size, file_id=urls.file_id
        )
        file.file_urls.CopyFrom(urls)
        return state

    def put(self, urls: FileURLs, name: str, data: bytes) -> int:
        """Send a file's bytes to its address; return the HTTP status.

        Raises:
            urllib.error.HTTPError: the server refused it.
        """
        with urllib.request.urlopen(self._request("/_stcore/health"), timeout=PATIENCE_SECONDS) as health:
            for cookie in health.headers.get_all("set-cookie") or []:
                key, _, value = cookie.partition(";")[0].partition("=")
                self.cookies[key] = value
        head = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        request = self._request(urls.upload_url, head.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode())
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return answer.status

    def _request(self, path: str, body: bytes | None = None) -> urllib.request.Request:
        headers = {"Cookie": self._cookie_header()} if self.cookies else {}
        if body is None:
            return urllib.request.Request(self.address + path, headers=headers)
        headers["Content-Type"] = f"multipart/form-data; boundary={_BOUNDARY}"
        headers["X-Xsrftoken"] = self.cookies.get("_streamlit_xsrf", "")
        return urllib.request.Request(self.address + path, data=body, method="PUT", headers=headers)

    def _cookie_header(self) -> str:
        return "; ".join(f"{key}={value}" for key, value in self.cookies.items())

    async def _receive(self, seen: Seen) -> ForwardMsg:
        data = await asyncio.wait_for(self._socket.recv(), PATIENCE_SECONDS)
        seen.message_bytes += len(data)
        received = ForwardMsg()
        received.ParseFromString(bytes(data) if isinstance(data, bytes) else data.encode())
        return received


def _note(received: ForwardMsg, seen: Seen) -> None:
    if received.delta.WhichOneof("type") != "new_element":
        return
    element = received.delta.new_element
    kind = element.WhichOneof("type")
    seen.elements.append((kind, getattr(element, kind)))
    if kind == "exception":
        seen.errors.append(element.exception.message)
    elif kind == "alert":
        seen.errors.append(element.alert.body)
    elif kind in ("markdown", "html"):
        seen.texts.append(getattr(element, kind).body)
