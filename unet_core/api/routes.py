"""The HTTP API as a Starlette application, to be mounted beside the pages in the same process."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unet_core import __version__
from unet_core.api import answers, openapi
from unet_core.api.bodies import SentPhoto, read_body, read_photo
from unet_core.api.guard import MAX_AT_ONCE, Guard
from unet_core.api.live import MAX_MEGABYTES, VISITS, Visit, outline
from unet_core.api.problems import Problem, on_http_exception, on_problem
from unet_core.api.schemas import HealthAnswer, Output, SegmentQuery
from unet_core.errors import ConfigError, UNetError
from unet_core.jobs.memory import give_back_soon
from unet_core.jobs.photo_work import PHOTOS, StoppingError
from unet_core.settings import Settings, get_settings
from unet_core.zoo.manifest import WeightsError, load_manifest

log = logging.getLogger(__name__)

# Photos wait for their turn in threads of their own: Starlette's few belong to the files of the pages.
_PHOTO_THREADS = ThreadPoolExecutor(MAX_AT_ONCE, thread_name_prefix="api-photo")
_LIVE_THREADS = ThreadPoolExecutor(MAX_AT_ONCE, thread_name_prefix="live")


class GoneError(Exception):
    """The client has closed the connection."""


def api_app(prefix: str = "/api", is_host_allowed: Callable[[str | None], bool] = lambda host: True) -> Starlette:
    """Return the API.

    Args:
        prefix: the path that it is mounted at, for its description.
        is_host_allowed: whether the server answers to a Host header.
    """
    guard = Guard(is_host_allowed)

    async def segment(request: Request) -> Response:
        settings = _settings()
        guard.admit_work(request, settings)
        query = _query(request)
        with guard.work(request) as address:
            photo = await read_photo(request, settings)
            return await _while_connected(
                request, lambda gone: _answer(photo, query, _output(request, query), address, gone, settings)
            )

    async def live(request: Request) -> Response:
        guard.check_source(request)
        visit = VISITS.of(request.headers.get("x-live-ticket", ""))
        picture = await read_body(request, MAX_MEGABYTES)
        return await _while_connected(request, lambda gone: _outline(visit, picture, gone), _LIVE_THREADS)

    async def models(request: Request) -> Response:
        settings = _settings()
        guard.admit(request, settings)
        with _as_problems():
            return JSONResponse(answers.shipped_models(settings).model_dump())

    async def description(request: Request) -> Response:
        guard.admit(request, _settings())
        return JSONResponse(openapi.description(prefix))

    async def health(request: Request) -> Response:
        with _as_problems():
            load_manifest(_settings())
        counts = PHOTOS.counts()
        status = "stopping" if counts.stopping else "ok"
        answer = HealthAnswer(status=status, version=__version__, waiting=counts.waiting, running=counts.running)
        return JSONResponse(answer.model_dump(), 200 if status == "ok" else 503)

    return Starlette(
        routes=[
            Route("/segment", segment, methods=["POST"]),
            Route("/live", live, methods=["POST"], include_in_schema=False),  # for the page with the camera only
            Route("/models", models),
            Route("/openapi.json", description),
            Route("/health", health),
        ],
        exception_handlers={Problem: on_problem, HTTPException: on_http_exception, Exception: _on_fault},
    )


def _settings() -> Settings:
    try:
        return get_settings()
    except ConfigError:
        log.exception("a setting is not valid")
        raise Problem(503, "A setting of this server is not valid: its pages say which one.") from None


def _query(request: Request) -> SegmentQuery:
    fields = [name for name, _ in request.query_params.multi_items()]
    if len(set(fields)) < len(fields):
        raise Problem(422, "A parameter appears twice in the address: send each one once.")
    try:
        query = SegmentQuery.from_dict(dict(request.query_params))
        _ = query.inference_mode
    except ConfigError as error:
        raise Problem(422, f"{'; '.join(error.findings) or error}. See openapi.json beside this address.") from None
    return query


def _output(request: Request, query: SegmentQuery) -> Output:
    """Return what to answer with: as the parameter says, or the first of JSON and PNG in the Accept header."""
    if query.output:
        return query.output
    for entry in request.headers.get("accept", "").split(","):
        kind = entry.partition(";")[0].strip().lower()
        if kind in ("application/json", "*/*"):
            return "json"
        if kind in ("image/png", "image/*"):
            return "cutout"
    return "json"


def _answer(
    photo: SentPhoto,
    query: SegmentQuery,
    output: Output,
    address: str,
    still_wanted: Callable[[], object],
    settings: Settings,
) -> Response:
    with _as_problems():
        found, segmenter = answers.segment_photo(photo, query, ("api", address), still_wanted, settings)
        still_wanted()
        if output == "json":
            response = Response(
                answers.figures(found, segmenter, query).model_dump_json(), 200, None, "application/json"
            )
        else:
            response = Response(answers.picture(found, output, query), media_type="image/png")
    response.headers["Server-Timing"] = _timing(found.timings)
    give_back_soon()
    return response


def _outline(visit: Visit, picture: bytes, still_wanted: Callable[[], object]) -> Response:
    with _as_problems():
        found = outline(visit, picture, still_wanted)
    headers = {"Server-Timing": _timing({"wait": found.waited, **found.timings}), "X-Pause": f"{found.pause:.0f}"}
    return Response(found.png, 200, {**headers, "Cache-Control": "no-store"}, "image/png")


def _timing(milliseconds: Mapping[str, float]) -> str:
    return ", ".join(f"{stage};dur={duration:.2f}" for stage, duration in milliseconds.items())


async def _while_connected(
    request: Request, work: Callable[[Callable[[], None]], Response], threads: ThreadPoolExecutor = _PHOTO_THREADS
) -> Response:
    """Run `work` in a thread; it is given a check that raises `GoneError` once the client has gone."""
    gone = threading.Event()

    def still_wanted() -> None:
        if gone.is_set():
            raise GoneError

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set()

    watching = asyncio.create_task(watch())
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, work, still_wanted)
    except GoneError:
        return Response(status_code=499)  # nobody reads it
    finally:
        watching.cancel()


@contextmanager
def _as_problems() -> Iterator[None]:
    """Turn the library's errors into problems; all others are faults of the server."""
    try:
        yield
    except StoppingError as error:
        raise Problem(503, str(error), {"Retry-After": "60"}) from None
    except WeightsError as error:
        log.error("the API cannot use a model: %s", error)  # the text may have paths of the server
        raise Problem(503, "This model cannot be used: choose another one, or tell the server's operator.") from None
    except UNetError as error:
        raise Problem(422, str(error)) from None
    except MemoryError:
        detail = "The photo needs more memory than the server has free: scale it down and try again."
        raise Problem(503, detail, {"Retry-After": "10"}) from None


async def _on_fault(request: Request, error: Exception) -> JSONResponse:
    return Problem(500, "The server has a fault: try again, and tell its operator, whose log describes it.").response()
