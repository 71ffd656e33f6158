"""Errors of the HTTP API: problem details as JSON (RFC 9457), whose `detail` says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(BaseModel):
    """What went wrong, as RFC 9457 writes it."""

    type: str = Field(default="about:blank", description="The kind of problem; about:blank for that of the status.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong and what to do, in a sentence.")


class Problem(Exception):
    """Ends a request with a status and a sentence that says what to do."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})

    def response(self) -> JSONResponse:
        """Return the answer to the request."""
        details = ProblemDetails(title=HTTPStatus(self.status).phrase, status=self.status, detail=self.detail)
        return JSONResponse(details.model_dump(), self.status, self.headers, MEDIA_TYPE)


async def on_problem(request: Request, error: Exception) -> JSONResponse:
    """Answer with the problem that a handler raised."""
    assert isinstance(error, Problem)
    return error.response()


async def on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """Answer where no route fits the request's path or method."""
    assert isinstance(error, HTTPException)
    details = {
        404: "There is nothing at this address: see openapi.json beside it.",
        405: f"This address does not take {request.method}: see openapi.json beside it.",
    }
    return Problem(error.status_code, details.get(error.status_code, error.detail), error.headers).response()
