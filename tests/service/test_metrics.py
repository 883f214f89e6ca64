"""The metrics of the contract after traffic that is known: names, labels and values."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from event_streams import NDJSON
from gates import Gate
from prometheus_client.parser import text_string_to_metric_families
from running import Server, running

from bench.clips.generate import make_small
from ipc.arena import slot_bytes

LABELS = {
    "eioku_requests": {"task", "status"},
    "eioku_request_duration_seconds": {"task"},
    "eioku_queue_wait_seconds": {"task"},
    "eioku_inference_duration_seconds": {"task", "device"},
    "eioku_inference_batch_size": {"task"},
    "eioku_frames_decoded": set(),
    "eioku_frame_pool_hits": set(),
    "eioku_frame_pool_misses": set(),
    "eioku_frame_pool_bytes": {"state"},
    "eioku_worker_restarts": {"worker"},
    "eioku_decoder_restarts": set(),
    "eioku_requests_rejected": {"reason"},
    "eioku_requests_cancelled": set(),
}
FRAMES = 40
SAMPLED = {"model_name": "slow-0.pt", "frame_interval": 4}  # 10 frames: batches of 8 and 2
LARGE, SMALL = slot_bytes(320 * 180 * 3), slot_bytes(256 * 144 * 3)
POOL = 128 << 20

Key = tuple[str, frozenset[tuple[str, str]]]


class Metered:
    """A server, with its metrics as they are once every request so far has been counted."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.clip = folder / "clip.mp4"
        self.gate = Gate(folder / "hold")
        self._ids = count()

    def post(self, path: str, accept: str = "*/*", **body: Any) -> httpx.Response:
        """Ask about the clip, and wait until the request has been counted."""
        request_id = f"request-{next(self._ids)}"
        response = self.server.client.post(
            path,
            json={"video_path": str(self.clip), **body},
            headers={"X-Request-ID": request_id, "Accept": accept},
        )
        self.server.wait_for("request", request_id=request_id)
        return response

    def read(self) -> dict[Key, float]:
        """Every sample."""
        text = self.server.client.get("/metrics").text
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def since(self, before: dict[Key, float]) -> dict[str, float]:
        """What has grown, each written as in the text format, with its labels in order."""
        now = self.read()
        grown = {key: now[key] - before.get(key, 0.0) for key in now}
        return {
            name + "".join(f" {k}={v}" for k, v in sorted(labels)): growth
            for (name, labels), growth in grown.items()
            if growth and not name.endswith(("_seconds_sum", "_created", "_seconds_bucket"))
        }


@pytest.fixture(scope="module")
def metered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Metered]:
    folder = tmp_path_factory.mktemp("media")
    make_small(folder / "clip.mp4", seconds=FRAMES / 10, fps=10, audio=False)
    with running(
        "held_server",
        MODEL_CACHE_DIR=str(folder),
        MEDIA_ROOTS=str(folder),
        EIOKU_TEST_FOLDER=str(folder),
        DECODE_PROCESSES="1",
        FRAME_POOL_MB="128",
    ) as server:
        metered = Metered(server, folder)
        yield metered
        metered.gate.close()


def bytes_by_state(metered: Metered) -> dict[str, float]:
    """The frame pool's bytes."""
    samples = metered.read().items()
    return {
        dict(labels)["state"]: value
        for (name, labels), value in samples
        if name == "eioku_frame_pool_bytes"
    }


def objects(frames: int, batches: dict[int, int]) -> dict[str, float]:
    """What one request for objects adds: `batches` has how many there are of each size."""
    number = sum(batches.values())
    limits = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    sizes = {
        f"eioku_inference_batch_size_bucket le={limit:.1f} task=objects": sum(
            batches[size] for size in batches if size <= limit
        )
        for limit in limits
    }
    return {name: value for name, value in sizes.items() if value} | {
        "eioku_inference_batch_size_bucket le=+Inf task=objects": number,
        "eioku_inference_batch_size_count task=objects": number,
        "eioku_inference_batch_size_sum task=objects": frames,
        "eioku_queue_wait_seconds_count task=objects": number,
        "eioku_inference_duration_seconds_count device=cpu task=objects": number,
    }


def test_a_request_and_the_same_again(metered: Metered) -> None:
    """Decoded once, then found in the pool."""
    both = objects(10, {8: 1, 2: 1}) | {
        "eioku_requests_total status=200 task=objects": 1,
        "eioku_request_duration_seconds_count task=objects": 1,
    }
    pool = {"eioku_frame_pool_bytes state=cached": 10 * LARGE}
    pool |= {"eioku_frame_pool_bytes state=free": -10 * LARGE}
    before = metered.read()
    assert metered.post("/infer/objects", **SAMPLED).status_code == 200
    first = {"eioku_frames_decoded_total": 10, "eioku_frame_pool_misses_total": 10}
    assert metered.since(before) == both | pool | first
    before = metered.read()
    assert metered.post("/infer/objects", **SAMPLED).status_code == 200
    assert metered.since(before) == both | {"eioku_frame_pool_hits_total": 10}


