"""Which module answers which task, and the models that are resident in this worker."""

from __future__ import annotations

import importlib

from gpu_workers.model import Model, Runtime
from ipc.messages import Spec, model_key, task_of

TASK_MODULES = {
    "objects": "gpu_workers.tasks.objects",
    "faces": "gpu_workers.tasks.faces",
    "transcribe": "gpu_workers.tasks.transcribe",
    "ocr": "gpu_workers.tasks.ocr",
    "places": "gpu_workers.tasks.places",
    "scenes": "gpu_workers.tasks.scenes",
}


class Registry:
    """The resident models of one worker, loaded when first asked for."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._models: dict[str, Model] = {}

    def get(self, spec: Spec) -> Model:
        """The model of `spec`, loading it if need be; raises what the task's `load` raises."""
        key = model_key(spec)
        if key not in self._models:
            module = importlib.import_module(TASK_MODULES[task_of(spec)])
            self._models[key] = module.load(spec, self._runtime)
        return self._models[key]
