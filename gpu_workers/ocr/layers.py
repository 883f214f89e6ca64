"""Layers of EasyOCR's networks, each in the fastest form for its device."""

from __future__ import annotations

import torch
from torch import nn

from gpu_workers.ocr.winograd import Winograd

WINOGRAD_CHANNELS = 64  # with fewer channels, its transforms cost more than it saves


def layer(
    conv: nn.Conv2d,
    device: torch.device,
    dtype: torch.dtype,
    *,
    relu: bool = True,
    pool: bool = False,
) -> nn.Module:
    """A convolution on `device` in `dtype`, then an optional ReLU and 2x2 max pooling."""
    if _suits_winograd(conv, device, dtype):
        return Winograd(conv, relu=relu, pool=pool)
    steps = [conv, *[nn.ReLU(inplace=True)] * relu, *[nn.MaxPool2d(2)] * pool]
    return place(nn.Sequential(*steps), device, dtype)


def place(net: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Move `net` to `device` and `dtype`, each of its convolutions in its fastest form."""
    for name, child in net.named_children():
        if isinstance(child, nn.Conv2d) and _suits_winograd(child, device, dtype):
            setattr(net, name, Winograd(child, relu=False))
        else:
            place(child, device, dtype)
    net.to(device, dtype)
    return net.to(memory_format=torch.channels_last)


def _suits_winograd(conv: nn.Conv2d, device: torch.device, dtype: torch.dtype) -> bool:
    return (
        (device.type, dtype) == ("cpu", torch.float32)
        and conv.in_channels >= WINOGRAD_CHANNELS
        and conv.kernel_size == (3, 3)
        and conv.stride == conv.padding == conv.dilation == (1, 1)
    )
