"""Requires an API key, and limits the requests that each client has in progress."""

from __future__ import annotations

import hmac
import math
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from server.clients import Client, digest
from server.errors import Problem
from server.http.rendering import problem_response
from server.metrics import Metrics

OPEN_PATHS = frozenset({"/health", "/livez", "/readyz"})
CLIENT = "eioku.client"  # the key of the client's name in an ASGI scope
BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)
FIRST_GUESS_S = 5.0
SMOOTHING = 0.2
LONGEST_RETRY_S = 600


class ApiKeys:
    """Requires `Authorization: Bearer <key>` on all routes except the health checks.

    Puts the client's name into the scope.
    """

    def __init__(self, app: ASGIApp, clients: Sequence[Client], metrics: Metrics) -> None:
        self._app = app
        self._clients = clients
        self._metrics = metrics
        self._in_progress: Counter[str] = Counter()
        self._duration_s = dict.fromkeys((client.name for client in clients), FIRST_GUESS_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        try:
            client = self._identify(Headers(scope=scope).get("authorization", ""))
            scope[CLIENT] = client.name
            if scope["method"] == "POST":
                with self._counted(client):
                    await self._app(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        except Problem as problem:
            self._metrics.rejected.labels(problem.code).inc()
            await problem_response(problem)(scope, receive, send)

    def _identify(self, authorization: str) -> Client:
        """The client with this key; raises Problem (unauthorized).

        Every key is compared, in constant time: the duration tells nothing about any of them.
        """
        given = BEARER.fullmatch(authorization)
        given_digest = digest(given[1] if given else "")
        found = None
        for client in self._clients:
            if hmac.compare_digest(client.key_sha256, given_digest):
                found = client
        if given is None or found is None:
            raise Problem(
                "unauthorized", "An API key is required: 'Authorization: Bearer <API_KEY>'."
            )
        return found

    @contextmanager
    def _counted(self, client: Client) -> Iterator[None]:
        """Count a request for the duration of the block; raises Problem (overloaded)."""
        name = client.name
        if client.limit is not None and self._in_progress[name] >= client.limit:
            raise Problem(
                "overloaded",
                f"The client {name!r} has {self._in_progress[name]} requests in progress; its "
                f"limit is {client.limit} (API_KEY). Try again after the time in Retry-After.",
                retry_after_s=self._retry_after_s(client.limit, name),
            )
        self._in_progress[name] += 1
        started = time.monotonic()
        try:
            yield
        finally:
            self._in_progress[name] -= 1
            elapsed_s = time.monotonic() - started
            self._duration_s[name] += SMOOTHING * (elapsed_s - self._duration_s[name])

    def _retry_after_s(self, limit: int, name: str) -> int:
        """The estimated time until one of the client's requests has ended."""
        return max(1, min(LONGEST_RETRY_S, math.ceil(self._duration_s[name] / limit)))
