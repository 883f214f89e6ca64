"""Recognises a refused request that comes again, see `server.analysis.admission`."""

from __future__ import annotations

import xxhash
from starlette.requests import Request

from server.http.middleware import CLIENT_ID


def recurrence_key(request: Request, body: bytes = b"") -> str:
    """The client's own X-Request-ID, or else a digest of the client's address and the request.

    Of an upload, which is refused before its body is read, the digest has the declared length.
    Clients behind one address that send equal requests share a key: one of them returns in time,
    the others as if they came for the first time.
    """
    given = request.headers.get("x-request-id", "")
    if CLIENT_ID.fullmatch(given):
        return given
    host = request.client.host if request.client else ""
    length = request.headers.get("content-length", "")
    digest = xxhash.xxh3_128(f"{host} {request.url.path} {length} ".encode())
    digest.update(body)
    return digest.hexdigest()
