"""Which child processes a deployment has, and which of them answer which task."""

from __future__ import annotations

from ipc.config import DecoderConfig, ModelTask, WorkerConfig
from ipc.specs import Spec
from server.children.supervisor import READY_DEADLINE_S, ChildSpec
from server.cuda_devices import cuda_visible_devices
from server.http.request_parsing import OPTIONS, FacesOptions, ObjectsOptions, OcrOptions, Options
from server.settings import Settings

WORKER = "gpu_workers.worker:main"
DECODER = "server.decoding.decoder_process:main"
CPU_WORKER = "cpu-worker"
PRELOAD_DEADLINE_S = 1800.0


def decoders(settings: Settings, arena: str) -> list[ChildSpec]:
    """The decoders: each reads one burst of frames at a time."""
    return [
        ChildSpec(f"decoder-{i}", "cpu", DECODER, DecoderConfig(arena), capacity=1)
        for i in range(settings.decode_processes)
    ]


def workers(settings: Settings, arena: str, entry: str = WORKER) -> list[ChildSpec]:
    """One worker an entry of DEVICES, and the CPU worker, which finds scenes."""
    on_devices = [
        _worker(settings, arena, entry, f"worker-{i}", device)
        for i, device in enumerate(settings.devices)
    ]
    return [*on_devices, _worker(settings, arena, entry, CPU_WORKER, "cpu")]


def workers_for(task: str, options: Options, settings: Settings) -> frozenset[str]:
    """The names of the workers that may answer."""
    names = [f"worker-{i}" for i in range(len(settings.devices))]
    if task == "scenes":
        return frozenset({CPU_WORKER})
    if isinstance(options, OcrOptions) and not options.use_gpu:
        on_cpu = [n for n, device in zip(names, settings.devices, strict=True) if device == "cpu"]
        return frozenset(on_cpu or {CPU_WORKER})
    return frozenset(names)


def _worker(settings: Settings, arena: str, entry: str, name: str, device: str) -> ChildSpec:
    preload = _preload(settings, name)
    config = WorkerConfig(
        arena=arena,
        device=device,
        cuda_visible_devices=cuda_visible_devices(device),
        precision=_precision(settings, device),
        threads=settings.cores,
        model_cache_dir=settings.model_cache_dir,
        warm=name != CPU_WORKER,
        preload=preload,
        default_models=() if name == CPU_WORKER else default_models(settings),
    )
    deadline_s = PRELOAD_DEADLINE_S if preload else READY_DEADLINE_S
    return ChildSpec(name, device, entry, config, settings.gpu_concurrency, deadline_s)


def _precision(settings: Settings, device: str) -> str:
    if settings.precision != "auto":
        return settings.precision
    return "fp32" if device == "cpu" else "fp16"


def _preload(settings: Settings, name: str) -> tuple[Spec, ...]:
    wanted = [(task, OPTIONS[task]()) for task in settings.preload]
    return tuple(
        options.spec(settings)
        for task, options in wanted
        if name in workers_for(task, options, settings)
    )


def default_models(settings: Settings) -> tuple[tuple[ModelTask, str], ...]:
    """The (task, file) pairs that the tasks need when a request names no model."""
    return (
        ("objects", ObjectsOptions().model_name),
        ("faces", FacesOptions().model_name),
        ("transcribe", settings.whisper_model),
        ("ocr", "craft_mlt_25k.pth"),
        ("ocr", "english_g2.pth"),
        ("places", "resnet18_places365.pth.tar"),
        ("places", "categories_places365.txt"),
        ("places", "IO_places365.txt"),
    )
