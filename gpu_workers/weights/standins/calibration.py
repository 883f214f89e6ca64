"""What the stand-ins share: calibrating random layers on pictures, and saving the result."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def save(checkpoint: Any, path: Path) -> None:
    """Write a checkpoint; the same one gives the same bytes whatever the name of the file."""
    with open(path, "wb") as file:  # given a path, torch puts the file's name into the file
        torch.save(checkpoint, file)


def calibrate_batch_norm(model: nn.Module, pictures: Tensor) -> None:
    """Set every BatchNorm's running statistics to those of `pictures` (n, 3, height, width).

    Without it the signal of random weights dies layer by layer. Leaves the model in eval mode.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        # Mostly on the straight part of the activation: on its curve a picture of low contrast
        # loses a little in every layer, and of twenty layers nothing comes out.
        norm.weight.data.fill_(0.5)
        norm.bias.data.fill_(1.0)
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over all batches
    model.train()
    with torch.no_grad():
        model(pictures)
    model.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def ignore_whole_picture(layer: nn.Conv2d, features: Tensor, directions: int = 16) -> None:
    """Blind a 1x1 convolution to what tells whole pictures apart: light, contrast, subject.

    features: (n, channels, height, width), the layer's input. Removes from the weights the main
    directions (by SVD) in which the pictures' mean features differ; what is left is local, so
    that one picture has about as many peaks as another.
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
