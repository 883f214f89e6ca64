"""Refuses what pages of other origins send, and requests under an unknown host name.

A browser sends forms and plain text to any address, this machine's own included, for any page. And
a page can let its own host name lead to a loopback address (DNS rebinding): then the browser sees
no other origin. Requests without a browser's headers are not affected.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from server.errors import Problem
from server.http.rendering import problem_response
from server.metrics import Metrics

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
DEFAULT_PORTS = {"http": 80, "https": 443}
# Of a page's script.
REQUEST_HEADERS = ("Authorization", "If-None-Match", "X-Request-ID", "X-Request-Timeout")
RESPONSE_HEADERS = ("Content-Disposition", "ETag", "Retry-After", "X-Request-ID")


def cors(origins: Sequence[str]) -> Middleware:
    """Lets the pages of these origins send requests and read responses."""
    return Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=REQUEST_HEADERS,
        expose_headers=RESPONSE_HEADERS,
    )


class OriginGuard:
    """Passes on the requests of the service's own pages, of `origins`, and of other programs.

    `hosts` are the names under which the service may be asked, besides the loopback ones. Without
    them, requests to a loopback address must use a loopback name, others may use any.
    """

    def __init__(
        self, app: ASGIApp, origins: Sequence[str], hosts: Sequence[str], metrics: Metrics
    ) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._hosts = frozenset(hosts)
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._refusal(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            self._metrics.rejected.labels(problem.code).inc()
            await problem_response(problem)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        host = headers.get("host")
        if host is not None and not self._host_allowed(host, scope):
            return Problem(
                "host_not_allowed",
                f"This service is not asked as {host!r}. Use its address, or ask the operator to "
                "add this name to ALLOWED_HOSTS.",
            )
        if (origin := headers.get("origin")) is not None:
            own = _origin(f"{scope['scheme']}://{host}")
            if origin not in self._origins and (own is None or _origin(origin) != own):
                return _foreign(f"of {origin!r}")
        elif headers.get("sec-fetch-site") == "cross-site" and not _is_link(scope, headers):
            return _foreign("of another site")
        return None

    def _host_allowed(self, host: str, scope: Scope) -> bool:
        server = scope.get("server") or ("", None)
        if not self._hosts and not _is_loopback(server[0]):
            return True
        origin = _origin(f"http://{host}")
        return origin is not None and origin[1] in LOOPBACK_NAMES | self._hosts


def _foreign(what: str) -> Problem:
    return Problem(
        "origin_not_allowed",
        f"A page {what} sent this request. Ask the operator to add its origin to CORS_ORIGINS.",
    )


def _origin(url: str) -> tuple[str, str, int | None] | None:
    """The scheme, host and port of an origin in comparable form; None if it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port or DEFAULT_PORTS.get(parts.scheme)


def _is_link(scope: Scope, headers: Headers) -> bool:
    """Whether a user follows a link: the page that has it cannot read what it leads to."""
    return scope["method"] in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"


def _is_loopback(address: str) -> bool:
    """Whether the connection came to this machine's own loopback interface."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return (mapped or ip).is_loopback
