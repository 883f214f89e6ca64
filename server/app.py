"""Creates the ASGI application: settings, service, routes, middleware and error handlers."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ipc import logs
from ipc.arena import sweep
from ipc.cpus import limit_blas_threads
from server.children import child_specs
from server.cuda_devices import DriverFailed
from server.errors import NotModified, Problem
from server.http.api_keys import ApiKeys
from server.http.middleware import RequestContext
from server.http.origins import OriginGuard, cors
from server.http.rendering import problem_response
from server.http.results import VARY
from server.http.routes import ROUTES
from server.metrics import Metrics
from server.service import Service
from server.settings import BadSetting, Settings, from_environ
from server.tasks.registry import BadTask, installed

STARTUP_FAILURE = 3  # uvicorn's exit code, after which its supervisor does not restart the process

log = logging.getLogger(__name__)


def create_app(
    settings: Settings | None = None, worker_entry: str = child_specs.WORKER
) -> Starlette:
    """The service as an ASGI app, configured from the environment unless `settings` are given.

    Exits with one line on standard error if it cannot be started.
    """
    if multiprocessing.parent_process() is not None:
        log.error(
            "refused to start: this service is one front process, which owns the shared memory "
            "and the workers; run uvicorn without --workers and --reload, and set DEVICES and "
            "GPU_CONCURRENCY for more throughput"
        )
        raise SystemExit(STARTUP_FAILURE)
    swept = sweep()
    settings = settings or _checked()
    logs.configure("front", settings.log_level)
    if swept:
        log.warning("swept what a dead front left in /dev/shm", extra={"names": swept})
    log.info("devices", extra={"devices": settings.devices, "ids": settings.cuda_ids})
    limit_blas_threads()
    service = Service(settings, worker_entry)
    app = Starlette(
        routes=ROUTES,
        middleware=_middleware(settings, service.metrics),
        lifespan=_lifespan,
        exception_handlers={
            Problem: _problem,
            NotModified: _not_modified,
            ClientDisconnect: _hung_up,
            HTTPException: _http_exception,
            Exception: _unexpected,
        },
    )
    app.state.service = service
    return app


def _middleware(settings: Settings, metrics: Metrics) -> list[Middleware]:
    """From the outermost to the innermost. A preflight of an allowed origin carries no API key."""
    origins, hosts = settings.cors_origins, settings.allowed_hosts
    return [
        Middleware(RequestContext, metrics=metrics),
        Middleware(OriginGuard, origins=origins, hosts=hosts, metrics=metrics),
        *([cors(origins)] if origins else []),
        *([Middleware(ApiKeys, settings.api_key, metrics)] if settings.api_key else []),
    ]


def _checked() -> Settings:
    try:
        settings = from_environ(os.environ, tuple(installed()))
    except (BadSetting, BadTask, DriverFailed) as error:
        raise SystemExit(f"eioku-ml: {error}") from None
    if settings.require_gpu and not settings.has_cuda:
        raise SystemExit(
            "eioku-ml: REQUIRE_GPU is true, but no CUDA device is visible "
            "(check the driver, CUDA_VISIBLE_DEVICES, and docker's --gpus)"
        )
    return settings


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    service: Service = app.state.service
    try:
        await service.start()
        yield
    finally:
        await service.stop()


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    service: Service = request.app.state.service
    service.metrics.rejected.labels(error.code).inc()
    return problem_response(error)


async def _not_modified(request: Request, error: Exception) -> Response:
    """304, though RFC 9110 has 412 for POST: an analysis changes nothing, as a GET."""
    assert isinstance(error, NotModified)
    return Response(status_code=304, headers={"ETag": error.etag, **VARY})


async def _http_exception(request: Request, error: Exception) -> Response:
    """Render the errors that Starlette itself raises: an unknown path, a wrong method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        problem = Problem("method_not_allowed", f"{request.url.path} does not allow this method.")
        problem.headers.update(error.headers or {})
    else:
        problem = Problem("not_found", f"There is nothing at {request.url.path}.")
    return problem_response(problem)


async def _hung_up(request: Request, error: Exception) -> Response:
    """The client is gone; the status, which nginx uses for this case, is for the log only."""
    return Response(status_code=499)


async def _unexpected(request: Request, error: Exception) -> Response:
    """Render a fault of the service; Starlette logs the exception.

    Starlette sends it from outside all middleware, where `RequestContext` cannot add the id.
    """
    response = problem_response(
        Problem(
            "internal_error",
            "The service failed unexpectedly. Its log has the details under this request's "
            "X-Request-ID; please report them.",
        )
    )
    response.headers["X-Request-ID"] = logs.request_id.get() or ""
    return response
