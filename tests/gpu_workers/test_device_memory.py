"""What a model takes: each tensor and array that it holds, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gpu_workers.device_memory import model_bytes
from gpu_workers.model import Runtime
from gpu_workers.ocr import easy
from gpu_workers.speech.voice_activity import VoiceDetector
from gpu_workers.tasks import objects, ocr, places, transcribe
from gpu_workers.weights.store import WeightsStore


class Holder:
    """A model whose network is some attributes away."""

    def __init__(self, *parts: object) -> None:
        self.parts = {"all": parts}
        self.me = self
        self.code = (np, torch, Holder, print)


def test_parameters_buffers_and_other_tensors_count() -> None:
    net = nn.Sequential(nn.Linear(100, 10), nn.BatchNorm1d(10))
    net[0].folded = torch.zeros(5, dtype=torch.float64)
    linear, norm, tracked = 4 * 1010, 4 * 40, 8
    assert model_bytes(Holder(net)) == linear + norm + tracked + 40
    assert model_bytes(Holder(net, np.zeros(7))) == linear + norm + tracked + 40 + 56


def test_what_is_shared_counts_once() -> None:
    kernel = torch.zeros(1000)
    assert model_bytes(Holder(kernel, kernel[:10], kernel.view(10, 100))) == 4000


def test_a_compiled_network_counts() -> None:
    """Silero VAD is one: its parameters are no attributes."""
    assert model_bytes(VoiceDetector()) > 1_000_000


def test_code_and_text_take_nothing() -> None:
    assert model_bytes(Holder("text", 5, None, len, Runtime)) == 0


@pytest.mark.parametrize(
    ("module", "spec", "files"),
    [
        (objects, objects.Spec("yolov8n.pt", 0.5, "balanced"), ["yolov8n.pt"]),
        (ocr, ocr.Spec(("en",)), [easy.DETECTOR, "english_g2.pth"]),
        (places, places.Spec(5), [places.NETWORK]),
        (transcribe, transcribe.Spec("tiny.pt", None), ["tiny.pt"]),
    ],
    ids=["objects", "ocr", "places", "transcribe"],
)
def test_a_real_model_is_about_as_large_as_its_files(
    module: Any, spec: Any, files: list[str], weights_dir: Path
) -> None:
    """Some files are in fp16, and OCR's detector transforms its kernels."""
    model = module.load(spec, Runtime("cpu", "fp32", WeightsStore(weights_dir)))
    size_bytes = sum((weights_dir / file).stat().st_size for file in files)
    assert 0.9 * size_bytes < model_bytes(model) < 3 * size_bytes
