"""A web server; downloads from it make no pauses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from web_server import (
    WebServer,
    web_server,
)

from server.net import download as module


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES_S", (0.0,) * len(module.PAUSES_S))


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as web:
        yield web
