"""Finds the visible CUDA devices through the driver, because the front never imports torch."""

from __future__ import annotations

import ctypes
import os
from functools import cache

CUDA_SUCCESS = 0


@cache
def cuda_devices() -> tuple[str, ...]:
    """The visible CUDA devices as cuda:0, cuda:1, …; empty without a driver or a device."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ()
    count = ctypes.c_int(0)
    if driver.cuInit(0) != CUDA_SUCCESS:
        return ()
    if driver.cuDeviceGetCount(ctypes.byref(count)) != CUDA_SUCCESS:
        return ()
    return tuple(f"cuda:{index}" for index in range(count.value))


def cuda_visible_devices(device: str) -> str:
    """The CUDA_VISIBLE_DEVICES of a process that may see only `device`.

    The operator's own CUDA_VISIBLE_DEVICES renumbers the devices: cuda:0 is its first entry.
    """
    if device == "cpu":
        return ""
    index = int(device.removeprefix("cuda:"))
    entries = [entry for entry in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if entry]
    return entries[index] if entries else str(index)
