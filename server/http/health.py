"""The body of `/health`: the state of the processes, the models and the memory."""

from __future__ import annotations

import msgspec

from server.service import Service
from server.settings import MB


class WorkerHealth(msgspec.Struct, frozen=True):
    """One worker: `models` are resident, `queue_depth` counts batches queued or running."""

    name: str
    device: str
    state: str
    models: list[str]
    queue_depth: int
    restarts: int
    pid: int | None


class PoolHealth(msgspec.Struct, frozen=True):
    """The frame pool: its size in bytes, the bytes in use, and the number of leased slots."""

    bytes: int
    used: int
    leased: int


class Health(msgspec.Struct, frozen=True):
    """The body. `gpu_device_name` is that of the first CUDA worker; memory is the sum of all.

    `sandbox` has the measures that confine each decoder: "in force", or why one is not possible.
    """

    status: str
    models_loaded: list[str]
    gpu_available: bool
    gpu_device_name: str | None
    gpu_memory_total_mb: int
    gpu_memory_used_mb: int
    workers: list[WorkerHealth]
    models: dict[str, str]
    frame_pool: PoolHealth
    sandbox: dict[str, dict[str, str]]


def health(service: Service) -> Health:
    """The current state of the service, from the last messages of its children."""
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
        sandbox={child.spec.name: child.sandbox for child in service.decoders.children},
    )


def _status(service: Service, models: dict[str, str]) -> str:
    """Unhealthy: no request can succeed. Degraded: some requests fail, or take longer."""
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
