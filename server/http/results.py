"""The response of a task in the form that was chosen, its ETag, and which ETags a client has."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from urllib.parse import quote

import msgspec
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from server.analysis.request import Request
from server.formats.format import Clip, Export
from server.http.negotiation import PACKED, Form
from server.tasks.response import Response as TaskResponse

TAG = re.compile(r'(?:W/)?"(?P<validator>[^"]*)-(?P<form>[^"-]*)"')
VARY = {"Vary": "Accept"}


def etag(validator: str, form: Form) -> str:
    """Weak, because `run_id`, `task_id` and `timings_ms` differ in each response."""
    return f'W/"{validator}-{form.name}"'


def held(request: HttpRequest, form: Form) -> Mapping[str, str]:
    """The validators that If-None-Match has for this form, with their ETags.

    `*` has none: the service stores no responses, so it has none to which `*` could refer. Nor has
    a stream: it may contain errors, after which another attempt may succeed.
    """
    if form.streams:
        return {}
    header = ",".join(request.headers.getlist("if-none-match"))
    tags = (match["validator"] for match in TAG.finditer(header) if match["form"] == form.name)
    return {validator: etag(validator, form) for validator in tags}


async def written(
    body: msgspec.Struct, form: Form, request: Request, validator: str | None
) -> Response:
    """The response to a request; in a thread if a format renders it, which may take a while."""
    headers = VARY if validator is None else {"ETag": etag(validator, form), **VARY}
    if form.export is not None:
        return await asyncio.to_thread(_exported, body, form.export, request, headers)
    encode = msgspec.msgpack.encode if form == PACKED else msgspec.json.encode
    return Response(encode(body), headers=headers, media_type=form.media_type)


def _exported(
    body: msgspec.Struct, export: Export, request: Request, headers: Mapping[str, str]
) -> Response:
    """A file for download."""
    assert isinstance(body, TaskResponse)
    (options,) = request.tasks.values()
    clip = Clip.of(request.name, body.video)
    content = export.format.render(clip, export.items(options, body))
    name = f"{clip.stem}.{export.format.EXTENSION}"
    disposition = {"Content-Disposition": _attachment(name)}
    media_type = export.format.MEDIA_TYPE
    return Response(content, headers={**headers, **disposition}, media_type=media_type)


def _attachment(name: str) -> str:
    """RFC 6266: the name in ASCII for old clients, and as it is."""
    ascii_name = re.sub(r'[^ -~]|["\\%]', "_", name)
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"
