"""The routes: each reads its request, calls the service and renders the response."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ipc import logs
from ipc.files import FileRef
from server.analysis.events import Stream
from server.analysis.request import Request
from server.errors import FieldError, Problem
from server.http import openapi, request_parsing
from server.http.allowed_paths import opened
from server.http.client_disconnect import read_within, until_hangup
from server.http.health import health
from server.http.negotiation import Form, chosen
from server.http.rendering import render
from server.http.results import held, written
from server.http.streaming import EventStream
from server.http.uploads import received
from server.service import Service
from server.settings import MB
from server.tasks.registry import AnyTask, installed

MAX_BODY_BYTES = 1 << 20
MULTIPART = "multipart/form-data"


@dataclass(frozen=True)
class Body:
    """The JSON of a request, and the path of the uploaded file, if any."""

    json: bytes
    file: FileRef | None = None
    file_name: str = ""


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
        # What is not available is refused before an upload is stored.
        form = None if task is None else chosen(request, [_known(task).name])
        async with _body(request, service) as body:
            with _parsed(request, task, form, body) as (analysis, form):
                answer: ASGIApp
                if form.streams:
                    events = service.events(analysis)
                    answer = EventStream(events, form.media_type, service.metrics)
                else:
                    inferred = _inferred(service, task, analysis, form)
                    answer = await until_hangup(receive, inferred, service.metrics)
                await answer(scope, receive, send)


async def _inferred(service: Service, task: str | None, analysis: Request, form: Form) -> Response:
    """The whole response; a format renders that of the only task."""
    stream = Stream()
    single = task is not None or form.export is not None
    infer = service.infer if single else service.infer_all
    body = await infer(analysis, stream)
    return await written(body, form, analysis, stream.validator)


def _known(name: str) -> AnyTask:
    if name not in installed():
        known = ", ".join(installed())
        raise Problem("not_found", f"There is no task {name!r}; known are {known}.")
    return installed()[name]


@contextmanager
def _parsed(
    request: HttpRequest, name: str | None, form: Form | None, body: Body
) -> Iterator[tuple[Request, Form]]:
    """The analysis that is requested, its file held open, and its form; raises Problem."""
    settings = _service(request).settings
    uploaded = body.file is not None
    refused: dict[str, Problem] = {}
    if name is None:
        video, tasks, refused = request_parsing.parse_combined(
            body.json, settings, uploaded=uploaded
        )
    else:
        video, options = request_parsing.parse(_known(name), body.json, settings, uploaded=uploaded)
        tasks = {name: options}
    form = form or chosen(request, [*tasks, *refused])
    has = held(request, form)
    timeout_s = _timeout_s(request, settings.request_timeout_s)
    if body.file is not None:
        name = body.file_name
        yield Request(body.file, video, tasks, refused, timeout_s, name, has), form
    else:
        with opened(video.video_path, settings.media_roots) as file:
            name = video.video_path
            yield Request(file, video, tasks, refused, timeout_s, name, has), form


@asynccontextmanager
async def _body(request: HttpRequest, service: Service) -> AsyncIterator[Body]:
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type == MULTIPART:
        service.admission.check(logs.request_id.get() or "")  # before a large body is stored
        async with received(request, service.settings.max_upload_mb * MB) as upload:
            service.hashes.remember(upload.file, upload.input_hash)
            yield Body(upload.request, upload.file, upload.name)
    elif content_type in ("application/json", ""):
        yield Body(await _json(request))
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
