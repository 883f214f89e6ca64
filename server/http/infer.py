"""POST /infer: reads the request, calls the service, sends the response."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ipc.files import FileRef
from server.analysis.events import Stream
from server.analysis.request import Request, Video
from server.errors import FieldError, Problem
from server.http import request_parsing
from server.http.allowed_paths import opened
from server.http.client_disconnect import read_within, until_hangup
from server.http.negotiation import Form, chosen
from server.http.recurrence import recurrence_key
from server.http.results import held, written
from server.http.streaming import EventStream
from server.http.uploads import received
from server.http.video_url import Downloaded, downloaded, permitted
from server.net.web_address import WebAddress
from server.service import Service
from server.settings import MB, Settings
from server.tasks.registry import AnyTask, installed
from server.tasks.task import Options

MAX_BODY_BYTES = 1 << 20
MULTIPART = "multipart/form-data"


@dataclass(frozen=True)
class Body:
    """The JSON of a request, and the uploaded file, if any."""

    json: bytes
    recurrence_key: str
    file: FileRef | None = None
    file_name: str = ""


@dataclass(frozen=True)
class Fields:
    """The fields of the video and of each task, and the tasks whose fields are invalid."""

    video: Video
    tasks: Mapping[str, Options]
    refused: Mapping[str, Problem]


class Infer:
    """POST /infer/{task}: one task; POST /infer: several tasks on one decode.

    It is an ASGI app, not a function, because an upload must exist until its response is sent.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HttpRequest(scope, receive)
        service: Service = request.app.state.service
        send = read_within(send, service.settings.stream_stall_s, service.metrics)
        task = request.path_params.get("task")
        # What is not available is refused before an upload is stored.
        form = None if task is None else chosen(request, [_known(task).name])
        async with _body(request, service) as body:
            fields = _parsed(task, body, service.settings)
            form = form or chosen(request, [*fields.tasks, *fields.refused])
            async with _analysis(request, service, body, fields, form) as analysis:
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


@asynccontextmanager
async def _body(request: HttpRequest, service: Service) -> AsyncIterator[Body]:
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type == MULTIPART:
        key = recurrence_key(request)
        service.admission.check(key)  # before a large body is stored
        async with received(request, service.settings.max_upload_mb * MB) as upload:
            service.hashes.remember(upload.file, upload.input_hash)
            yield Body(upload.request, key, upload.file, upload.name)
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


def _known(name: str) -> AnyTask:
    if name not in installed():
        known = ", ".join(installed())
        raise Problem("not_found", f"There is no task {name!r}; known are {known}.")
    return installed()[name]


def _parsed(name: str | None, body: Body, settings: Settings) -> Fields:
    """The fields of one task, or of several if there is no `name`; raises Problem."""
    uploaded = body.file is not None
    if name is None:
        return Fields(*request_parsing.parse_combined(body.json, settings, uploaded=uploaded))
    video, options = request_parsing.parse(_known(name), body.json, settings, uploaded=uploaded)
    return Fields(video, {name: options}, {})


@asynccontextmanager
async def _analysis(
    request: HttpRequest, service: Service, body: Body, fields: Fields, form: Form
) -> AsyncIterator[Request]:
    """The analysis that is requested, its file held open; raises Problem."""
    settings, video = service.settings, fields.video
    timeout_s = _timeout_s(request, settings.request_timeout_s)
    of_file = partial(
        Request,
        video=video,
        tasks=fields.tasks,
        refused=fields.refused,
        timeout_s=timeout_s,
        recurrence_key=body.recurrence_key,
        held=held(request, form),
    )
    if body.file is not None:
        yield of_file(body.file, name=body.file_name)
    elif isinstance(video.video_path, str):
        with opened(video.video_path, settings.media_roots) as file:
            yield of_file(file, name=video.video_path)
    elif isinstance(video.video_url, str):
        address = permitted(video.video_url, settings.video_url_hosts)
        with service.admission.admit(body.recurrence_key):  # a download takes a place, too
            async with _downloaded(request, service, address, timeout_s) as found:
                name, spent_s = address.target.partition("?")[0], found.elapsed_s
                yield of_file(found.file, name=name, spent_s=spent_s, admitted=True)


@asynccontextmanager
async def _downloaded(
    request: HttpRequest, service: Service, address: WebAddress, timeout_s: float
) -> AsyncIterator[Downloaded]:
    """The video at the address, downloaded while the client is connected."""
    hosts, max_bytes = service.settings.video_url_hosts, service.settings.max_upload_mb * MB
    connected = partial(until_hangup, request.receive, metrics=service.metrics)
    async with downloaded(address, hosts, max_bytes, timeout_s, connected) as found:
        service.hashes.remember(found.file, found.input_hash)
        yield found


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
