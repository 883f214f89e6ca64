"""The service with simulated devices: `python -m bench.overhead.simulated_devices`.

The front, queues, frames and workers are real. Instead of running a network, a simulated device
waits per frame for the time in the model's name, `wait-<ms>.pt`. It reads one pixel of each frame,
to prove that the frame is present. Needs neither weights nor torch.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import msgspec

from gpu_workers import worker
from ipc.arena import ArenaView, Pixels
from ipc.channel import Endpoint
from ipc.config import WorkerConfig
from ipc.messages import ModelInfo
from ipc.results import BBox, Detection
from ipc.subjects import Frames


def main(endpoint: Endpoint[Any], config: WorkerConfig) -> None:
    """The worker's entry point."""
    tasks = {**config.tasks, "objects": "bench.overhead.simulated_devices"}
    worker.main(endpoint, msgspec.structs.replace(config, warm=False, tasks=tasks))


class Spec(msgspec.Struct, frozen=True):
    """Says in its name what to do."""

    model_name: str


def load(spec: Spec, runtime: object) -> SimulatedDevice:
    """A device that takes as many milliseconds per frame as the model's name says."""
    name = spec.model_name.removesuffix(".pt")
    return SimulatedDevice(float(name.removeprefix("wait-")), name)


class SimulatedDevice:
    """Waits, and returns one box of the frame's size per frame."""

    def __init__(self, frame_ms: float, name: str) -> None:
        self.info = ModelInfo(name, None, False, "cpu", "fp32", {})
        self._frame_ms = frame_ms
        self._clock = threading.Event()

    def preprocess(self, spec: Spec, subject: Frames, arena: ArenaView) -> Sequence[Pixels]:
        """The frames, without a copy."""
        return [arena.frame(ref) for ref in subject.refs]

    def infer(self, spec: Spec, inputs: Sequence[Pixels]) -> list[float]:
        """Wait; then return the brightness of each frame's last pixel, from 0 to 1."""
        self._clock.wait(self._frame_ms / 1000 * len(inputs))
        return [float(frame[-1, -1].mean()) / 255 for frame in inputs]

    def postprocess(self, spec: Spec, subject: Frames, outputs: Sequence[float]) -> list[Detection]:
        """One box per frame."""
        return [
            Detection(
                ref.frame_index,
                round(ref.timestamp_ms),
                "frame",
                round(brightness, 4),
                BBox(0.0, 0.0, float(ref.width), float(ref.height)),
            )
            for ref, brightness in zip(subject.refs, outputs, strict=True)
        ]


if __name__ == "__main__":
    from server.__main__ import main as serve  # not in the workers, which import this module too

    serve("bench.overhead.simulated_devices:main")
