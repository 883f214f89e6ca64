"""Classifies exceptions: not enough memory, a failed device, or anything else."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

EXIT_CODE = 1

# cuBLAS and cuDNN create their handles, and cuDNN loads its kernels, on first use. If there is no
# memory for that, they say "not initialized" or "internal error".
_OUT_OF_MEMORY = re.compile(
    r"out of memory"
    r"|not enough memory"
    r"|can't allocate memory"
    r"|std::bad_alloc"
    r"|(CUBLAS|CUDNN|CUSOLVER|CUSPARSE|CUFFT)_\w*ALLOC\w*_FAILED"
    r"|(CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_NOT_INITIALIZED"
    r"|CUDNN_STATUS_INTERNAL_ERROR\b",
    re.IGNORECASE,
)
_DEVICE_FAILED = re.compile(
    r"CUDA( driver)? error:|(CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_|CUFFT_|cuDNN error:"
)

log = logging.getLogger(__name__)


class Fault(Enum):
    """What an exception says about the device."""

    OUT_OF_MEMORY = auto()
    """The device, or the machine, has no memory for this; it works on."""
    DEVICE_FAILED = auto()
    """The device, or its state in this process, is unusable: only a new process can help."""


def fault_of(error: BaseException) -> Fault | None:
    """The fault that `error`, or an exception that it was raised from, shows; None for neither.

    Only the types count that libraries raise for it, so no text of a file or a client can look
    like a fault.
    """
    cause: BaseException | None = error
    while cause is not None:
        if fault := _own_fault(cause):
            return fault
        cause = cause.__cause__
    return None


def _own_fault(error: BaseException) -> Fault | None:
    names = {cls.__name__ for cls in type(error).__mro__}  # torch may not be imported
    if isinstance(error, MemoryError) or "OutOfMemoryError" in names:
        return Fault.OUT_OF_MEMORY
    if isinstance(error, OSError):
        return Fault.OUT_OF_MEMORY if error.errno == errno.ENOMEM else None
    if not isinstance(error, RuntimeError):
        return None
    if _OUT_OF_MEMORY.search(str(error)):
        return Fault.OUT_OF_MEMORY
    if "AcceleratorError" in names or _DEVICE_FAILED.search(str(error)):
        return Fault.DEVICE_FAILED
    return None


@contextmanager
def exit_if_device_failed() -> Iterator[None]:
    """End the process if the device fails: the front replaces it, and sends the message again."""
    try:
        yield
    except Exception as error:
        if fault_of(error) is not Fault.DEVICE_FAILED:
            raise
        log.exception("the device failed: this worker is replaced")
        raise SystemExit(EXIT_CODE) from None
