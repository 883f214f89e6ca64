"""The stream of every task, and of all together: its events, and what they add up to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from event_streams import FORMS, read_events
from payload import payload
from running import Server

# The field of the items, and how many frames of the clip's 90 the task wants.
TASKS = {
    "objects": ("detections", 10),
    "faces": ("detections", 10),
    "transcribe": ("segments", 0),
    "ocr": ("detections", 3),
    "places": ("classifications", 18),
    "scenes": ("scenes", 90),
}


def check_events(task: str, events: list[dict[str, Any]], plain: dict[str, Any]) -> None:
    """One task's events, in order, say what the plain response says."""
    field, frames = TASKS[task]
    names = [event["event"] for event in events]
    assert (names[0], names[-1]) == ("started", "result")
    assert set(names[1:-1]) == {"progress", "partial"}
    progress = [event for event in events if event["event"] == "progress"]
    done = [event["frames_done"] for event in progress]
    assert {event["frames_total"] for event in progress} == {frames}
    assert (done, done[-1]) == (sorted(done), frames)
    items = [item for event in events if event["event"] == "partial" for item in event["items"]]
    assert items == plain[field] != []
    assert payload(events[-1]["response"]) == payload(plain)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("task", TASKS)
def test_a_tasks_stream_adds_up_to_its_plain_response(
    task: str,
    form: str,
    server: Server,
    clip: Path,
    requests: dict[str, dict[str, Any]],
    plain: dict[str, dict[str, Any]],
) -> None:
    body = {"video_path": str(clip), **requests[task]}
    response = server.client.post(f"/infer/{task}", json=body, headers={"Accept": form})
    assert (response.status_code, response.headers["content-type"]) == (200, form)
    *events, done = read_events(response.text, form)
    check_events(task, events, plain[task])
    assert done == {"event": "done", "run_id": events[-1]["response"]["run_id"]}
    chunks = sum(event["event"] == "partial" for event in events)
    assert chunks == (1 if task in ("transcribe", "scenes") else 2)


@pytest.mark.parametrize("form", FORMS)
def test_the_stream_of_several_tasks_has_the_events_of_each(
    form: str,
    server: Server,
    clip: Path,
    requests: dict[str, dict[str, Any]],
    plain: dict[str, dict[str, Any]],
) -> None:
    body = {"video_path": str(clip), "tasks": requests}
    response = server.client.post("/infer", json=body, headers={"Accept": form})
    assert (response.status_code, response.headers["content-type"]) == (200, form)
    *events, done = read_events(response.text, form)
    for task in TASKS:
        check_events(task, [event for event in events if event["task"] == task], plain[task])
    assert {event["task"] for event in events} == set(TASKS)
    assert [event["event"] for event in events[: len(TASKS)]] == ["started"] * len(TASKS)
    run_ids = {event["response"]["run_id"] for event in events if event["event"] == "result"}
    assert run_ids == {done["run_id"]}
