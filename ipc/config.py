"""What the front tells its children when it starts them."""

from __future__ import annotations

from typing import Literal

import msgspec

from ipc.specs import Spec

ModelTask = Literal["objects", "faces", "transcribe", "ocr", "places"]


class WorkerConfig(msgspec.Struct, frozen=True):
    """A worker's part of the settings.

    `cuda_visible_devices` is the one device that it may see, empty on the CPU. A `warm` worker
    imports torch before it says ready; the others when a task first needs it. `preload` says
    what else to load before that. `default_models` are the (task, file) pairs that health is to
    know about.
    """

    arena: str
    device: str
    cuda_visible_devices: str
    precision: str
    threads: int
    model_cache_dir: str
    warm: bool
    preload: tuple[Spec, ...]
    default_models: tuple[tuple[ModelTask, str], ...]


class DecoderConfig(msgspec.Struct, frozen=True):
    """A decoder's part of the settings."""

    arena: str
