"""A validator changes with everything that a response depends on, and with nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.files import FileRef
from ipc.messages import ModelInfo
from server.analysis import validators
from server.analysis.request import Request, Video
from server.analysis.validators import code_digest, validator
from server.tasks.objects import ObjectsOptions
from server.tasks.scenes import ScenesOptions

MODEL = ModelInfo("yolov8n.pt", "a" * 64, False, "cpu", "fp32", {"torch": "2.15.0"}, "local")
VIDEO = Video(video_path="a.mp4")


def made(
    model: ModelInfo = MODEL,
    video: Video = VIDEO,
    input_hash: str = "0" * 16,
    **options: Any,
) -> str:
    request = Request(
        FileRef("a.mp4", 0, 0, 0, 0), video, {"objects": ObjectsOptions(**options)}, {}, 60.0, "key"
    )
    return validator(request, input_hash, {"objects": model})


CHANGES = [
    {"input_hash": "1" * 16},
    {"video": Video(video_path="a.mp4", start_ms=0)},
    {"video": Video(video_path="a.mp4", end_ms=10)},
    {"classes": ["person"]},
    {"frame_interval": 29},
    {"model_profile": "fast"},
    *(
        {"model": msgspec.structs.replace(MODEL, **change)}
        for change in (
            {"weights_sha256": "b" * 64},
            {"other_sha256": ("c" * 64,)},
            {"model_name": "other.pt"},
            {"stand_in": True},
            {"precision": "fp16"},
            {"versions": {"torch": "2.16.0"}},
        )
    ),
]
SAME = [
    {"video": Video(video_path="b.mp4", task_id="1", input_hash="0" * 16)},
    {"model": msgspec.structs.replace(MODEL, device="cuda:1")},
    {"model": msgspec.structs.replace(MODEL, weights_source="hub example.org")},
    {"frame_interval": 30},
]


def test_every_change_gives_another_validator() -> None:
    found = [made(), *(made(**change) for change in CHANGES)]
    assert len(set(found)) == len(found)
    assert all(len(one) == 32 for one in found)


@pytest.mark.parametrize("change", SAME)
def test_what_does_not_change_the_result_does_not_change_the_validator(
    change: dict[str, Any],
) -> None:
    assert made(**change) == made()


@pytest.mark.parametrize(
    "changed", ["server/tasks/objects.py", "gpu_workers/yolo.py", "ipc/new.py"]
)
def test_a_change_of_the_code_gives_another_validator(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made()
    for package in validators.PACKAGES:
        for path in (validators.ROOT / package).rglob("*.py"):
            copy = tmp_path / path.relative_to(validators.ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    monkeypatch.setattr(validators, "ROOT", tmp_path)
    code_digest.cache_clear()
    assert made() == before
    with (tmp_path / changed).open("a") as file:
        file.write("# changed\n")
    code_digest.cache_clear()
    assert made() != before
    code_digest.cache_clear()


def test_another_package_or_library_gives_another_validator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = made()
    real = validators.version
    monkeypatch.setattr(validators, "version", lambda name: "99" if name == "av" else real(name))
    assert made() != before
    monkeypatch.setattr(validators, "version", real)
    monkeypatch.setattr(validators, "distribution", lambda name: "eioku-ml 99")
    assert made() != before


def test_the_tasks_of_a_request_count() -> None:
    tasks = {"objects": ObjectsOptions(), "scenes": ScenesOptions()}
    request = Request(FileRef("a.mp4", 0, 0, 0, 0), VIDEO, tasks, {}, 60.0, "key")
    scenes = ModelInfo("ContentDetector", None, False, "cpu", "fp32", {})
    assert validator(request, "0" * 16, {"objects": MODEL, "scenes": scenes}) != made()
