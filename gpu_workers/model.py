"""What the module of every task provides: a spec, and a model that is applied in three steps."""

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
    """The model cannot do what a field of the request asks for; the message says what it can."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Runtime:
    """Where models run: `device_name` is cpu or cuda:0, `precision` fp32, fp16 or bf16.

    torch is imported by the first task that asks for it: scene detection never does.
    """

    device_name: str
    precision: str
    weights: WeightsStore

    @cached_property
    def device(self) -> torch.device:
        """The device as torch has it."""
        import torch

        return torch.device(self.device_name)

    @cached_property
    def dtype(self) -> torch.dtype:
        """What the weights are kept in."""
        import torch

        return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[
            self.precision
        ]


class Model(Protocol):
    """A resident model. `infer` holds the device's share of the work, so it can be timed apart."""

    info: ModelInfo

    def preprocess(self, spec: Any, subject: Any, arena: ArenaView) -> Any:
        """Turn the pixels or the audio of `subject` into the network's input."""

    def infer(self, spec: Any, inputs: Any) -> Any:
        """Run the network."""

    def postprocess(self, spec: Any, subject: Any, outputs: Any) -> Any:
        """Turn the network's output into the task's result, which msgspec can encode."""


class TaskModule(Protocol):
    """The worker's side of a task: a module that the front's side names."""

    Spec: type[msgspec.Struct]
    """What a request asks of the model: the fields that it needs of the task's options."""

    def load(self, spec: Any, runtime: Runtime) -> Model:
        """Load the model; raises ModelUnavailable, InvalidSpec."""
