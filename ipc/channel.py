"""The line between the front and one child: a bounded queue of requests, a pipe of replies.

A child that dies can leave its queue locked or a reply half written, so a channel serves one
process and is thrown away with it. The pipe's end is how the front learns of a death.
"""

from __future__ import annotations

import multiprocessing
import queue
import threading
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

import msgspec

from ipc.messages import FromChild

Request = TypeVar("Request")
SPAWN = multiprocessing.get_context("spawn")


class Endpoint(Generic[Request]):
    """The child's side; travels to it as an argument of its entry point."""

    def __init__(self, requests: multiprocessing.Queue[bytes], replies: Connection) -> None:
        self._requests = requests
        self._replies = replies

    def open(self, accepts: Any) -> None:
        """Prepare to decode requests of the union `accepts`; called once, in the child."""
        self._decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(accepts)
        self._encoder = msgspec.msgpack.Encoder()
        self._lock = threading.Lock()

    def receive(self, timeout_s: float) -> Request | None:
        """The next request, or None where none came in time."""
        try:
            return self._decoder.decode(self._requests.get(timeout=timeout_s))
        except queue.Empty:
            return None

    def send(self, message: FromChild) -> None:
        """Reply; from any thread."""
        encoded = self._encoder.encode(message)
        with self._lock:
            self._replies.send_bytes(encoded)


class Channel:
    """The front's side."""

    def __init__(self, capacity: int) -> None:
        self._requests: multiprocessing.Queue[bytes] = SPAWN.Queue(capacity)
        self._replies, self._child_replies = SPAWN.Pipe(duplex=False)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)

    def endpoint(self) -> Endpoint[object]:
        """What the child is started with."""
        return Endpoint(self._requests, self._child_replies)

    def started(self) -> None:
        """Let go of the child's end of the pipe, so that the child's death closes it."""
        self._child_replies.close()

    def send(self, message: object) -> None:
        """Queue a request; raises queue.Full past the capacity."""
        self._requests.put_nowait(self._encoder.encode(message))

    def receive(self) -> FromChild:
        """Wait for the next reply; raises EOFError once the child is dead."""
        try:
            return self._decoder.decode(self._replies.recv_bytes())
        except OSError as error:
            raise EOFError from error

    def close(self) -> None:
        """Drop what is queued; the child is dead."""
        self._requests.cancel_join_thread()
        self._requests.close()
        self._replies.close()
