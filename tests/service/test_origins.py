"""Requests that a page of another origin sends with a browser's headers, over real connections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from running import Server, running

from bench.clips.generate import make_small

FOREIGN = "https://evil.example"
ALLOWED = "https://app.example"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_small(folder / "clip.mp4", seconds=1, width=160, height=90, fps=10, audio=False)
    return folder


def started(folder: Path, **environ: str) -> Iterator[Server]:
    with running(MODEL_CACHE_DIR=str(folder), MEDIA_ROOTS=str(folder), **environ) as server:
        yield server


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """The defaults: listens on 127.0.0.1."""
    yield from started(folder)


@pytest.fixture(scope="module")
def open_server(folder: Path) -> Iterator[Server]:
    """Allows one origin and one host; requires a key."""
    yield from started(
        folder, CORS_ORIGINS=ALLOWED, ALLOWED_HOSTS="ml.example", API_KEY="editor:k3y"
    )


def upload(server: Server, folder: Path, **headers: str) -> httpx.Response:
    """A form, which a browser sends to another origin without asking first."""
    return server.client.post(
        "/infer/scenes",
        files={"file": (folder / "clip.mp4").read_bytes()},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def check_refused(response: httpx.Response, code: str, *words: str) -> None:
    assert (response.status_code, response.json()["code"]) == (403, code)
    assert response.headers["x-request-id"]
    for word in words:
        assert word in response.json()["detail"]


def test_a_form_of_another_origin_is_refused(server: Server, folder: Path) -> None:
    assert upload(server, folder).status_code == 200
    foreign = upload(server, folder, Origin=FOREIGN, Sec_Fetch_Site="cross-site")
    check_refused(foreign, "origin_not_allowed", FOREIGN, "CORS_ORIGINS")
    for headers in (
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},  # same host, another port
        {"Origin": f"https://127.0.0.1:{server.port}"},  # another scheme
        {"Sec_Fetch_Site": "cross-site"},
    ):
        check_refused(upload(server, folder, **headers), "origin_not_allowed")
    assert server.metric('eioku_requests_rejected_total{reason="origin_not_allowed"}') >= 5


def test_text_that_is_json_is_refused_too(server: Server, folder: Path) -> None:
    """A browser asks first before it sends application/json, but not before text/plain."""
    body = f'{{"video_path": "{folder}/clip.mp4"}}'
    for media_type in ("text/plain", "application/json"):
        headers = {"Origin": FOREIGN, "Content-Type": media_type}
        response = server.client.post("/infer/scenes", content=body, headers=headers)
        check_refused(response, "origin_not_allowed")


def test_the_services_own_pages_are_served(server: Server, folder: Path) -> None:
    for origin in (server.url, server.url.upper()):
        own = upload(server, folder, Origin=origin, Sec_Fetch_Site="same-origin")
        assert own.status_code == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert server.client.get("/", headers=link).status_code == 200


def test_another_name_for_a_loopback_address_is_refused(server: Server) -> None:
    """A page can let its own name mean 127.0.0.1; then it is no other origin for the browser."""
    for host in (
        "evil.example",
        f"evil.example:{server.port}",
        "127.0.0.1.evil.example",
        "[::1",
        "",
    ):
        headers = {"Host": host, "Origin": f"http://{host}"}
        check_refused(
            server.client.get("/health", headers=headers), "host_not_allowed", "ALLOWED_HOSTS"
        )
    for host in ("localhost", f"LOCALHOST:{server.port}", "127.0.0.1:80", "[::1]:8001"):
        assert server.client.get("/health", headers={"Host": host}).status_code == 200


def test_preflights_are_refused_by_default(server: Server) -> None:
    response = preflight(server, FOREIGN)
    check_refused(response, "origin_not_allowed")
    assert "access-control-allow-origin" not in response.headers


def preflight(server: Server, origin: str) -> httpx.Response:
    wanted = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return server.client.options("/infer/scenes", headers=wanted)


def test_an_allowed_origin_may_drive_the_api(open_server: Server, folder: Path) -> None:
    asked = preflight(open_server, ALLOWED)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == ALLOWED
    page = {"Origin": ALLOWED, "Sec_Fetch_Site": "cross-site"}
    answered = upload(open_server, folder, Authorization="Bearer k3y", **page)
    assert answered.status_code == 200
    assert answered.headers["access-control-allow-origin"] == ALLOWED
    assert "X-Request-ID" in answered.headers["access-control-expose-headers"]
    without_key = upload(open_server, folder, **page)
    assert without_key.status_code == 401
    assert without_key.headers["access-control-allow-origin"] == ALLOWED


def test_no_other_origin_may(open_server: Server, folder: Path) -> None:
    for origin in (FOREIGN, "http://app.example", f"{ALLOWED}:8443", f"{ALLOWED}.evil.example"):
        refused = upload(open_server, folder, Origin=origin, Authorization="Bearer k3y")
        check_refused(refused, "origin_not_allowed")
        assert "access-control-allow-origin" not in refused.headers
        check_refused(preflight(open_server, origin), "origin_not_allowed")


def test_a_reverse_proxy_on_this_machine_may_pass_its_host(open_server: Server) -> None:
    proxied = {"Host": "ml.example", "Authorization": "Bearer k3y"}
    assert open_server.client.get("/metrics", headers=proxied).status_code == 200
    page = {**proxied, "Origin": "https://ml.example", "X-Forwarded-Proto": "https"}
    assert open_server.client.get("/metrics", headers=page).status_code == 200
    check_refused(
        open_server.client.get("/metrics", headers={**proxied, "Host": "other.example"}),
        "host_not_allowed",
    )
