"""The channel between the front and one child: a bounded queue of requests, a pipe of replies.

A child that dies can leave its queue locked or a reply half written. So a channel serves one
process and is discarded with it. The front detects the death by the closed pipe.
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
    """The child's end; passed to its entry point as an argument."""

    def __init__(self, requests: multiprocessing.Queue[bytes], replies: Connection) -> None:
        self._requests = requests
        self._replies = replies

    def open(self, accepts: Any) -> None:
        """Prepare to decode requests of the union `accepts`. Call once, in the child."""
        self._decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(accepts)
        self._encoder = msgspec.msgpack.Encoder()
        self._lock = threading.Lock()

    def receive(self, timeout_s: float) -> Request | None:
        """Return the next request, or None after `timeout_s`."""
        try:
            return self._decoder.decode(self._requests.get(timeout=timeout_s))
        except queue.Empty:
            return None

    def send(self, message: FromChild) -> None:
        """Send a reply; thread-safe."""
        encoded = self._encoder.encode(message)
        with self._lock:
            self._replies.send_bytes(encoded)


class Channel:
    """The front's end."""

    def __init__(self, capacity: int) -> None:
        self._requests: multiprocessing.Queue[bytes] = SPAWN.Queue(capacity)
        self._replies, self._child_replies = SPAWN.Pipe(duplex=False)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)

    def endpoint(self) -> Endpoint[object]:
        """The endpoint to pass to the child."""
        return Endpoint(self._requests, self._child_replies)

    def started(self) -> None:
        """Close our copy of the child's pipe end, so that the child's death closes the pipe."""
        self._child_replies.close()

    def send(self, message: object) -> None:
        """Queue a request; raises queue.Full if the queue is at capacity."""
        self._requests.put_nowait(self._encoder.encode(message))

    def receive(self) -> FromChild:
        """Wait for the next reply; raises EOFError if the child is dead."""
        try:
            return self._decoder.decode(self._replies.recv_bytes())
        except OSError as error:
            raise EOFError from error

    def close(self) -> None:
        """Discard queued requests. Call only when the child is dead."""
        self._requests.cancel_join_thread()
        self._requests.close()
        self._replies.close()
