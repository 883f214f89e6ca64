"""The routes."""

from __future__ import annotations

from importlib.metadata import version

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from server.http import openapi
from server.http.health import health
from server.http.infer import Infer
from server.http.rendering import render
from server.service import Service


def _service(request: HttpRequest) -> Service:
    service: Service = request.app.state.service
    return service


async def index(request: HttpRequest) -> Response:
    """GET /: name and version, as in the original service."""
    about = {"service": "Eioku ML Service", "version": version("eioku-ml")}
    return render(request, about)


async def get_health(request: HttpRequest) -> Response:
    """GET /health: processes, models, memory; always 200."""
    return render(request, health(_service(request)))


async def livez(request: HttpRequest) -> Response:
    """GET /livez: 200 while the front process answers."""
    return Response("ok\n", media_type="text/plain")


async def readyz(request: HttpRequest) -> Response:
    """GET /readyz: 200 if every task can be served, else 503; then what is missing, by line."""
    readiness = _service(request).readiness
    obstacles, absent = readiness.obstacles, readiness.absent
    lines = ["not ready" if obstacles else "ready", *obstacles, *absent]
    body = "".join(f"{line}\n" for line in lines)
    return Response(body, status_code=503 if obstacles else 200, media_type="text/plain")


async def get_metrics(request: HttpRequest) -> Response:
    """GET /metrics: the Prometheus text format."""
    return Response(_service(request).metrics.render(), media_type="text/plain; version=0.0.4")


async def get_openapi(request: HttpRequest) -> Response:
    """GET /openapi.json: the API as an OpenAPI document."""
    document = openapi.document(with_key=bool(_service(request).settings.api_key))
    return Response(document, media_type="application/json")


ROUTES = [
    Route("/", index),
    Route("/infer", Infer(), methods=["POST"]),
    Route("/infer/{task}", Infer(), methods=["POST"]),
    Route("/health", get_health),
    Route("/livez", livez),
    Route("/readyz", readyz),
    Route("/metrics", get_metrics),
    Route("/openapi.json", get_openapi),
]
