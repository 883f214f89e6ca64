"""The configuration that the front passes to its children at their start."""

from __future__ import annotations

import msgspec

from ipc.messages import TaskSpec


class WorkerConfig(msgspec.Struct, frozen=True):
    """The settings of a worker.

    `cuda_visible_devices` is its only visible device, empty on the CPU. `threads` are torch's
    threads, `cv2_threads` those of cv2. `tasks` maps each task's name to the module that loads its
    models. A `warm` worker imports torch before it reports ready; others import it when a task
    first needs it. `preload` are the models to load before it reports ready. `default_models` are
    those whose files' states it reports.

    The resident models have `model_memory_bytes`; 0 means half of the device's memory, of which
    `device_workers` workers have equal shares. Models are evicted after `model_idle_s` without use,
    and the process is replaced if it has more than `max_rss_bytes`; 0 means never.

    With `weights_mirrors`, weights that no hub gives come from the package index.
    """

    arena: str
    device: str
    cuda_visible_devices: str
    precision: str
    threads: int
    cv2_threads: int
    model_cache_dir: str
    warm: bool
    tasks: dict[str, str]
    preload: tuple[TaskSpec, ...]
    default_models: tuple[TaskSpec, ...]
    model_memory_bytes: int = 0
    device_workers: int = 1
    model_idle_s: float = 0.0
    max_rss_bytes: int = 0
    weights_mirrors: bool = False


class DecoderConfig(msgspec.Struct, frozen=True):
    """The settings of a decoder; `threads` are those of a codec."""

    arena: str
    threads: int
