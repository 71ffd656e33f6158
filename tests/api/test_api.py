"""The HTTP API: what it answers is what the library finds, its description is true, and its limits hold."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from tests.helpers.api import Answer, Client, form, serving
from tests.helpers.made_runs import made_run
from tests.helpers.processes import wait_until
from tests.helpers.tiny_model import SIDE, write_tiny_model
from unet_core.api.answers import figures
from unet_core.api.guard import MAX_AT_ONCE, MAX_PER_ADDRESS, Rate
from unet_core.api.routes import api_app
from unet_core.api.schemas import SegmentQuery
from unet_core.architecture.presets import PRESETS
from unet_core.images.samples import cat_png
from unet_core.jobs.photo_work import PHOTOS, PhotoWork
from unet_core.segment import Segmentation, Segmenter, segment_bytes
from unet_core.segment.presence import Presence
from unet_core.segment.turns import concurrency_limit
from unet_core.settings import ROOT, Settings, get_settings

ELSEWHERE = {"X-Forwarded-For": "203.0.113.7"}  # as a proxy on this machine sends it


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving(api_app(is_host_allowed=lambda host: host != "rebound.example")) as client:
        yield client


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(write_tiny_model(tmp_path / "weights")))
    monkeypatch.setenv("UNET_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("UNET_API_PER_MINUTE", "0")
    return get_settings()


@pytest.fixture(scope="module")
def cat() -> bytes:
    return cat_png()


def two_pets_png() -> bytes:
    """Draw two rectangles, 240 × 120 pixels: to the tiny model blue is background, red is pet."""
    pixels = np.zeros((120, 240, 3), np.uint8)
    pixels[..., 2] = 255
    pixels[20:100, 10:100] = pixels[40:100, 150:210] = 255, 0, 0
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def found(cat: bytes, settings: Settings) -> Segmentation:
    return segment_bytes(Segmenter(settings=settings), cat)


@pytest.fixture
def description(client: Client) -> dict[str, Any]:
    return client.ask("GET", "/openapi.json").json()


def picture(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def check_described(answer: Answer, description: dict[str, Any], path: str, method: str) -> None:
    """Check that an answer's status, media type and content are what the description says of them."""
    responses = description["paths"][path][method]["responses"]
    content = responses[str(answer.status)]["content"]
    assert answer.kind in content
    if answer.kind != "image/png":
        schema = {**content[answer.kind]["schema"], "components": description["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer.json())


# --- what it finds ----------------------------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_library(client: Client, cat: bytes, found: Segmentation) -> None:
    answer = client.segment(cat, {"X-File-Name": "Kätzchen%20%C3%BC.png".encode().decode("latin-1")})
    assert (answer.status, answer.kind) == (200, "application/json")
    figures = answer.json()
    assert (figures["width"], figures["height"]) == (451, 300)
    assert figures["shares"] == {name: round(share, 6) for name, share in found.shares.items()}
    assert figures["model"] == "tiny"
    assert tuple(figures[name] for name in ("found", "probability", "kind", "kind_probability")) == found.presence
    assert figures["coverage"] == round(found.coverage, 6)
    assert figures["milliseconds"] == figures["timings"]["total"] > 0
    assert "total;dur=" in answer.headers["server-timing"]


def test_the_kind_is_told_where_the_model_is_sure(found: Segmentation, settings: Settings) -> None:
    named = replace(found, presence=Presence(True, 0.98765, "cat", 0.87654))
    answer = figures(named, Segmenter(settings=settings), SegmentQuery())
    assert (answer.found, answer.probability, answer.kind, answer.kind_probability) == (True, 0.9877, "cat", 0.8765)


@pytest.mark.parametrize("kind", ["mask", "alpha", "overlay", "cutout"])
def test_each_picture_is_that_of_the_library(client: Client, cat: bytes, found: Segmentation, kind: str) -> None:
    expected = {
        "mask": found.to_mask_png(),
        "alpha": found.to_alpha_png(),
        "overlay": found.to_overlay_png(),
        "cutout": found.to_cutout_png(),
    }[kind]
    answer = client.segment(cat, output=kind)
    assert (answer.status, answer.kind) == (200, "image/png")
    np.testing.assert_array_equal(picture(answer.body), picture(expected))
    included = client.segment(cat, include=f"{kind}").json()["pictures"]
    assert base64.b64decode(included[kind]) == answer.body


def test_a_form_and_a_body_are_the_same_photo(client: Client, cat: bytes) -> None:
    body, kind = form({"photo": ("C:\\pets\\cat.png", cat)})
    figures = client.ask("POST", "/segment", body, {"Content-Type": kind}).json()
    assert figures["name"] == "cat.png"
    assert figures["shares"] == client.segment(cat).json()["shares"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/png", "image/png"),
        ("image/*;q=0.8", "image/png"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("text/html, image/png, application/json", "image/png"),
        ("", "application/json"),
    ],
)
def test_the_accept_header_chooses_between_figures_and_cut_out(
    client: Client, cat: bytes, accept: str, kind: str
) -> None:
    assert client.segment(cat, {"Accept": accept}).kind == kind
    assert client.segment(cat, {"Accept": accept}, output="json").kind == "application/json"


def test_pictures_are_as_large_as_asked_for_and_cut_outs_have_the_background(client: Client, cat: bytes) -> None:
    small = picture(client.segment(cat, output="mask", max_side=100).body)
    assert small.shape == (66, 100)
    white = picture(client.segment(two_pets_png(), output="cutout", background="white").body)
    blue = picture(client.segment(two_pets_png(), output="cutout", background="#0000ff").body)
    assert white.shape == blue.shape == (120, 240, 3)
    differs = (white != blue).any(axis=-1)
    assert 0 < differs.mean() < 1
    assert client.segment(cat, max_side=100).json()["width"] == 451


def test_animals_are_listed_and_cut_out_alone(client: Client) -> None:
    photo = two_pets_png()
    figures = client.segment(photo).json()
    first, second = figures["animals"]
    assert (first["number"], second["number"]) == (1, 2)
    assert first["share"] + second["share"] == pytest.approx(figures["coverage"], abs=1e-4)
    assert first["share"] > second["share"] > 0.05
    left, top, width, height = first["box"]
    assert abs(left - 10) < 8
    assert abs(top - 20) < 8
    assert abs(width - 90) < 16
    assert abs(height - 80) < 16
    alone = picture(client.segment(photo, output="alpha", animal=2).body)
    assert alone[24:96, 14:96].max() == 0  # inside the other one
    assert alone[70, 180] > 200
    refused = client.segment(photo, output="alpha", animal=3)
    assert refused.status == 422
    assert "has 2" in refused.json()["detail"]


def test_a_photo_of_nothing_has_no_animal(client: Client) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((60, 80, 3), (0, 0, 255), np.uint8)).save(buffer, "PNG")
    figures = client.segment(buffer.getvalue()).json()
    assert (figures["subject"], figures["found"], figures["coverage"], figures["animals"]) == ("pet", False, 0, [])
    assert picture(client.segment(buffer.getvalue(), output="cutout").body)[..., 3].max() == 0


def test_tiles_are_another_inference_mode(client: Client, cat: bytes) -> None:
    whole, tiled = (client.segment(cat, output="mask", mode=mode).body for mode in ("whole", "tiles"))
    assert picture(whole).shape == picture(tiled).shape
    assert (picture(whole) != picture(tiled)).any()


def test_the_models_are_those_of_the_manifest(client: Client, settings: Settings) -> None:
    write_tiny_model(settings.weights_dir, "another")
    models = client.ask("GET", "/models").json()["models"]
    assert [(model["name"], model["is_default"]) for model in models] == [("tiny", True), ("another", False)]
    assert [entry["name"] for entry in models[0]["classes"]] == ["pet", "background", "border"]
    assert [entry["is_background"] for entry in models[0]["classes"]] == [False, True, False]


def test_a_run_is_used_by_its_id_once_it_is_exported(client: Client, cat: bytes, settings: Settings) -> None:
    config = PRESETS["pets_fast"].config.replace(height=SIDE, width=SIDE)
    run = made_run(settings.runs_dir / "mine-1a2b", name="Mine", model=config)
    shutil.copy(settings.weights_dir / "tiny.onnx", run.path / "exports" / "model.onnx")
    answer = client.segment(cat, model=run.id)
    assert answer.status == 200
    assert sum(answer.json()["shares"].values()) == pytest.approx(1)
    assert run.id not in client.ask("GET", "/models").body.decode()
    (run.path / "exports" / "model.onnx").unlink()
    assert "Segment page" in client.segment(cat, model=run.id).json()["detail"]


# --- its description --------------------------------------------------------------------------------------------------


def test_the_description_names_every_route_and_parameter(description: dict[str, Any]) -> None:
    public: Any = [route for route in api_app().routes if route.include_in_schema]  # type: ignore[attr-defined]
    routes = {(route.path, method) for route in public for method in route.methods - {"HEAD"}}
    described = {(path, method.upper()) for path, methods in description["paths"].items() for method in methods}
    assert described == routes
    assert description["openapi"].startswith("3.1.")
    operations = [operation for methods in description["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        for parameter in operation.get("parameters", []):
            assert parameter["in"] in ("query", "header")
            assert parameter["description"].endswith(".")
            jsonschema.Draft202012Validator.check_schema(parameter["schema"])
    for schema in description["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_reference_in_the_description_leads_somewhere(description: dict[str, Any]) -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else [])
            for entry in value.values():
                yield from references(entry)
        elif isinstance(value, list):
            for entry in value:
                yield from references(entry)

    found = list(references(description))
    assert found
    for reference in found:
        place: Any = description
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_answers_are_as_described(client: Client, cat: bytes, description: dict[str, Any]) -> None:
    check_described(client.segment(cat, include="mask,cutout"), description, "/segment", "post")
    check_described(client.segment(cat, output="mask"), description, "/segment", "post")
    for path in ("/models", "/health", "/openapi.json"):
        check_described(client.ask("GET", path), description, path, "get")


# --- what is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "phrase", "options"),
    [
        (400, "no photo", {"photo": b""}),
        (422, "supported format", {"photo": b"no photo at all"}),
        (422, "damaged", {"photo": cat_png()[:900]}),
        (422, "output: must be 'json'", {"output": "pdf"}),
        (422, "include", {"include": "mask,secret"}),
        (422, "background", {"background": "red"}),
        (422, "modle: is not a known field", {"modle": "tiny"}),
        (422, "max_side: must be at least 16", {"max_side": "3"}),
        (404, "choose one of tiny", {"model": "none"}),
        (404, "choose one of tiny", {"model": "../weights"}),
        (404, "choose one of tiny", {"model": "/etc"}),
        (403, "Other websites", {"headers": {"Origin": "https://evil.example"}}),
        (403, "host name", {"headers": {"Host": "rebound.example"}}),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    client: Client, description: dict[str, Any], cat: bytes, status: int, phrase: str, options: dict[str, Any]
) -> None:
    answer = client.segment(options.pop("photo", cat), options.pop("headers", None), **options)
    assert (answer.status, answer.kind) == (status, "application/problem+json")
    assert phrase in answer.json()["detail"]
    assert answer.json()["status"] == status
    check_described(answer, description, "/segment", "post")


@pytest.mark.parametrize(
    ("files", "fields", "phrase"),
    [
        ({}, {"photo": "text"}, "no photo in the form"),
        ({"a": ("a.png", b"1"), "b": ("b.png", b"2")}, {}, "Too many files"),
        ({"a": ("a.png", b"1")}, {"model": "tiny"}, "in the address"),
    ],
)
def test_a_form_has_one_file_and_nothing_else(
    client: Client, files: dict[str, tuple[str, bytes]], fields: dict[str, str], phrase: str
) -> None:
    body, kind = form(files, fields)
    answer = client.ask("POST", "/segment", body, {"Content-Type": kind})
    assert answer.status == 400
    assert phrase in answer.json()["detail"]


def test_a_damaged_form_is_refused(client: Client) -> None:
    for kind, body in (("multipart/form-data", b"--x"), ("multipart/form-data; boundary=x", b"\x00\x01 no form")):
        answer = client.ask("POST", "/segment", body, {"Content-Type": kind})
        assert (answer.status, answer.kind) == (400, "application/problem+json")


def test_unknown_addresses_and_methods_are_problems_too(client: Client) -> None:
    for method, path, status in (("GET", "/segment", 405), ("POST", "/models", 405), ("GET", "/none", 404)):
        answer = client.ask(method, path)
        assert (answer.status, answer.kind) == (status, "application/problem+json")
        assert "openapi.json" in answer.json()["detail"]


def test_paths_of_the_server_are_not_told(client: Client, cat: bytes, settings: Settings) -> None:
    (settings.weights_dir / "tiny.onnx").write_bytes(b"altered")
    answer = client.segment(cat)
    assert answer.status == 503
    assert str(settings.weights_dir) not in answer.body.decode()


def test_an_unexpected_fault_is_a_problem_without_its_details(
    client: Client, cat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("unet_core.api.answers.segment_bytes", fail)
    answer = client.segment(cat)
    assert (answer.status, answer.kind) == (500, "application/problem+json")
    assert b"secret" not in answer.body


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_photo_that_is_too_large_is_refused_with_and_without_its_length(
    client: Client, cat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNET_MAX_UPLOAD_MB", "0.05")
    body, kind = form({"photo": ("cat.png", cat + bytes(100_000))})
    for answer in (
        client.segment(cat),
        client.ask("POST", "/segment", iter([cat, cat])),  # in chunks, whose total is not known
        client.ask("POST", "/segment", body, {"Content-Type": kind}),
    ):
        assert answer.status == 413
        assert "0.05 MB" in answer.json()["detail"]
    monkeypatch.setenv("UNET_MAX_UPLOAD_MB", "25")
    monkeypatch.setenv("UNET_MAX_MEGAPIXELS", "0.1")
    assert "megapixels" in client.segment(cat).json()["detail"]


def test_a_token_opens_what_segments_and_nothing_else_needs_one(
    client: Client, cat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNET_API", "token")
    monkeypatch.setenv("UNET_API_TOKEN", "right token")
    for value in (None, "Bearer wrong", "Basic right token", "right token"):
        answer = client.segment(cat, {"Authorization": value} if value else None)
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert client.segment(cat, {"Authorization": "Bearer right token"}).status == 200
    assert client.ask("GET", "/models").status == client.ask("GET", "/health").status == 200


def test_wrong_tokens_are_limited_for_each_address(client: Client, cat: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_API", "token")
    monkeypatch.setenv("UNET_API_TOKEN", "right")
    guesser = {"X-Forwarded-For": "198.51.100.9"}
    statuses = [client.segment(cat, guesser | {"Authorization": f"Bearer {guess}"}).status for guess in range(11)]
    assert statuses == [401] * 10 + [429]
    assert client.segment(cat, guesser | {"Authorization": "Bearer right"}).status == 429
    assert client.segment(cat, ELSEWHERE | {"Authorization": "Bearer right"}).status == 200


def test_the_token_cannot_be_missing(monkeypatch: pytest.MonkeyPatch, client: Client, cat: bytes) -> None:
    monkeypatch.setenv("UNET_API", "token")
    answer = client.segment(cat)
    assert answer.status == 503
    assert "setting" in answer.json()["detail"]


def test_a_closed_api_answers_nothing(client: Client, cat: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_API", "off")
    assert client.segment(cat).status == client.ask("GET", "/models").status == 404


def test_photos_of_an_address_are_limited_by_the_minute_but_not_on_this_machine(
    client: Client, cat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNET_API_PER_MINUTE", "2")
    many = {"X-Forwarded-For": "2001:db8::1"}
    neighbour = {"X-Forwarded-For": "2001:db8::2"}  # of the same network, which one person may have as a whole
    assert [client.segment(cat, many).status for _ in range(3)] == [200, 200, 429]
    refused = client.segment(cat, neighbour)
    assert refused.status == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert client.segment(cat, {"X-Forwarded-For": "203.0.113.8"}).status == 200
    assert [client.segment(cat).status for _ in range(4)] == [200] * 4


def test_a_rate_fills_up_again() -> None:
    now = [0.0]
    rate = Rate(lambda: now[0])
    assert [rate.wait_seconds("a", 60) for _ in range(61)] == [0.0] * 60 + [1.0]
    now[0] = 1.0
    assert rate.wait_seconds("a", 60) == 0.0
    assert rate.wait_seconds("a", 60) > 0
    assert rate.wait_seconds("b", 60) == 0.0


def test_photos_at_once_are_limited_for_an_address_and_for_all(client: Client, cat: bytes, settings: Settings) -> None:
    senders = [f"192.0.2.{number}" for number in range(MAX_AT_ONCE // MAX_PER_ADDRESS)]
    with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
        with ExitStack() as held:
            for _ in range(settings.max_concurrent):
                held.enter_context(concurrency_limit(settings).slot())
            waiting = []
            for number, sender in enumerate(sender for sender in senders for _ in range(MAX_PER_ADDRESS)):
                waiting.append(pool.submit(client.segment, cat, {"X-Forwarded-For": sender}))
                wait_until(lambda count=number + 1: concurrency_limit(settings).waiting == count, "the photo", 30)
            one_more = client.segment(cat, {"X-Forwarded-For": senders[0]})
            another = client.segment(cat, {"X-Forwarded-For": "192.0.2.200"})
            assert client.ask("GET", "/health").json()["waiting"] == MAX_AT_ONCE
        assert (one_more.status, another.status) == (429, 503)
        assert "retry-after" in another.headers
        assert [answer.result(60).status for answer in waiting] == [200] * MAX_AT_ONCE


def test_a_client_that_has_gone_leaves_the_queue(client: Client, cat: bytes, settings: Settings) -> None:
    before = PHOTOS.counts().outcomes["cancelled"]
    with ExitStack() as held:
        for _ in range(settings.max_concurrent):
            held.enter_context(concurrency_limit(settings).slot())
        connection = client.connect()
        connection.request("POST", "/api/segment", cat)
        wait_until(lambda: concurrency_limit(settings).waiting == 1, "the photo", 30)
        connection.close()
        wait_until(lambda: concurrency_limit(settings).waiting == 0, "the photo to be dropped", 30)
    assert PHOTOS.counts().outcomes["cancelled"] == before + 1


def test_photos_are_counted_as_the_pages_count_them(client: Client, cat: bytes) -> None:
    before = PHOTOS.counts().outcomes
    client.segment(cat)
    client.segment(b"no photo")
    after = PHOTOS.counts().outcomes
    assert (after["segmented"] - before["segmented"], after["failed"] - before["failed"]) == (1, 1)


def test_a_stopping_server_refuses_photos_and_says_so(
    client: Client, cat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping = PhotoWork()
    stopping.finish(0)
    monkeypatch.setattr("unet_core.segment.turns.PHOTOS", stopping)
    monkeypatch.setattr("unet_core.api.routes.PHOTOS", stopping)
    answer, health = client.segment(cat), client.ask("GET", "/health")
    assert answer.status == health.status == 503
    assert "restarting" in answer.json()["detail"]
    assert health.json()["status"] == "stopping"


def test_the_api_needs_neither_streamlit_nor_tensorflow() -> None:
    code = "import sys, unet_core.api.routes; print({'streamlit', 'tensorflow', 'keras', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
