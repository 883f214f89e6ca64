"""An upload to every route: the answer of the file that is named, and no file left."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from event_streams import NDJSON, read_events
from payload import payload
from running import Server

from bench.clips.generate import make_small

TASKS = ("objects", "faces", "transcribe", "ocr", "places", "scenes")


def unnamed_files(server: Server) -> set[tuple[int, str]]:
    """The pid and the file of each deleted file that the front or a decoder still has open."""
    found = set()
    for pid in (server.process.pid, server.pid_of("decoder-0"), server.pid_of("decoder-1")):
        for link in Path("/proc", str(pid), "fd").iterdir():
            with suppress(FileNotFoundError):  # closed since it was listed
                if (target := os.readlink(link)).endswith("(deleted)"):
                    found.add((pid, target))
    return found


@pytest.fixture
def nothing_left(server: Server, media: Path) -> Iterator[None]:
    """After the test, no file is open that was not before, and none is added to the folder."""
    open_before, named_before = unnamed_files(server), set(media.iterdir())
    yield
    deadline = time.monotonic() + 30
    while left := unnamed_files(server) - open_before:  # a decoder closes it when it is idle
        assert time.monotonic() < deadline, left
    assert set(media.iterdir()) == named_before


def upload(
    server: Server, route: str, clip: Path, fields: dict[str, Any], accept: str = "*/*"
) -> Any:
    with clip.open("rb") as file:
        response = server.client.post(
            route,
            files={"file": ("a name.mp4", file)},
            data={"request": json.dumps(fields)},
            headers={"Accept": accept},
        )
    assert response.status_code == 200, response.text
    return response


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("task", TASKS)
def test_an_upload_gives_the_payload_of_the_named_file(
    task: str,
    server: Server,
    clip: Path,
    requests: dict[str, dict[str, Any]],
    plain: dict[str, dict[str, Any]],
) -> None:
    fields = {**requests[task], "task_id": "of-the-client"}
    answer = upload(server, f"/infer/{task}", clip, fields).json()
    assert payload(answer) == payload(plain[task])
    assert answer["task_id"] == "of-the-client"


@pytest.mark.usefixtures("nothing_left")
def test_an_upload_to_several_tasks_gives_the_payload_of_each(
    server: Server,
    clip: Path,
    requests: dict[str, dict[str, Any]],
    plain: dict[str, dict[str, Any]],
) -> None:
    answer = upload(server, "/infer", clip, {"tasks": requests}).json()
    assert answer["errors"] == {}
    assert list(answer["results"]) == list(requests)
    for task, result in answer["results"].items():
        assert payload(result) == payload(plain[task])
    assert answer["input_hash"] == plain["objects"]["input_hash"]
    assert answer["video"] == plain["objects"]["video"]


@pytest.fixture(scope="module")
def unknown_clip(media: Path) -> Path:
    """A clip that no test has asked about: its upload has to be decoded."""
    path = media / "unknown.mp4"
    make_small(path, seconds=2, audio=False, seed=8)
    return path


@pytest.mark.usefixtures("nothing_left")
def test_the_answer_to_an_upload_can_be_a_stream(server: Server, unknown_clip: Path) -> None:
    """The decoder that has read it closes it too."""
    decoded = server.metric("eioku_frames_decoded_total")
    fields = {"frame_interval": 10}
    response = upload(server, "/infer/places", unknown_clip, fields, NDJSON)
    assert server.metric("eioku_frames_decoded_total") - decoded == 6
    *_, result, done = read_events(response.text, NDJSON)
    named = server.infer("places", unknown_clip, **fields).json()
    assert payload(result["response"]) == payload(named)
    assert done["event"] == "done"
