"""Describes a model for the response: weights, device, precision, versions."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

from ipc.messages import ModelInfo

if TYPE_CHECKING:
    from gpu_workers.model import Runtime
    from gpu_workers.weights.store import Weights


# Several packages provide them; the one installed last is imported.
MODULES = {"onnxruntime": "onnxruntime", "opencv": "cv2"}


def model_info(
    name: str,
    weights: Weights | None,
    runtime: Runtime,
    *libraries: str,
    others: Sequence[Weights] = (),
) -> ModelInfo:
    """Describe a loaded model; its numbers depend on the installed packages `libraries`.

    `weights` is None for a model without weights, which always runs on the CPU in fp32. `others`
    are the model's further files.
    """
    return ModelInfo(
        model_name=name,
        weights_sha256=weights.sha256 if weights else None,
        stand_in=weights.stand_in if weights else False,
        device=runtime.device_name if weights else "cpu",
        precision=runtime.precision if weights else "fp32",
        weights_source=weights.source if weights else None,
        other_sha256=tuple(other.sha256 for other in others),
        versions={library: _version(library) for library in libraries},
    )


def _version(library: str) -> str:
    module = MODULES.get(library)
    return version(library) if module is None else str(import_module(module).__version__)
