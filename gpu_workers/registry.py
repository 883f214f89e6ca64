"""Which module answers which task, and the models that are resident in this worker."""

from __future__ import annotations

import importlib
import pickle
from collections import OrderedDict

from gpu_workers.model import InvalidSpec, Model, Runtime
from gpu_workers.weights.errors import ModelUnavailable
from ipc.specs import FacesSpec, ObjectsSpec, Spec, TranscribeSpec, model_key, task_of

TASK_MODULES = {
    "objects": "gpu_workers.tasks.objects",
    "faces": "gpu_workers.tasks.faces",
    "transcribe": "gpu_workers.tasks.transcribe",
    "ocr": "gpu_workers.tasks.ocr",
    "places": "gpu_workers.tasks.places",
    "scenes": "gpu_workers.tasks.scenes",
}
MOST_RESIDENT = 12
UNLOADABLE = (RuntimeError, ValueError, KeyError, EOFError, OSError, pickle.UnpicklingError)


class Registry:
    """The resident models of one worker: loaded when first asked for, the least used let go.

    `failures` says of model names why they could not be used when they were last asked for.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._models: OrderedDict[str, Model] = OrderedDict()
        self.failures: dict[str, str] = {}

    def get(self, spec: Spec) -> Model:
        """The model of `spec`, loading it if need be; raises ModelUnavailable, InvalidSpec."""
        key, name = model_key(spec), _name(spec)
        if key not in self._models:
            try:
                self._models[key] = self._load(spec)
            except ModelUnavailable as error:
                self.failures[name] = str(error)
                raise
            self.failures.pop(name, None)
        self._models.move_to_end(key)
        while len(self._models) > MOST_RESIDENT:
            self._models.popitem(last=False)
        return self._models[key]

    def _load(self, spec: Spec) -> Model:
        module = importlib.import_module(TASK_MODULES[task_of(spec)])
        try:
            model: Model = module.load(spec, self._runtime)
        except InvalidSpec:
            raise
        except UNLOADABLE as error:
            if type(error).__name__ == "OutOfMemoryError":
                raise
            raise ModelUnavailable(
                f"{_name(spec)} cannot be loaded, its file is damaged or of another kind: {error}"
            ) from error
        return model


def _name(spec: Spec) -> str:
    """The model's name as clients and health know it."""
    match spec:
        case ObjectsSpec() | FacesSpec() | TranscribeSpec():
            return spec.model_name
        case _:
            return model_key(spec)
