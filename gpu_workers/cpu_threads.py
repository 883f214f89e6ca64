"""Independent pieces of work on a CPU's cores, a thread each.

torch spreads every step of a network over the cores, and waits for all of them after each. Many
small steps then mostly wait, above all where other processes want the cores too. Here a thread
takes its piece through all steps alone, which gives the same digits on any number of cores.
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
    """`work` on each piece, without gradients, on as many threads as torch has for the caller."""
    count = torch.get_num_threads()
    inferring = torch.inference_mode()(work)
    return list(map(inferring, pieces) if count == 1 else _threads(count).map(inferring, pieces))


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    """Threads in each of which torch has one thread; the caller's number stays as it is."""
    return ThreadPoolExecutor(count, "alone", torch.set_num_threads, (1,))
