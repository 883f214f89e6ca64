"""The worker process: pinned to one device, keeps models resident, runs tasks from its queue."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from gpu_workers import device_memory
from gpu_workers.device_errors import exit_if_device_failed
from gpu_workers.inference import apply
from gpu_workers.model import InvalidSpec, Runtime
from gpu_workers.model_states import ModelFiles, StatesWatch
from gpu_workers.resident_models import ResidentModels
from gpu_workers.weights.errors import ModelUnavailable
from gpu_workers.weights.store import WeightsStore
from ipc import child, memory
from ipc.arena import ArenaView
from ipc.channel import Endpoint
from ipc.config import WorkerConfig
from ipc.messages import (
    FromChild,
    Heartbeat,
    Infer,
    Inferred,
    Leaving,
    Load,
    Loaded,
    ModelInfo,
    Ready,
    Resident,
    ToWorker,
)

MB = 1 << 20
MODELS_SHARE = 0.5  # of the device's memory; batches need the rest

log = logging.getLogger(__name__)


def main(endpoint: Endpoint[Any], config: WorkerConfig) -> None:
    """Pin the process to its device, warm up, report ready, answer requests until `Stop`."""
    pin(config)
    device_name = warm_up(config) if config.warm else "cpu"
    endpoint.open(ToWorker)
    worker = Worker(config, endpoint.send)
    worker.preload()
    child.serve(
        endpoint,
        worker.answer,
        Ready(os.getpid(), device_name),
        worker.heartbeat,
        worker.evict_idle,
        worker.leaving,
    )


def pin(config: WorkerConfig) -> None:
    """Set this process's device and number of threads. Call before torch is imported."""
    os.environ["CUDA_VISIBLE_DEVICES"] = config.cuda_visible_devices
    os.environ["OMP_NUM_THREADS"] = str(config.threads)
    os.environ["OPENCV_FOR_THREADS_NUM"] = str(config.cv2_threads)
    # Threads that spin while they wait would take CPU time from the decoders.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["YOLO_OFFLINE"] = "1"  # otherwise ultralytics checks the network at import
    os.environ["YOLO_AUTOINSTALL"] = "0"  # a worker installs no packages
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
    torch.set_num_interop_threads(1)  # no model runs operators in parallel
    if config.device == "cpu":
        return "cpu"
    torch.backends.cudnn.allow_tf32 = False  # fp32 must not become TF32
    torch.backends.cudnn.deterministic = True
    try:
        torch.zeros(1, device="cuda:0")
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch without CUDA
        which = f"{config.device} ({config.cuda_visible_devices})"
        raise RuntimeError(f"{which} cannot be used: {error}") from error
    return torch.cuda.get_device_name(0)


class Worker:
    """Answers the front's requests with its resident models; `report` sends it a message."""

    def __init__(self, config: WorkerConfig, report: Callable[[FromChild], None]) -> None:
        device = "cpu" if config.device == "cpu" else "cuda:0"
        self._config = config
        self._report = report
        weights = WeightsStore(Path(config.model_cache_dir), mirrors=config.weights_mirrors)
        files = ModelFiles(weights)
        self._states = StatesWatch(files, config.default_models, report)
        self._models = ResidentModels(
            config.tasks,
            Runtime(device, config.precision, weights, config.threads),
            files,
            _model_budget_bytes(config, device),
        )
        self._reported: dict[str, ModelInfo] = {}
        self._arena = ArenaView(config.arena)

    def preload(self) -> None:
        """Load the models of PRELOAD; `/health` reports those that are unavailable."""
        self._states.start()
        for spec in self._config.preload:
            try:
                with exit_if_device_failed():
                    self._models.get(spec)
            except ModelUnavailable as error:
                log.warning("not preloaded", extra={"reason": str(error)})
            except Exception:  # the other tasks can be served
                log.exception("not preloaded", extra={"model": spec.model_key})
        self._report_models()
        self._states.refresh()

    def answer(self, request: Load | Infer) -> FromChild:
        """Load or apply a model; raises child.TaskError with an API error code."""
        try:
            with exit_if_device_failed():
                return self._answer(request)
        except ModelUnavailable as error:
            self._states.refresh()
            raise child.TaskError("model_unavailable", str(error)) from error
        except InvalidSpec as error:
            raise child.TaskError("invalid_request", str(error), error.field) from error
        finally:
            self._report_models()

    def _answer(self, request: Load | Infer) -> FromChild:
        key = request.spec.model_key
        model, spec = self._models.get(request.spec)
        if isinstance(request, Load):
            return Loaded(request.id, model.info)
        started = time.perf_counter()
        found = apply(
            model, spec, request.subject, self._arena, lambda: self._models.evict_others(key)
        )
        elapsed_ms = (time.perf_counter() - started) * 1000
        self._models.touch(key)
        results = tuple(msgspec.Raw(msgspec.msgpack.encode(result)) for result in found)
        return Inferred(request.id, results, model.info, round(elapsed_ms, 3))

    def heartbeat(self) -> Heartbeat:
        """The device's memory; no file is read for it. Ends the process if the device fails."""
        if self._config.device == "cpu":
            return Heartbeat()
        with exit_if_device_failed():
            total_bytes = device_memory.total_bytes("cuda:0")
            return Heartbeat(total_bytes - device_memory.free_bytes("cuda:0"), total_bytes)

    def evict_idle(self) -> None:
        """Evict the models that were not used for MODEL_IDLE_S, and return their memory."""
        if not self._config.model_idle_s:
            return
        before = memory.own_bytes()
        if self._models.evict_idle(self._config.model_idle_s):
            device_memory.empty_caches()
            about = {"rss_before_mb": before // MB, "rss_after_mb": memory.own_bytes() // MB}
            log.info("memory of idle models returned", extra=about)
            self._report_models()

    def leaving(self) -> Leaving | None:
        """After a reply: whether this process has more memory than WORKER_MAX_RSS_MB.

        Memory that it only keeps for the next batch is returned first, and does not count.
        """
        self.evict_idle()
        limit = self._config.max_rss_bytes
        if not limit or memory.own_bytes() <= limit:
            return None
        device_memory.empty_caches()
        if (own_bytes := memory.own_bytes()) <= limit:
            return None
        return Leaving(f"it has {own_bytes // MB} MB, more than WORKER_MAX_RSS_MB={limit // MB}")

    def _report_models(self) -> None:
        """Tell the front which models are resident, if this has changed."""
        if (models := self._models.infos) != self._reported:
            self._report(Resident(models))
            self._reported = models
            self._states.refresh()


def _model_budget_bytes(config: WorkerConfig, device: str) -> int:
    if config.model_memory_bytes:
        return config.model_memory_bytes
    return int(device_memory.total_bytes(device) * MODELS_SHARE / config.device_workers)
