"""A web server that sends the first half of a file, and the rest once the test lets it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LONGEST_WAIT_S = 240


@dataclass
class Download:
    """The file's address; `begun` is set when somebody has its first half."""

    url: str
    begun: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


@contextmanager
def offered(content: bytes) -> Iterator[Download]:
    """Serve `content` on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            half = len(content) // 2
            with suppress(OSError):  # the client was killed
                self.wfile.write(content[:half])
                download.begun.set()
                download.go_on.wait(LONGEST_WAIT_S)
                self.wfile.write(content[half:])

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        download = Download(f"http://127.0.0.1:{server.server_address[1]}/model.pt")
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield download
        finally:
            download.go_on.set()
            server.shutdown()
            serving.join(60)
