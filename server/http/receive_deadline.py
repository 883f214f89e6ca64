"""Closes connections whose client does not send: uvicorn keeps one open for ever."""

from __future__ import annotations

import asyncio

from server.http.head_limit import LimitedHeadProtocol


class ReceiveDeadlineProtocol(LimitedHeadProtocol):
    """Closes a connection if a head takes longer than `head_s`, or a body pauses for `body_s`.

    The time of a head starts with the connection, or with its first byte after another request. A
    request that is being answered is never disturbed, and a body that the service is slow to read
    does not count as a pause.
    """

    head_s = 60.0
    body_s = 60.0

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Await the first head."""
        super().connection_made(transport)
        self._restart(self.head_s)

    def data_received(self, data: bytes) -> None:
        """Give a body more time; a head gets none, but the first byte of another one starts it."""
        if not self._in_head:
            self._restart(self.body_s)
        elif self._timer is None:
            self._restart(self.head_s)
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """Await the body, if there is one."""
        super().on_headers_complete()
        self._restart(self.body_s)

    def on_message_complete(self) -> None:
        """Nothing is awaited until the first byte of another head."""
        super().on_message_complete()
        self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Await nothing more."""
        self._stop()
        super().connection_lost(exc)

    def _restart(self, seconds: float) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, self._expired, seconds)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self, seconds: float) -> None:
        answering = self._in_head and self.cycle is not None and not self.cycle.response_complete
        if answering or self.flow.read_paused:
            self._restart(seconds)
        else:
            self.transport.close()
