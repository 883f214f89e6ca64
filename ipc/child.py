"""The lifecycle of a child process: configure, get ready, answer requests, exit with its parent."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

import msgspec

from ipc import logs, malloc, sandbox
from ipc.channel import Endpoint
from ipc.messages import Failed, FromChild, Heartbeat, Infer, Load, Ready, Stop, activity
from ipc.sandbox import Limits

HEARTBEAT_S = 1.0
POLL_S = 1.0
CANCELLED = "cancelled"  # not a code of the API: no client is left to get it

log = logging.getLogger(__name__)


class TaskError(Exception):
    """A request that fails with the API's error code `code`.

    `field` names the field of the client's request that is at fault, if one is.
    """

    def __init__(self, code: str, detail: str, field: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field


def run(
    entry: str,
    name: str,
    log_level: str,
    endpoint: Endpoint[Any],
    config: object,
    limits: Limits | None = None,
) -> None:
    """Entry point of every child: import `entry` ("module:function") and call it.

    With `limits`, the process first enters its sandbox.

    SIGINT and SIGTERM are ignored: Ctrl-C in a terminal reaches the whole process group, and
    only the front acts on it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logs.configure(name, log_level)
    malloc.keep_freed()
    if limits is not None:
        endpoint.sandbox = sandbox.enter(limits)  # before the first thread starts
    threading.Thread(target=_die_with_parent, daemon=True).start()
    module, function = entry.split(":")
    getattr(importlib.import_module(module), function)(endpoint, config)
    logging.shutdown()
    os._exit(0)  # nothing to save, and an orderly shutdown of torch takes seconds


def serve(
    endpoint: Endpoint[Any],
    answer: Callable[[Any], FromChild],
    ready: Ready,
    heartbeat: Callable[[], Heartbeat] = Heartbeat,
    idle: Callable[[], None] = lambda: None,
) -> None:
    """Send `ready`, then answer requests until told to stop; call `idle` while there are none."""
    endpoint.send(msgspec.structs.replace(ready, sandbox=endpoint.sandbox))
    threading.Thread(target=_beat, args=(endpoint, heartbeat), daemon=True).start()
    while True:
        request = endpoint.receive(POLL_S)
        if isinstance(request, Stop):
            return
        if request is None:
            malloc.give_back()
            idle()
        elif endpoint.cancelled(request.id):
            endpoint.send(Failed(request.id, CANCELLED, "The request is no longer wanted."))
        else:
            endpoint.send(_answer(request, answer))


def _answer(request: Any, answer: Callable[[Any], FromChild]) -> FromChild:
    logs.request_id.set(request.request_id)
    started = time.perf_counter()
    try:
        return answer(request)
    except TaskError as error:
        log.warning("request refused", extra={"code": error.code, "detail": error.detail})
        return Failed(request.id, error.code, error.detail, error.field)
    except Exception:
        log.exception("request failed")
        return Failed(request.id, "internal_error", _internal_error(request))
    finally:
        elapsed_ms = round((time.perf_counter() - started) * 1000, 1)
        log.debug("request answered", extra={"activity": activity(request), "ms": elapsed_ms})
        logs.request_id.set(None)


def _internal_error(request: Any) -> str:
    """The error text of a fault of the service; only the log has the exception."""
    what = request.spec.task if isinstance(request, Load | Infer) else activity(request)
    return (
        f"The service failed unexpectedly at {what!r}. Its log has the details under this "
        "request's X-Request-ID; please report them."
    )


def _die_with_parent() -> None:
    """Exit when the front ends, however it ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _beat(endpoint: Endpoint[Any], heartbeat: Callable[[], Heartbeat]) -> None:
    """Send the front a heartbeat every second; it shows that this interpreter runs."""
    stopped = threading.Event()
    while not stopped.wait(HEARTBEAT_S):
        try:
            sign = heartbeat()
        except Exception:
            log.exception("the heartbeat's content could not be determined")
            sign = Heartbeat()
        try:
            endpoint.send(sign)
        except OSError:
            os._exit(1)  # the front is dead, or has discarded this process
