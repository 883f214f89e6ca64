"""OCR: the text in each frame, read with EasyOCR's networks on batches of frames and crops.

The result is that of `easyocr.Reader(languages, quantize=False).readtext(frame)` with its default
arguments, for a BGR frame as returned by `cv2.imread`. EasyOCR passes such an array to CRAFT
without a conversion to RGB, and so does this module; the recogniser reads the grey image. By
default, `Reader` quantizes the recogniser on the CPU. This module does not, so that CPU and GPU
give the same results.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import torch

from gpu_workers.model import Runtime
from gpu_workers.model_info import model_info
from gpu_workers.ocr.detector import Detector, Page, to_page
from gpu_workers.ocr.languages import script_for
from gpu_workers.ocr.recogniser import Reading, Recogniser, cut
from ipc.arena import ArenaView
from ipc.messages import FrameRef, Frames, ModelInfo
from ipc.results import Point, TextDetection

DETECTOR = "craft_mlt_25k.pth"


class Spec(msgspec.Struct, frozen=True):
    """The languages to read, and the minimum confidence of text."""

    languages: tuple[str, ...]
    confidence_threshold: float = 0.0


def load(spec: Spec, runtime: Runtime) -> Ocr:
    """Load CRAFT, and the recogniser that reads all of `spec.languages`.

    Raises InvalidSpec if there is none, ModelUnavailable if weights are missing.
    """
    script = script_for(spec.languages)
    detector = runtime.weights.resolve(DETECTOR, "ocr")
    recogniser = runtime.weights.resolve(script.filename, "ocr")
    name = f"{Path(DETECTOR).stem}+{Path(script.filename).stem}"
    info = model_info(name, recogniser, runtime, "easyocr", "torch", "opencv")
    stand_in = detector.stand_in or recogniser.stand_in
    sources = dict.fromkeys((detector.source, recogniser.source))
    return Ocr(
        Detector(detector.path, runtime),
        Recogniser(script, recogniser.path, runtime.device),
        msgspec.structs.replace(info, stand_in=stand_in, weights_source=" + ".join(sources)),
        on_cpu=runtime.device.type == "cpu",
    )


class Ocr:
    """CRAFT and one recogniser; `infer` runs both, and cuts the crops in between."""

    def __init__(
        self, detector: Detector, recogniser: Recogniser, info: ModelInfo, on_cpu: bool
    ) -> None:
        self._detector = detector
        self._recogniser = recogniser
        self._on_cpu = on_cpu
        self.info = info

    def preprocess(self, spec: Spec, subject: Frames, arena: ArenaView) -> list[Page]:
        """Prepare each frame; a frame that equals the previous one shares its page."""
        frames = [arena.frame(ref) for ref in subject.refs]
        pages: list[Page] = []
        for i, frame in enumerate(frames):
            still = i > 0 and np.array_equal(frame, frames[i - 1])
            pages.append(pages[-1] if still else to_page(frame))
        return pages

    @torch.inference_mode()
    def infer(self, spec: Spec, pages: list[Page]) -> list[list[Reading]]:
        """Read every distinct page once, on a GPU in one batch.

        A batch would be no faster on a CPU. There each page is read alone, so its result does not
        depend on the other pages, not even in the last digit.
        """
        distinct = list(dict.fromkeys(pages))
        batches = [[page] for page in distinct] if self._on_cpu else [distinct]
        readings = [reading for batch in batches for reading in self._read(batch)]
        read = dict(zip(distinct, readings, strict=True))
        return [read[page] for page in pages]

    def _read(self, pages: list[Page]) -> list[list[Reading]]:
        """Find the text of each page, then read the crops of all pages in one call."""
        boxes = self._detector.find(pages)
        crops = [cut(found, page.grey) for found, page in zip(boxes, pages, strict=True)]
        readings = iter(self._recogniser.read([crop for page in crops for crop in page]))
        return [[next(readings) for _ in page] for page in crops]

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
