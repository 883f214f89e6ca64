"""CRAFT's network with EasyOCR's weights, rearranged to give the same scores with less arithmetic.

Baek et al., "Character Region Awareness for Text Detection" (2019): VGG-16 with batch norm, then a
U-net. Linear operations are fused once, at load: each batch norm into the convolution before it,
and the last two layers of VGG into the first of the U-net (there is no ReLU between them). The
U-net upsamples a map and then mixes its channels with those of a finer map. Both steps are linear,
so here the channels are mixed first, and the smaller result is upsampled and added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial, reduce
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from easyocr.craft import CRAFT
from easyocr.detection import copyStateDict
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gpu_workers.ocr.layers import layer, place
from gpu_workers.ocr.winograd import Winograd
from gpu_workers.tensors import read_tensors

BORDER = (1, 1, 1, 1)


class Craft:
    """The network with the weights from `path`, on `device`, computing in `dtype`."""

    def __init__(self, path: Path, device: torch.device, dtype: torch.dtype) -> None:
        net = CRAFT()
        net.load_state_dict(copyStateDict(read_tensors(path)))
        net.eval().requires_grad_(False)
        vgg, make = net.basenet, partial(layer, device=device, dtype=dtype)
        convs = _convolutions([*vgg.slice1, *vgg.slice2, *vgg.slice3, *vgg.slice4])
        convs[0].padding = (0, 0)  # _stem pads the image itself
        self._first = make(convs[0])
        self._second = make(convs[1], pool=True)
        # Each stage's last map goes to the U-net: 1/2, 1/4, 1/8, 1/16 of the image's size.
        self._stages: list[list[nn.Module]] = [
            [make(convs[2]), make(convs[3])],
            [nn.MaxPool2d(2), make(convs[4]), make(convs[5])],
            [make(convs[6], pool=True), make(convs[7]), make(convs[8])],
            [make(convs[9], pool=True), make(convs[10]), make(convs[11], relu=False)],
        ]
        self._levels = [
            _Level(make, net.upconv1, 512, list(vgg.slice5[1:])),
            _Level(make, net.upconv2, 512, []),
            _Level(make, net.upconv3, 256, []),
            _Level(make, net.upconv4, 128, []),
        ]
        self._head = place(net.conv_cls, device, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """Score (n, 3, height, width), sides multiples of 32: (n, 2, height/2, width/2)."""
        x = self._stem(x)
        maps = []
        for stage in self._stages:
            for step in stage:
                x = step(x)
            maps.append(x)
        x = F.max_pool2d(x, 3, stride=1, padding=1)
        for level in self._levels:
            x = level(x, maps.pop())
        scores: Tensor = self._head(x)
        return scores

    def _stem(self, x: Tensor) -> Tensor:
        """Run the first two layers. Their maps are the largest; free each as early as possible."""
        *_, height, width = x.shape
        x = F.pad(x, BORDER)
        if not isinstance(self._second, Winograd):
            for step in (*self._first.children(), *self._second.children()):
                x = step(x)
            return x

        def rows(first: int, last: int) -> Tensor:
            whole: Tensor = self._first(x[:, :, first : last + 2])
            return whole.permute(0, 2, 3, 1)

        return self._second.convolve(rows, (len(x), height, width))


class _Level:
    """A level of the U-net: mixes the channels of a coarse map with those of a fine map.

    `before` are layers without a ReLU that the coarse map must still pass.
    """

    def __init__(
        self, make: Callable[..., nn.Module], up: Any, fine_channels: int, before: list[nn.Conv2d]
    ) -> None:
        mix, merge = _convolutions(up.conv)
        assert mix.bias is not None
        coarse_channels = mix.in_channels - fine_channels
        bias = torch.zeros_like(mix.bias)
        coarse = _like(mix, mix.weight[:, :coarse_channels], bias)
        fine = _like(mix, mix.weight[:, coarse_channels:], mix.bias)
        self._coarse = make(reduce(_fused, [*before, coarse]), relu=False)
        self._fine = make(fine, relu=False)
        self._merge = make(merge)

    def __call__(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Merge two (n, channels, height, width) maps; the result has the size of `fine`."""
        enlarged = F.interpolate(self._coarse(coarse), size=fine.shape[2:], mode="bilinear")
        merged: Tensor = self._merge(self._fine(fine).add_(enlarged).relu_())
        return merged


def _convolutions(modules: Sequence[nn.Module]) -> list[nn.Conv2d]:
    """The convolutions in `modules`, each fused with the batch norm that follows it."""
    norms = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    convs = [module for module in modules if isinstance(module, nn.Conv2d)]
    return [fuse_conv_bn_eval(conv, norm) for conv, norm in zip(convs, norms, strict=True)]


def _fused(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    """Fuse two convolutions, the second of which is 1x1, into one."""
    assert first.bias is not None
    assert second.bias is not None
    matrix = second.weight[:, :, 0, 0].double()
    weight = torch.tensordot(matrix, first.weight.double(), 1)
    bias = matrix @ first.bias.double() + second.bias.double()
    return _like(first, weight.float(), bias.float())


def _like(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """Copy `conv` with other weights."""
    other = deepcopy(conv)
    other.out_channels, other.in_channels, *_ = weight.shape
    other.weight = nn.Parameter(weight, requires_grad=False)
    other.bias = nn.Parameter(bias, requires_grad=False)
    return other
