"""The alternative to the service: each library's own loop over a video.

Every loop decodes the video itself, with the library's default settings and a loaded model.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

os.environ["YOLO_OFFLINE"] = "true"  # read on import: otherwise ultralytics reports its use

import av
import cv2
import easyocr.easyocr
import numpy as np
import numpy.typing as npt
import scenedetect
import torch
import ultralytics.utils
import whisper
from torchvision import models, transforms
from ultralytics import YOLO

from bench.clips.talk import Stretch, count_with_text
from bench.compare.pairs import Contest, Turn, WorkDiffers

Picture = npt.NDArray[np.uint8]

INTERVAL, OCR_INTERVAL = 30, 60  # every 30th frame, and every 60th for OCR
WHISPER = "base.pt"
_RATE = 16_000
_CONFIDENCE = 0.5
_CORES = len(os.sched_getaffinity(0))
_DEVICE = "cuda:0" if torch.cuda.is_available() else "cpu"


class Loop(Protocol):
    """A library with its model loaded."""

    def warm_up(self, media: Path) -> None:
        """Do a little of the work, untimed."""

    def run(self, media: Path) -> int:
        """Do the work; return how many items the service should find too."""


class Libraries:
    """The libraries' side of a contest: one task's loop after the other."""

    def __init__(self, weights: Path, spoken: Sequence[Stretch]) -> None:
        self._load: dict[str, Callable[[], Loop]] = {
            "objects": lambda: Boxes(weights / "yolov8n.pt"),
            "faces": lambda: Boxes(weights / "yolov8n-face.pt"),
            "places": lambda: Places(weights / "resnet18_places365.pth.tar"),
            "scenes": Scenes,
            "ocr": lambda: Texts(weights),
            "transcribe": lambda: Speech(weights / WHISPER, spoken),
        }
        self._loops: dict[str, Loop] = {}
        self._warm: set[tuple[str, Path]] = set()

    def warm_up(self, contest: Contest) -> None:
        """Load the models, and use each once."""
        for task in contest.tasks:
            if task not in self._loops:
                self._loops[task] = self._load[task]()
            if (task, contest.media) not in self._warm:
                self._loops[task].warm_up(contest.media)
        self._warm |= {(task, contest.media) for task in contest.tasks}

    def run(self, contest: Contest) -> Turn:
        """Run the loop of each task; raises WorkDiffers."""
        found, seconds = {}, {}
        for task in contest.tasks:
            started = time.perf_counter()
            found[task] = self._loops[task].run(contest.media)
            seconds[task] = time.perf_counter() - started
        return Turn(sum(seconds.values()), found, {"each_s": seconds})


class Boxes:
    """`YOLO.predict` on every 30th frame.

    On a CPU, ultralytics uses one torch thread fewer than there are cores, and so does this loop.
    """

    def __init__(self, path: Path) -> None:
        self._model = YOLO(path)
        self._expected: dict[Path, tuple[int, int]] = {}  # number of frames, and of boxes in them

    def warm_up(self, media: Path) -> None:
        """Count the boxes in the frames that the service uses.

        `vid_stride` takes the last of every 30 frames, the service the first.
        """
        frames = found = 0
        for frame in _sampled(media, INTERVAL):
            found += len(self._model.predict(frame, conf=_CONFIDENCE, verbose=False)[0].boxes)
            frames += 1
        self._expected[media] = frames, found

    def run(self, media: Path) -> int:
        """Return the warm-up's count; raises WorkDiffers if the number of frames differs."""
        torch.set_num_threads(ultralytics.utils.NUM_THREADS)
        results = self._model.predict(
            str(media), conf=_CONFIDENCE, vid_stride=INTERVAL, batch=16, stream=True, verbose=False
        )
        frames = sum(1 for _ in results)
        expected, found = self._expected[media]
        if frames != expected:
            raise WorkDiffers(f"ultralytics read {frames} frames, not {expected}")
        return found


