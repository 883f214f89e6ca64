"""Runs independent work items on the CPU's cores, one thread per item.

torch splits every layer of a network over all cores and synchronises after each one. Small layers
then mostly wait, above all when other processes use the cores too. Here one thread takes an item
through all layers, which gives bit-identical results for any number of cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Done = TypeVar("Done")


def each_alone(work: Callable[[Piece], Done], pieces: Iterable[Piece]) -> list[Done]:
    """Run `work` on each piece, without gradients, on `torch.get_num_threads()` threads."""
    count = torch.get_num_threads()
    inferring = torch.inference_mode()(work)
    return list(map(inferring, pieces) if count == 1 else _threads(count).map(inferring, pieces))


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    """A pool whose threads use one torch thread each; the caller's thread count is unchanged."""
    return ThreadPoolExecutor(count, "alone", torch.set_num_threads, (1,))
