"""Defines which child processes a deployment has, and which tasks each may run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ipc.arena import SHM
from ipc.config import DecoderConfig, WorkerConfig
from ipc.messages import TaskSpec
from ipc.sandbox import Limits
from server.children import deadlines
from server.children.incarnation import ChildSpec
from server.settings import MB, Settings
from server.tasks.registry import AnyTask, installed
from server.tasks.task import RunsOn

WORKER = "gpu_workers.worker:main"
DECODER = "server.decoding.decoder_process:main"
CPU_WORKER = "cpu-worker"
CPU_MODEL_WORKER = "cpu-model-worker"
MOST_CODEC_THREADS = 4  # each delays one frame, and a seek waits for all

# The limit of a decoder's memory. A codec holds up to 17 frames for reference and some for each of
# its threads, of up to 6 bytes per pixel; decord decodes ahead.
DECODER_BYTES = 4 << 30
DECODER_BYTES_PER_PIXEL = 128


def decoders(settings: Settings, arena: str) -> list[ChildSpec]:
    """The decoders; each processes one message at a time."""
    config = DecoderConfig(arena, _codec_threads(settings))
    limits = Limits(
        (str(SHM / arena),), DECODER_BYTES + DECODER_BYTES_PER_PIXEL * settings.max_frame_pixels
    )
    return [
        ChildSpec(f"decoder-{i}", "cpu", DECODER, config, capacity=1, limits=limits)
        for i in range(settings.decode_processes)
    ]


def workers(settings: Settings, arena: str, entry: str = WORKER) -> list[ChildSpec]:
    """One worker per entry of DEVICES, and the workers on the CPU that exist besides.

    These are the CPU worker and, if no device is a CPU, one for models that a request wants on the
    CPU. Such a model takes seconds per frame, for which the tasks of the CPU worker must not wait.
    """
    besides = [CPU_WORKER] if "cpu" in settings.devices else [CPU_WORKER, CPU_MODEL_WORKER]
    on_devices = [(f"worker-{i}", device) for i, device in enumerate(settings.devices)]
    on_cpu = [(name, "cpu") for name in besides]
    return [
        _worker(settings, arena, entry, name, device) for name, device in [*on_devices, *on_cpu]
    ]


def eligible_workers(runs_on: RunsOn, settings: Settings) -> frozenset[str]:
    """The names of the workers that may run a task."""
    devices = {f"worker-{i}": device for i, device in enumerate(settings.devices)}
    match runs_on:
        case RunsOn.DEVICE:
            return frozenset(devices)
        case RunsOn.CPU:
            on_cpu = [name for name, device in devices.items() if device == "cpu"]
            return frozenset(on_cpu or {CPU_MODEL_WORKER})
        case RunsOn.CPU_WORKER:
            return frozenset({CPU_WORKER})


def needed_workers(settings: Settings) -> dict[str, frozenset[str]]:
    """For each task, the workers that may run it if a request has its default options."""
    return {
        task.name: eligible_workers(task.runs_on(options), settings)
        for task, options in _with_defaults(installed().values(), settings)
    }


def _worker(settings: Settings, arena: str, entry: str, name: str, device: str) -> ChildSpec:
    preload = _preload(settings, name)
    share = _share(settings)
    of_devices = name not in (CPU_WORKER, CPU_MODEL_WORKER)
    config = WorkerConfig(
        arena=arena,
        device=device,
        cuda_visible_devices="" if device == "cpu" else settings.cuda_ids[device],
        precision=_precision(settings, device),
        threads=settings.cores if device == "cpu" else share,
        cv2_threads=share,
        model_cache_dir=settings.model_cache_dir,
        weights_mirrors=settings.weights_mirrors,
        warm=of_devices,
        tasks={task.name: task.worker for task in installed().values()},
        preload=preload,
        default_models=_specs(installed().values(), settings) if of_devices else (),
        model_memory_bytes=settings.model_memory_mb * MB,
        device_workers=max(1, settings.devices.count(device)),
        model_idle_s=settings.model_idle_s,
        max_rss_bytes=settings.worker_max_rss_mb * MB,
    )
    ready_s = deadlines.READY_WITH_PRELOAD_S if preload else deadlines.READY_S
    return ChildSpec(name, device, entry, config, settings.gpu_concurrency, ready_s)


def _share(settings: Settings) -> int:
    """The CPU threads of a worker, if the workers of DEVICES share the cores.

    torch on a CPU is an exception. It has a thread per core, whatever DEVICES says, because the
    digits of a result depend on the number of its threads.
    """
    return max(1, settings.cores // len(settings.devices))


def _codec_threads(settings: Settings) -> int:
    """The threads of a decoder's codec; all decoders have at most two per core, but one each."""
    share = 2 * settings.cores // settings.decode_processes
    return max(1, min(MOST_CODEC_THREADS, settings.cores, share))


def _precision(settings: Settings, device: str) -> str:
    if settings.precision != "auto":
        return settings.precision
    return "fp32" if device == "cpu" else "fp16"


def _preload(settings: Settings, name: str) -> tuple[TaskSpec, ...]:
    """The models of PRELOAD that this worker may run."""
    tasks = [installed()[task] for task in settings.preload]
    return _specs(tasks, settings, name)


def _specs(
    tasks: Iterable[AnyTask], settings: Settings, worker: str | None = None
) -> tuple[TaskSpec, ...]:
    """The models that tasks need if a request names none; only those that `worker` may run."""
    return tuple(
        task.task_spec(options, task.start())
        for task, options in _with_defaults(tasks, settings)
        if worker is None or worker in eligible_workers(task.runs_on(options), settings)
    )


def _with_defaults(tasks: Iterable[AnyTask], settings: Settings) -> list[tuple[AnyTask, Any]]:
    """Each task with the options of a request that gives none."""
    defaults: list[tuple[AnyTask, Any]] = [(task, task.options()) for task in tasks]
    return [(task, task.with_defaults(options, settings)) for task, options in defaults]
