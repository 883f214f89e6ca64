"""One process of a child: how it is started, and the thread that receives its messages."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from ipc import child as child_process
from ipc.channel import SPAWN, Channel
from ipc.messages import FromChild
from ipc.sandbox import Limits
from server.children import deadlines


@dataclass(frozen=True)
class ChildSpec:
    """How to start a child: `entry` is "module:function", `capacity` the size of its queue.

    With `limits` it runs in a sandbox.
    """

    name: str
    device: str
    entry: str
    config: object
    capacity: int
    ready_deadline_s: float = deadlines.READY_S
    limits: Limits | None = None


@dataclass
class Incarnation:
    """One process of a child, with its own channel; `leaving` is why it ends of its own accord."""

    process: Any
    channel: Channel
    crash: str = ""
    leaving: str | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    last_sign: float = field(default_factory=lambda: monotonic())


Receive = Callable[[Incarnation, FromChild], None]


def start(spec: ChildSpec, log_level: str, receive: Receive) -> Incarnation:
    """Start a process; the event loop calls `receive` with each of its messages.

    Raises OSError if it cannot be started.
    """
    channel = Channel(spec.capacity)
    process = SPAWN.Process(
        target=child_process.run,
        name=spec.name,
        args=(spec.entry, spec.name, log_level, channel.endpoint(), spec.config, spec.limits),
        daemon=True,
    )
    process.start()
    channel.started()
    incarnation = Incarnation(process, channel)
    listener = threading.Thread(
        target=_listen, args=(incarnation, asyncio.get_running_loop(), receive), daemon=True
    )
    listener.start()
    return incarnation


def _listen(incarnation: Incarnation, loop: asyncio.AbstractEventLoop, receive: Receive) -> None:
    """In a separate thread: pass messages to the event loop until the process dies."""
    while True:
        try:
            message = incarnation.channel.receive()
        except EOFError:
            loop.call_soon_threadsafe(incarnation.ended.set)
            return
        loop.call_soon_threadsafe(receive, incarnation, message)
