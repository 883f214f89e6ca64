"""Bytes on a socket, in place of an HTTP client that would never send them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from outcomes import LOST
from running import Server

TIMEOUT_S = 60
CLOSED = "closed"
CLOSE = "Connection: close"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def connect(server: Server) -> socket.socket:
    """A connection whose every wait has a deadline."""
    return socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S)


def head(*lines: str, method: str = "POST", path: str = "/infer/objects") -> bytes:
    """A request's head; the server closes the connection after its answer."""
    first = [f"{method} {path} HTTP/1.1", "Host: localhost", CLOSE]
    return "\r\n".join([*first, *lines, "", ""]).encode("latin-1")


def post(body: bytes, *lines: str, length: int | None = None) -> bytes:
    """A POST request; `length` is what it claims its body has."""
    lines = lines or ("Content-Type: application/json",)
    return head(*lines, f"Content-Length: {len(body) if length is None else length}") + body


def exchange(server: Server, pieces: Iterable[bytes], *, end: bool = False) -> bytes:
    """Send the pieces, and read until the server closes; `end` says that no more will come."""
    with connect(server) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            if end:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server has closed already; its answer may still be there
        return _read_all(connection)


def _read_all(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while block := connection.recv(1 << 16):
            answer += block
    except ConnectionResetError:
        pass
    except TimeoutError:
        return b"HTTP/1.1 no answer\r\n"
    return answer


def statuses(answer: bytes) -> list[str]:
    """The status of each response in what a server sent, but for 100 (Continue)."""
    parts = answer.split(b"HTTP/1.1 ")[1:]
    found = [part.split(b"\r\n", 1)[0].decode() for part in parts]
    return [LOST if line == LOST else line[:3] for line in found if not line.startswith("100")]


def first_status(answer: bytes) -> str:
    """The first status, or CLOSED."""
    return next(iter(statuses(answer)), CLOSED)


def disappear(connection: socket.socket) -> None:
    """Close with a reset, as a client does whose machine is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    connection.close()


@contextmanager
def many_connections(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """Open many connections at the same time."""
    with ExitStack() as stack:
        yield [stack.enter_context(connect(server)) for _ in range(count)]
