"""One decode for every way to ask, and the same answers whichever way it was."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clip_library import ClipLibrary, real
from payload import payload
from running import Server, running

QUESTIONS: dict[str, dict[str, Any]] = {
    "objects": {},
    "faces": {},
    "places": {},
    "scenes": {},
    "ocr": {},
    "transcribe": {"vad_filter": False, "language": "en"},
}
PAYLOADS = {
    "objects": "detections",
    "faces": "detections",
    "places": "classifications",
    "scenes": "scenes",
    "ocr": "detections",
    "transcribe": "segments",
}
END_MS = 6500
FRAMES = 195  # of the clip that are presented before END_MS
DECODED = "eioku_frames_decoded_total"


@pytest.fixture
def real_server(weights_dir: Path, clips: ClipLibrary) -> Iterator[Server]:
    with running(
        MODEL_CACHE_DIR=str(weights_dir), MEDIA_ROOTS=clips.roots, WHISPER_MODEL="tiny"
    ) as server:
        yield server


def ask(server: Server, clip: Path) -> dict[str, dict[str, Any]]:
    """The six calls, one after another."""
    answers = {}
    for task, fields in QUESTIONS.items():
        response = server.infer(task, clip, end_ms=END_MS, **fields)
        assert response.status_code == 200, response.text
        answers[task] = payload(response.json())
    return answers


def ask_together(server: Server, clip: Path) -> dict[str, dict[str, Any]]:
    """The six in one call."""
    body = {"video_path": str(clip), "end_ms": END_MS, "tasks": QUESTIONS}
    response = server.client.post("/infer", json=body)
    assert response.status_code == 200, response.text
    assert response.json()["errors"] == {}
    return {task: payload(answer) for task, answer in response.json()["results"].items()}


def ask_at_once(server: Server, clip: Path) -> dict[str, dict[str, Any]]:
    """The six calls at the same time."""
    answers: dict[str, dict[str, Any]] = {}

    def one(task: str) -> None:
        response = server.infer(task, clip, end_ms=END_MS, **QUESTIONS[task])
        answers[task] = payload(response.json())

    threads = [threading.Thread(target=one, args=(task,), daemon=True) for task in QUESTIONS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    return answers


@pytest.mark.parametrize("name", ["everything.mp4", *real("nasa_13013.mp4")])
def test_six_calls_or_one_call_one_decode_and_one_answer(
    real_server: Server, weights_dir: Path, clips: ClipLibrary, name: str
) -> None:
    clip = clips.path(name)
    in_turn = ask(real_server, clip)
    assert all(answer[PAYLOADS[task]] for task, answer in in_turn.items())
    sampled = {*range(0, FRAMES, 30), *range(0, FRAMES, 60)}
    assert real_server.metric(DECODED) == len(sampled) + FRAMES  # full size, and small
    assert json.dumps(ask_together(real_server, clip)) == json.dumps(in_turn)
    assert real_server.metric(DECODED) == len(sampled) + FRAMES
    with running(
        MODEL_CACHE_DIR=str(weights_dir), MEDIA_ROOTS=clips.roots, WHISPER_MODEL="tiny"
    ) as fresh:
        together = ask_together(fresh, clip)
        assert fresh.metric(DECODED) == FRAMES  # every frame, both sizes in one pass
        assert json.dumps(together) == json.dumps(in_turn)
        at_once = ask_at_once(fresh, clip)
        assert fresh.metric(DECODED) == FRAMES
        assert {task: at_once[task] for task in QUESTIONS} == in_turn
        assert fresh.metric("eioku_frame_pool_hits_total") > FRAMES
