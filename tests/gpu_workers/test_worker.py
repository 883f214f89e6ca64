"""What a worker tells the front without being asked, and when it gives itself up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from gpu_workers import device_memory, worker
from gpu_workers.worker import MODELS_SHARE, Worker
from ipc import memory
from ipc.arena import Arena
from ipc.config import WorkerConfig
from ipc.messages import FromChild, Heartbeat, Leaving, TaskSpec

MB, GB = 1 << 20, 1 << 30
OBJECTS = TaskSpec("objects", "objects/yolov8n.pt", msgspec.Raw(b"\x80"), ("yolov8n.pt",))

Make = Callable[..., Worker]


class FakeCuda:
    """A GPU with 80 GB, 10 of them in use; it fails if the test says so."""

    error: Exception | None = None

    def mem_get_info(self) -> tuple[int, int]:
        if self.error:
            raise self.error
        return 70 * GB, 80 * GB

    def empty_cache(self) -> None:
        pass


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    cuda = FakeCuda()
    monkeypatch.setattr(device_memory, "_cuda", lambda: cuda)
    return cuda


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes workers; the names of the settings are those of their configuration."""
    arena = Arena(1 << 20)
    arena.create()

    def made(device: str = "cpu", **settings: float) -> Worker:
        reports: list[FromChild] = []
        config = WorkerConfig(
            arena=arena.name,
            device=device,
            cuda_visible_devices="",
            precision="fp32",
            threads=1,
            cv2_threads=1,
            model_cache_dir=str(tmp_path),
            warm=False,
            tasks={"objects": "gpu_workers.tasks.objects"},
            preload=(),
            default_models=(OBJECTS,),
        )
        return Worker(msgspec.structs.replace(config, **settings), reports.append)

    yield made
    arena.unlink()


@pytest.mark.parametrize("device", ["cpu", "cuda:3"])
def test_heartbeats_do_not_look_at_the_folder(
    make: Make, device: str, cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(device)

    def looked_at(self: Path, **kwargs: object) -> None:
        raise AssertionError(f"a heartbeat looked at {self}")

    for look in ("stat", "is_file", "exists", "open"):
        monkeypatch.setattr(Path, look, looked_at)
    assert made.heartbeat() == (Heartbeat() if device == "cpu" else Heartbeat(10 * GB, 80 * GB))


def test_a_device_that_fails_while_idle_ends_the_worker(make: Make, cuda: FakeCuda) -> None:
    made = make("cuda:0")
    cuda.error = RuntimeError("CUDA error: unspecified launch failure")
    with pytest.raises(SystemExit):
        made.heartbeat()


@pytest.mark.parametrize(
    ("device", "settings", "budget"),
    [
        ("cuda:0", {}, 80 * GB * MODELS_SHARE),
        ("cuda:0", {"device_workers": 2}, 80 * GB * MODELS_SHARE / 2),
        ("cuda:0", {"model_memory_bytes": GB}, GB),
        ("cpu", {}, 16 * GB * MODELS_SHARE),
        ("cpu", {"device_workers": 4}, 16 * GB * MODELS_SHARE / 4),
    ],
)
def test_the_budget_is_a_part_of_the_devices_memory(
    device: str,
    settings: dict[str, int],
    budget: float,
    make: Make,
    cuda: FakeCuda,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "total_bytes", lambda: 16 * GB)
    assert make(device, **settings)._models.budget_bytes == budget


@pytest.mark.parametrize(
    ("limit_mb", "before_mb", "after_mb", "leaves"),
    [(0, 900, 900, False), (500, 400, 400, False), (500, 900, 400, False), (500, 900, 600, True)],
    ids=["no limit", "below", "above until it is cleaned up", "above"],
)
def test_a_worker_leaves_if_a_clean_up_is_not_enough(
    limit_mb: int,
    before_mb: int,
    after_mb: int,
    leaves: bool,
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size_mb = before_mb

    def clean_up() -> None:
        nonlocal size_mb
        size_mb = after_mb

    monkeypatch.setattr(memory, "own_bytes", lambda: size_mb * MB)
    monkeypatch.setattr(worker.device_memory, "empty_caches", clean_up)
    leaving = make(max_rss_bytes=limit_mb * MB).leaving()
    expected = Leaving("it has 600 MB, more than WORKER_MAX_RSS_MB=500")
    assert leaving == (expected if leaves else None)
