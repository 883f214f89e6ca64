"""A web server on this machine that behaves as a test says."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# Key and self-signed certificate of videos.test, localhost and 127.0.0.1. Written by
# openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500
#   -addext "subjectAltName=DNS:videos.test,DNS:localhost,IP:127.0.0.1"
CERTIFICATE = Path(__file__).parent / "videos_test.pem"
LONGEST_WAIT_S = 120

Respond = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class WebServer:
    """`routes` has what is done for each path, query excluded; `requests` grows."""

    port: int
    host: str
    scheme: str
    routes: dict[str, Respond] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers, with names in lower case."""
    released: threading.Event = field(default_factory=threading.Event)
    """Set at the end, so that no handler waits for longer."""

    @property
    def url(self) -> str:
        """The beginning of each address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def headers(self, name: str) -> list[str | None]:
        """The values of a request header, in the order of the requests."""
        return [headers.get(name) for _, headers in self.requests]


@contextmanager
def web_server(host: str = "127.0.0.1", tls: bool = False) -> Iterator[WebServer]:
    """Serve on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = LONGEST_WAIT_S

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            web.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
            with suppress(OSError):  # the client is gone
                web.routes.get(path, status(404))(self)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    class Listener(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Keep quiet: a client may refuse the certificate."""

    with Listener((host, 0), Handler) as listener:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            listener.socket = context.wrap_socket(
                listener.socket, server_side=True, do_handshake_on_connect=False
            )
        web = WebServer(listener.server_address[1], host, "https" if tls else "http")
        serving = threading.Thread(target=listener.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield web
        finally:
            web.released.set()
            listener.shutdown()
            serving.join(LONGEST_WAIT_S)


def status(code: int, **headers: str) -> Respond:
    """Only a status and headers; `_` stands for `-`."""
    return content(b"", code, **headers)


def content(data: bytes, code: int = 200, **headers: str) -> Respond:
    """A complete response."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        send_head(handler, code, len(data), **headers)
        handler.wfile.write(data)

    return respond


def redirect(location: str, code: int = 302) -> Respond:
    """A redirect."""
    return status(code, Location=location)


def send_head(
    handler: BaseHTTPRequestHandler, code: int, length: int | None, **headers: str
) -> None:
    """The status line and the headers; without `length`, the body ends with the connection."""
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    if length is None:
        handler.send_header("Connection", "close")
    else:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection in the middle of a response."""
    handler.close_connection = True
    handler.wfile.flush()
    with suppress(OSError):
        handler.connection.shutdown(socket.SHUT_RDWR)


@dataclass
class Flaky:
    """Serves `data`, but hangs up after `step` bytes of each response but the last.

    It honours Range and If-Range as RFC 9110 has it, unless `ranges` is false.
    """

    data: bytes
    step: int
    headers: dict[str, str]
    ranges: bool = True

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        """Respond to a request."""
        begin, wanted = 0, handler.headers.get("Range")
        if_range = handler.headers.get("If-Range")
        if self.ranges and wanted and if_range in (None, *self.headers.values()):
            begin = int(wanted.removeprefix("bytes=").rstrip("-"))
        rest = self.data[begin:]
        headers = dict(self.headers)
        if begin:
            headers["Content_Range"] = f"bytes {begin}-{len(self.data) - 1}/{len(self.data)}"
        send_head(handler, 206 if begin else 200, len(rest), **headers)
        handler.wfile.write(rest[: self.step])
        if len(rest) > self.step:
            hang_up(handler)
