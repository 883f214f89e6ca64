"""Shared by the stand-ins: calibrate random layers on images, and save the result."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def save(checkpoint: Any, path: Path) -> None:
    """Write a checkpoint; equal checkpoints give equal bytes, whatever the file's name."""
    with open(path, "wb") as file:  # given a path, torch would store the file's name
        torch.save(checkpoint, file)


def calibrate_batch_norm(model: nn.Module, pictures: Tensor) -> None:
    """Set every BatchNorm's running statistics to those of `pictures` (n, 3, height, width).

    Otherwise the signal of random weights vanishes layer by layer. Leaves the model in eval mode.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        # Keep most values on the linear part of the activation: in its curve, a low-contrast image
        # loses some signal in every layer, and after twenty layers none is left.
        norm.weight.data.fill_(0.5)
        norm.bias.data.fill_(1.0)
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average over all batches
    model.train()
    with torch.no_grad():
        model(pictures)
    model.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def ignore_whole_picture(layer: nn.Conv2d, features: Tensor, directions: int = 16) -> None:
    """Make a 1x1 convolution ignore what differs between whole images: light, contrast, subject.

    features: (n, channels, height, width), the layer's input. Removes from the weights the main
    directions (by SVD) in which the images' mean features differ. What remains is local, so all
    images have about the same number of peaks.
    """
    means = features.mean(dim=(2, 3))
    basis = torch.linalg.svd(means - means.mean(0), full_matrices=False)[2][:directions]
    weight = layer.weight[:, :, 0, 0]
    layer.weight.copy_((weight - weight @ basis.T @ basis)[:, :, None, None])


def standardize(layer: nn.Conv2d, features: Tensor, spread: float) -> Tensor:
    """Rescale a convolution so that each output channel has mean 0 and deviation `spread`.

    features: (n, channels, height, width), the layer's input. Returns the new output.
    """
    out = layer(features)
    deviation, mean = torch.std_mean(out, dim=(0, 2, 3))
    assert layer.bias is not None
    layer.weight.mul_((spread / deviation)[:, None, None, None])
    layer.bias.sub_(mean).mul_(spread / deviation)
    result: Tensor = layer(features)
    return result
