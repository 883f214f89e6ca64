"""Defines which child processes a deployment has, and which tasks each may run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ipc.config import DecoderConfig, WorkerConfig
from ipc.messages import TaskSpec
from server.children import deadlines
from server.children.supervisor import ChildSpec
from server.cuda_devices import cuda_visible_devices
from server.settings import Settings
from server.tasks.registry import AnyTask, installed
from server.tasks.task import Options, RunsOn

WORKER = "gpu_workers.worker:main"
DECODER = "server.decoding.decoder_process:main"
CPU_WORKER = "cpu-worker"


def decoders(settings: Settings, arena: str) -> list[ChildSpec]:
    """The decoders; each processes one message at a time."""
    return [
        ChildSpec(f"decoder-{i}", "cpu", DECODER, DecoderConfig(arena), capacity=1)
        for i in range(settings.decode_processes)
    ]


def workers(settings: Settings, arena: str, entry: str = WORKER) -> list[ChildSpec]:
    """One worker per entry of DEVICES, and the CPU worker."""
    on_devices = [
        _worker(settings, arena, entry, f"worker-{i}", device)
        for i, device in enumerate(settings.devices)
    ]
    return [*on_devices, _worker(settings, arena, entry, CPU_WORKER, "cpu")]


def eligible_workers(runs_on: RunsOn, settings: Settings) -> frozenset[str]:
    """The names of the workers that may run a task."""
    devices = {f"worker-{i}": device for i, device in enumerate(settings.devices)}
    match runs_on:
        case RunsOn.DEVICE:
            return frozenset(devices)
        case RunsOn.CPU:
            on_cpu = [name for name, device in devices.items() if device == "cpu"]
            return frozenset(on_cpu or {CPU_WORKER})
        case RunsOn.CPU_WORKER:
            return frozenset({CPU_WORKER})


def _worker(settings: Settings, arena: str, entry: str, name: str, device: str) -> ChildSpec:
    preload = _preload(settings, name)
    config = WorkerConfig(
        arena=arena,
        device=device,
        cuda_visible_devices=cuda_visible_devices(device),
        precision=_precision(settings, device),
        threads=_threads(settings, device),
        model_cache_dir=settings.model_cache_dir,
        weights_mirrors=settings.weights_mirrors,
        warm=name != CPU_WORKER,
        tasks={task.name: task.worker for task in installed().values()},
        preload=preload,
        default_models=() if name == CPU_WORKER else _default_models(settings),
    )
    ready_s = deadlines.READY_WITH_PRELOAD_S if preload else deadlines.READY_S
    return ChildSpec(name, device, entry, config, settings.gpu_concurrency, ready_s)


def _threads(settings: Settings, device: str) -> int:
    """The CPU threads of a worker.

    On a CPU all cores, whatever DEVICES says: the digits of a result depend on their number. CUDA
    workers share the cores, of which they need few.
    """
    if device == "cpu":
        return settings.cores
    return max(1, settings.cores // len(settings.devices))


def _precision(settings: Settings, device: str) -> str:
    if settings.precision != "auto":
        return settings.precision
    return "fp32" if device == "cpu" else "fp16"


def _preload(settings: Settings, name: str) -> tuple[TaskSpec, ...]:
    tasks = [installed()[task] for task in settings.preload]
    return tuple(
        task.task_spec(options, task.start())
        for task, options in _with_defaults(tasks, settings)
        if name in eligible_workers(task.runs_on(options), settings)
    )


def _default_models(settings: Settings) -> tuple[tuple[str, str], ...]:
    """The (task, file) pairs that the tasks need if a request names no model."""
    return tuple(
        (task.name, file)
        for task, options in _with_defaults(installed().values(), settings)
        for file in task.weights(options)
    )


def _with_defaults(tasks: Iterable[AnyTask], settings: Settings) -> list[tuple[AnyTask, Options]]:
    defaults: list[tuple[AnyTask, Any]] = [(task, task.options()) for task in tasks]
    return [(task, task.with_defaults(options, settings)) for task, options in defaults]
