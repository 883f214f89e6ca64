"""A CUDA driver with the devices and the faults that a test asks for.

Its functions are C functions that ctypes makes, with the driver's own signatures: a call with wrong
arguments fails as it would with libcuda.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import CFUNCTYPE, POINTER, c_char, c_char_p, c_int, c_uint
from uuid import UUID

NAMES = {
    3: b"CUDA_ERROR_NOT_INITIALIZED",
    100: b"CUDA_ERROR_NO_DEVICE",
    803: b"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
    804: b"CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
    999: b"CUDA_ERROR_UNKNOWN",
}
HANDLE = 70  # a device's handle is not its ordinal


class FakeDriver:
    """`devices` maps ids (GPU-…, MIG-…) to names; `errors` maps functions to what they return."""

    def __init__(self, devices: Mapping[str, str], errors: Mapping[str, int] | None = None) -> None:
        self._ids = list(devices)
        self._names = list(devices.values())
        self._errors = errors or {}
        out = POINTER(c_int)
        self.cuInit = CFUNCTYPE(c_int, c_uint)(lambda flags: self._error("cuInit"))
        self.cuDeviceGetCount = CFUNCTYPE(c_int, out)(self._count)
        self.cuDeviceGet = CFUNCTYPE(c_int, out, c_int)(self._get)
        self.cuDeviceGetName = CFUNCTYPE(c_int, POINTER(c_char), c_int, c_int)(self._name)
        self.cuDeviceGetUuid_v2 = CFUNCTYPE(c_int, POINTER(c_char), c_int)(self._uuid)
        self.cuGetErrorName = CFUNCTYPE(c_int, c_int, POINTER(c_char_p))(self._error_name)

    def _error(self, function: str) -> int:
        return self._errors.get(function, 0)

    def _count(self, count: ctypes._Pointer[c_int]) -> int:
        count[0] = len(self._ids)
        return self._error("cuDeviceGetCount")

    def _get(self, device: ctypes._Pointer[c_int], ordinal: int) -> int:
        device[0] = HANDLE + ordinal
        return self._error("cuDeviceGet")

    def _name(self, name: ctypes._Pointer[c_char], length: int, device: int) -> int:
        text = self._names[device - HANDLE].encode() + b"\0"
        assert len(text) <= length
        ctypes.memmove(name, text, len(text))
        return self._error("cuDeviceGetName")

    def _uuid(self, uuid: ctypes._Pointer[c_char], device: int) -> int:
        ctypes.memmove(uuid, UUID(self._ids[device - HANDLE][4:]).bytes, 16)
        return self._error("cuDeviceGetUuid_v2")

    def _error_name(self, code: int, name: ctypes._Pointer[c_char_p]) -> int:
        name[0] = NAMES.get(code)
        return 0 if code in NAMES else 1
