"""RapidOCR: the PP-OCR networks of its package, in ONNX Runtime on the CPU.

The result is that of `RapidOCR()(frame, text_score=0)` for a BGR frame as returned by
`cv2.imread`. RapidOCR downloads a file that is missing; this module refuses to load instead.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import cv2
import msgspec
import numpy as np

from gpu_workers.model import InvalidSpec, Runtime
from gpu_workers.model_info import model_info
from gpu_workers.ocr.reading import Reading
from gpu_workers.weights.errors import ModelUnavailable
from ipc.arena import Pixels
from ipc.messages import ModelInfo

try:
    import onnxruntime  # noqa: F401  # RapidOCR imports it when it loads a network
    import rapidocr
    from rapidocr.inference_engine.base import FileInfo, InferSession
except ImportError as error:
    raise ModelUnavailable(
        f"RapidOCR is not installed ({error}): run `pip install rapidocr onnxruntime` in the "
        "environment of the service and start it again, or request the model_name easyocr"
    ) from error

MODELS = Path(rapidocr.__file__).parent / "models"
STAGES = ("Det", "Cls", "Rec")  # find text, turn it upright, read it
PARAMETERS = {
    "Global.log_level": "error",  # it warns about every frame without text
    "Global.text_score": 0.0,  # the request's confidence_threshold applies
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,  # each frame has a thread of its own
}
# RapidOCR's names of languages whose code in this service is another one; None: a second name.
OTHER_CODES = {
    "ch": "ch_sim",
    "chinese_cht": "ch_tra",
    "japan": "ja",
    "french": None,
    "german": None,
}
# Frames of more extreme shapes are padded with black. RapidOCR enlarges a narrow frame until its
# shorter side has 736 pixels, which may take gigabytes, and it fails on frames wider than 125 : 1.
TALLEST = 8
WIDEST = 100


def load(languages: tuple[str, ...], runtime: Runtime) -> RapidOcr:
    """Load the networks, which read all supported languages.

    Raises InvalidSpec if a language is not supported, ModelUnavailable if files are missing.
    """
    supported = supported_languages()
    unknown = sorted(set(languages) - set(supported))
    if unknown or not languages:
        raise InvalidSpec(
            "languages",
            f"RapidOCR cannot read {', '.join(unknown) or 'no language'}; "
            f"allowed are {', '.join(supported)}.",
        )
    engine = _resident.get(runtime.threads)
    if engine is None:
        engine = _resident[runtime.threads] = _load(runtime)
    return engine


def supported_languages() -> list[str]:
    """The codes of the languages that the recogniser of the package reads."""
    recogniser = rapidocr.RapidOCR(params=PARAMETERS).cfg.Rec
    names = rapidocr.RapidOCR.list_supported_langs(
        recogniser.task_type, recogniser.ocr_version, recogniser.model_type
    )
    codes = (OTHER_CODES.get(name, name) for name in names)
    return sorted(code for code in codes if code is not None)


def _load(runtime: Runtime) -> RapidOcr:
    _log_as_the_others()
    library = rapidocr.RapidOCR(params=PARAMETERS)
    weights = sha256()
    for stage in STAGES:
        settings = library.cfg[stage]
        path, content = _verified(settings)
        settings.model_path = str(path)
        weights.update(content)
    library._load_det_model()
    library._load_cls_model()
    library._load_rec_model()
    info = model_info("rapidocr", None, runtime, "rapidocr", "onnxruntime", "opencv")
    info = msgspec.structs.replace(
        info, weights_sha256=weights.hexdigest(), weights_source="package"
    )
    return RapidOcr(library, info, runtime.threads)


def _log_as_the_others() -> None:
    """Replace RapidOCR's coloured lines by those of this process."""
    log = logging.getLogger("RapidOCR")
    log.handlers.clear()
    log.propagate = True


def _verified(settings: Any) -> tuple[Path, bytes]:
    """The file of one network, and its content; raises ModelUnavailable."""
    published = InferSession.get_model_url(
        FileInfo(
            engine_type=settings.engine_type,
            ocr_version=settings.ocr_version,
            task_type=settings.task_type,
            lang_type=settings.lang_type,
            model_type=settings.model_type,
        )
    )
    path = MODELS / Path(published["model_dir"]).name
    content = path.read_bytes() if path.is_file() else b""
    if sha256(content).hexdigest() != published["SHA256"]:
        raise ModelUnavailable(
            f"{path.name} of the package rapidocr is missing or damaged: install it again"
        )
    return path, content


@dataclass(frozen=True, eq=False)
class Page:
    """A BGR frame, padded on the right and at the bottom; its size without the padding."""

    pixels: Pixels
    height: int
    width: int


class RapidOcr:
    """RapidOCR with its three networks; reads `threads` pages at a time, each in one thread."""

    def __init__(self, library: Any, info: ModelInfo, threads: int) -> None:
        self._library = library
        self._threads = ThreadPoolExecutor(threads, "rapidocr")
        self.info = info

    def prepare(self, frame: Pixels) -> Page:
        """Convert to BGR, and pad extreme shapes."""
        height, width = frame.shape[:2]
        bottom = max(0, -(-width // WIDEST) - height)
        right = max(0, -(-height // TALLEST) - width)
        bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        padded = cv2.copyMakeBorder(bgr, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
        return Page(padded, height, width)

    def read(self, pages: list[Page]) -> list[list[Reading]]:
        """Read each page as RapidOCR does."""
        return list(self._threads.map(self._read, pages))

    def _read(self, page: Page) -> list[Reading]:
        found = self._library(page.pixels)
        if found.txts is None:
            return []
        boxes = np.minimum(found.boxes, (page.width, page.height))
        return [
            Reading(box.tolist(), text, confidence)
            for box, text, confidence in zip(boxes, found.txts, found.scores, strict=True)
        ]


# The models of all sets of languages share the networks, while one of them is resident.
_resident: WeakValueDictionary[int, RapidOcr] = WeakValueDictionary()
