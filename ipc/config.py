"""What the front passes to its children when it starts them."""

from __future__ import annotations

import msgspec

from ipc.messages import TaskSpec


class WorkerConfig(msgspec.Struct, frozen=True):
    """A worker's part of the settings.

    `cuda_visible_devices` is the one device that it may see, empty on the CPU. `tasks` maps each
    task's name to the module that loads its models. A `warm` worker imports torch before it says
    ready; the others import it when a task first needs it. `preload` lists the models to load
    before that. `default_models` are the (task, file) pairs whose state the heartbeat reports.
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


class DecoderConfig(msgspec.Struct, frozen=True):
    """A decoder's part of the settings."""

    arena: str
