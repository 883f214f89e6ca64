"""A model hub on this machine, which sends files as a real one does, or fails in a chosen way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RELEASE_DEADLINE_S = 120
SENT_BEFORE_FAULT = 1000  # bytes


class Answer(BaseHTTPRequestHandler):
    """Sends a file of the hub, in the way that the hub has for its path."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.start()

    def do_GET(self) -> None:
        self.server.gets.append(self.path)
        self.close_connection = True
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        with suppress(ConnectionError):  # the client has seen enough
            self.server.ways.get(self.path, whole)(self, content)

    def start(self, status: int = 200, **headers: object) -> None:
        """Send the head."""
        self.send_response(status)
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


Way = Callable[[Answer, bytes], None]


class Hub(ThreadingHTTPServer):
    """Serves `files`; `ways` has the paths that are not sent as usual; counts the GETs.

    A way that waits goes on when `released` is set, at the latest when the hub closes.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.ways: dict[str, Way] = {}
        self.gets: list[str] = []
        self.asked = threading.Event()
        self.released = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def wait(self) -> None:
        """Tell that a way has got so far; wait until it may go on."""
        self.asked.set()
        self.released.wait(RELEASE_DEADLINE_S)


@contextmanager
def local_hub() -> Iterator[Hub]:
    """A hub that answers."""
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def whole(answer: Answer, content: bytes) -> None:
    answer.start(Content_Length=len(content))
    answer.wfile.write(content)


def without_length(answer: Answer, content: bytes) -> None:
    answer.start()
    answer.wfile.write(content)


def invalid_length(answer: Answer, content: bytes) -> None:
    answer.start(Content_Length="many")
    answer.wfile.write(content)


def ends_early(answer: Answer, content: bytes) -> None:
    answer.start(Content_Length=len(content))
    answer.wfile.write(content[:SENT_BEFORE_FAULT])


def ends_early_without_length(answer: Answer, content: bytes) -> None:
    answer.start()
    answer.wfile.write(content[:SENT_BEFORE_FAULT])


def ends_early_in_chunks(answer: Answer, content: bytes) -> None:
    answer.start(Transfer_Encoding="chunked")
    answer.wfile.write(b"%x\r\n%s\r\n" % (SENT_BEFORE_FAULT, content[:SENT_BEFORE_FAULT]))


def too_long(answer: Answer, content: bytes) -> None:
    """More than the Content-Length."""
    answer.start(Content_Length=len(content))
    answer.wfile.write(content + content)


def without_end(answer: Answer, content: bytes) -> None:
    answer.start()
    while not answer.server.released.is_set():
        answer.wfile.write(content)


def stalls(answer: Answer, content: bytes) -> None:
    """Send the start, and the rest when the hub says so."""
    answer.start(Content_Length=len(content))
    answer.wfile.write(content[:SENT_BEFORE_FAULT])
    answer.server.wait()
    answer.wfile.write(content[SENT_BEFORE_FAULT:])


def trickles(answer: Answer, content: bytes) -> None:
    """Send a byte often enough for a client never to see a stall."""
    answer.start(Content_Length=len(content))
    for byte in content:
        answer.wfile.write(bytes([byte]))
        if answer.server.released.wait(0.1):
            return


def other_content(answer: Answer, content: bytes) -> None:
    whole(answer, content[:-1] + bytes([content[-1] ^ 1]))


def login_page(answer: Answer, content: bytes) -> None:
    """What a network says that wants its users to log in first."""
    answer.start(Content_Length=19, Content_Type="text/html")
    answer.wfile.write(b"<html>Log in</html>")


def server_error(answer: Answer, content: bytes) -> None:
    answer.send_error(500)


def not_found(answer: Answer, content: bytes) -> None:
    answer.send_error(404)


def resets(answer: Answer, content: bytes) -> None:
    answer.connection.close()


def redirect_to(location: str) -> Way:
    """Another address, absolute or of this hub."""

    def way(answer: Answer, content: bytes) -> None:
        answer.start(302, Location=location, Content_Length=0)

    return way
