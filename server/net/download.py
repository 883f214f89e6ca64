"""Downloads one file: follows redirects, and resumes after a connection is lost."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Protocol

import httpcore

from server.net.destinations import NotPermitted
from server.net.web_address import BadAddress, WebAddress

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5
PAUSES_S = (0.5, 1.0, 2.0, 4.0)  # before each resumption
CONNECT_S = 10.0
IDLE_S = 30.0
TIMEOUTS = {"connect": CONNECT_S, "read": IDLE_S, "write": IDLE_S, "pool": CONNECT_S}
TRY_LATER = frozenset({408, 425, 429})
STRONG_AFTER_S = 1.0  # RFC 9110, 8.8.2.2

log = logging.getLogger(__name__)


class NotThere(Exception):
    """The server refuses to send the file; the message says how."""


class DownloadFailed(Exception):
    """The server did not send the whole file; the message says why."""


class _Interrupted(DownloadFailed):
    """Another attempt may succeed."""


class Sink(Protocol):
    """Where the file is written to."""

    size_bytes: int
    """What it has so far."""

    def expect(self, size_bytes: int) -> None:
        """The file will have this size; may raise."""

    async def write(self, data: bytes) -> None:
        """Append; may raise."""

    async def restart(self) -> None:
        """Forget what was written."""


async def download(
    address: WebAddress, sink: Sink, connections: httpcore.AsyncConnectionPool
) -> None:
    """Write the file at `address` to `sink`.

    Raises NotPermitted, NotThere, DownloadFailed, and what `sink` raises. It has no deadline for
    the whole: a server that is slow, but never pauses for `IDLE_S`, can take any time.
    """
    transfer = _Transfer(address, sink, connections)
    for pause_s in PAUSES_S:
        try:
            return await transfer.attempt()
        except _Interrupted as error:
            if not transfer.begun:
                raise
            about = {"origin": address.origin, "reason": str(error), "bytes": sink.size_bytes}
            log.warning("download interrupted", extra=about)
            await asyncio.sleep(pause_s)
    return await transfer.attempt()


class _Transfer:
    """The attempts to get one file, each of which goes on where the previous one ended."""

    def __init__(
        self, address: WebAddress, sink: Sink, connections: httpcore.AsyncConnectionPool
    ) -> None:
        self._address = address
        self._sink = sink
        self._connections = connections
        self.begun = False
        self._validator: bytes | None = None
        """Identifies the content of which `sink` has the beginning, if it can be resumed."""

    async def attempt(self) -> None:
        """Follow the redirects from the beginning, and receive the rest of the file."""
        if self._validator is None and self._sink.size_bytes:
            await self._sink.restart()
        address = self._address
        for _ in range(MOST_REDIRECTS + 1):
            location = await self._request(address)
            if location is None:
                return
            address = _redirected(address, location)
        raise DownloadFailed(f"there are more than {MOST_REDIRECTS} redirects")

    async def _request(self, address: WebAddress) -> str | None:
        """Receive the file; or return the `Location` of a redirect."""
        url = httpcore.URL(
            scheme=address.scheme, host=address.host, port=address.port, target=address.target
        )
        with _failures():
            async with self._connections.stream(
                "GET", url, headers=self._headers(address), extensions={"timeout": TIMEOUTS}
            ) as response:
                headers = {name.lower(): value for name, value in response.headers}
                if response.status in REDIRECTS and b"location" in headers:
                    return headers[b"location"].decode(errors="replace")
                await self._begin(response.status, headers)
                async for data in response.aiter_stream():
                    await self._sink.write(data)
                return None

    def _headers(self, address: WebAddress) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"Host", address.authority.encode()),
            (b"User-Agent", b"eioku-ml"),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", b"identity"),
        ]
        if self._validator is not None:
            headers.append((b"Range", b"bytes=%d-" % self._sink.size_bytes))
            headers.append((b"If-Range", self._validator))
        return headers

    async def _begin(self, status: int, headers: dict[bytes, bytes]) -> None:
        """Check the head of a response, and prepare the sink for its body."""
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise DownloadFailed("the server compressed the file, which was not asked for")
        length = int(headers.get(b"content-length", 0))
        if status == 200:
            if self._sink.size_bytes:
                await self._sink.restart()
            self.begun = True
            self._validator = _validator(headers)
            self._sink.expect(length)
        elif status == 206 and self._validator is not None:
            self._check_rest(headers)
            self._sink.expect(self._sink.size_bytes + length)
        elif status == 416 and self._validator is not None:
            self._validator = None
            raise _Interrupted("the server cannot send the rest of the file")
        elif 400 <= status < 500 and status not in TRY_LATER:
            raise NotThere(f"the server answered with status {status}")
        else:
            raise _Interrupted(f"the server answered with status {status}")

    def _check_rest(self, headers: dict[bytes, bytes]) -> None:
        """Check that a partial response goes on where the sink ends, with the same content."""
        begin = re.match(rb"bytes (\d+)-", headers.get(b"content-range", b""))
        same = headers.get(b"etag", self._validator) == self._validator
        if begin is None or int(begin[1]) != self._sink.size_bytes or not same:
            self._validator = None
            raise _Interrupted("the server sent another part of the file than asked for")


def _redirected(address: WebAddress, location: str) -> WebAddress:
    try:
        target = address.redirected(location)
    except BadAddress as error:
        raise DownloadFailed(f"{address.origin} redirects to a URL of which {error}") from None
    if (address.scheme, target.scheme) == ("https", "http"):
        raise NotPermitted(f"{address.origin} redirects from https to http.")
    return target


def _validator(headers: dict[bytes, bytes]) -> bytes | None:
    """A value for `If-Range`: one that changes with every change of the content, or None."""
    etag = headers.get(b"etag")
    if etag is not None:
        return None if etag.startswith(b"W/") else etag
    try:
        modified, date = (
            parsedate_to_datetime(headers[name].decode("ascii"))
            for name in (b"last-modified", b"date")
        )
        is_strong = (date - modified).total_seconds() >= STRONG_AFTER_S
    except (KeyError, ValueError, TypeError):
        return None
    return headers[b"last-modified"] if is_strong else None


@contextmanager
def _failures() -> Iterator[None]:
    """Say in words what the network or the server did."""
    try:
        yield
    except httpcore.TimeoutException as error:
        waited = "connection" if isinstance(error, httpcore.ConnectTimeout) else "data"
        raise _Interrupted(f"the server did not answer in time: no {waited}") from None
    except httpcore.ConnectError as error:
        raise _Interrupted(_connect_failure(error)) from None
    except (httpcore.NetworkError, ssl.SSLError):
        raise _Interrupted("the connection was lost") from None
    except httpcore.ProtocolError:
        raise _Interrupted("the response was cut off, or is not valid HTTP") from None


def _connect_failure(error: httpcore.ConnectError) -> str:
    cause = error.args[0] if error.args else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not accepted: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return "its TLS handshake failed"
    return f"the connection failed: {cause}" if isinstance(cause, str) else "the connection failed"
