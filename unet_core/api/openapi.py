"""The HTTP API's description as OpenAPI 3.1, made from what the code takes and gives."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from unet_core import __version__
from unet_core.api import problems
from unet_core.api.problems import ProblemDetails
from unet_core.api.schemas import HealthAnswer, ModelsAnswer, SegmentAnswer, SegmentQuery

_REF = "#/components/schemas/{model}"
_PROBLEMS = {
    "400": "The request has no photo, or a form that cannot be read.",
    "401": "The token is missing or wrong.",
    "403": "Another website sent the request, or the host's name is not the server's.",
    "404": "There is no such model, or the API is closed.",
    "408": "The photo did not arrive in time.",
    "413": "The photo's file is too large.",
    "422": "The photo cannot be used, or a parameter is not valid.",
    "429": "The address has sent too many photos; Retry-After says how long to wait.",
    "500": "The server has a fault, which its log describes.",
    "503": "The server is busy, stopping or out of memory, or the model's file cannot be used.",
}


@cache
def description(prefix: str) -> dict[str, Any]:
    """Return the description of the API at the path `prefix`, as plain values."""
    answers = (SegmentAnswer, ModelsAnswer, HealthAnswer, ProblemDetails)
    _, schemas = models_json_schema([(model, "serialization") for model in answers], ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "U-Net Studio",
            "version": __version__,
            "summary": "Segment photos over HTTP.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": prefix}],
        "security": [{}, {"token": []}],
        "paths": {
            "/segment": {"post": _segment()},
            "/models": {"get": _get("listModels", "List the shipped models", ModelsAnswer, ("403", "404", "503"))},
            "/health": {"get": _get("health", "Tell whether photos can be segmented", HealthAnswer, ("503",))},
            "/openapi.json": {"get": _get("describe", "Describe this API", None, ("403", "404"))},
        },
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Where the operator has set a token."}
            },
        },
    }


def _segment() -> dict[str, Any]:
    binary = {"schema": {"contentMediaType": "image/*"}}
    form = {
        "type": "object",
        "properties": {"photo": {"contentMediaType": "image/*"}},
        "maxProperties": 1,
        "minProperties": 1,
    }
    header = {"schema": {"type": "string"}, "description": "Milliseconds by stage."}
    content = {"application/json": _schema(SegmentAnswer), "image/png": {"schema": {"contentMediaType": "image/png"}}}
    found = {"description": "The figures, or one picture.", "headers": {"Server-Timing": header}, "content": content}
    return {
        "operationId": "segment",
        "summary": "Segment one photo",
        "description": "Photos wait for their turn behind those of other visitors. A client that closes the connection "
        "ends the work on its photo.",
        "parameters": [*_parameters(), _file_name()],
        "requestBody": {
            "required": True,
            "description": "A photo's file: JPEG, PNG, WebP, GIF, BMP or TIFF.",
            "content": {"image/*": binary, "application/octet-stream": binary, "multipart/form-data": {"schema": form}},
        },
        "responses": {"200": found, **{status: _problem(text) for status, text in _PROBLEMS.items()}},
    }


def _parameters() -> list[dict[str, Any]]:
    found = []
    for name, schema in SegmentQuery.model_json_schema()["properties"].items():
        text, options = schema.pop("description"), {}
        if schema.get("type") == "array":
            options = {"style": "form", "explode": False}
        found.append({"name": name, "in": "query", "required": False, "description": text, "schema": schema, **options})
    return found


def _file_name() -> dict[str, Any]:
    text = "The photo's file name, percent-encoded, for a photo that is sent as the body."
    return {"name": "X-File-Name", "in": "header", "required": False, "description": text, "schema": {"type": "string"}}


def _get(operation: str, summary: str, answer: type[BaseModel] | None, statuses: tuple[str, ...]) -> dict[str, Any]:
    schema = _schema(answer) if answer else {"schema": {"type": "object"}}
    found = {"description": summary, "content": {"application/json": schema}}
    return {
        "operationId": operation,
        "summary": summary,
        "security": [{}],
        "responses": {"200": found, **{status: _problem(_PROBLEMS[status]) for status in statuses}},
    }


def _schema(answer: type[BaseModel]) -> dict[str, Any]:
    return {"schema": {"$ref": _REF.format(model=answer.__name__)}}


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": {problems.MEDIA_TYPE: _schema(ProblemDetails)}}
