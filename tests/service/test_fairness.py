"""Short work next to long work on the same device."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Server, running

from bench.clips.encoding import encode_sound
from bench.clips.generate import make_small
from bench.clips.sound import speech

TALK_S = 300
BATCHES = 'eioku_inference_duration_seconds_count{device="cpu",task="transcribe"}'
MOST_BATCHES = 3  # the one at work, the next one, and one that ends while the metrics are read
OBJECTS = {"model_name": "slow-0.pt", "frame_interval": 10}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    encode_sound(folder / "talk.mp4", speech(TALK_S, 4))
    make_small(folder / "clip.mp4", seconds=8, width=320, height=180, fps=10, audio=False)
    return folder


@pytest.fixture(scope="module")
def environ(media: Path, weights_dir: Path) -> dict[str, str]:
    return {
        "MODEL_CACHE_DIR": str(weights_dir),
        "MEDIA_ROOTS": str(media),
        "WHISPER_MODEL": "tiny.pt",
    }


@pytest.fixture(scope="module")
def server(environ: dict[str, str]) -> Iterator[Server]:
    with running("fake_server", **environ) as server:
        yield server


@pytest.mark.parametrize("vad_filter", [True, False])
def test_a_short_request_is_answered_between_the_batches_of_a_long_one(
    server: Server, media: Path, vad_filter: bool
) -> None:
    server.infer("objects", media / "clip.mp4", **OBJECTS)  # its frames are in the pool now
    body = {"video_path": str(media / "talk.mp4"), "language": "en", "vad_filter": vad_filter}
    events: list[dict[str, Any]] = []
    with server.client.stream(
        "POST", "/infer/transcribe", json=body, headers={"Accept": "application/x-ndjson"}
    ) as response:
        lines = response.iter_lines()
        while not events or events[-1]["event"] != "progress":
            events.append(json.loads(next(lines)))
        before = server.metric(BATCHES)
        short = server.infer("objects", media / "clip.mp4", **OBJECTS)
        passed = server.metric(BATCHES) - before
        running_still = server.metric("eioku_requests_in_progress")
        events += [json.loads(line) for line in lines]
    assert len(short.json()["detections"]) == 8
    assert passed <= MOST_BATCHES
    assert running_still == 1
    assert events[-1]["event"] == "done"
    assert sum(event["event"] == "progress" for event in events) > 2 * MOST_BATCHES
    partial = [item for event in events if event["event"] == "partial" for item in event["items"]]
    (result,) = (event["response"] for event in events if event["event"] == "result")
    assert partial == result["segments"]
    assert len(partial) > 20


def test_two_workers_give_the_bytes_of_one(
    server: Server, environ: dict[str, str], media: Path
) -> None:
    talk = media / "talk.mp4"
    one = server.infer("transcribe", talk, word_timestamps=True).json()
    with running(DEVICES="cpu,cpu", PRELOAD="transcribe", **environ) as sharded:
        two = sharded.infer("transcribe", talk, word_timestamps=True).json()
    assert len(one["segments"]) > 20
    assert json.dumps(one["segments"]) == json.dumps(two["segments"])
    assert one["language"] == two["language"]
