"""EasyOCR's networks, on batches of frames and crops.

The result is that of `easyocr.Reader(languages, quantize=False).readtext(frame)` with its default
arguments, for a BGR frame as returned by `cv2.imread`. EasyOCR passes such an array to CRAFT
without a conversion to RGB, and so does this module; the recogniser reads the grey image. By
default, `Reader` quantizes the recogniser on the CPU. This module does not, so that CPU and GPU
give the same results.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import torch

from gpu_workers.model import Runtime
from gpu_workers.model_info import model_info
from gpu_workers.ocr.detector import Detector, Page, to_page
from gpu_workers.ocr.languages import script_for
from gpu_workers.ocr.reading import Reading
from gpu_workers.ocr.recogniser import Recogniser, cut
from ipc.arena import Pixels
from ipc.messages import ModelInfo

DETECTOR = "craft_mlt_25k.pth"


def load(languages: tuple[str, ...], runtime: Runtime) -> EasyOcr:
    """Load CRAFT, and the recogniser that reads all of `languages`.

    Raises InvalidSpec if there is none, ModelUnavailable if weights are missing.
    """
    script = script_for(languages)
    detector = runtime.weights.resolve(DETECTOR, "ocr")
    recogniser = runtime.weights.resolve(script.filename, "ocr")
    name = f"{Path(DETECTOR).stem}+{Path(script.filename).stem}"
    libraries = ("easyocr", "torch", "opencv")
    info = model_info(name, recogniser, runtime, *libraries, others=[detector])
    stand_in = detector.stand_in or recogniser.stand_in
    sources = dict.fromkeys((detector.source, recogniser.source))
    return EasyOcr(
        Detector(detector.path, runtime),
        Recogniser(script, recogniser.path, runtime.device),
        msgspec.structs.replace(info, stand_in=stand_in, weights_source=" + ".join(sources)),
        on_cpu=runtime.device.type == "cpu",
    )


class EasyOcr:
    """CRAFT and one recogniser; `read` runs both, and cuts the crops in between."""

    def __init__(
        self, detector: Detector, recogniser: Recogniser, info: ModelInfo, on_cpu: bool
    ) -> None:
        self._detector = detector
        self._recogniser = recogniser
        self._on_cpu = on_cpu
        self.info = info

    def prepare(self, frame: Pixels) -> Page:
        """CRAFT's input, and the grey frame."""
        return to_page(frame)

    @torch.inference_mode()
    def read(self, pages: list[Page]) -> list[list[Reading]]:
        """Read the pages, on a GPU in one batch.

        A batch would be no faster on a CPU. There each page is read alone, so its result does not
        depend on the other pages, not even in the last digit.
        """
        batches = [[page] for page in pages] if self._on_cpu else [pages]
        return [reading for batch in batches for reading in self._read(batch)]

    def _read(self, pages: list[Page]) -> list[list[Reading]]:
        """Find the text of each page, then read the crops of all pages in one call."""
        boxes = self._detector.find(pages)
        crops = [cut(found, page.grey) for found, page in zip(boxes, pages, strict=True)]
        readings = iter(self._recogniser.read([crop for page in crops for crop in page]))
        return [[next(readings) for _ in page] for page in crops]
