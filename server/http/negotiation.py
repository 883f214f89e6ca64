"""Chooses the form of a response: by `?format=`, else by the client's Accept header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from server.errors import Problem
from server.formats.format import Export
from server.http.rendering import MSGPACK, MSGPACK_NAMES
from server.http.streaming import NDJSON, SSE
from server.tasks.registry import installed


@dataclass(frozen=True)
class Form:
    """How a response is written: JSON, MessagePack, a stream, or a format of its task."""

    name: str
    media_type: str
    export: Export | None = None

    @property
    def streams(self) -> bool:
        """Whether the response consists of events."""
        return self in STREAMS


JSON = Form("json", "application/json")
PACKED = Form("msgpack", MSGPACK)
STREAMS = (Form("ndjson", NDJSON), Form("sse", SSE))


def chosen(request: Request, tasks: Sequence[str]) -> Form:
    """The form of the response about these installed tasks; raises Problem (not_acceptable)."""
    forms = {form.name: form for form in (JSON, PACKED, *_of(tasks))}
    accepted = _best(request, [*forms.values(), *STREAMS])
    wanted = request.query_params.getlist("format")
    if not wanted:
        if accepted is None:
            raise _refused("None of the media types in Accept is available", forms, tasks)
        return accepted
    if accepted is not None and accepted.streams:
        raise _refused("A stream has no formats: send either Accept or ?format=", forms, tasks)
    if len(wanted) > 1 or wanted[0] not in forms:
        named = ", ".join(map(repr, wanted))
        raise _refused(f"There is no format {named} of this response", forms, tasks)
    return forms[wanted[0]]


def _of(tasks: Sequence[str]) -> list[Form]:
    """The formats of a task; a response about several tasks has none."""
    if len(tasks) != 1:
        return []
    exports = installed()[tasks[0]].exports
    return [Form(one.format.NAME, one.format.MEDIA_TYPE, one) for one in exports]


def _refused(why: str, forms: dict[str, Form], tasks: Sequence[str]) -> Problem:
    listed = ", ".join(f"{form.name} ({form.media_type})" for form in forms.values())
    about = tasks[0] if len(tasks) == 1 else "a response about several tasks"
    return Problem("not_acceptable", f"{why}. The formats of {about} are {listed}.")


def _best(request: Request, forms: Sequence[Form]) -> Form | None:
    """The form that the Accept header prefers; JSON if there is no such header."""
    header = ",".join(request.headers.getlist("accept"))
    if not header.strip():
        return JSON
    found = (form for name in _accepted(header) if (form := _match(name, forms)) is not None)
    return next(found, None)


def _accepted(header: str) -> list[str]:
    """The media ranges, preferred first.

    Among equals, streams and MessagePack come first, because no client lists them by default;
    wildcards come last.
    """
    ranked = []
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = _quality(parameters)
        if name and quality > 0:
            deliberate = name in (NDJSON, SSE, *MSGPACK_NAMES)
            ranked.append((-quality, not deliberate, "*" in name, name))
    return [name for *_, name in sorted(ranked, key=lambda rank: rank[:3])]


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if weight := re.fullmatch(r"q\s*=\s*([01](?:\.[0-9]{0,3})?)", parameter):
            return float(weight[1])
    return 1.0


def _match(name: str, forms: Sequence[Form]) -> Form | None:
    if name in MSGPACK_NAMES:
        return PACKED
    if "*" in name:
        kind = name.partition("/")[0]
        plain = (form for form in forms if not form.streams)
        return next((f for f in plain if kind in ("*", f.media_type.partition("/")[0])), None)
    return next((form for form in forms if form.media_type == name), None)
