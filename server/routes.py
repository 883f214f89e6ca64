"""The routes: each reads its request, asks the service, renders the answer."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server import openapi, schemas
from server.errors import Problem
from server.health import health
from server.render import render
from server.service import Service

MAX_BODY_BYTES = 1 << 20
JSON_TYPES = ("application/json", "")


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def infer(request: Request) -> Response:
    """POST /infer/{task}: one analysis of one video."""
    task = request.path_params["task"]
    if task not in schemas.OPTIONS:
        raise Problem(
            "not_found", f"There is no task {task!r}; there are {', '.join(schemas.OPTIONS)}."
        )
    video, options = schemas.parse(task, await _body(request))
    return render(request, await _service(request).infer(task, video, options))


async def _body(request: Request) -> bytes:
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type not in JSON_TYPES:
        raise Problem(
            "unsupported_media_type",
            f"The body is {content_type!r}; this route takes application/json.",
        )
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Problem(
                "upload_too_large", f"The JSON body is larger than {MAX_BODY_BYTES} bytes."
            )
    return body


async def get_health(request: Request) -> Response:
    """GET /health: processes, models, memory; 200 whatever it says."""
    return render(request, health(_service(request)))


async def livez(request: Request) -> Response:
    """GET /livez: 200 while the front answers at all."""
    return Response("ok\n", media_type="text/plain")


async def readyz(request: Request) -> Response:
    """GET /readyz: 200 once every worker waits for work, else 503."""
    if _service(request).ready:
        return Response("ready\n", media_type="text/plain")
    return Response("starting\n", status_code=503, media_type="text/plain")


async def get_metrics(request: Request) -> Response:
    """GET /metrics: the Prometheus text format."""
    return Response(_service(request).metrics.render(), media_type="text/plain; version=0.0.4")


async def get_openapi(request: Request) -> Response:
    """GET /openapi.json: this contract, for machines."""
    return Response(openapi.document(), media_type="application/json")


ROUTES = [
    Route("/infer/{task}", infer, methods=["POST"]),
    Route("/health", get_health),
    Route("/livez", livez),
    Route("/readyz", readyz),
    Route("/metrics", get_metrics),
    Route("/openapi.json", get_openapi),
]
