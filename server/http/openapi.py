"""The API as an OpenAPI 3.1 document, generated from the structs of requests and responses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec

from server.analysis.request import Video
from server.analysis.response_builder import CombinedResponse
from server.errors import STATUS, ProblemDocument
from server.http.api_keys import OPEN_PATHS
from server.http.health import Health
from server.http.negotiation import JSON, STREAMS, Form, forms_of, refusal
from server.tasks.registry import AnyTask, installed

REFERENCE = "#/components/schemas/{name}"
UPLOAD = {
    "type": "object",
    "properties": {
        "file": {"type": "string", "contentMediaType": "application/octet-stream"},
        "request": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["file"],
    "additionalProperties": False,
}
ETAG = 'W/"00112233445566778899aabbccddeeff-json"'
TAGGED = {
    "description": "Changes with the input, the options, the weights, the code and the form. "
    "Streams and responses with failed tasks have none.",
    "schema": {"type": "string"},
    "example": ETAG,
}


@cache
def document(*, with_key: bool) -> bytes:
    """The document as JSON; `with_key` says whether the service requires an API key."""
    types = [
        Video,
        *(task.options for task in installed().values()),
        *(task.response for task in installed().values()),
        CombinedResponse,
        Health,
        ProblemDocument,
    ]
    _, components = msgspec.json.schema_components(types, ref_template=REFERENCE)
    paths = {
        f"/infer/{name}": {"post": _operation(task, components)}
        for name, task in installed().items()
    }
    paths["/infer"] = {"post": _combined(components)}
    paths["/health"] = {"get": {"responses": {"200": _answer("Processes, models, memory", Health)}}}
    for path, about in (
        ("/", "The service's name and version"),
        ("/livez", "The front process answers"),
        ("/readyz", "Every task has a worker; the body names workers that are not ready"),
        ("/metrics", "Prometheus metrics"),
    ):
        paths[path] = {"get": {"responses": {"200": {"description": about}}}}
    paths["/readyz"]["get"]["responses"]["503"] = {
        "description": "A task has no worker yet, or a worker is starting"
    }
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Eioku ML service", "version": version("eioku-ml")},
        "paths": paths,
        "components": {"schemas": components},
    }
    if with_key:
        _require_key(whole)
    return msgspec.json.encode(whole)


def _require_key(document: dict[str, Any]) -> None:
    """Add the security scheme to all operations but the health checks."""
    scheme = {"type": "http", "scheme": "bearer", "description": "One of the keys of API_KEY."}
    document["components"]["securitySchemes"] = {"api_key": scheme}
    document["security"] = [{"api_key": []}]
    for path, operations in document["paths"].items():
        if path in OPEN_PATHS:
            operations["get"]["security"] = []
        elif "get" in operations:
            refusal = _answer("unauthorized", ProblemDocument, "application/problem+json")
            operations["get"]["responses"]["401"] = refusal


def _operation(task: AnyTask, components: dict[str, Any]) -> dict[str, Any]:
    """POST /infer/{task}: the fields of the video and of the task in one object."""
    options = components[task.options.__name__]["properties"]
    forms = forms_of([task.name])
    return _post(f"infer_{task.name}", options, components, task.response, forms)


def _combined(components: dict[str, Any]) -> dict[str, Any]:
    """POST /infer: several tasks on one decode. If there is one, it may be sent in its formats."""
    tasks = {
        name: {"$ref": REFERENCE.format(name=task.options.__name__)}
        for name, task in installed().items()
    }
    wanted = {"tasks": {"type": "object", "properties": tasks, "minProperties": 1}}
    forms = {form.name: form for name in installed() for form in forms_of([name])}
    return _post("infer", wanted, components, CombinedResponse, [*forms.values()])


def _post(
    name: str,
    properties: dict[str, Any],
    components: dict[str, Any],
    answer: type,
    forms: Sequence[Form],
) -> dict[str, Any]:
    video = components["Video"]
    body = {
        "type": "object",
        "properties": {**video["properties"], **properties},
        "oneOf": [{"required": ["video_path"]}, {"required": ["video_url"]}],
        "required": ["tasks"] if "tasks" in properties else [],
        "additionalProperties": False,
    }
    responses: dict[str, Any] = {"200": _result(answer, forms), "304": _not_modified()}
    for status in sorted(set(STATUS.values())):
        codes = ", ".join(code for code, of_code in STATUS.items() if of_code == status)
        responses[str(status)] = _answer(codes, ProblemDocument, "application/problem+json")
    refused = responses[str(STATUS["not_acceptable"])]["content"]["application/problem+json"]
    example = refusal("There is no format 'nonsense' of this response", forms)
    refused["example"] = example.document()
    return {
        "operationId": name,
        "parameters": _parameters(forms),
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": body},
                "multipart/form-data": {"schema": UPLOAD},
            },
        },
        "responses": responses,
    }


def _parameters(forms: Sequence[Form]) -> list[dict[str, Any]]:
    names = {"type": "string", "enum": [form.name for form in forms]}
    tags = {"type": "string", "pattern": "^[!-~ ]*$"}
    return [
        {
            "name": "format",
            "in": "query",
            "description": "The form of the response, instead of that in Accept.",
            "schema": names,
            "example": JSON.name,
        },
        {
            "name": "If-None-Match",
            "in": "header",
            "description": "ETags of responses that the client has: 304 if one of them holds.",
            "schema": tags,
            "example": ETAG,
        },
    ]


def _result(answer: type, forms: Sequence[Form]) -> dict[str, Any]:
    """The response in all its forms."""
    result = _answer("The result", answer)
    as_json = result["content"][JSON.media_type]
    text: dict[str, Any] = {"schema": {"type": "string"}}
    for form in (*forms, *STREAMS):
        whole = form.export is None and not form.streams
        result["content"][form.media_type] = as_json if whole else text
    disposition = {"description": "The name of the file, if a format is sent.", **text}
    result["headers"] = {"ETag": TAGGED, "Content-Disposition": disposition}
    return result


def _not_modified() -> dict[str, Any]:
    return {"description": "One of the ETags in If-None-Match holds", "headers": {"ETag": TAGGED}}


def _answer(description: str, kind: type, media_type: str = "application/json") -> dict[str, Any]:
    reference = {"$ref": REFERENCE.format(name=kind.__name__)}
    return {"description": description, "content": {media_type: {"schema": reference}}}
