"""Places: ResNet-18 trained on Places365, and whether a place is indoors."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import torch
from PIL import Image
from torchvision.models import ResNet, resnet18

from gpu_workers.cpu_threads import each_alone
from gpu_workers.model import Runtime
from gpu_workers.model_info import model_info
from gpu_workers.tensors import read_tensors
from gpu_workers.weights.errors import ModelUnavailable
from ipc.arena import ArenaView, Pixels
from ipc.messages import ModelInfo
from ipc.results import Classification, Prediction
from ipc.subjects import Frames

NETWORK = "resnet18_places365.pth.tar"
CATEGORIES = "categories_places365.txt"
INDOOR_OUTDOOR = "IO_places365.txt"

CATEGORY_COUNT = 365
INPUT_SIZE = 224
# The authors scale to 256 x 256 and crop the centre: this fraction is cut off on each side.
MARGIN = (256 - INPUT_SIZE) / 2 / 256
VOTERS = 10
FRAMES_ALONE = 4  # frames per CPU thread in one forward pass
OUTDOOR = "2"  # in the authors' list of indoor and outdoor places

# ImageNet's, in RGB order.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Spec(msgspec.Struct, frozen=True):
    """The number of categories per frame."""

    top_k: int


def load(spec: Spec, runtime: Runtime) -> Places:
    """Load the network and its two lists; raises ModelUnavailable."""
    weights = runtime.weights.resolve(NETWORK, "places")
    lists = [runtime.weights.resolve(name, "places") for name in (CATEGORIES, INDOOR_OUTDOOR)]
    categories, settings = (_read_list(file.path) for file in lists)
    network = _read_network(weights.path)
    network = network.to(runtime.device, runtime.dtype, memory_format=torch.channels_last)
    return Places(
        network,
        labels=[path[len("/a/") :] for path in categories],
        outdoor=[settings[path] == OUTDOOR for path in categories],
        runtime=runtime,
        info=model_info(NETWORK, weights, runtime, "torch", "torchvision", "pillow", others=lists),
    )


class Places:
    """Classifies the place that each frame shows.

    Follows `run_placesCNN_basic.py` (the transform) and `run_placesCNN_unified.py` (the vote) of
    github.com/CSAILVision/places365.
    """

    def __init__(
        self,
        network: ResNet,
        labels: list[str],
        outdoor: list[bool],
        runtime: Runtime,
        info: ModelInfo,
    ) -> None:
        self.info = info
        self._network = network
        self._labels = labels
        self._outdoor = outdoor
        self._device, self._dtype = runtime.device, runtime.dtype
        self._mean = torch.tensor(MEAN, device=runtime.device).view(3, 1, 1)
        self._std = torch.tensor(STD, device=runtime.device).view(3, 1, 1)

    def preprocess(self, spec: Spec, subject: Frames, arena: ArenaView) -> torch.Tensor:
        """Scale and crop the frames to a (frames, 3, 224, 224) uint8 tensor, channels_last."""
        batch = np.stack(each_alone(_centre, [arena.frame(ref) for ref in subject.refs]))
        return torch.from_numpy(batch).permute(0, 3, 1, 2)

    @torch.inference_mode()
    def infer(self, spec: Spec, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Probabilities and indices of the most likely categories, both (frames, 10 or more)."""
        if self._device.type == "cpu":
            probabilities = torch.cat(each_alone(self._classify, torch.split(inputs, FRAMES_ALONE)))
        else:
            probabilities = self._classify(inputs.to(self._device)).cpu()
        likeliest = probabilities.topk(max(spec.top_k, VOTERS))
        return likeliest.values, likeliest.indices

    def _classify(self, inputs: torch.Tensor) -> torch.Tensor:
        """The probability of each category, (frames, 365)."""
        pixels = (inputs / 255 - self._mean) / self._std
        scores: torch.Tensor = self._network(pixels.to(self._dtype))
        return scores.float().softmax(1)

    def postprocess(
        self, spec: Spec, subject: Frames, outputs: tuple[torch.Tensor, torch.Tensor]
    ) -> list[Classification]:
        """Return the `top_k` most likely categories; the first ten vote on `indoor`."""
        probabilities, indices = outputs
        rows = zip(subject.refs, probabilities.tolist(), indices.tolist(), strict=True)
        return [
            Classification(
                frame_index=ref.frame_index,
                timestamp_ms=round(ref.timestamp_ms),
                predictions=[
                    Prediction(self._labels[i], round(confidence, 4))
                    for confidence, i in zip(confidences, numbers, strict=True)
                ][: spec.top_k],
                indoor=sum(self._outdoor[i] for i in numbers[:VOTERS]) < VOTERS / 2,
            )
            for ref, confidences, numbers in rows
        ]


def _centre(frame: Pixels) -> Pixels:
    """Scale `frame` to 256 x 256, and crop the centre 224 x 224; computes only the crop."""
    height, width, _ = frame.shape
    left, top = width * MARGIN, height * MARGIN
    picture = Image.fromarray(frame).resize(
        (INPUT_SIZE, INPUT_SIZE),
        Image.Resampling.BILINEAR,
        box=(left, top, width - left, height - top),
    )
    return np.asarray(picture)


def _read_network(path: Path) -> ResNet:
    network = resnet18(num_classes=CATEGORY_COUNT)
    try:
        state = read_tensors(path)["state_dict"]
        network.load_state_dict({key.removeprefix("module."): state[key] for key in state})
    except Exception as error:  # the unpickler may raise anything on another kind of file
        raise ModelUnavailable(f"{path.name} is no Places365 ResNet-18: {error}") from error
    return network.eval()


def _read_list(path: Path) -> dict[str, str]:
    """Read one of the authors' lists, with lines like `/a/airfield 0`; raises ModelUnavailable."""
    lines = [line.split() for line in path.read_text("utf-8", errors="replace").splitlines()]
    if len(lines) != CATEGORY_COUNT or any(len(line) != 2 for line in lines):
        raise ModelUnavailable(f"{path.name} does not list {CATEGORY_COUNT} places, one per line.")
    return dict(lines)
