"""The channel between the front and one child: a bounded queue of requests, a pipe of replies.

A child that dies can leave its queue locked or a reply half written. So a channel serves one
process and is discarded with it. The front detects the death by the closed pipe.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import queue
import socket
import threading
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.synchronize import SemLock
from typing import Any, Generic, TypeVar

import msgspec

from ipc.messages import FromChild

Request = TypeVar("Request")
SPAWN = multiprocessing.get_context("spawn")
DESCRIPTOR_S = 30.0  # it was sent before the message


class Endpoint(Generic[Request]):
    """The child's end; passed to its entry point as an argument.

    `sandbox` has the measures that hold for the child, see `ipc.sandbox`.
    """

    def __init__(
        self,
        requests: multiprocessing.Queue[bytes],
        descriptors: socket.socket,
        cancels: Connection,
        replies: Connection,
    ) -> None:
        self._requests = requests
        self._descriptors = descriptors
        self._cancels = cancels
        self._replies = replies
        self._received: list[int] = []
        self.sandbox: dict[str, str] = {}
        self._cancelled: set[int] = set()

    def open(self, accepts: Any) -> None:
        """Prepare to decode requests of the union `accepts`. Call it before any thread starts."""
        self._decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(accepts)
        self._encoder = msgspec.msgpack.Encoder()
        self._lock = threading.Lock()

    def receive(self, timeout_s: float) -> Request | None:
        """Return the next request, or None after `timeout_s`.

        The descriptor of its file, if it has one, is closed at the next call.
        """
        while self._received:
            os.close(self._received.pop())
        try:
            return self._with_descriptor(
                self._decoder.decode(self._requests.get(timeout=timeout_s))
            )
        except queue.Empty:
            self._cancelled.clear()  # whatever is left in it was answered before
            return None

    def _with_descriptor(self, request: Request) -> Request:
        """Each request that has a file comes with one descriptor, in the same order."""
        file = getattr(request, "file", None)
        if file is None:
            return request
        self._descriptors.settimeout(DESCRIPTOR_S)
        _, self._received, _, _ = socket.recv_fds(self._descriptors, 1, 1)
        local = msgspec.structs.replace(file, fd=self._received[0])
        return msgspec.structs.replace(request, file=local)  # type: ignore[type-var]

    def cancelled(self, request_id: int) -> bool:
        """Whether the front no longer wants this request; to be asked before work on it starts."""
        while self._cancels.poll():
            self._cancelled.add(int.from_bytes(self._cancels.recv_bytes(), "little"))
        wanted = request_id not in self._cancelled
        self._cancelled.discard(request_id)
        return not wanted

    def send(self, message: FromChild) -> None:
        """Send a reply; thread-safe."""
        encoded = self._encoder.encode(message)
        with self._lock:
            self._replies.send_bytes(encoded)


class Channel:
    """The front's end; raises OSError if it cannot be created."""

    def __init__(self, capacity: int) -> None:
        self._requests = _bounded_queue(capacity)
        self._replies, self._child_replies = SPAWN.Pipe(duplex=False)
        self._child_cancels, self._cancels = SPAWN.Pipe(duplex=False)
        os.set_blocking(self._cancels.fileno(), False)
        self._descriptors, self._child_descriptors = socket.socketpair()
        self._descriptors.setblocking(False)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)

    def endpoint(self) -> Endpoint[object]:
        """The endpoint to pass to the child."""
        return Endpoint(
            self._requests, self._child_descriptors, self._child_cancels, self._child_replies
        )

    def started(self) -> None:
        """Close our copies of the child's pipe ends, so that the child's death closes the pipes."""
        self._child_replies.close()
        self._child_cancels.close()
        self._child_descriptors.close()

    def send(self, message: object) -> None:
        """Queue a request; raises queue.Full if the queue is at capacity.

        The child gets a descriptor of its own for the request's file: it may not be allowed to open
        the front's.
        """
        file = getattr(message, "file", None)
        if file is not None:
            with suppress(BlockingIOError, BrokenPipeError):  # the child hangs, or is dead
                socket.send_fds(self._descriptors, [b"!"], [file.fd])
        self._requests.put_nowait(self._encoder.encode(message))

    def cancel(self, request_id: int) -> None:
        """Tell the child that a queued request is no longer wanted.

        The child answers it with a Failed; one that it works on already runs to its end. A child
        that does not read, because it hangs, is not told.
        """
        with suppress(BlockingIOError, BrokenPipeError):
            self._cancels.send_bytes(request_id.to_bytes(8, "little"))

    def receive(self) -> FromChild:
        """Wait for the next reply; raises EOFError if the child is dead."""
        try:
            return self._decoder.decode(self._replies.recv_bytes())
        except OSError as error:
            raise EOFError from error

    def close(self) -> None:
        """Discard queued requests. Call only when the child is dead."""
        for part in vars(self._requests).values():
            # A resource tracker that was killed and started again has forgotten the semaphores, and
            # would print a traceback for each when it is unlinked.
            if isinstance(part, SemLock):
                resource_tracker.register(part._semlock.name, "semaphore")  # type: ignore[attr-defined]
        self._requests.cancel_join_thread()
        self._requests.close()
        self._cancels.close()
        self._replies.close()
        self._descriptors.close()


def _bounded_queue(capacity: int) -> multiprocessing.Queue[bytes]:
    """A queue. Its semaphores are files in /dev/shm, which the error names if it is full."""
    try:
        return SPAWN.Queue(capacity)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            error.filename = "/dev/shm"
        raise
