"""Formats of boxes, read by the libraries that use them."""

from __future__ import annotations

import csv as standard_csv
import io
import json
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import numpy as np
import pytest
import supervision
from jsonschema import Draft202012Validator
from PIL import Image
from pycocotools.coco import COCO

from ipc.messages import VideoInfo
from ipc.results import BBox, Detection
from server.formats import coco, csv, cvat, labelstudio, yolo
from server.formats.format import Clip
from server.tasks.faces import Face

CLIP = Clip("Ferien & <Meer>.mp4", VideoInfo(640, 360, 25.0, 91, 3640))
BOXES = [
    Detection(0, 0, "person", 0.9, BBox(10.5, 20.25, 100, 200)),
    Detection(0, 0, 'dog: "big"', 0.8, BBox(300, 100, 50.5, 40)),
    Detection(90, 3600, "person", 0.7, BBox(539.99, 0, 100.02, 360)),
]
NAMES = ['dog: "big"', "person"]


def xyxy(found: Detection) -> list[float]:
    box = found.bbox
    return [box.x, box.y, box.x + box.width, box.y + box.height]


def make_images(folder: Path, names: list[str]) -> None:
    folder.mkdir()
    for name in names:
        Image.new("RGB", (640, 360)).save(folder / name)


def check_dataset(dataset: supervision.DetectionDataset, tolerance: float) -> None:
    """The boxes, with their labels, in the images of their frames."""
    assert dataset.classes == NAMES
    found = []
    for path, _, detections in dataset:
        frame = int(Path(path).stem.rpartition("_")[2])
        labels = [dataset.classes[i] for i in detections.class_id]
        found += [(frame, label, *box) for label, box in zip(labels, detections.xyxy, strict=True)]
    expected = sorted((box.frame_index, box.label, *xyxy(box)) for box in BOXES)
    assert [one[:2] for one in sorted(found)] == [one[:2] for one in expected]
    numbers = np.array([one[2:] for one in sorted(found)], float)
    assert numbers == pytest.approx(np.array([one[2:] for one in expected]), abs=tolerance)


def test_pycocotools_reads_coco(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "boxes.json"
    path.write_bytes(coco.render(CLIP, BOXES))
    read = COCO(str(path))
    assert {c["name"] for c in read.loadCats(read.getCatIds())} == set(NAMES)
    (person,) = read.getCatIds(catNms=["person"])
    first, last = read.loadAnns(read.getAnnIds(catIds=[person]))
    assert (first["image_id"], first["bbox"]) == (0, [10.5, 20.25, 100, 200])
    assert (last["image_id"], last["score"], last["area"]) == (90, 0.7, 36007.2)
    results = read.loadRes(read.loadAnns(read.getAnnIds()))
    assert len(results.getAnnIds()) == 3
    assert read.loadImgs([90])[0]["file_name"] == "Ferien & <Meer>_000090.jpg"


def test_supervision_reads_coco(tmp_path: Path) -> None:
    document = coco.render(CLIP, BOXES)
    make_images(
        tmp_path / "images", [image["file_name"] for image in json.loads(document)["images"]]
    )
    path = tmp_path / "boxes.json"
    path.write_bytes(document)
    read = supervision.DetectionDataset.from_coco(str(tmp_path / "images"), str(path))
    check_dataset(read, 0.01)


def test_supervision_reads_yolo(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(yolo.render(CLIP, BOXES))) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path)
    labels = sorted((tmp_path / "labels").iterdir())
    assert [path.name[-11:] for path in labels] == ["_000000.txt", "_000090.txt"]
    make_images(tmp_path / "images", [f"{path.stem}.jpg" for path in labels])
    read = supervision.DetectionDataset.from_yolo(
        str(tmp_path / "images"), str(tmp_path / "labels"), str(tmp_path / "data.yaml")
    )
    check_dataset(read, 0.02)


def test_yolo_stays_inside_the_frame_and_has_the_same_bytes_every_time() -> None:
    packed = yolo.render(CLIP, BOXES)
    assert packed == yolo.render(CLIP, BOXES)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        line = archive.read("labels/Ferien & <Meer>_000090.txt").decode()
    _, x, _, width, _ = map(float, line.split())
    assert x + width / 2 <= 1


def test_cvat_has_what_its_documentation_names() -> None:
    """https://docs.cvat.ai/docs/dataset_management/formats/format-cvat, "CVAT for videos"."""
    root = ET.fromstring(cvat.render(CLIP, BOXES))
    assert root.findtext("version") == "1.1"
    task = root.find("meta/task")
    assert task is not None
    assert (task.findtext("mode"), task.findtext("size")) == ("interpolation", "91")
    assert [label.findtext("name") for label in task.iterfind("labels/label")] == NAMES
    assert (task.findtext("original_size/width"), task.findtext("original_size/height")) == (
        "640",
        "360",
    )
    shapes = []
    for number, track in enumerate(root.iterfind("track")):
        assert track.get("id") == str(number)
        boxes = track.findall("box")
        assert [box.get("outside") for box in boxes] == (["0", "1"] if number < 2 else ["0"])
        assert {box.get("keyframe") for box in boxes} == {"1"}
        frame = int(boxes[0].get("frame", ""))
        edges = [float(boxes[0].get(edge, "")) for edge in ("xtl", "ytl", "xbr", "ybr")]
        shapes.append((frame, track.get("label"), *edges))
    assert shapes == [
        (box.frame_index, box.label, *(pytest.approx(edge, abs=0.01) for edge in xyxy(box)))
        for box in BOXES
    ]


