"""The worker process: pinned to one device, keeps models resident, runs tasks from its queue."""

from __future__ import annotations

import gc
import logging
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from gpu_workers.model import InvalidSpec, Runtime
from gpu_workers.out_of_memory import apply
from gpu_workers.resident_models import ResidentModels
from gpu_workers.weights.errors import ModelUnavailable
from gpu_workers.weights.store import WeightsStore
from ipc import child
from ipc.arena import ArenaView
from ipc.channel import Endpoint
from ipc.config import WorkerConfig
from ipc.messages import (
    FromChild,
    Heartbeat,
    Infer,
    Inferred,
    Load,
    Loaded,
    ModelInfo,
    Ready,
    ToWorker,
)

log = logging.getLogger(__name__)


def main(endpoint: Endpoint[Any], config: WorkerConfig) -> None:
    """Pin the process to its device, warm up, report ready, answer requests until `Stop`."""
    pin(config)
    device_name = warm_up(config) if config.warm else "cpu"
    worker = Worker(config)
    ready = Ready(os.getpid(), device_name, worker.preload())
    endpoint.open(ToWorker)
    child.serve(endpoint, worker.answer, ready, worker.heartbeat)


def pin(config: WorkerConfig) -> None:
    """Set this process's device and number of threads. Call before torch is imported."""
    os.environ["CUDA_VISIBLE_DEVICES"] = config.cuda_visible_devices
    os.environ["OMP_NUM_THREADS"] = str(config.threads)
    # Threads that spin while they wait would take CPU time from the decoders.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["YOLO_OFFLINE"] = "1"  # otherwise ultralytics checks the network at import
    os.environ["YOLO_CONFIG_DIR"] = str(Path(config.model_cache_dir, "ultralytics"))


def warm_up(config: WorkerConfig) -> str:
    """Import torch and initialise the device; return the device's name.

    Raises RuntimeError if the device cannot be used.
    """
    gc.disable()  # an import creates no garbage: collections would take 14 % of its time
    import torch

    gc.freeze()  # these objects live until exit: no collection needs to scan them
    gc.enable()
    torch.set_num_threads(config.threads)
    if config.device == "cpu":
        return "cpu"
    torch.backends.cudnn.allow_tf32 = False  # fp32 must not become TF32
    torch.backends.cudnn.deterministic = True
    torch.zeros(1, device="cuda:0")
    return torch.cuda.get_device_name(0)


class Worker:
    """Answers the front's requests with its resident models."""

    def __init__(self, config: WorkerConfig) -> None:
        device = "cpu" if config.device == "cpu" else "cuda:0"
        self._config = config
        self._weights = WeightsStore(Path(config.model_cache_dir), mirrors=config.weights_mirrors)
        self._models = ResidentModels(
            config.tasks, Runtime(device, config.precision, self._weights)
        )
        self._arena = ArenaView(config.arena)

    def preload(self) -> dict[str, ModelInfo]:
        """Load the models of PRELOAD; `/health` reports those that are unavailable."""
        loaded = {}
        for spec in self._config.preload:
            try:
                loaded[spec.model_key] = self._models.get(spec)[0].info
            except ModelUnavailable as error:
                log.warning("not preloaded", extra={"reason": str(error)})
        return loaded

    def answer(self, request: Load | Infer) -> FromChild:
        """Load or apply a model; raises child.TaskError with an API error code."""
        try:
            model, spec = self._models.get(request.spec)
            if isinstance(request, Load):
                return Loaded(request.id, model.info)
            started = time.perf_counter()
            found = apply(model, spec, request.subject, self._arena)
        except ModelUnavailable as error:
            raise child.TaskError("model_unavailable", str(error)) from error
        except InvalidSpec as error:
            raise child.TaskError("invalid_request", str(error), error.field) from error
        elapsed_ms = (time.perf_counter() - started) * 1000
        results = tuple(msgspec.Raw(msgspec.msgpack.encode(result)) for result in found)
        return Inferred(request.id, results, model.info, round(elapsed_ms, 3))

    def heartbeat(self) -> Heartbeat:
        """The device's memory, and the state of the default models."""
        used, total = self._memory()
        return Heartbeat(used, total, self._model_states())

    def _memory(self) -> tuple[int, int]:
        if self._config.device == "cpu":
            return 0, 0
        import torch

        free, total = torch.cuda.mem_get_info()
        return total - free, total

    def _model_states(self) -> dict[str, str]:
        return {name: self._model_state(name, task) for task, name in self._config.default_models}

    def _model_state(self, name: str, task: str) -> str:
        """Return ready, missing, or failed with the reason, also if the file cannot be loaded."""
        if (why := self._models.failures.get(name)) is not None:
            return f"failed: {why}"
        try:
            return self._weights.status(name, task)
        except ModelUnavailable as error:
            return f"failed: {error}"
