"""Stand-ins are the same every time, load in their real libraries, and answer."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clip_library import ClipLibrary, real
from frames_and_boxes import clip_frames
from whisper_audio import as_whisper, read_audio

from gpu_workers.weights import WeightsStore
from gpu_workers.weights.catalogue import CATALOGUE
from gpu_workers.weights.manifest import digest
from gpu_workers.weights.standins.make import STAND_INS, make_stand_ins
from gpu_workers.weights.standins.places import LABELS

whisper_leaves_its_vocabulary_open = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(
    scope="module",
    params=[
        ("everything.mp4",),
        *[names for names in [real("car-detection.mp4", "bottle-detection.mp4")] if names],
    ],
    ids=lambda names: names[0],
)
def pictures(request: pytest.FixtureRequest, clips: ClipLibrary) -> list[np.ndarray]:
    """Text, photographs and shapes, or frames of real clips: (height, width, 3) BGR."""
    frames = [frame for name in request.param for frame in clip_frames(clips.path(name), 4, 60)]
    return [np.ascontiguousarray(frame[..., ::-1]) for frame in frames]


@whisper_leaves_its_vocabulary_open
@pytest.mark.parametrize("name", ["yolov8n-face.pt", "tiny.pt"])
def test_the_same_bytes_every_time(tmp_path: Path, name: str) -> None:
    for folder in ("a", "b"):
        torch.manual_seed(hash(folder))  # what came before must not matter
        assert make_stand_ins(tmp_path / folder, [name]) == [name]
    assert digest(tmp_path / "a" / name, "sha256") == digest(tmp_path / "b" / name, "sha256")


def test_leaves_alone_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "yolov8n.pt").write_bytes(b"a real one")
    assert make_stand_ins(tmp_path, ["yolov8n.pt", "english_g2.pth"]) == ["english_g2.pth"]
    assert (tmp_path / "yolov8n.pt").read_bytes() == b"a real one"
    assert set(json.loads((tmp_path / "manifest.json").read_text())) == {"english_g2.pth"}


def test_all_are_known_and_marked(weights_dir: Path) -> None:
    store = WeightsStore(weights_dir)
    for name in STAND_INS:
        assert store.resolve(name, CATALOGUE[name].task).stand_in


@pytest.mark.parametrize(("name", "n_classes"), [("yolov8n.pt", 80), ("yolov8n-face.pt", 1)])
def test_yolo_finds_boxes(
    weights_dir: Path, pictures: list[np.ndarray], name: str, n_classes: int
) -> None:
    from ultralytics import YOLO

    model = YOLO(str(weights_dir / name))
    assert len(model.names) == n_classes
    results = [r.boxes for r in model.predict(pictures, conf=0.5, iou=0.7, verbose=False)]
    counts = [len(boxes) for boxes in results]
    assert min(counts) >= 5
    assert max(counts) <= 300  # where ultralytics cuts them off
    assert sum(counts) / len(counts) > 10
    classes = set(torch.cat([boxes.cls for boxes in results]).tolist())
    assert len(classes) >= min(n_classes, 5)
    widths = torch.cat([boxes.xywh for boxes in results])[:, 2]
    assert widths.quantile(0.9) > 3 * widths.quantile(0.1)
    assert torch.cat([boxes.conf for boxes in results]).std() > 0.05


def test_craft_and_english_read_something(weights_dir: Path, pictures: list[np.ndarray]) -> None:
    from easyocr.config import recognition_models
    from easyocr.detection import get_detector, get_textbox
    from easyocr.recognition import get_recognizer
    from easyocr.utils import get_image_list, group_text_box

    detector = get_detector(str(weights_dir / "craft_mlt_25k.pth"), "cpu", quantize=False)
    characters = recognition_models["gen2"]["english_g2"]["characters"]
    network = {"input_channel": 1, "output_channel": 256, "hidden_size": 256}
    path = str(weights_dir / "english_g2.pth")
    recognizer, converter = get_recognizer(
        "generation2", network, characters, {}, {"en": ""}, path, "cpu", quantize=False
    )
    recognizer.eval()
    for picture in pictures[1::2]:
        boxes = get_textbox(detector, picture, 2560, 1.0, 0.7, 0.4, 0.4, False, "cpu")[0]
        assert 10 <= len(boxes) <= 200
        straight, tilted = group_text_box(boxes)
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        images, _ = get_image_list(straight, tilted, grey, model_height=64)
        texts = []
        for _, image in images:
            line = torch.from_numpy(image).float().div(127.5).sub(1)[None, None]
            with torch.no_grad():
                scores, best = recognizer(line, None).softmax(2).max(2)
            length = torch.IntTensor([best.shape[1]])
            texts.append(converter.decode_greedy(best.flatten().numpy(), length)[0])
            assert scores.mean() > 0.3
        assert sum(map(bool, texts)) > 0.8 * len(texts)
        assert len(set(texts)) >= 5  # it tells crops apart


@whisper_leaves_its_vocabulary_open
@pytest.mark.parametrize(
    ("size", "name"),
    [
        ("tiny", "spoken.flac"),
        ("tiny", "spoken.m4a"),
        ("base", "spoken.flac"),
        *(("tiny", name) for name in real("jfk.flac", "nasa_13013.mp4")),
        *(("base", name) for name in real("jfk.flac")),
    ],
)
def test_whisper_transcribes(weights_dir: Path, clips: ClipLibrary, size: str, name: str) -> None:
    import whisper

    model = whisper.load_model(str(weights_dir / f"{size}.pt"), device="cpu")
    sound = as_whisper(read_audio(clips.path(name)))
    result = whisper.transcribe(model, sound, temperature=0, fp16=False)
    assert result["language"] == "en"
    segments = result["segments"]
    assert len([s for s in segments if s["end"] <= 11]) >= 10
    assert all(0 <= s["start"] < s["end"] <= 14 for s in segments)
    assert all(s["avg_logprob"] > -1 and s["no_speech_prob"] < 0.6 for s in segments)
    assert all(s["compression_ratio"] < 2.4 for s in segments)
    assert len({s["text"] for s in segments}) > len(segments) / 2


def test_places_tells_frames_apart(weights_dir: Path, pictures: list[np.ndarray]) -> None:
    from torchvision.models import resnet18

    path = weights_dir / "resnet18_places365.pth.tar"
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    model = resnet18(num_classes=LABELS).eval()
    model.load_state_dict(
        {k.removeprefix("module."): v for k, v in checkpoint["state_dict"].items()}
    )
    frames = np.stack([cv2.resize(picture, (224, 224)) for picture in pictures])
    inputs = torch.from_numpy(frames).permute(0, 3, 1, 2).div(255).sub(0.45).div(0.226)
    with torch.no_grad():
        top = model(inputs).softmax(1).topk(5)
    assert (top.values[:, :-1] - top.values[:, 1:]).min() > 1e-5
    assert (top.values[:, 0] > 0.01).all()
    assert (top.values[:, 0] < 0.99).all()
    assert (top.values[0] - top.values[2]).abs().max() > 1e-3
