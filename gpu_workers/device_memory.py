"""The memory of a worker's device: how much there is, what a model takes, and how to free it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ipc import malloc, memory

_LEAVES = (str, bytes, int, float, bool, type(None), type, ModuleType, FunctionType, MethodType)


def total_bytes(device_name: str) -> int:
    """The memory of the GPU; on the CPU, that of the container or the machine."""
    if device_name == "cpu":
        return memory.total_bytes()
    return _cuda().mem_get_info()[1] if _cuda() else 0


def free_bytes(device_name: str) -> int:
    """The memory that is left now."""
    if device_name == "cpu":
        return memory.available_bytes()
    return _cuda().mem_get_info()[0] if _cuda() else 0


def allocated_bytes(device_name: str) -> int:
    """The bytes of all tensors of this process on the GPU; 0 on the CPU."""
    return _cuda().memory_allocated() if device_name != "cpu" and _cuda() else 0


def empty_caches() -> None:
    """Return all memory that is free within this process to the device and the kernel."""
    gc.collect()  # networks with hooks are cycles
    if _cuda():
        _cuda().empty_cache()
    malloc.give_back()


def model_bytes(model: object) -> int:
    """The bytes of all tensors and arrays that a model holds.

    They are parameters and buffers, and what a model has made of them: folded or transformed
    weights are plain attributes.
    """
    return sum(dict(_storages(model)).values())


def _cuda() -> Any:
    """`torch.cuda`, or None where it is not in use; does not import torch."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def _storages(model: object) -> Iterator[tuple[int, int]]:
    """The address and the size of each storage that is reached through attributes and items."""
    torch = sys.modules.get("torch")
    seen: set[int] = set()
    waiting: list[Any] = [model]
    while waiting:
        one = waiting.pop()
        if isinstance(one, _LEAVES) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, np.ndarray):
            yield one.__array_interface__["data"][0], one.nbytes
        elif torch is not None and isinstance(one, torch.Tensor):
            if one.layout is torch.strided:
                storage = one.untyped_storage()
                yield storage.data_ptr(), storage.nbytes()
            else:  # sparse
                yield id(one), one._nnz() * one.element_size()
        else:
            waiting += _parts(one, torch)


def _parts(one: Any, torch: Any) -> Iterator[Any]:
    if isinstance(one, dict):
        yield from one.values()
    elif isinstance(one, list | tuple | set | frozenset):
        yield from one
    else:
        yield from getattr(one, "__dict__", {}).values()
        if torch is not None and isinstance(one, torch.nn.Module):
            yield from one.parameters()  # those of a compiled module are no attributes
            yield from one.buffers()
