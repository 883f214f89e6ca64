"""OCR: the text in each frame, as EasyOCR or RapidOCR reads it.

Each engine is imported when it is first requested: RapidOCR needs no torch.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal

import msgspec
import numpy as np

from gpu_workers.model import Runtime
from gpu_workers.ocr.reading import Engine, Reading
from ipc.arena import ArenaView
from ipc.results import Point, TextDetection
from ipc.subjects import FrameRef, Frames

ENGINES = {"easyocr": "gpu_workers.ocr.easy", "rapidocr": "gpu_workers.ocr.rapid"}


class Spec(msgspec.Struct, frozen=True):
    """The languages to read, the minimum confidence of text, and the engine."""

    languages: tuple[str, ...]
    confidence_threshold: float = 0.0
    model_name: Literal["easyocr", "rapidocr"] = "easyocr"


def load(spec: Spec, runtime: Runtime) -> Ocr:
    """Load the engine for all of `spec.languages`.

    Raises InvalidSpec if it does not read them together, ModelUnavailable if it or its weights are
    missing.
    """
    return Ocr(importlib.import_module(ENGINES[spec.model_name]).load(spec.languages, runtime))


class Ocr:
    """One engine; a frame that equals the previous one of its chunk is read once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.info = engine.info

    def preprocess(self, spec: Spec, subject: Frames, arena: ArenaView) -> list[Any]:
        """Prepare each frame; a frame that equals the previous one shares its page."""
        frames = [arena.frame(ref) for ref in subject.refs]
        pages: list[Any] = []
        for i, frame in enumerate(frames):
            still = i > 0 and np.array_equal(frame, frames[i - 1])
            pages.append(pages[-1] if still else self._engine.prepare(frame))
        return pages

    def infer(self, spec: Spec, pages: list[Any]) -> list[list[Reading]]:
        """Read every distinct page once."""
        distinct = {id(page): page for page in pages}
        read = dict(zip(distinct, self._engine.read(list(distinct.values())), strict=True))
        return [read[id(page)] for page in pages]

    def postprocess(
        self, spec: Spec, subject: Frames, readings: list[list[Reading]]
    ) -> list[TextDetection]:
        """Keep text with a confidence of at least `spec.confidence_threshold`."""
        return [
            _detection(reading, ref)
            for ref, page in zip(subject.refs, readings, strict=True)
            for reading in sorted(page, key=lambda reading: -reading.confidence)
            if reading.confidence >= spec.confidence_threshold
        ]


def _detection(reading: Reading, ref: FrameRef) -> TextDetection:
    return TextDetection(
        frame_index=ref.frame_index,
        timestamp_ms=round(ref.timestamp_ms),
        text=reading.text,
        confidence=round(reading.confidence, 4),
        polygon=[Point(round(float(x), 2), round(float(y), 2)) for x, y in reading.corners],
    )
