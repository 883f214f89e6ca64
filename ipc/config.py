"""The configuration that the front passes to its children at their start."""

from __future__ import annotations

import msgspec

from ipc.messages import TaskSpec


class WorkerConfig(msgspec.Struct, frozen=True):
    """The settings of a worker.

    `cuda_visible_devices` is its only visible device, empty on the CPU. `tasks` maps each task's
    name to the module that loads its models. A `warm` worker imports torch before it reports ready;
    others import it when a task first needs it. `preload` are the models to load before it reports
    ready. `default_models` are the (task, file) pairs whose state the heartbeat reports.

    With `weights_mirrors`, weights that no hub gives come from the package index.
    """

    arena: str
    device: str
    cuda_visible_devices: str
    precision: str
    threads: int
    model_cache_dir: str
    warm: bool
    tasks: dict[str, str]
    preload: tuple[TaskSpec, ...]
    default_models: tuple[tuple[str, str], ...]
    weights_mirrors: bool = False


class DecoderConfig(msgspec.Struct, frozen=True):
    """The settings of a decoder."""

    arena: str
