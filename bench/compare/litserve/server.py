"""A LitServe server with four of the models, as its users would write one.

Run in a separate environment: `python server.py WEIGHTS_FOLDER LABELS PORT`. A request contains a
video's path, which every API decodes itself, or the path of an array of frames.
"""

import sys
from pathlib import Path
from typing import Any

import cv2
import litserve  # type: ignore[import-not-found]
import numpy as np
import scenedetect
import torch
from torchvision import models, transforms
from ultralytics import YOLO

INTERVAL = 30
FRAMES = 16  # YOLO's batch size
BATCH = {"max_batch_size": 4, "batch_timeout": 0.05}

Indexed = list[tuple[int, Any]]


def frames_of(request: dict[str, Any]) -> Indexed:
    """The frames of a request, as index and (height, width, 3) uint8 BGR."""
    if "frames_path" in request:
        return list(zip(request["indices"], np.load(request["frames_path"]), strict=True))
    video, frames, index = cv2.VideoCapture(request["video_path"]), [], 0
    while video.grab():
        if index % INTERVAL == 0:
            frames.append((index, video.retrieve()[1]))
        index += 1
    return frames


def boxes(result: Any, index: int) -> list[dict[str, Any]]:
    """The boxes in one frame."""
    items = []
    for left, top, right, bottom, _, kind in result.boxes.data.tolist():
        box = {"x": left, "y": top, "width": right - left, "height": bottom - top}
        items.append({"frame_index": index, "label": result.names[int(kind)], "bbox": box})
    return items


class Detector(litserve.LitAPI):  # type: ignore[misc]
    """Boxes by YOLO."""

    def __init__(self, path: Path, api_path: str) -> None:
        super().__init__(api_path=api_path, **BATCH)
        self.path = path

    def setup(self, device: str) -> None:
        """Load the model."""
        self.model = YOLO(self.path).to(device)

    def decode_request(self, request: dict[str, Any]) -> Indexed:
        """The frames of a request."""
        return frames_of(request)

    def predict(self, requests: list[Indexed]) -> list[list[Any]]:
        """The boxes in the frames of all requests of a batch."""
        frames = [frame for request in requests for _, frame in request]
        results = []
        for start in range(0, len(frames), FRAMES):
            results += self.model.predict(frames[start : start + FRAMES], conf=0.5, verbose=False)
        each = iter(results)
        return [
            [box for index, _ in request for box in boxes(next(each), index)]
            for request in requests
        ]

    def encode_response(self, output: list[Any]) -> dict[str, Any]:
        """A response."""
        return {"items": output}


class Places(litserve.LitAPI):  # type: ignore[misc]
    """Places by ResNet-18."""

    def __init__(self, path: Path, labels: Path, api_path: str) -> None:
        super().__init__(api_path=api_path)
        self.path = path
        self.labels = [line.split(" ")[0][len("/a/") :] for line in labels.open()]

    def setup(self, device: str) -> None:
        """Load the network."""
        state = torch.load(self.path, map_location="cpu", weights_only=True)["state_dict"]
        self.network = models.resnet18(num_classes=365).eval()
        self.network.load_state_dict({key.removeprefix("module."): state[key] for key in state})
        self.network.to(device)
        self.transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.Resize((256, 256)),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def decode_request(self, request: dict[str, Any]) -> tuple[list[int], torch.Tensor]:
        """The frames of a request as (frames, 3, 224, 224)."""
        indices, frames = zip(*frames_of(request), strict=True)
        pictures = [self.transform(frame[..., ::-1].copy()) for frame in frames]
        return list(indices), torch.stack(pictures)

    @torch.inference_mode()
    def predict(self, request: tuple[list[int], torch.Tensor]) -> list[dict[str, Any]]:
        """The top five classes of each frame."""
        indices, frames = request
        likeliest = self.network(frames.to(self.device)).softmax(1).topk(5).indices.tolist()
        return [
            {"frame_index": index, "predictions": [{"label": self.labels[one]} for one in best]}
            for index, best in zip(indices, likeliest, strict=True)
        ]

    def encode_response(self, output: list[Any]) -> dict[str, Any]:
        """A response."""
        return {"items": output}


class Scenes(litserve.LitAPI):  # type: ignore[misc]
    """Scenes by PySceneDetect."""

    def setup(self, device: str) -> None:
        """Load nothing."""

    def decode_request(self, request: dict[str, str]) -> str:
        """PySceneDetect opens the video."""
        return request["video_path"]

    def predict(self, path: str) -> list[dict[str, float]]:
        """Start and end of each scene."""
        found = scenedetect.detect(path, scenedetect.ContentDetector(), start_in_scene=True)
        return [
            {"start_ms": start.seconds * 1000, "end_ms": end.seconds * 1000} for start, end in found
        ]

    def encode_response(self, output: list[Any]) -> dict[str, Any]:
        """A response."""
        return {"items": output}


def main() -> None:
    """Serve until killed."""
    weights, labels, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    apis = [
        Detector(weights / "yolov8n.pt", "/objects"),
        Detector(weights / "yolov8n-face.pt", "/faces"),
        Places(weights / "resnet18_places365.pth.tar", labels, "/places"),
        Scenes(api_path="/scenes"),
    ]
    server = litserve.LitServer(apis, accelerator="auto", timeout=600)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