NUMBER = {"type": "number"}
PERCENT = {"type": "number", "minimum": 0, "maximum": 100.01}
KEYFRAME = {
    "type": "object",
    "properties": {
        "frame": {"type": "integer", "minimum": 1, "maximum": 91},
        "enabled": {"type": "boolean"},
        "rotation": NUMBER,
        "time": NUMBER,
        **dict.fromkeys(("x", "y", "width", "height"), PERCENT),
    },
    "required": ["frame", "enabled", "rotation", "x", "y", "width", "height", "time"],
    "additionalProperties": False,
}
VALUE = {
    "type": "object",
    "properties": {
        "framesCount": {"type": "integer"},
        "duration": NUMBER,
        "sequence": {"type": "array", "items": KEYFRAME, "minItems": 1},
        "labels": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 1},
    },
    "required": ["framesCount", "duration", "sequence", "labels"],
}
REGION = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "type": {"const": "videorectangle"},
        "from_name": {"const": "box"},
        "to_name": {"const": "video"},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "value": VALUE,
    },
    "required": ["id", "type", "from_name", "to_name", "value"],
}
PREDICTION = {
    "type": "object",
    "properties": {
        "model_version": {"type": "string"},
        "score": NUMBER,
        "result": {"type": "array", "items": REGION},
    },
    "required": ["result"],
}
# As labelstud.io/guide/predictions and labelstud.io/tags/videorectangle have it.
LABEL_STUDIO = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "data": {"type": "object", "required": ["video"]},
            "predictions": {"type": "array", "items": PREDICTION},
        },
        "required": ["data", "predictions"],
        "additionalProperties": False,
    },
}


@pytest.mark.parametrize("boxes", [BOXES, []], ids=["boxes", "none"])
def test_label_studio_is_as_documented(boxes: list[Detection]) -> None:
    document = json.loads(labelstudio.render(CLIP, boxes))
    assert [e.message for e in Draft202012Validator(LABEL_STUDIO).iter_errors(document)] == []
    regions = document[0]["predictions"][0]["result"]
    assert len({region["id"] for region in regions}) == len(regions) == len(boxes)
    for region, box in zip(regions, boxes, strict=True):
        (keyframe,) = region["value"]["sequence"]
        assert keyframe["frame"] == box.frame_index + 1
        assert keyframe["x"] * 6.4 == pytest.approx(box.bbox.x)
        assert keyframe["height"] * 3.6 == pytest.approx(box.bbox.height)
        assert region["value"]["labels"] == [box.label]


@pytest.mark.parametrize("form", [coco, yolo, cvat, labelstudio])
def test_no_boxes_are_a_valid_document(form: coco) -> None:
    written = form.render(CLIP, [])
    if form is yolo:
        assert zipfile.ZipFile(io.BytesIO(written)).namelist() == ["data.yaml"]
    elif form is cvat:
        assert ET.fromstring(written).find("track") is None
    else:
        assert json.loads(written)


def test_csv_has_a_column_per_field() -> None:
    faces = [Face(3, 120, 'a, "b"\nc', 0.5, BBox(1, 2, 3, 4.5))]
    written = csv.render(CLIP, csv.table(Face, faces)).decode()
    (row,) = standard_csv.DictReader(io.StringIO(written, newline=""))
    assert row == {
        "frame_index": "3",
        "timestamp_ms": "120",
        "label": 'a, "b"\nc',
        "confidence": "0.5",
        "bbox_x": "1",
        "bbox_y": "2",
        "bbox_width": "3",
        "bbox_height": "4.5",
        "cluster_id": "",
    }
    none = csv.render(CLIP, csv.table(Face, [])).decode()
    assert none.split() == [",".join(row)]


def test_csv_has_the_tracks_of_a_request_with_track() -> None:
    faces = [Face(3, 120, "face", 0.5, BBox(1, 2, 3, 4), track_id=one) for one in (None, 7)]
    written = csv.render(CLIP, csv.table(Face, faces)).decode()
    rows = list(standard_csv.DictReader(io.StringIO(written, newline="")))
    assert [row["track_id"] for row in rows] == ["", "7"]


@pytest.mark.parametrize(
    ("path", "name", "stem"),
    [
        ("/srv/videos/a clip.mp4", "a clip.mp4", "a clip"),
        ("../../etc/passwd", "passwd", "passwd"),
        ("C:\\videos\\film.tar.mkv", "film.tar.mkv", "film.tar"),
        ("a\nb\x00.mp4", "a_b_.mp4", "a_b_"),
        ("..", "video", "video"),
        ("", "video", "video"),
    ],
)
def test_a_name_is_safe_in_any_format(path: str, name: str, stem: str) -> None:
    clip = Clip.of(path, CLIP.video)
    assert (clip.name, clip.stem) == (name, stem)
