"""A LitServe server with four of the models, as its users would write one.

Run in a separate environment: `python server.py WEIGHTS_FOLDER PORT`. Each request contains a
video's path; every API decodes the video itself.
"""

import sys
from pathlib import Path
from typing import Any

import cv2
import litserve  # type: ignore[import-not-found]
import scenedetect
import torch
from torchvision import models, transforms
from ultralytics import YOLO

INTERVAL = 30
FRAMES = 16  # YOLO's batch size
BATCH = {"max_batch_size": 4, "batch_timeout": 0.05}


def sampled(path: str) -> list[Any]:
    """Every 30th frame, as (height, width, 3) uint8 BGR."""
    video, frames, index = cv2.VideoCapture(path), [], 0
    while video.grab():
        if index % INTERVAL == 0:
            frames.append(video.retrieve()[1])
        index += 1
    return frames


class Detector(litserve.LitAPI):  # type: ignore[misc]
    """Boxes by YOLO."""

    def __init__(self, path: Path, api_path: str) -> None:
        super().__init__(api_path=api_path, **BATCH)
        self.path = path

    def setup(self, device: str) -> None:
        """Load the model."""
        self.model = YOLO(self.path).to(device)

    def decode_request(self, request: dict[str, str]) -> list[Any]:
        """The frames of a video."""
        return sampled(request["video_path"])

    def predict(self, videos: list[list[Any]]) -> list[list[Any]]:
        """The boxes in the frames of all videos of a batch, [x1, y1, x2, y2, score, class]."""
        frames = [frame for video in videos for frame in video]
        rows = []
        for start in range(0, len(frames), FRAMES):
            results = self.model.predict(frames[start : start + FRAMES], conf=0.5, verbose=False)
            rows += [result.boxes.data.tolist() for result in results]
        each = iter(rows)
        return [[row for _ in video for row in next(each)] for video in videos]

    def encode_response(self, output: list[Any]) -> dict[str, Any]:
        """A response."""
        return {"items": output}


class Places(litserve.LitAPI):  # type: ignore[misc]
    """Places by ResNet-18."""

    def __init__(self, path: Path, api_path: str) -> None:
        super().__init__(api_path=api_path)
        self.path = path

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

    def decode_request(self, request: dict[str, str]) -> torch.Tensor:
        """The frames of a video as (frames, 3, 224, 224)."""
        frames = sampled(request["video_path"])
        return torch.stack([self.transform(frame[..., ::-1].copy()) for frame in frames])

    @torch.inference_mode()
    def predict(self, frames: torch.Tensor) -> torch.Tensor:
        """The top five classes of each frame."""
        likeliest: torch.Tensor = self.network(frames.to(self.device)).softmax(1).topk(5).indices
        return likeliest

    def encode_response(self, output: torch.Tensor) -> dict[str, Any]:
        """A response."""
        return {"items": output.tolist()}


class Scenes(litserve.LitAPI):  # type: ignore[misc]
    """Scenes by PySceneDetect."""

    def setup(self, device: str) -> None:
        """Load nothing."""

    def decode_request(self, request: dict[str, str]) -> str:
        """PySceneDetect opens the video."""
        return request["video_path"]

    def predict(self, path: str) -> list[list[float]]:
        """Start and end of each scene in s."""
        found = scenedetect.detect(path, scenedetect.ContentDetector(), start_in_scene=True)
        return [[start.seconds, end.seconds] for start, end in found]

    def encode_response(self, output: list[Any]) -> dict[str, Any]:
        """A response."""
        return {"items": output}


def main() -> None:
    """Serve until killed."""
    weights, port = Path(sys.argv[1]), int(sys.argv[2])
    apis = [
        Detector(weights / "yolov8n.pt", "/objects"),
        Detector(weights / "yolov8n-face.pt", "/faces"),
        Places(weights / "resnet18_places365.pth.tar", "/places"),
        Scenes(api_path="/scenes"),
    ]
    server = litserve.LitServer(apis, accelerator="auto", timeout=600)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
