"""Requests: defaults, limits, and errors that name the field."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import xxhash

from server.analysis.hashes import config_hash, input_hash
from server.analysis.request import Video
from server.errors import Problem
from server.http import request_parsing
from server.http.request_parsing import parse_combined
from server.settings import Settings, from_environ
from server.tasks.registry import installed
from server.tasks.task import Options


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("models")
    return from_environ({"MODEL_CACHE_DIR": str(folder), "DEVICES": "cpu"}, ())


def body(**fields: Any) -> bytes:
    return json.dumps({"video_path": "a.mp4", **fields}).encode()


def parse(settings: Settings, name: str, content: bytes) -> tuple[Video, Options]:
    return request_parsing.parse(installed()[name], content, settings)


def test_every_task_has_the_originals_defaults(settings: Settings) -> None:
    configs = {
        name: task.config(task.with_defaults(task.options(), settings))
        for name, task in installed().items()
    }
    assert configs == {
        "objects": {
            "model_name": "yolov8n.pt",
            "frame_interval": 30,
            "confidence_threshold": 0.5,
            "model_profile": "balanced",
        },
        "faces": {
            "model_name": "yolov8n-face.pt",
            "frame_interval": 30,
            "confidence_threshold": 0.5,
        },
        "transcribe": {"model_name": "base", "language": None, "vad_filter": True},
        "ocr": {"frame_interval": 60, "languages": ["en"], "use_gpu": True},
        "places": {"frame_interval": 60, "top_k": 5},
        "scenes": {"threshold": 0.4, "min_scene_length": 0.6},
    }


@pytest.mark.parametrize(
    ("task", "fields", "field"),
    [
        ("objects", {"frame_intervall": 3}, "frame_intervall"),
        ("objects", {"frame_interval": 0}, "frame_interval"),
        ("objects", {"frame_interval": "30"}, "frame_interval"),
        ("objects", {"frame_interval": True}, "frame_interval"),
        ("objects", {"confidence_threshold": 1.1}, "confidence_threshold"),
        ("objects", {"model_profile": "best"}, "model_profile"),
        ("objects", {"classes": ["car", 3]}, "classes[1]"),
        ("faces", {"model_profile": "fast"}, "model_profile"),
        ("transcribe", {"vad_filter": None}, "vad_filter"),
        ("ocr", {"languages": []}, "languages"),
        ("ocr", {"model_name": "tesseract"}, "model_name"),
        ("places", {"top_k": 366}, "top_k"),
        ("scenes", {"threshold": -0.1}, "threshold"),
        ("scenes", {"start_ms": 5, "end_ms": 5}, "end_ms"),
        ("scenes", {"input_hash": "xyz"}, "input_hash"),
    ],
)
def test_a_bad_field_is_named(
    task: str, fields: dict[str, Any], field: str, settings: Settings
) -> None:
    with pytest.raises(Problem) as refusal:
        parse(settings, task, body(**fields))
    assert refusal.value.status == 422
    assert refusal.value.errors is not None
    assert [error.field for error in refusal.value.errors] == [field]


@pytest.mark.parametrize("value", ["tesseract", 3])
def test_the_values_of_a_field_with_a_list_of_them_are_named(
    value: Any, settings: Settings
) -> None:
    with pytest.raises(Problem, match="allowed are easyocr, rapidocr"):
        parse(settings, "ocr", body(model_name=value))
    with pytest.raises(Problem, match="allowed are fast, balanced, high_quality"):
        parse(settings, "objects", body(model_profile=value))


def test_all_bad_fields_are_named_at_once(settings: Settings) -> None:
    with pytest.raises(Problem) as refusal:
        parse(settings, "objects", b'{"video_path": 3, "frame_interval": 0, "classes": [], "x": 1}')
    assert refusal.value.errors is not None
    named = {error.field for error in refusal.value.errors}
    assert named == {"video_path", "frame_interval", "classes", "x"}


URL = "https://videos.example.com/a.mp4"


@pytest.mark.parametrize("task", ["objects", None])
@pytest.mark.parametrize(
    ("fields", "uploaded", "named"),
    [
        ({}, False, ["video_path"]),
        ({"video_path": "a", "video_url": URL}, False, ["video_url"]),
        ({"video_path": "a", "video_url": 3}, False, ["video_url"]),
        ({"video_url": 3}, False, ["video_url"]),
        ({"video_url": None}, False, ["video_url"]),
        ({"video_path": None}, False, ["video_path"]),
        ({"video_url": "a" * 8193}, False, ["video_url"]),
        ({"video_url": URL}, True, ["video_url"]),
        ({"video_path": "a"}, True, ["video_path"]),
    ],
)
def test_the_video_is_named_once(
    task: str | None,
    fields: dict[str, Any],
    uploaded: bool,
    named: list[str],
    settings: Settings,
) -> None:
    sent = json.dumps(fields if task else {**fields, "tasks": {"scenes": {}}}).encode()
    read = partial(request_parsing.parse, installed()[task]) if task else parse_combined
    with pytest.raises(Problem) as refusal:
        read(sent, settings, uploaded=uploaded)
    assert [error.field for error in refusal.value.errors or []] == named


def test_a_video_by_address(settings: Settings) -> None:
    video, _ = parse(settings, "objects", json.dumps({"video_url": URL}).encode())
    assert video.video_url == URL
    assert not video.video_path


def test_what_is_no_json_is_a_400(settings: Settings) -> None:
    with pytest.raises(Problem) as refusal:
        parse(settings, "objects", b'{"video_path":')
    assert (refusal.value.status, refusal.value.code) == (400, "invalid_json")


def test_config_hash_equals_the_contracts(settings: Settings) -> None:
    """The exact text of the contract, and fixed digests."""
    _, options = parse(
        settings, "ocr", body(languages=["en", "de"], language="fr", frame_interval=10)
    )
    text = '{"frame_interval": 10, "languages": ["en", "de"], "use_gpu": true}'
    assert (
        config_hash(installed()["ocr"].config(options)) == xxhash.xxh64(text.encode()).hexdigest()
    )
    _, options = parse(settings, "objects", body())
    text = (
        '{"confidence_threshold": 0.5, "frame_interval": 30, '
        '"model_name": "yolov8n.pt", "model_profile": "balanced"}'
    )
    assert xxhash.xxh64(text.encode()).hexdigest() == "624c4bbab9d15998"
    assert config_hash(installed()["objects"].config(options)) == "624c4bbab9d15998"
    _, options = parse(settings, "scenes", body())
    assert config_hash(installed()["scenes"].config(options)) == "b47fa0eadb2a8d20"


def test_a_field_of_ours_joins_the_hash_off_its_default(settings: Settings) -> None:
    _, plain = parse(settings, "objects", body(classes=None))
    _, filtered = parse(settings, "objects", body(classes=["car"]))
    config = installed()["objects"].config
    assert "classes" not in config(plain)
    assert config(filtered)["classes"] == ["car"]


def test_input_hash_is_xxh64(tmp_path: Path) -> None:
    """The first two are the algorithm's published test vectors."""
    for content, digest in ((b"", "ef46db3751d8e999"), (b"abc", "44bc2cf5ad770999")):
        path = tmp_path / "file"
        path.write_bytes(content)
        assert input_hash(str(path)) == digest
    path.write_bytes(bytes(range(256)) * 10_000)
    assert input_hash(str(path)) == xxhash.xxh64_hexdigest(path.read_bytes())
