"""Limits a request's head, its first line and its headers: uvicorn keeps one of any size."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 1 << 16
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class LimitedHeadProtocol(HttpToolsProtocol):
    """Answers 431 and closes the connection if a head is not complete after MAX_HEAD_BYTES.

    The limit is exact to one read from the socket.
    """

    _in_head = True
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Parse what was received, and count it if the head goes on."""
        began_in_head, cycle = self._in_head, self.cycle
        super().data_received(data)
        # A head that ends begins another cycle.
        if began_in_head and self.cycle is cycle and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.write(TOO_LARGE)
                self.transport.close()

    def on_headers_complete(self) -> None:
        """The head has ended."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next request of this connection may begin."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()
