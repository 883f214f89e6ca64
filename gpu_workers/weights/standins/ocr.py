"""Stand-in EasyOCR weights: CRAFT finds blobs, and the recognizer reads random letters."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gpu_workers.weights.standins.calibration import (
    calibrate_batch_norm,
    ignore_whole_picture,
    save,
    standardize,
)
from gpu_workers.weights.standins.calibration_pictures import calibration_pictures, written_lines

TEXT_QUANTILES = (0.92, 0.97)  # of the text map: the quantiles for low_text and text_threshold
LINK_QUANTILE = 0.99  # of the link map: the quantile for link_threshold
CONFIDENCE = 8.0  # standard deviation of the recognizer's logits


def make_craft(path: Path, seed: int) -> None:
    """Write weights for `easyocr.detection.get_detector`, with some tens of boxes per image."""
    from easyocr.craft import CRAFT
    from easyocr.imgproc import normalizeMeanVariance

    torch.manual_seed(seed)
    model = CRAFT()
    _prefer_coarse(model)
    pictures = torch.stack(
        [
            torch.from_numpy(normalizeMeanVariance(picture)).permute(2, 0, 1)
            for picture in calibration_pictures(256, 384)[::3]
        ]
    )
    calibrate_batch_norm(model, pictures)
    with torch.no_grad():
        features = model(pictures)[1]
        *layers, last = model.conv_cls
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                standardize(layer, features, 1.0)
            features = layer(features)
        ignore_whole_picture(last, features, directions=4)
        _set_thresholds(last, features)
    _save_state(model, path)


def _prefer_coarse(model: Any) -> None:
    """Weaken the fine feature maps relative to the coarse; else all blobs are a few pixels."""
    model.upconv3.conv[0].weight.data[:, 128:] *= 0.3  # 128 coarse channels, then 256 fine
    model.upconv4.conv[0].weight.data[:, 64:] *= 0.3  # 64 coarse, 128 fine


def _set_thresholds(last: nn.Conv2d, features: Tensor) -> None:
    """Scale the text and link maps so that EasyOCR's default thresholds fall on quantiles."""
    text, link = standardize(last, features, 1.0).unbind(1)
    low, high = (float(np.quantile(text.numpy(), q)) for q in TEXT_QUANTILES)
    scale = torch.tensor([0.3 / (high - low), 0.1])
    linked = float(np.quantile(link.numpy(), LINK_QUANTILE))
    shift = torch.tensor([0.4 - low * float(scale[0]), 0.4 - linked * float(scale[1])])
    assert last.bias is not None
    last.weight.mul_(scale[:, None, None, None])
    last.bias.mul_(scale).add_(shift)


def make_english(path: Path, seed: int) -> None:
    """Write weights that `easyocr.recognition.get_recognizer` loads as english_g2."""
    from easyocr.config import recognition_models
    from easyocr.model.vgg_model import Model

    characters = recognition_models["gen2"]["english_g2"]["characters"]
    torch.manual_seed(seed)
    model = Model(1, 256, 256, num_class=len(characters) + 1)
    lines = torch.from_numpy(written_lines(64, 320)).float().div(127.5).sub(1)[:, None]
    calibrate_batch_norm(model.FeatureExtraction, lines)
    model.eval()
    with torch.no_grad():
        for lstm in model.SequenceModeling:
            for name, weight in lstm.rnn.named_parameters():
                weight.mul_(6 if "ih" in name else 2)
        _spread_letters(model, lines)
    _save_state(model, path)


def _spread_letters(model: Any, lines: Tensor) -> None:
    """Give all letters' logits one mean and spread, so that none, also not the blank, dominates."""
    last = model.Prediction
    logits = model(lines, None).flatten(0, 1)
    deviation, mean = torch.std_mean(logits, dim=0)
    gain = CONFIDENCE / deviation
    last.weight.mul_(gain[:, None])
    last.bias.sub_(mean).mul_(gain)


def _save_state(model: nn.Module, path: Path) -> None:
    """Save the state with the originals' DataParallel prefix."""
    save({f"module.{name}": tensor for name, tensor in model.state_dict().items()}, path)