def test_several_tasks_at_once(metered: Metered) -> None:
    """Scenes wants every frame, small, in one batch, and then sends one more message.

    Its batch spans three windows, which end at frames 28 and 36 (where a batch of objects does)
    and 39; in each it asks again for the frames that it had, which counts as hits.
    """
    before = metered.read()
    tasks = {"objects": SAMPLED, "scenes": {}}
    assert metered.post("/infer", tasks=tasks).json()["errors"] == {}
    grown = metered.since(before)
    assert grown["eioku_requests_total status=200 task=all"] == 1
    assert grown["eioku_request_duration_seconds_count task=all"] == 1
    assert grown["eioku_inference_batch_size_sum task=scenes"] == FRAMES
    assert grown["eioku_inference_batch_size_count task=scenes"] == 1
    assert grown["eioku_queue_wait_seconds_count task=scenes"] == 2
    assert grown["eioku_inference_duration_seconds_count device=cpu task=scenes"] == 2
    assert grown["eioku_inference_batch_size_sum task=objects"] == 10
    assert grown["eioku_frames_decoded_total"] == FRAMES
    assert grown["eioku_frame_pool_misses_total"] == FRAMES
    assert grown["eioku_frame_pool_hits_total"] == 10 + 29 + 37
    assert grown["eioku_frame_pool_bytes state=cached"] == FRAMES * SMALL


def test_refused_requests_by_reason(metered: Metered) -> None:
    """Streams too: one that fails before its first event, and one that fails later."""
    rubbish = metered.clip.with_name("rubbish.mp4")
    rubbish.write_bytes(b"this is no video" * 1000)
    before = metered.read()
    metered.post("/infer/objects", frame_interval=0)
    metered.post("/infer/places", top_k=0)
    metered.post("/infer/cats")
    metered.post("/infer/scenes", input_hash="0" * 16)
    metered.post("/infer/scenes", NDJSON, input_hash="0" * 16)
    metered.post("/infer/scenes", NDJSON, video_path=str(rubbish))
    metered.post("/infer", tasks={"scenes": {}}, video_path=str(rubbish))
    assert metered.since(before) == {
        "eioku_requests_rejected_total reason=invalid_request": 2,
        "eioku_requests_rejected_total reason=input_hash_mismatch": 2,
        "eioku_requests_rejected_total reason=not_found": 1,
        "eioku_requests_rejected_total reason=undecodable_video": 2,
        "eioku_requests_total status=422 task=objects": 1,
        "eioku_requests_total status=422 task=places": 1,
        "eioku_requests_total status=400 task=scenes": 2,
        "eioku_requests_total status=200 task=scenes": 1,
        "eioku_requests_total status=422 task=all": 1,
        "eioku_request_duration_seconds_count task=objects": 1,
        "eioku_request_duration_seconds_count task=places": 1,
        "eioku_request_duration_seconds_count task=scenes": 3,
        "eioku_request_duration_seconds_count task=all": 1,
    }


def test_a_client_that_hangs_up_and_the_bytes_that_its_batch_holds(metered: Metered) -> None:
    """The batch is at its gate: until it is let pass, its frames stay leased."""
    server, fields = metered.server, {"model_name": "hold.pt", "frame_interval": 8}
    metered.gate.let_pass()
    metered.post("/infer/objects", **fields)  # loads the model: what is sent next is a batch
    before = metered.read()
    body = {"video_path": str(metered.clip), **fields}
    client = httpx.Client(base_url=server.url, timeout=60)

    def ask() -> None:
        with suppress(httpx.HTTPError):
            client.post("/infer/objects", json=body, headers={"X-Request-ID": "hangs-up"})

    asked = threading.Thread(target=ask, daemon=True)
    asked.start()
    while server.client.get("/health").json()["workers"][0]["queue_depth"] == 0:
        assert asked.is_alive()
    during = bytes_by_state(metered)
    assert during["leased"] == 5 * LARGE
    assert sum(during.values()) == POOL
    assert server.metric("eioku_requests_in_progress") == 1
    hang_up(client)
    server.wait_for("request", request_id="hangs-up")
    assert server.metric("eioku_requests_in_progress") == 0
    assert bytes_by_state(metered) == during
    metered.gate.let_pass()
    while server.client.get("/health").json()["workers"][0]["queue_depth"]:
        assert server.process.poll() is None
    after = bytes_by_state(metered)
    assert (after["leased"], sum(after.values())) == (0, POOL)
    grown = metered.since(before)
    assert grown["eioku_requests_cancelled_total"] == 1
    assert grown["eioku_requests_total status=499 task=objects"] == 1
    assert "eioku_requests_rejected_total" not in "".join(grown)


def hang_up(client: httpx.Client) -> None:
    """Shut down the connections of a client that another thread waits in."""
    for connection in client._transport._pool.connections:  # type: ignore[attr-defined]
        stream = connection._connection._network_stream
        stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def test_children_that_are_replaced(metered: Metered) -> None:
    before = metered.read()
    for child in ("cpu-worker", "worker-0", "decoder-0"):
        os.kill(metered.server.pid_of(child), signal.SIGKILL)
        metered.server.wait_for("child died", child=child)
        metered.server.wait_for("child ready", child=child)
    assert metered.since(before) == {
        "eioku_worker_restarts_total worker=cpu-worker": 1,
        "eioku_worker_restarts_total worker=worker-0": 1,
        "eioku_decoder_restarts_total": 1,
    }


def test_names_and_labels(metered: Metered) -> None:
    """Of every metric of the contract there is a sample by now, with these labels and no other."""
    text = metered.server.client.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for name, labels in LABELS.items():
        found = {frozenset(sample.labels) - {"le"} for sample in families[name].samples}
        assert found == {frozenset(labels)}, name
        assert families[name].documentation
