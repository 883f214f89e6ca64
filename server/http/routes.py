"""The routes: each reads its request, calls the service and renders the response."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ipc.files import FileRef
from server.analysis.request import Request, Video
from server.errors import FieldError, Problem
from server.http import openapi, request_parsing
from server.http.allowed_paths import opened
from server.http.client_disconnect import read_within, until_hangup
from server.http.health import health
from server.http.recurrence import recurrence_key
from server.http.rendering import render
from server.http.streaming import EventStream, stream_format
from server.http.uploads import received
from server.http.video_url import Downloaded, downloaded, permitted
from server.net.web_address import WebAddress
from server.service import Service
from server.settings import MB, Settings
from server.tasks.registry import installed
from server.tasks.task import Options

MAX_BODY_BYTES = 1 << 20
MULTIPART = "multipart/form-data"


@dataclass(frozen=True)
class Body:
    """The JSON of a request, and the uploaded file, if any."""

    json: bytes
    recurrence_key: str
    file: FileRef | None = None


def _service(request: HttpRequest) -> Service:
    service: Service = request.app.state.service
    return service


class Infer:
    """POST /infer/{task}: one task; POST /infer: several tasks on one decode.

    It is an ASGI app, not a function, because an upload must exist until its response is sent.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HttpRequest(scope, receive)
        service = _service(request)
        send = read_within(send, service.settings.stream_stall_s, service.metrics)
        task = request.path_params.get("task")
        async with (
            _body(request, service) as body,
            _analysis(request, task, body) as analysis,
        ):
            form = stream_format(request)
            answer: ASGIApp
            if form is not None:
                answer = EventStream(service.events(analysis), form, service.metrics)
            else:
                infer = service.infer_all if task is None else service.infer
                inferred = until_hangup(receive, infer(analysis), service.metrics)
                answer = render(request, await inferred)
            await answer(scope, receive, send)


@asynccontextmanager
async def _analysis(request: HttpRequest, name: str | None, body: Body) -> AsyncIterator[Request]:
    """The analysis that is requested, its file held open; raises Problem."""
    service = _service(request)
    settings = service.settings
    video, tasks, refused = _parsed(name, body, settings)
    timeout_s, key = _timeout_s(request, settings.request_timeout_s), body.recurrence_key
    if body.file is not None:
        yield Request(body.file, video, tasks, refused, timeout_s, key)
    elif isinstance(video.video_path, str):
        with opened(video.video_path, settings.media_roots) as file:
            yield Request(file, video, tasks, refused, timeout_s, key)
    elif isinstance(video.video_url, str):
        address = permitted(video.video_url, settings.video_url_hosts)
        with service.admission.admit(key):  # a download takes a place, too
            async with _downloaded(request, address, timeout_s) as found:
                spent_s = found.elapsed_s
                yield Request(
                    found.file, video, tasks, refused, timeout_s, key, spent_s, admitted=True
                )


def _parsed(
    name: str | None, body: Body, settings: Settings
) -> tuple[Video, Mapping[str, Options], Mapping[str, Problem]]:
    """The fields of the video and of each task, and the tasks whose fields are invalid."""
    uploaded = body.file is not None
    if name is None:
        return request_parsing.parse_combined(body.json, settings, uploaded=uploaded)
    task = installed().get(name)
    if task is None:
        known = ", ".join(installed())
        raise Problem("not_found", f"There is no task {name!r}; known are {known}.")
    video, options = request_parsing.parse(task, body.json, settings, uploaded=uploaded)
    return video, {name: options}, {}


@asynccontextmanager
async def _downloaded(
    request: HttpRequest, address: WebAddress, timeout_s: float
) -> AsyncIterator[Downloaded]:
    """The video at the address, downloaded while the client is connected."""
    service = _service(request)
    hosts, max_bytes = service.settings.video_url_hosts, service.settings.max_upload_mb * MB
    connected = partial(until_hangup, request.receive, metrics=service.metrics)
    async with downloaded(address, hosts, max_bytes, timeout_s, connected) as found:
        service.hashes.remember(found.file, found.input_hash)
        yield found


@asynccontextmanager
async def _body(request: HttpRequest, service: Service) -> AsyncIterator[Body]:
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type == MULTIPART:
        service.admission.check(recurrence_key(request))  # before a large body is stored
        async with received(request, service.settings.max_upload_mb * MB) as upload:
            service.hashes.remember(upload.file, upload.input_hash)
            yield Body(upload.request, recurrence_key(request), upload.file)
    elif content_type in ("application/json", ""):
        json = await _json(request)
        yield Body(json, recurrence_key(request, json))
    else:
        raise Problem(
            "unsupported_media_type",
            f"The body is {content_type!r}; this route accepts application/json or {MULTIPART}.",
        )


async def _json(request: HttpRequest) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Problem(
                "upload_too_large", f"The JSON body is larger than {MAX_BODY_BYTES} bytes."
            )
    return body


def _timeout_s(request: HttpRequest, most_s: float) -> float:
    """The client's own deadline if it is shorter than `most_s`."""
    given = request.headers.get("x-request-timeout")
    if given is None:
        return most_s
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", given) or float(given) == 0:
        message = f"{given!r} is not a number of seconds above 0"
        error = FieldError("X-Request-Timeout", message)
        raise Problem("invalid_request", f"X-Request-Timeout: {message}.", errors=[error])
    return min(most_s, float(given))


async def index(request: HttpRequest) -> Response:
    """GET /: name and version, as in the original service."""
    about = {"service": "Eioku ML Service", "version": version("eioku-ml")}
    return render(request, about)


async def get_health(request: HttpRequest) -> Response:
    """GET /health: processes, models, memory; always 200."""
    return render(request, health(_service(request)))


async def livez(request: HttpRequest) -> Response:
    """GET /livez: 200 while the front process answers."""
    return Response("ok\n", media_type="text/plain")


async def readyz(request: HttpRequest) -> Response:
    """GET /readyz: 200 if every task can be served, else 503; then what is missing, by line."""
    readiness = _service(request).readiness
    obstacles, absent = readiness.obstacles, readiness.absent
    lines = ["not ready" if obstacles else "ready", *obstacles, *absent]
    body = "".join(f"{line}\n" for line in lines)
    return Response(body, status_code=503 if obstacles else 200, media_type="text/plain")


async def get_metrics(request: HttpRequest) -> Response:
    """GET /metrics: the Prometheus text format."""
    return Response(_service(request).metrics.render(), media_type="text/plain; version=0.0.4")


async def get_openapi(request: HttpRequest) -> Response:
    """GET /openapi.json: the API as an OpenAPI document."""
    document = openapi.document(with_key=bool(_service(request).settings.api_key))
    return Response(document, media_type="application/json")


ROUTES = [
    Route("/", index),
    Route("/infer", Infer(), methods=["POST"]),
    Route("/infer/{task}", Infer(), methods=["POST"]),
    Route("/health", get_health),
    Route("/livez", livez),
    Route("/readyz", readyz),
    Route("/metrics", get_metrics),
    Route("/openapi.json", get_openapi),
]
