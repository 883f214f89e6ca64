"""What `/health` says of the processes, the models and the memory."""

from __future__ import annotations

import msgspec

from server.service import Service
from server.settings import MB


class WorkerHealth(msgspec.Struct, frozen=True):
    """One worker; `models` are resident in it, `queue_depth` batches queued or running."""

    name: str
    device: str
    state: str
    models: list[str]
    queue_depth: int
    restarts: int
    pid: int | None


class PoolHealth(msgspec.Struct, frozen=True):
    """The frame pool: its size, the bytes that hold something, the slots under lease."""

    bytes: int
    used: int
    leased: int


class Health(msgspec.Struct, frozen=True):
    """The whole answer. GPU figures are of the first CUDA worker, the memory summed over all."""

    status: str
    models_loaded: list[str]
    gpu_available: bool
    gpu_device_name: str | None
    gpu_memory_total_mb: int
    gpu_memory_used_mb: int
    workers: list[WorkerHealth]
    models: dict[str, str]
    frame_pool: PoolHealth


def health(service: Service) -> Health:
    """The state of the service now, as its children last told it."""
    workers = service.dispatcher.workers
    on_cuda = [worker for worker in workers if worker.spec.device != "cpu"]
    beats = [worker.heartbeat for worker in on_cuda]
    models = {name: state for worker in workers for name, state in worker.heartbeat.models.items()}
    return Health(
        status=_status(service, models),
        models_loaded=sorted({key for worker in workers for key in worker.resident}),
        gpu_available=bool(on_cuda),
        gpu_device_name=on_cuda[0].device_name if on_cuda else None,
        gpu_memory_total_mb=sum(beat.memory_total_bytes for beat in beats) // MB,
        gpu_memory_used_mb=sum(beat.memory_used_bytes for beat in beats) // MB,
        workers=[
            WorkerHealth(
                worker.spec.name,
                worker.spec.device,
                worker.state,
                sorted(worker.resident),
                worker.in_flight,
                worker.restarts,
                worker.pid,
            )
            for worker in workers
        ],
        models=models,
        frame_pool=PoolHealth(
            service.pool.size_bytes,
            service.pool.size_bytes - service.pool.free_bytes,
            service.pool.leased,
        ),
    )


def _status(service: Service, models: dict[str, str]) -> str:
    """Unhealthy: nothing can be answered. Degraded: something cannot, or not as fast."""
    workers = service.dispatcher.workers
    decoders = service.decoders.children
    if not any(w.state == "ready" for w in workers) or not any(
        d.state == "ready" for d in decoders
    ):
        return "unhealthy"
    whole = all(child.state == "ready" for child in (*workers, *decoders))
    if whole and all(state == "ready" for state in models.values()):
        return "healthy"
    return "degraded"
