"""The HTTP API on a port of its own, and a client for it."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.helpers.processes import wait_until
from tests.helpers.server import free_port


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """The media type."""
        return self.headers.get("content-type", "").partition(";")[0]

    def json(self) -> Any:
        """Return the body's JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Sends requests to a running API."""

    port: int

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **query: object
    ) -> Answer:
        """Send one request to a path below /api and return the answer."""
        connection = self.connect()
        with contextlib.closing(connection):
            target = f"/api{path}" + (f"?{urlencode(query)}" if query else "")
            connection.request(method, target, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(
                response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()
            )

    def segment(self, photo: bytes, headers: Mapping[str, str] | None = None, **query: object) -> Answer:
        """Send a photo as the body."""
        return self.ask("POST", "/segment", photo, headers, **query)


@contextlib.contextmanager
def serving(api: Starlette) -> Iterator[Client]:
    """Serve an API at /api until the block ends."""
    port = free_port()
    app = Starlette(routes=[Mount("/api", api)])
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, "the API", 30)
        yield Client(port)
    finally:
        server.should_exit = True
        thread.join(30)


def form(files: Mapping[str, tuple[str, bytes]], fields: Mapping[str, str] | None = None) -> tuple[bytes, str]:
    """Return a form's body and content type; files are (file name, content)."""
    mark = "a1b2c3"
    start = f"--{mark}\r\nContent-Disposition: form-data; "
    parts = [
        f'{start}name="{name}"; filename="{file}"\r\n\r\n'.encode() + data + b"\r\n"
        for name, (file, data) in files.items()
    ]
    parts += [f'{start}name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in (fields or {}).items()]
    return b"".join(parts) + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"
