"""Finds the visible CUDA devices through the driver, because the front never imports torch."""

from __future__ import annotations

import ctypes
from typing import Any
from uuid import UUID

LIBRARY = "libcuda.so.1"
NOT_INSTALLED = f"{LIBRARY}: cannot open shared object file: No such file or directory"

_SUCCESS = 0
_NO_DEVICE = 100
_NAME_BYTES = 256
_UUID_BYTES = 16
_MIG = "MIG-"
_ADVICE = {
    802: "start nvidia-fabricmanager",
    803: "the kernel module and the library have different versions: restart the machine",
    804: "the cuda-compat library does not support this device: remove it, or update the driver",
    999: "check that nvidia-smi works, and that the kernel module nvidia-uvm is loaded",
}


class DriverFailed(Exception):
    """The CUDA driver is installed but does not work; the message is one line."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(
            f"the CUDA driver does not work: {what}; {advice}; or set DEVICES=cpu to run on the CPU"
        )


class _NoDevice(Exception):
    """The driver works, and has no device to offer."""


def cuda_devices(visible: str) -> dict[str, str]:
    """The CUDA devices cuda:0, cuda:1, … and their ids; empty without a driver or a device.

    An id, "GPU-…" or "MIG-…", keeps its meaning if another device is lost; an index does not.
    `visible` is CUDA_VISIBLE_DEVICES, which the driver applies itself. However, a process sees at
    most one MIG instance. So if `visible` has MIG ids, its entries are returned unchanged.

    Raises DriverFailed.
    """
    ids = _ids()
    entries = [entry.strip() for entry in visible.split(",") if entry.strip()]
    if ids and any(entry.startswith(_MIG) for entry in entries):
        ids = entries
    return {f"cuda:{index}": device_id for index, device_id in enumerate(ids)}


def _ids() -> list[str]:
    """The ids of the devices that this process sees."""
    library = _library()
    if library is None:
        return []
    count = ctypes.c_int(0)
    try:
        _call(library, "cuInit", 0)
        _call(library, "cuDeviceGetCount", ctypes.byref(count))
    except _NoDevice:
        return []
    return [_id(library, ordinal) for ordinal in range(count.value)]


def _library() -> Any:
    """The driver's library; None if it is not installed."""
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        if str(error) == NOT_INSTALLED:
            return None
        raise DriverFailed(f"{LIBRARY} cannot be loaded ({error})", "reinstall it") from None


def _id(library: Any, ordinal: int) -> str:
    """The id of a device in the form that CUDA_VISIBLE_DEVICES takes."""
    device = ctypes.c_int(0)
    name = ctypes.create_string_buffer(_NAME_BYTES)
    uuid = ctypes.create_string_buffer(_UUID_BYTES)
    _call(library, "cuDeviceGet", ctypes.byref(device), ordinal)
    _call(library, "cuDeviceGetName", name, _NAME_BYTES, device)
    _call(library, "cuDeviceGetUuid_v2", uuid, device)
    kind = _MIG if b" MIG " in name.value else "GPU-"
    return f"{kind}{UUID(bytes=uuid.raw)}"


def _call(library: Any, function: str, *arguments: Any) -> None:
    """Call a function of the driver; raises _NoDevice or DriverFailed."""
    try:
        code = getattr(library, function)(*arguments)
    except AttributeError:
        raise DriverFailed(f"it has no {function}", "update it, it is too old") from None
    if code == _NO_DEVICE:
        raise _NoDevice
    if code != _SUCCESS:
        advice = _ADVICE.get(code, "check that nvidia-smi works")
        raise DriverFailed(f"{function} returned {_error_name(library, code)}", advice)


def _error_name(library: Any, code: int) -> str:
    name = ctypes.c_char_p()
    if library.cuGetErrorName(code, ctypes.byref(name)) != _SUCCESS or name.value is None:
        return f"error {code}"
    return f"error {code}, {name.value.decode()}"
