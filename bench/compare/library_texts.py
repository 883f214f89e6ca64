"""The libraries' loops for OCR: EasyOCR and RapidOCR, frame by frame."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import easyocr.easyocr
from rapidocr import RapidOCR

from bench.compare.library_loops import DEVICE, Picture, sampled
from bench.compare.rounds import Item

INTERVAL = 60


class EasyOcrLoop:
    """`easyocr.Reader.readtext`; the library's default on a CPU is a quantized recogniser."""

    def __init__(self, weights: Path, *, quantize: bool) -> None:
        known = [easyocr.config.detection_models, *easyocr.config.recognition_models.values()]
        md5 = {entry["filename"]: entry["md5sum"] for group in known for entry in group.values()}
        # `Reader` checks its weights' MD5s. Return the expected ones, so that it loads stand-ins.
        with patch.object(easyocr.easyocr, "calculate_md5", lambda path: md5[Path(path).name]):
            self._reader = easyocr.Reader(
                ["en"],
                gpu=DEVICE != "cpu",
                model_storage_directory=str(weights),
                user_network_directory=str(weights),
                download_enabled=False,
                quantize=quantize,
                verbose=False,
            )

    def warm_up(self, media: Path) -> None:
        """Read one frame."""
        self._read(*next(sampled(media, INTERVAL)))

    def run(self, media: Path) -> list[Item]:
        """Read every 60th frame."""
        return [item for one in sampled(media, INTERVAL) for item in self._read(*one)]

    def _read(self, index: int, frame: Picture) -> list[Item]:
        with warnings.catch_warnings():
            # EasyOCR pins memory for a device even if there is none.
            warnings.filterwarnings("ignore", "'pin_memory' argument", UserWarning)
            found = self._reader.readtext(frame)
        return [_text(index, polygon, text) for polygon, text, _ in found]


class RapidOcrLoop:
    """`RapidOCR()`, with ONNX Runtime; like the service, it keeps every text."""

    def __init__(self) -> None:
        quiet = {"Global.log_level": "error"}
        self._engine = RapidOCR(params={**quiet, "Global.text_score": 0.0})

    def warm_up(self, media: Path) -> None:
        """Read one frame."""
        self._read(*next(sampled(media, INTERVAL)))

    def run(self, media: Path) -> list[Item]:
        """Read every 60th frame."""
        return [item for one in sampled(media, INTERVAL) for item in self._read(*one)]

    def _read(self, index: int, frame: Picture) -> list[Item]:
        found = self._engine(frame)
        if found.boxes is None:
            return []
        return [_text(index, *one) for one in zip(found.boxes, found.txts, strict=True)]


def _text(index: int, polygon: Iterable[Any], text: str) -> Item:
    corners = [{"x": float(x), "y": float(y)} for x, y in polygon]
    return {"frame_index": index, "text": text, "polygon": corners}
