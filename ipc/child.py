"""The lifecycle of a child process: configure, get ready, answer requests, exit with its parent."""

from __future__ import annotations

import ctypes
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
from ipc.messages import (
    Crashed,
    Failed,
    FromChild,
    Heartbeat,
    Infer,
    Leaving,
    Load,
    Ready,
    Stop,
    activity,
)
from ipc.sandbox import Limits

HEARTBEAT_S = 1.0
POLL_S = 1.0
LONGEST_SUMMARY = 500
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
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
    _die_with_parent()
    if limits is not None:
        endpoint.sandbox = sandbox.enter(limits)  # before the first thread starts
    module, function = entry.split(":")
    endpoint.open(Any)  # the entry point opens it again; until then it can report a crash
    code = 0
    try:
        getattr(importlib.import_module(module), function)(endpoint, config)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except Exception as error:
        log.exception("child failed")
        endpoint.send(Crashed(_summary(error)))
        code = 1
    logging.shutdown()
    # There is nothing to save. An orderly shutdown of torch takes seconds, and may hang if the
    # device has failed.
    os._exit(code)


def serve(
    endpoint: Endpoint[Any],
    answer: Callable[[Any], FromChild],
    ready: Ready,
    heartbeat: Callable[[], Heartbeat] = Heartbeat,
    idle: Callable[[], None] = lambda: None,
    leaving: Callable[[], Leaving | None] = lambda: None,
) -> None:
    """Send `ready`, then answer requests until told to stop; call `idle` while there are none.

    After each reply, `leaving` may tell why the process is to be replaced.
    """
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
            if (reason := leaving()) is not None:
                endpoint.send(reason)
                return


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


def _summary(error: Exception) -> str:
    """The first line of an exception's message, after its type."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:LONGEST_SUMMARY]


def _internal_error(request: Any) -> str:
    """The error text of a fault of the service; only the log has the exception."""
    what = request.spec.task if isinstance(request, Load | Infer) else activity(request)
    return (
        f"The service failed unexpectedly at {what!r}. Its log has the details under this "
        "request's X-Request-ID; please report them."
    )


def _die_with_parent() -> None:
    """Exit when the front ends, however it ends.

    The kernel ends a process that is stopped, or that hangs in a library with the interpreter's
    lock. It does so when the thread that started the process ends: the one of the event loop. The
    thread here serves kernels without this call, and a front that died before it.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
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
        except SystemExit:
            os._exit(1)  # the child has found itself unusable, and has logged why
        except Exception:
            log.exception("the heartbeat's content could not be determined")
            sign = Heartbeat()
        try:
            endpoint.send(sign)
        except ConnectionError:
            os._exit(1)  # the front is dead, or has discarded this process
        except OSError:
            log.exception("a heartbeat could not be sent")
