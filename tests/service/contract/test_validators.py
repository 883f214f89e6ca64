"""ETag and If-None-Match: 304 without any inference, and 200 after any change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from event_streams import FORMS
from payload import payload
from running import Server

from bench.clips.generate import make_small

INFERENCES = "eioku_inference_duration_seconds_count"
DECODED = "eioku_frames_decoded_total"
TASKS = ("objects", "faces", "transcribe", "ocr", "places", "scenes")


def ask(
    server: Server,
    route: str,
    clip: Path,
    fields: dict[str, Any],
    tag: str | None = None,
    **more: str,
) -> httpx.Response:
    headers = {**more, **({} if tag is None else {"If-None-Match": tag})}
    body = {"video_path": str(clip), **fields}
    return server.client.post(route, json=body, headers=headers)


def work(server: Server) -> tuple[float, float]:
    """Batches and decoded frames so far."""
    return server.metric(INFERENCES), server.metric(DECODED)


@pytest.mark.parametrize("query", ["", "?format=csv"])
@pytest.mark.parametrize("task", TASKS)
def test_the_same_request_again_is_a_304_without_any_inference(
    task: str, query: str, server: Server, clip: Path, requests: dict[str, dict[str, Any]]
) -> None:
    route = f"/infer/{task}{query}"
    first = ask(server, route, clip, requests[task])
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    before = work(server)
    again = ask(server, route, clip, {**requests[task], "task_id": "another"}, tag)
    assert (again.status_code, again.content) == (304, b"")
    assert (again.headers["etag"], again.headers["vary"]) == (tag, "Accept")
    assert "content-type" not in again.headers
    assert work(server) == before
    assert server.metric(f'eioku_requests_total{{status="304",task="{task}"}}') >= 1


CHANGED = [
    ("/infer/places", {"top_k": 4}),
    ("/infer/places", {"frame_interval": 31}),
    ("/infer/places", {"start_ms": 0}),
    ("/infer/places", {"end_ms": 2000}),
    ("/infer/places?format=csv", {}),
]


@pytest.mark.parametrize(("route", "change"), CHANGED)
def test_a_changed_option_or_format_is_a_200(
    route: str, change: dict[str, Any], server: Server, clip: Path
) -> None:
    first = ask(server, "/infer/places", clip, {"frame_interval": 30})
    before = work(server)
    other = ask(server, route, clip, {"frame_interval": 30, **change}, first.headers["etag"])
    assert other.status_code == 200
    assert other.headers["etag"] != first.headers["etag"]
    assert work(server)[0] > before[0]


def test_a_changed_field_of_ours_is_a_200(server: Server, clip: Path) -> None:
    first = ask(server, "/infer/objects", clip, {})
    other = ask(server, "/infer/objects", clip, {"classes": ["person"]}, first.headers["etag"])
    assert other.status_code == 200


def test_other_content_under_the_same_path_is_a_200(server: Server, media: Path) -> None:
    path = media / "changing.mp4"
    make_small(path, seconds=1, width=224, height=126, audio=False)
    first = ask(server, "/infer/scenes", path, {})
    path.unlink()
    make_small(path, seconds=2, width=224, height=126, audio=False)
    other = ask(server, "/infer/scenes", path, {}, first.headers["etag"])
    assert other.status_code == 200
    assert other.json()["input_hash"] != first.json()["input_hash"]


def test_the_same_content_under_another_name_is_a_304(server: Server, clip: Path) -> None:
    first = ask(server, "/infer/scenes", clip, {})
    with clip.open("rb") as file:
        again = server.client.post(
            "/infer/scenes", files={"file": file}, headers={"If-None-Match": first.headers["etag"]}
        )
    assert again.status_code == 304


def test_any_of_several_tags_and_either_strength_will_do(server: Server, clip: Path) -> None:
    tag = ask(server, "/infer/scenes", clip, {}).headers["etag"]
    for tags in (f'"other-json", {tag}', tag.removeprefix("W/"), f'{tag}, W/"x"'):
        assert ask(server, "/infer/scenes", clip, {}, tags).status_code == 304
    for tags in ("*", '""', '"nonsense"', tag.strip('W/"'), tag.replace("-json", "-csv")):
        answer = ask(server, "/infer/scenes", clip, {}, tags)
        assert answer.status_code == 200
        assert answer.headers["etag"] == tag


def test_several_tasks_have_one_tag(server: Server, clip: Path) -> None:
    tasks: dict[str, Any] = {"tasks": {"scenes": {}, "places": {"frame_interval": 30}}}
    first = ask(server, "/infer", clip, tasks)
    before = work(server)
    assert ask(server, "/infer", clip, tasks, first.headers["etag"]).status_code == 304
    assert work(server) == before
    tasks["tasks"]["places"]["top_k"] = 3
    assert ask(server, "/infer", clip, tasks, first.headers["etag"]).status_code == 200


@pytest.mark.parametrize("failing", [{"model_name": "none.pt"}, {"frame_interval": 0}])
def test_a_response_with_a_failed_task_has_no_tag(
    failing: dict[str, Any], server: Server, clip: Path
) -> None:
    """The task may succeed the next time."""
    tasks = {"tasks": {"scenes": {}, "objects": failing}}
    response = ask(server, "/infer", clip, tasks)
    assert (response.status_code, list(response.json()["errors"])) == (200, ["objects"])
    assert "etag" not in response.headers


@pytest.mark.parametrize("form", FORMS)
def test_a_stream_has_no_tag_and_is_always_sent(form: str, server: Server, clip: Path) -> None:
    tag = ask(server, "/infer/scenes", clip, {}).headers["etag"]
    for sent in (tag, tag.replace("-json", "-ndjson"), tag.replace("-json", "-sse")):
        response = ask(server, "/infer/scenes", clip, {}, sent, Accept=form)
        assert response.status_code == 200
        assert "etag" not in response.headers


def test_errors_come_before_a_304(server: Server, clip: Path) -> None:
    tag = ask(server, "/infer/scenes", clip, {}).headers["etag"]
    wrong = ask(server, "/infer/scenes", clip, {"input_hash": "0" * 16}, tag)
    assert (wrong.status_code, "etag" in wrong.headers) == (400, False)
    assert json.loads(wrong.text)["code"] == "input_hash_mismatch"


def test_the_response_does_not_depend_on_a_tag_that_does_not_hold(
    server: Server, clip: Path
) -> None:
    first = ask(server, "/infer/scenes", clip, {})
    other = ask(server, "/infer/scenes", clip, {}, 'W/"0123-json"')
    assert payload(other.json()) == payload(first.json())
