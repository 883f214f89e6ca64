"""Stand-in Places365 weights."""

from pathlib import Path

import torch

from gpu_workers.weights.standins.calibration import calibrate_batch_norm, save
from gpu_workers.weights.standins.calibration_pictures import calibration_pictures

LABELS = 365
SPREAD = 2.0  # standard deviation of the logits: the best label gets about 5 to 50 %


def make_places(path: Path, seed: int) -> None:
    """Write a ResNet-18 checkpoint in the format of the CSAILVision/places365 release."""
    from torchvision.models import resnet18

    torch.manual_seed(seed)
    model = resnet18(num_classes=LABELS)
    pictures = torch.stack(
        [torch.from_numpy(p).permute(2, 0, 1) / 255 for p in calibration_pictures(224, 224)]
    )
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
    pictures = (pictures - mean[:, None, None]) / deviation[:, None, None]
    calibrate_batch_norm(model, pictures)
    with torch.no_grad():
        spread, center = torch.std_mean(model(pictures), dim=0)
        model.fc.weight.mul_((SPREAD / spread)[:, None])
        model.fc.bias.sub_(center).mul_(SPREAD / spread)
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    save({"epoch": 0, "arch": "resnet18", "state_dict": state, "best_prec1": 0.0}, path)
