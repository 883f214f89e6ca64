"""Middleware for all requests: request id, log line, metrics."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ipc import logs
from server.errors import Problem
from server.http.api_keys import CLIENT, OPEN_PATHS
from server.http.rendering import problem_response
from server.metrics import Metrics
from server.tasks.registry import installed

STOPPING = "The service is being stopped. Send the request again once it has been started."
CLIENT_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

log = logging.getLogger(__name__)


class RequestContext:
    """Assigns each request its id, the client's own if valid, and logs the request's end.

    Every log line of the request has the id, also in decoders and workers; the response returns
    it as `X-Request-ID`.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if CLIENT_ID.fullmatch(given) else uuid.uuid4().hex
        logs.request_id.set(request_id)
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:  # the service stops, and this request has had its time
            if not status:
                await problem_response(Problem("no_worker_ready", STOPPING))(
                    scope, receive, send_with_id
                )
        finally:
            self._ended(scope, status or 500, time.perf_counter() - started)

    def _ended(self, scope: Scope, status: int, elapsed_s: float) -> None:
        path = scope["path"]
        level = logging.DEBUG if path in OPEN_PATHS or path == "/metrics" else logging.INFO
        event = {"method": scope["method"], "path": path, "status": status}
        client = {"client": scope[CLIENT]} if CLIENT in scope else {}
        log.log(level, "request", extra=event | client | {"ms": round(elapsed_s * 1000, 1)})
        if client:
            self._metrics.client_requests.labels(client["client"], str(status)).inc()
        task = "all" if path == "/infer" else path.removeprefix("/infer/")
        if task == "all" or task in installed():
            self._metrics.requests.labels(task, str(status)).inc()
            self._metrics.request_duration.labels(task).observe(elapsed_s)
