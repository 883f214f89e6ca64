"""The bare networks: how fast plain torch runs each one alone.

channels_last, inference mode, input already on the device. The weights are random, because values
do not affect the speed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

os.environ["YOLO_OFFLINE"] = "true"  # read on import: otherwise ultralytics reports its use

import torch
from easyocr.craft import CRAFT
from easyocr.model.vgg_model import Model as Crnn
from torch import nn
from torchvision.models import resnet18
from ultralytics.nn.tasks import DetectionModel
from whisper.model import ModelDimensions, Whisper

from bench.limits.repeats import repeat

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
BATCHES = (1, 4, 8, 16)


@dataclass(frozen=True)
class Network:
    """A network, the shape of one input, and its useful batch sizes."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    batches: tuple[int, ...] = BATCHES


class _Reader(nn.Module):
    """EasyOCR's recogniser, which requires a second argument but ignores it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Crnn(input_channel=1, output_channel=256, hidden_size=256, num_class=97)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        read: torch.Tensor = self.net(crops, "")
        return read


def _yolo() -> nn.Module:
    network: nn.Module = DetectionModel("yolov8n.yaml", verbose=False).eval().fuse(verbose=False)
    return network


def _whisper_base() -> nn.Module:
    encoder: nn.Module = Whisper(
        ModelDimensions(80, 1500, 512, 8, 6, 51_865, 448, 512, 8, 6)
    ).encoder
    return encoder


YOLO = Network("YOLOv8n", _yolo, (3, 384, 640))
RESNET = Network("ResNet-18", lambda: resnet18(num_classes=365), (3, 224, 224))
CRAFT_1080P = Network("CRAFT", CRAFT, (3, 1088, 1920), (1,))
CRAFT_720P = Network("CRAFT", CRAFT, (3, 736, 1280), (1,))
CRNN = Network("CRNN english_g2", _Reader, (1, 64, 256))
WHISPER = Network("Whisper base, encoder", _whisper_base, (80, 3000), (1, 4))


class Forward:
    """A network on a device, in fp32, bf16 or fp16."""

    def __init__(self, network: Network, precision: str, device: str) -> None:
        self._network, self._dtype, self._device = network, DTYPES[precision], device
        net = network.build().eval()
        self._net = net.to(device, self._dtype).to(memory_format=torch.channels_last)
        for layer in net.modules():
            if isinstance(layer, nn.LayerNorm):
                layer.float()  # Whisper's, which convert their input and output themselves

    def times_s(self, batch: int, least: int, budget_s: float) -> list[float]:
        """Seconds of each forward pass of a batch, after a warm-up; see `repeat`."""
        inputs = torch.rand(batch, *self._network.shape, device=self._device, dtype=self._dtype)
        if inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            return repeat(lambda: self._run(inputs), least, budget_s)

    def _run(self, inputs: torch.Tensor) -> object:
        outputs: object = self._net(inputs)
        if self._device != "cpu":
            torch.cuda.synchronize()
        return outputs
