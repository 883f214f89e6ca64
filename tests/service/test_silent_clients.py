"""Clients that connect and do not send a whole request: the service closes the connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from running import Server, running

DEADLINE_S = 60
HEAD = b"POST /infer/scenes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
FORM = HEAD + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = str(tmp_path_factory.mktemp("media"))
    with running("hasty_server", MODEL_CACHE_DIR=folder, MEDIA_ROOTS=folder) as server:
        yield server


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"\r\n{", FORM + b"--x"])
def test_a_silent_client_is_disconnected(sent: bytes, server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as connection:
        connection.sendall(sent)
        assert connection.recv(1) == b""
    assert server.client.get("/livez").status_code == 200
    assert not [event for event in server.log if event.get("level") in ("ERROR", "CRITICAL")]
