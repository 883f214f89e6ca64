"""The OpenAPI document: valid, and what the service really answers is as it says."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from event_streams import FORMS
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from running import Server

TASKS = ("objects", "faces", "transcribe", "ocr", "places", "scenes")


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.client.get("/openapi.json").json()
    return found


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def check_schema(document: dict[str, Any], schema: dict[str, Any], body: Any) -> None:
    """The body is valid, and has no field that the schema does not have."""
    full = {**schema, "components": document["components"]}
    assert [e.message for e in Draft202012Validator(full).iter_errors(body)] == []
    name = schema["$ref"].rsplit("/", 1)[1]
    assert set(body) <= set(document["components"]["schemas"][name]["properties"])


def check(document: dict[str, Any], route: str, response: httpx.Response) -> None:
    """A response in JSON is as the document says for its route, status and content type."""
    (operation,) = document["paths"][route].values()
    described = operation["responses"][str(response.status_code)]
    schema = described["content"][response.headers["content-type"]]["schema"]
    check_schema(document, schema, response.json())


@pytest.mark.parametrize("task", TASKS)
def test_a_tasks_response_is_as_the_document_says(
    task: str, document: dict[str, Any], plain: dict[str, dict[str, Any]]
) -> None:
    described = document["paths"][f"/infer/{task}"]["post"]["responses"]["200"]
    check_schema(document, described["content"]["application/json"]["schema"], plain[task])


@pytest.mark.parametrize("task", ["objects", "faces"])
def test_tracks_are_as_the_document_says(
    task: str, document: dict[str, Any], server: Server, clip: Path
) -> None:
    response = server.infer(task, clip, frame_interval=9, track=True)
    check(document, f"/infer/{task}", response)
    check_schema(document, {"$ref": "#/components/schemas/Track"}, response.json()["tracks"][0])
    name = "Detection" if task == "objects" else "Face"
    item = response.json()["detections"][0]
    check_schema(document, {"$ref": f"#/components/schemas/{name}"}, item)
    assert "track_id" in item


def test_combined_responses_and_their_errors_are_as_the_document_says(
    document: dict[str, Any], server: Server, clip: Path
) -> None:
    tasks = {"scenes": {}, "objects": {"model_name": "none.pt"}, "faces": {"frame_interval": 0}}
    body = {"video_path": str(clip), "tasks": tasks}
    response = server.client.post("/infer", json=body)
    check(document, "/infer", response)
    assert set(response.json()["errors"]) == {"objects", "faces"}
    for task, result in response.json()["results"].items():
        described = document["paths"][f"/infer/{task}"]["post"]["responses"]["200"]
        check_schema(document, described["content"]["application/json"]["schema"], result)


@pytest.mark.parametrize("route", ["/infer", "/infer/scenes"])
@pytest.mark.parametrize("accept", ["application/msgpack", *FORMS])
def test_other_content_types_are_in_the_document(
    route: str, accept: str, document: dict[str, Any], server: Server, clip: Path
) -> None:
    body = {"video_path": str(clip)} | ({"tasks": {"scenes": {}}} if route == "/infer" else {})
    response = server.client.post(route, json=body, headers={"Accept": accept})
    assert response.headers["content-type"] == accept
    described = document["paths"][route]["post"]["responses"]["200"]["content"][accept]["schema"]
    if accept in FORMS:
        assert described == {"type": "string"}
    else:
        check_schema(document, described, msgspec.msgpack.decode(response.content))


def test_refusals_are_as_the_document_says(
    document: dict[str, Any], server: Server, clip: Path
) -> None:
    refused = {
        400: server.infer("places", clip, input_hash="0" * 16),
        403: server.infer("places", Path("/etc/passwd")),
        415: server.client.post("/infer/places", headers={"Content-Type": "text/csv"}),
        422: server.infer("places", clip, top_k=0),
        503: server.infer("objects", clip, model_name="none.pt"),
    }
    for status, response in refused.items():
        url = "/infer/objects" if status == 503 else "/infer/places"
        assert response.status_code == status, response.text
        check(document, url, response)


def test_health_is_as_the_document_says(document: dict[str, Any], server: Server) -> None:
    check(document, "/health", server.client.get("/health"))


def test_every_route_of_get_answers_with_a_status_of_the_document(
    document: dict[str, Any], server: Server
) -> None:
    routes = [route for route, operations in document["paths"].items() if "get" in operations]
    assert set(routes) == {"/", "/health", "/livez", "/readyz", "/metrics"}
    for route in routes:
        status = str(server.client.get(route).status_code)
        assert status in document["paths"][route]["get"]["responses"]
    assert set(document["paths"]["/readyz"]["get"]["responses"]) == {"200", "503"}


def test_the_root_tells_the_service_and_its_version(server: Server) -> None:
    response = server.client.get("/")
    assert response.json() == {"service": "Eioku ML Service", "version": version("eioku-ml")}
    assert response.headers["content-type"] == "application/json"
