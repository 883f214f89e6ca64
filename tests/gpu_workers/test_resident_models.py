"""The models of a worker stay within their memory; what cannot be loaded is said, and why."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from gpu_workers import resident_models
from gpu_workers.model import Runtime
from gpu_workers.model_states import ModelFiles
from gpu_workers.resident_models import ResidentModels
from gpu_workers.weights.errors import ModelUnavailable
from gpu_workers.weights.store import WeightsStore
from ipc.messages import ModelInfo, TaskSpec

MB = 1 << 20
OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


class Spec(msgspec.Struct, frozen=True):
    name: str


class Sized:
    """A model of so many MB."""

    def __init__(self, name: str, size_mb: float) -> None:
        self.info = ModelInfo(name, None, False, "cpu", "fp32", {})
        self._weights = [{"weights": np.zeros(int(size_mb * MB), np.uint8)}]


class Models:
    """Resident models, a log of what is loaded, and what loading raises."""

    def __init__(self, folder: Path, budget_mb: float) -> None:
        self.folder = folder
        self.loads: list[tuple[str, list[str]]] = []
        self.during_load: Callable[[str], None] = lambda _: None
        self.measured = True
        weights = WeightsStore(folder)
        self.files = ModelFiles(weights)
        self.resident = ResidentModels(
            {"sized": "sized_task"},
            Runtime("cpu", "fp32", weights),
            self.files,
            int(budget_mb * MB),
        )

    def load(self, spec: Spec, runtime: Runtime) -> Sized:
        self.loads.append((spec.name, list(self.resident.infos)))
        self.during_load(spec.name)
        size_bytes = self.stamp(spec.name) if self.measured else 0
        return Sized(spec.name, size_bytes / MB)

    def stamp(self, name: str) -> int:
        return (self.folder / name).stat().st_size

    def get(self, name: str, size_mb: float = 4) -> Any:
        with (self.folder / name).open("wb") as file:
            file.truncate(int(size_mb * MB))
        return self.resident.get(wanted(name))[0]


def wanted(name: str) -> TaskSpec:
    options = msgspec.Raw(msgspec.msgpack.encode(Spec(name)))
    return TaskSpec("sized", f"sized/{name}", options, (name,))


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Models:
    models = Models(tmp_path, budget_mb=10)
    module = ModuleType("sized_task")
    module.Spec = Spec  # type: ignore[attr-defined]
    module.load = models.load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sized_task", module)
    return models


def keys(models: Models) -> list[str]:
    return [key.removeprefix("sized/") for key in models.resident.infos]


def test_the_least_recently_used_model_goes(models: Models) -> None:
    for name in ("a.pt", "b.pt", "a.pt", "c.pt"):
        models.get(name)
    assert keys(models) == ["a.pt", "c.pt"]
    assert models.resident.size_bytes == 8 * MB


def test_models_go_before_the_next_one_is_loaded(models: Models) -> None:
    for name in ("a.pt", "b.pt", "c.pt"):
        models.get(name)
    assert models.loads[-1] == ("c.pt", ["sized/b.pt"])


def test_models_of_any_number_stay_if_they_are_small(models: Models) -> None:
    for number in range(20):
        models.get(f"{number}.pt", size_mb=0.5)
    assert len(keys(models)) == 20


def test_a_model_above_the_budget_stays_alone(models: Models) -> None:
    models.get("a.pt")
    models.get("large.pt", size_mb=11)
    assert keys(models) == ["large.pt"]


def test_a_model_that_is_larger_than_its_file_makes_room_afterwards(models: Models) -> None:
    models.get("a.pt")
    models.get("b.pt", size_mb=1)
    models.stamp = lambda name: 7 * MB  # type: ignore[method-assign]
    models.get("unpacked.pt", size_mb=1)
    assert models.loads[-1] == ("unpacked.pt", ["sized/a.pt", "sized/b.pt"])
    assert keys(models) == ["b.pt", "unpacked.pt"]


def test_a_model_without_tensors_counts_as_its_file(models: Models) -> None:
    models.measured = False
    for name in ("a.pt", "b.pt", "c.pt"):
        models.get(name)
    assert keys(models) == ["b.pt", "c.pt"]


def test_on_a_gpu_a_model_counts_with_what_it_allocates(
    tmp_path: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    allocated = 0

    def allocate(name: str) -> None:
        nonlocal allocated
        allocated += 6 * MB

    monkeypatch.setattr(resident_models, "allocated_bytes", lambda device: allocated)
    models.during_load = allocate
    models.get("a.pt")
    assert models.resident.size_bytes == 6 * MB
    models.get("b.pt", size_mb=1)
    assert keys(models) == ["b.pt"]


def test_a_model_is_loaded_again_alone_if_there_is_no_memory(models: Models) -> None:
    def full(name: str) -> None:
        if keys(models):
            raise OUT_OF_MEMORY

    models.get("a.pt", size_mb=1)
    models.during_load = full
    models.get("b.pt", size_mb=1)
    assert models.loads[1:] == [("b.pt", ["sized/a.pt"]), ("b.pt", [])]
    assert keys(models) == ["b.pt"]


def test_a_model_that_does_not_fit_is_unavailable(models: Models) -> None:
    def full(name: str) -> None:
        raise OUT_OF_MEMORY

    models.during_load = full
    with pytest.raises(ModelUnavailable) as raised:
        models.get("large.pt", size_mb=3)
    assert len(models.loads) == 2
    for words in ("sized/large.pt", "not enough main memory", "MB are free", "files have 3 MB"):
        assert words in str(raised.value)
    assert "damaged" not in str(raised.value)
    assert "not enough main memory" in models.files.states(wanted("large.pt"))["large.pt"]
    models.during_load = lambda _: None
    models.get("large.pt", size_mb=3)
    assert models.files.states(wanted("large.pt")) == {"large.pt": "ready"}


@pytest.mark.parametrize("wrapped", [False, True], ids=["raised", "reported as a bad file"])
def test_a_failed_device_is_no_damaged_file(models: Models, wrapped: bool) -> None:
    failure = RuntimeError("CUDA error: an illegal memory access was encountered")

    def fail(name: str) -> None:
        if wrapped:
            raise ModelUnavailable(f"{name} is no checkpoint") from failure
        raise failure

    models.during_load = fail
    with pytest.raises((RuntimeError, ModelUnavailable)) as raised:
        models.get("a.pt")
    assert failure in (raised.value, raised.value.__cause__)
    assert "damaged" not in str(raised.value)


def test_a_damaged_file_is_said_to_be_one(models: Models) -> None:
    def damaged(name: str) -> None:
        raise RuntimeError("PytorchStreamReader failed reading zip archive")

    models.during_load = damaged
    with pytest.raises(ModelUnavailable, match="its file is damaged or of another kind"):
        models.get("a.pt")
    assert "damaged" in models.files.states(wanted("a.pt"))["a.pt"]


def test_models_that_are_not_used_go(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(resident_models, "monotonic", lambda: now)
    models.get("a.pt")
    models.get("b.pt")
    now = 50.0
    models.resident.touch("sized/a.pt")
    now = 99.0
    assert not models.resident.evict_idle(100)
    now = 100.0
    assert models.resident.evict_idle(100)
    assert keys(models) == ["a.pt"]
    now = 150.0
    assert models.resident.evict_idle(100)
    assert keys(models) == []
