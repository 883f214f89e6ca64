"""Which CUDA devices are visible, asked of the driver: the front never imports torch."""

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
    """What CUDA_VISIBLE_DEVICES must be for a process that may see `device` alone.

    The operator's own CUDA_VISIBLE_DEVICES numbers the devices anew: cuda:0 is its first entry.
    """
    if device == "cpu":
        return ""
    index = int(device.removeprefix("cuda:"))
    entries = [entry for entry in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if entry]
    return entries[index] if entries else str(index)
