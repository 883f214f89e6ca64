"""The body of `/health`: the state of the processes, the models and the memory."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from server.children.supervisor import Child
from server.service import Service
from server.settings import MB

READY = "ready"


class WorkerHealth(msgspec.Struct, frozen=True):
    """One worker: `models` are resident, `queue_depth` counts batches queued or running.

    `device_id` is the UUID of a CUDA device. `reason` is why the worker is not ready, null if it is
    or has not started yet.
    """

    name: str
    device: str
    state: str
    models: list[str]
    queue_depth: int
    restarts: int
    pid: int | None
    device_id: str | None
    reason: str | None


class PoolHealth(msgspec.Struct, frozen=True):
    """The frame pool: its size in bytes, the bytes in use, and the number of leased slots."""

    bytes: int
    used: int
    leased: int


class Health(msgspec.Struct, frozen=True):
    """The body. The fields about the GPU are those of the CUDA workers that are ready.

    `gpu_device_name` is that of the first one; memory is the sum of all. `models` maps each file of
    the default models to ready, missing, unknown, or failed and why. `sandbox` has the measures
    that confine each decoder: "in force", or why one is not possible.
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
    on_cuda = [w for w in workers if w.spec.device != "cpu" and w.state == "ready"]
    beats = [worker.heartbeat for worker in on_cuda]
    models = _models(workers)
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
                service.settings.cuda_ids.get(worker.spec.device),
                worker.reason,
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


def _models(workers: Sequence[Child]) -> dict[str, str]:
    """The state of each default model's files: ready only if every worker says so."""
    models: dict[str, str] = {}
    for worker in workers:
        for name, state in worker.model_states.items():
            if models.get(name, READY) == READY:
                models[name] = state
    return models


def _status(service: Service, models: dict[str, str]) -> str:
    """Unhealthy: no request can succeed. Degraded: some requests fail, or take longer."""
    workers = service.dispatcher.workers
    decoders = service.decoders.children
    if not any(w.state == "ready" for w in workers) or not any(
        d.state == "ready" for d in decoders
    ):
        return "unhealthy"
    whole = all(child.state == "ready" for child in (*workers, *decoders))
    if whole and all(state == READY for state in models.values()):
        return "healthy"
    return "degraded"
