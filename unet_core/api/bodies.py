"""Reading the photo of a request: the body itself or a form's only file, in memory and within the limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple
from urllib.parse import unquote

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from unet_core.api.problems import Problem
from unet_core.jobs.names import one_line
from unet_core.settings import Settings

READ_SECONDS = 60.0  # for a photo to arrive
_FORM_BYTES = 65_536  # around the file in a form


class SentPhoto(NamedTuple):
    """A photo's file name and content."""

    name: str
    data: bytes


class _InMemory(MultiPartParser):
    spool_max_size = 2**31  # photos are never written to disk; the body's size has its own limit


async def read_photo(request: Request, settings: Settings) -> SentPhoto:
    """Read the photo: a form's only file, or, for any other content type, the whole body.

    Raises:
        Problem: there is no photo or more than one, it is too large, or it takes too long to arrive.
    """
    is_form = request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data"
    body = await read_body(request, settings.max_upload_mb, _FORM_BYTES if is_form else 0)
    if is_form:
        return await _from_form(request, body)
    if not body:
        raise Problem(400, "There is no photo in the request: send its file as the body, or as a form's file.")
    return SentPhoto(_name(request.headers.get("x-file-name", "")), body)


async def read_body(request: Request, megabytes: float, around: int = 0) -> bytes:
    """Read a body with a photo of at most `megabytes`, and `around` bytes beside it.

    Raises:
        Problem: it is too large, or takes too long to arrive.
    """
    too_large = Problem(
        413, f"The photo has more than the {megabytes:g} MB allowed: reduce its size or compress it more."
    )
    limit = int(megabytes * 1e6) + around
    claimed = request.headers.get("content-length", "")
    if claimed.isdecimal() and int(claimed) > limit:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise Problem(408, f"The photo did not arrive within {READ_SECONDS:g} s: send it again.") from None
    except ClientDisconnect:
        raise Problem(400, "The connection ended before the photo had arrived: send it again.") from None
    return b"".join(parts)


async def _from_form(request: Request, body: bytes) -> SentPhoto:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await _InMemory(request.headers, stream(), max_files=1, max_fields=20, max_part_size=_FORM_BYTES).parse()
    except MultiPartException as error:
        raise Problem(
            400, f"The form cannot be read ({error.message.rstrip('.')}): send one photo as its file."
        ) from None
    files = [value for value in form.values() if isinstance(value, UploadFile)]
    if len(files) != 1:
        raise Problem(400, "There is no photo in the form: send it as a file, such as curl -F photo=@cat.jpg.")
    if len(form) > 1:
        raise Problem(400, "The form has fields beside the photo: send parameters in the address, after a ?.")
    data = await files[0].read()
    await form.close()
    return SentPhoto(_name(files[0].filename or ""), data)


def _name(text: str) -> str:
    return one_line(unquote(text).replace("\\", "/").rpartition("/")[2]) or "photo"
