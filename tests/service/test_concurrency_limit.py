"""GPU_CONCURRENCY: how many batches are queued or running on each device."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager, closing
from pathlib import Path

from gates import Gate
from running import Server, running

from bench.clips.generate import make_small

LIMIT, WORKERS, REQUESTS = 3, 2, 3
# A request has one batch more in flight than the workers can hold: the clip has as many.
CHUNKS = LIMIT * WORKERS + 1
FRAMES = 8 * CHUNKS
DEADLINE_S = 30


def held_server(folder: Path) -> AbstractContextManager[Server]:
    return running(
        "held_server",
        MODEL_CACHE_DIR=str(folder),
        MEDIA_ROOTS=str(folder),
        EIOKU_TEST_FOLDER=str(folder),
        DEVICES="cpu,cpu",
        GPU_CONCURRENCY=str(LIMIT),
    )


def depths(server: Server) -> list[int]:
    """The number of batches queued or running on each device."""
    workers = server.client.get("/health").json()["workers"]
    return [worker["queue_depth"] for worker in workers if worker["name"] != "cpu-worker"]


def until_all_wanted(server: Server) -> None:
    """Until every request has all its frames, and so has its batches in flight."""
    deadline = time.monotonic() + DEADLINE_S
    while (
        server.metric("eioku_frame_pool_hits_total")
        + server.metric("eioku_frame_pool_misses_total")
        < REQUESTS * FRAMES
        or sum(depths(server)) < LIMIT * WORKERS
    ):
        assert time.monotonic() < deadline


def test_no_device_has_more_batches_than_the_limit(tmp_path: Path) -> None:
    """Every batch waits at a gate; the devices are full until fewer than they hold are left."""
    clip = tmp_path / "clip.mp4"
    make_small(clip, seconds=FRAMES / 10, fps=10, audio=False)
    with closing(Gate(tmp_path / "hold")) as gate, held_server(tmp_path) as server:
        answers: list[int] = []
        fields = {"model_name": "hold.pt", "frame_interval": 1}

        def ask() -> None:
            answers.append(len(server.infer("objects", clip, **fields).json()["detections"]))

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(REQUESTS)]
        for thread in threads:
            thread.start()
        until_all_wanted(server)
        assert depths(server) == [LIMIT] * WORKERS
        for done in range(REQUESTS * CHUNKS):
            left = REQUESTS * CHUNKS - done
            wait_for_depth(server, min(left, LIMIT * WORKERS), done)
            gate.let_pass()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert answers == [FRAMES] * REQUESTS


def wait_for_depth(server: Server, expected: int, done: int) -> None:
    """Until so many batches were done and the devices are full again; never over the limit."""
    deadline = time.monotonic() + DEADLINE_S
    while (
        server.metric("eioku_inference_batch_size_count") < done or sum(depths(server)) < expected
    ):
        assert max(depths(server)) <= LIMIT
        assert time.monotonic() < deadline
    assert max(depths(server)) <= LIMIT
