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
    forms = {form.name: form for form in forms_of(tasks)}
    accepted = _best(request, [*forms.values(), *STREAMS])
    wanted = request.query_params.getlist("format")
    if not wanted:
        if accepted is None:
            raise refusal("None of the media types in Accept is available", [*forms.values()])
        return accepted
    if accepted is not None and accepted.streams:
        why = "A stream has no formats: send either ?format= or its media type in Accept"
        raise refusal(why, [*forms.values()])
    if len(wanted) > 1 or wanted[0] not in forms:
        named = ", ".join(map(repr, wanted))
        raise refusal(f"There is no format {named} of this response", [*forms.values()])
    return forms[wanted[0]]


def forms_of(tasks: Sequence[str]) -> list[Form]:
    """The forms of a whole response; only one about a single task has formats."""
    exports = installed()[tasks[0]].exports if len(tasks) == 1 else ()
    formats = (Form(one.format.NAME, one.format.MEDIA_TYPE, one) for one in exports)
    return [JSON, PACKED, *formats]


def refusal(why: str, forms: Sequence[Form]) -> Problem:
    """The problem of a form that is not available; it lists those that are."""
    listed = ", ".join(f"{form.name} ({form.media_type})" for form in forms)
    return Problem("not_acceptable", f"{why}. The formats of this request are {listed}.")


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
