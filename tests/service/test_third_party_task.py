"""A task of another package: everything that a built-in one has, with no change in our packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import pytest
from running import ROOT, SUPPORT, Server, running

from bench.clips.generate import make_small

DECODED = "eioku_frames_decoded_total"
BY_INDEX = {"frame_interval": 4}

FAULTY = '''
from server.tasks.task import FrameInput, ListTask, Options
from server.tasks.response import Response

class Faulty(ListTask):
    """Its worker raises."""
    name = "faulty"
    options = Options
    response = Response
    result = list[int]
    producer = "nobody"
    package = "msgspec"
    worker = "faulty"

    def needs(self, options):
        return FrameInput(30, 8)

class Spec(Options):
    pass

def load(spec, runtime):
    raise LookupError("a secret of /the/machine")
'''


def add_package(folder: Path, name: str, entry: str, source: str) -> None:
    """Lay a module, and the metadata of its entry point, into a folder."""
    (folder / f"{name}.py").write_text(source)
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[eioku_ml.tasks]\n{name} = {entry}\n")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example package, installed as its README says, and a faulty one."""
    folder = tmp_path_factory.mktemp("site")
    source = ROOT / "tests" / "example_task"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    install += ["--no-build-isolation", "--no-index", "--target", str(folder), str(source)]
    subprocess.run(install, check=True, timeout=120)
    add_package(folder, "faulty", "faulty:Faulty", FAULTY)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    make_small(path, seconds=8, width=320, height=180, fps=10, audio=False)
    return path


@pytest.fixture(scope="module")
def server(installed: Path, clip: Path) -> Iterator[Server]:
    with running(
        "fake_server",
        PYTHONPATH=f"{SUPPORT}:{installed}",
        MODEL_CACHE_DIR=str(clip.parent),
        MEDIA_ROOTS=str(clip.parent),
        PRELOAD="sharpness",
    ) as server:
        yield server


def expected(clip: Path) -> list[tuple[int, float]]:
    """The index and the sharpness of every fourth frame, by OpenCV's own reader."""
    capture = cv2.VideoCapture(str(clip))
    lumas = []
    while (read := capture.read())[0]:
        lumas.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY))
    return [(i, cv2.Laplacian(lumas[i], cv2.CV_64F).var()) for i in range(0, len(lumas), 4)]


def test_it_has_its_route(server: Server, clip: Path) -> None:
    answer = server.infer("sharpness", clip, **BY_INDEX).json()
    found = [(frame["frame_index"], frame["sharpness"]) for frame in answer["frames"]]
    reference = expected(clip)
    assert len(found) == len(reference) == 20
    for (index, sharpness), (wanted_index, wanted) in zip(found, reference, strict=True):
        assert index == wanted_index
        # The two convert to grey from RGB and from BGR, after different YUV conversions.
        assert sharpness == pytest.approx(wanted, rel=0.1)
    best = max(answer["frames"], key=lambda frame: frame["sharpness"])
    assert answer["sharpest_frame_index"] == best["frame_index"]
    assert (answer["producer"], answer["producer_version"][0].isdigit()) == ("opencv", True)
    assert answer["config_hash"] != server.infer("sharpness", clip).json()["config_hash"]


def test_it_has_a_format_of_its_own(server: Server, clip: Path) -> None:
    body = {"video_path": str(clip), **BY_INDEX}
    answer = server.client.post("/infer/sharpness?format=csv", json=body)
    frames = server.infer("sharpness", clip, **BY_INDEX).json()["frames"]
    header, *rows = answer.text.splitlines()
    assert header == "frame_index,timestamp_ms,sharpness,brightness"
    assert [int(row.split(",")[0]) for row in rows] == [frame["frame_index"] for frame in frames]
    assert server.client.post("/infer/sharpness?format=srt", json=body).status_code == 406
    tag = {"If-None-Match": answer.headers["etag"]}
    assert (
        server.client.post("/infer/sharpness?format=csv", json=body, headers=tag).status_code == 304
    )


