"""Response bodies: JSON, or MessagePack on request; errors as problem documents."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from server.errors import Problem

MSGPACK = "application/msgpack"
MSGPACK_NAMES = (MSGPACK, "application/x-msgpack", "application/vnd.msgpack")


def wants_msgpack(request: Request) -> bool:
    """Whether the client's Accept header lists MessagePack."""
    accepted = request.headers.get("accept", "")
    names = [part.split(";")[0].strip().lower() for part in accepted.split(",")]
    return any(name in MSGPACK_NAMES for name in names)


def render(request: Request, body: object) -> Response:
    """A success response in the format that the client requests."""
    if wants_msgpack(request):
        return Response(msgspec.msgpack.encode(body), media_type=MSGPACK)
    return Response(msgspec.json.encode(body), media_type="application/json")


def problem_response(problem: Problem) -> Response:
    """An error response, RFC 9457."""
    return Response(
        msgspec.json.encode(problem.document()),
        status_code=problem.status,
        headers=problem.headers,
        media_type="application/problem+json",
    )
