"""An exception in the front itself: the problem that the client gets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from server.app import create_app
from server.settings import from_environ
from server.tasks.registry import installed


def test_it_names_no_exception_and_has_the_id_that_the_log_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ipc.logs.configure", lambda *_: None)
    environ = {"MEDIA_ROOTS": str(tmp_path), "MODEL_CACHE_DIR": str(tmp_path), "DEVICES": "cpu"}
    app = create_app(from_environ(environ, tuple(installed())))

    async def fail(_: object) -> None:
        raise LookupError("a secret of /the/machine")

    monkeypatch.setattr(app.state.service, "infer", fail)
    (tmp_path / "clip.mp4").touch()

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://front") as client:
            return await client.post(
                "/infer/scenes",
                json={"video_path": str(tmp_path / "clip.mp4")},
                headers={"X-Request-ID": "for-the-log"},
            )

    response = asyncio.run(ask())
    problem = response.json()
    assert (response.status_code, problem["code"]) == (500, "internal_error")
    assert response.headers["content-type"] == "application/problem+json"
    for words in ("LookupError", "secret", "/the/machine", ".py", str(tmp_path)):
        assert words not in response.text
    assert response.headers["x-request-id"] == "for-the-log"