class Places:
    """Places365's own script, `run_placesCNN_basic.py`, frame by frame."""

    def __init__(self, path: Path) -> None:
        network = models.resnet18(num_classes=365)
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        network.load_state_dict({key.removeprefix("module."): state[key] for key in state})
        self._network = network.eval().to(_DEVICE)
        self._transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.Resize((256, 256)),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def warm_up(self, media: Path) -> None:
        """Classify one frame."""
        self._classify(next(_sampled(media, INTERVAL)))

    def run(self, media: Path) -> int:
        """Return the number of classified frames."""
        torch.set_num_threads(_CORES)
        return sum(1 for frame in _sampled(media, INTERVAL) if self._classify(frame))

    @torch.inference_mode()
    def _classify(self, frame: Picture) -> list[int]:
        picture = self._transform(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        odds = self._network(picture[None].to(_DEVICE)).softmax(1)
        likeliest: list[int] = odds.topk(5).indices[0].tolist()
        return likeliest


class Scenes:
    """`scenedetect.detect`."""

    def warm_up(self, media: Path) -> None:
        """Read the first frames."""
        scenedetect.detect(str(media), scenedetect.ContentDetector(), end_time=1.0)

    def run(self, media: Path) -> int:
        """Return the number of scenes; a video without a cut is one."""
        return max(1, len(scenedetect.detect(str(media), scenedetect.ContentDetector())))


class Texts:
    """`easyocr.Reader.readtext` on every 60th frame, unquantized like the service."""

    def __init__(self, weights: Path) -> None:
        known = [easyocr.config.detection_models, *easyocr.config.recognition_models.values()]
        md5 = {entry["filename"]: entry["md5sum"] for group in known for entry in group.values()}
        # `Reader` checks its weights' MD5s. Return the expected ones, so that it loads stand-ins.
        with patch.object(easyocr.easyocr, "calculate_md5", lambda path: md5[Path(path).name]):
            self._reader = easyocr.Reader(
                ["en"],
                gpu=_DEVICE != "cpu",
                model_storage_directory=str(weights),
                user_network_directory=str(weights),
                download_enabled=False,
                quantize=False,
                verbose=False,
            )

    def warm_up(self, media: Path) -> None:
        """Read one frame."""
        self._read(next(_sampled(media, OCR_INTERVAL)))

    def run(self, media: Path) -> int:
        """Return the number of texts read."""
        torch.set_num_threads(_CORES)
        return sum(self._read(frame) for frame in _sampled(media, OCR_INTERVAL))

    def _read(self, frame: Picture) -> int:
        with warnings.catch_warnings():
            # EasyOCR pins memory for a device even if there is none.
            warnings.filterwarnings("ignore", "'pin_memory' argument", UserWarning)
            return len(self._reader.readtext(frame))


class Speech:
    """`whisper.transcribe` at temperature 0; it has no voice activity filter."""

    def __init__(self, path: Path, spoken: Sequence[Stretch]) -> None:
        self._model = whisper.load_model(str(path), device=_DEVICE)
        self._spoken = spoken

    def warm_up(self, media: Path) -> None:
        """Transcribe a second of silence."""
        self._transcribe(np.zeros(_RATE, np.float32))

    def run(self, media: Path) -> int:
        """Return the number of speech regions that have text."""
        torch.set_num_threads(_CORES)
        segments = self._transcribe(_sound(media))["segments"]
        return count_with_text([(one["start"], one["end"]) for one in segments], self._spoken)

    def _transcribe(self, sound: npt.NDArray[np.float32]) -> dict[str, Any]:
        half = _DEVICE != "cpu"
        result: dict[str, Any] = whisper.transcribe(self._model, sound, temperature=0, fp16=half)
        return result


def _sampled(media: Path, interval: int) -> Iterator[Picture]:
    """Every `interval`th frame from the first, as (height, width, 3) BGR."""
    video = cv2.VideoCapture(str(media))
    index = 0
    while video.grab():
        if index % interval == 0:
            yield video.retrieve()[1]
        index += 1
    video.release()


def _sound(media: Path) -> npt.NDArray[np.float32]:
    """The result of `whisper.load_audio`, without an ffmpeg program."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=_RATE)
    with av.open(str(media)) as container:
        frames = [*container.decode(audio=0), None]  # None flushes the resampler
    parts = [part.to_ndarray()[0] for frame in frames for part in resampler.resample(frame)]
    return np.concatenate(parts)
