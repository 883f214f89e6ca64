"""Describes a model for the response: weights, device, precision, versions."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from ipc.messages import ModelInfo

if TYPE_CHECKING:
    from gpu_workers.model import Runtime
    from gpu_workers.weights.store import Weights


def model_info(name: str, weights: Weights | None, runtime: Runtime, *libraries: str) -> ModelInfo:
    """Describe a loaded model; its numbers depend on the installed packages `libraries`.

    `weights` is None for a model without weights, which always runs on the CPU in fp32.
    """
    return ModelInfo(
        model_name=name,
        weights_sha256=weights.sha256 if weights else None,
        stand_in=weights.stand_in if weights else False,
        device=runtime.device_name if weights else "cpu",
        precision=runtime.precision if weights else "fp32",
        weights_source=weights.source if weights else None,
        versions={library: _version(library) for library in libraries},
    )


def _version(library: str) -> str:
    if library == "opencv":  # two packages provide it; the one installed last is imported
        import cv2

        return str(cv2.__version__)
    return version(library)
