"""The task on the workers' side: `Spec` is what it needs of the options, `load` makes its model."""

from __future__ import annotations

import cv2
import msgspec
import numpy as np

from eioku_sharpness.results import FrameQuality
from gpu_workers.model import InvalidSpec, Runtime
from gpu_workers.model_info import model_info
from ipc.arena import ArenaView, Pixels
from ipc.messages import ModelInfo
from ipc.subjects import Frames


class Spec(msgspec.Struct, frozen=True):
    """How many pixels at each edge to ignore."""

    border: int


def load(spec: Spec, runtime: Runtime) -> SharpnessModel:
    """There are no weights to load."""
    return SharpnessModel(model_info("Laplacian", None, runtime, "opencv"))


class SharpnessModel:
    """The variance of the Laplacian (Pech-Pacheco et al., 2000) of each frame's luma."""

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    def preprocess(self, spec: Spec, subject: Frames, arena: ArenaView) -> list[Pixels]:
        """Crop the frames and convert them to luma, (rows, columns) uint8."""
        lumas = []
        for ref in subject.refs:
            if 2 * spec.border >= min(ref.height, ref.width):
                raise InvalidSpec(
                    "border",
                    f"A border of {spec.border} pixels leaves nothing of a frame of "
                    f"{ref.width}x{ref.height}; it must be below {min(ref.height, ref.width) / 2}.",
                )
            inner = slice(spec.border, -spec.border or None)
            luma = cv2.cvtColor(arena.frame(ref)[inner, inner], cv2.COLOR_RGB2GRAY)
            lumas.append(np.asarray(luma, np.uint8))
        return lumas

    def infer(self, spec: Spec, inputs: list[Pixels]) -> list[tuple[float, float]]:
        """The sharpness and the brightness of each frame."""
        return [
            (float(cv2.Laplacian(luma, cv2.CV_64F).var()), float(luma.mean()) / 255)
            for luma in inputs
        ]

    def postprocess(
        self, spec: Spec, subject: Frames, outputs: list[tuple[float, float]]
    ) -> list[FrameQuality]:
        """One item per frame."""
        return [
            FrameQuality(
                ref.frame_index, round(ref.timestamp_ms), round(sharpness, 2), round(brightness, 4)
            )
            for ref, (sharpness, brightness) in zip(subject.refs, outputs, strict=True)
        ]
