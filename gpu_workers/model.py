"""Defines the worker's side of a task: a module with a spec, and a model with three steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ipc.arena import ArenaView
from ipc.messages import ModelInfo

if TYPE_CHECKING:
    import torch

    from gpu_workers.weights.store import WeightsStore


class InvalidSpec(ValueError):
    """The model does not support the value of a field; the message says what it supports."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Runtime:
    """Where models run: `device_name` is cpu or cuda:0, `precision` fp32, fp16 or bf16.

    `threads` is the number of CPU threads for models that do not use torch's.
    `device` and `dtype` import torch on first use; scene detection never uses them.
    """

    device_name: str
    precision: str
    weights: WeightsStore
    threads: int = 1

    @cached_property
    def device(self) -> torch.device:
        """The device as a torch object."""
        import torch

        return torch.device(self.device_name)

    @cached_property
    def dtype(self) -> torch.dtype:
        """The data type of the weights."""
        import torch

        return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[
            self.precision
        ]


class Model(Protocol):
    """A resident model. `infer` has the work of the device, so it can be timed separately."""

    info: ModelInfo

    def preprocess(self, spec: Any, subject: Any, arena: ArenaView) -> Any:
        """Convert the pixels or the audio of `subject` to the network's input."""

    def infer(self, spec: Any, inputs: Any) -> Any:
        """Run the network."""

    def postprocess(self, spec: Any, subject: Any, outputs: Any) -> Any:
        """Convert the network's output to the task's result, which msgspec can encode."""


class TaskModule(Protocol):
    """The worker's side of a task: the module that `Task.worker` names."""

    Spec: type[msgspec.Struct]
    """The fields of the task's options that the model needs."""

    def load(self, spec: Any, runtime: Runtime) -> Model:
        """Load the model; raises ModelUnavailable, InvalidSpec."""