def test_it_shares_the_decoded_frames(server: Server, installed: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.mp4"
    make_small(path, seconds=4, width=320, height=180, fps=10, audio=False, seed=9)
    before = server.metric(DECODED)
    fields = {"sharpness": BY_INDEX, "objects": {"model_name": "slow-0.pt", **BY_INDEX}}
    with path.open("rb") as video:
        answer = server.client.post(
            "/infer", files={"file": video}, data={"request": json.dumps({"tasks": fields})}
        ).json()
    assert answer["errors"] == {}
    assert len(answer["results"]["sharpness"]["frames"]) == 10
    assert len(answer["results"]["objects"]["detections"]) == 10
    assert server.metric(DECODED) - before == 10


def test_its_items_stream(server: Server, clip: Path) -> None:
    body = {"video_path": str(clip), **BY_INDEX}
    plain = server.client.post("/infer/sharpness", json=body).json()
    streamed = server.client.post(
        "/infer/sharpness", json=body, headers={"Accept": "application/x-ndjson"}
    )
    events = [json.loads(line) for line in streamed.text.splitlines()]
    partial = [item for event in events if event["event"] == "partial" for item in event["items"]]
    assert partial == plain["frames"]


def test_it_is_in_openapi_health_and_metrics(server: Server, clip: Path) -> None:
    document = server.client.get("/openapi.json").json()
    schema = document["paths"]["/infer/sharpness"]["post"]["requestBody"]["content"]
    assert "border" in schema["application/json"]["schema"]["properties"]
    assert "sharpness" in json.dumps(document["paths"]["/infer"])
    health = server.client.get("/health").json()
    assert "sharpness" in health["models_loaded"]
    (cpu_worker,) = (w for w in health["workers"] if w["name"] == "cpu-worker")
    assert cpu_worker["models"] == ["sharpness"]
    server.infer("sharpness", clip)
    for metric in ("eioku_requests_total", "eioku_inference_duration_seconds_count"):
        labelled = [
            line
            for line in server.client.get("/metrics").text.splitlines()
            if line.startswith(metric) and 'task="sharpness"' in line
        ]
        assert labelled


def test_preload_loads_it_before_the_first_request(server: Server) -> None:
    ready = [e for e in server.log if e["event"] == "child ready" and e["child"] == "cpu-worker"]
    assert ready[0]["models"] == ["sharpness"]


@pytest.mark.parametrize(("border", "field"), [(90, "border"), (-1, "border"), ("wide", "border")])
def test_a_bad_field_is_named(server: Server, clip: Path, border: Any, field: str) -> None:
    """The first is found by the worker, the others by the struct."""
    response = server.infer("sharpness", clip, border=border)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_a_task_that_raises_gets_a_500_that_names_it_and_hides_the_rest(
    server: Server, clip: Path
) -> None:
    body = {"video_path": str(clip), "tasks": {"faulty": {}, "sharpness": BY_INDEX}}
    answer = server.client.post(
        "/infer", json=body, headers={"X-Request-ID": "of-the-faulty-one"}
    ).json()
    assert list(answer["results"]) == ["sharpness"]
    problem = answer["errors"]["faulty"]
    assert (problem["status"], problem["code"]) == (500, "internal_error")
    assert "faulty" in problem["detail"]
    for secret in ("LookupError", "secret", "/the/machine", "faulty.py"):
        assert secret not in json.dumps(problem)
    alone: httpx.Response = server.infer("faulty", clip)
    assert (alone.status_code, alone.json()["code"]) == (500, "internal_error")
    logged = [event for event in server.log if event.get("request_id") == "of-the-faulty-one"]
    assert any("a secret of /the/machine" in event.get("exception", "") for event in logged)


@pytest.mark.parametrize(
    ("source", "entry", "reason"),
    [
        ("import nothing_of_this_name", "broken:Broken", "ModuleNotFoundError"),
        ("class Broken: pass", "broken:Broken", "no subclass of server.tasks.task.Task"),
        ("from server.tasks.scenes import SceneTask", "broken:SceneTask", "calls itself 'scenes'"),
    ],
)
def test_a_task_that_cannot_be_loaded_stops_the_start_with_one_line(
    source: str, entry: str, reason: str, tmp_path: Path
) -> None:
    add_package(tmp_path, "broken", entry, source)
    started = subprocess.run(
        [sys.executable, "-m", "server"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert started.returncode == 1
    (line,) = started.stderr.splitlines()
    assert line.startswith("eioku-ml: the task 'broken'")
    assert reason in line
