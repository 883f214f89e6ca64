"""Reads weights that are nothing but tensors: unpickling anything else could run code."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from gpu_workers.weights.errors import ModelUnavailable


@contextmanager
def only_tensors(path: Path) -> Iterator[None]:
    """Turn the refusal of `torch.load(weights_only=True)` into ModelUnavailable.

    Its own message advises to load the file without this protection.
    """
    try:
        yield
    except pickle.UnpicklingError as error:
        raise ModelUnavailable(
            f"{path.name} is damaged, or has more in it than tensors. Such a file is not loaded, "
            "because it could run code: get it from another source."
        ) from error


def read_tensors(path: Path) -> Any:
    """What `torch.save` wrote, on the CPU; raises ModelUnavailable if it is not only tensors."""
    with only_tensors(path):
        return torch.load(path, map_location="cpu", weights_only=True)
