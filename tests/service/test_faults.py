"""Processes that die, freeze or run out of memory: what the client sees, and what is left."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from payload import payload
from processes import arenas, semaphores
from running import ROOT, Server, running

from bench.clips.generate import make_small
from ipc.arena import SHM
from server.app import STARTUP_FAILURE
from server.settings import MB


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_small(folder / "clip.mp4", seconds=8, width=320, height=180, fps=10, audio=False)
    return folder


@contextmanager
def fake_server(media: Path) -> Iterator[Server]:
    with running(
        "fake_server",
        MODEL_CACHE_DIR=str(media),
        MEDIA_ROOTS=str(media),
        EIOKU_TEST_FOLDER=str(media),
        DECODE_PROCESSES="1",
    ) as server:
        yield server


@pytest.fixture(scope="module")
def server(media: Path) -> Iterator[Server]:
    with fake_server(media) as server:
        yield server


def test_a_task_whose_worker_dies_is_tried_again(server: Server, media: Path) -> None:
    clip = media / "clip.mp4"
    restarts = server.metric("eioku_worker_restarts_total")
    calm = server.infer("objects", clip, model_name="slow-1.pt", frame_interval=2)
    killed = server.infer("objects", clip, model_name="die-once.pt", frame_interval=2)
    assert killed.status_code == 200
    assert killed.json()["detections"] == calm.json()["detections"]
    assert len(calm.json()["detections"]) == 40
    assert server.metric("eioku_worker_restarts_total") == restarts + 1
    assert server.client.get("/health").json()["frame_pool"]["leased"] == 0


def test_a_frozen_worker_is_replaced(server: Server, media: Path) -> None:
    response = server.infer("objects", media / "clip.mp4", model_name="stop-once.pt")
    assert response.status_code == 200
    died = [event for event in server.log if event["event"] == "child died"]
    assert any("no sign of life" in event["reason"] for event in died)


def test_a_task_that_kills_two_workers_is_refused_by_name(server: Server, media: Path) -> None:
    response = server.infer("objects", media / "clip.mp4", model_name="die.pt")
    assert response.status_code == 503
    assert response.json()["code"] == "no_worker_ready"
    assert "objects task on frames 0 to 60" in response.json()["detail"]
    assert server.infer("objects", media / "clip.mp4", model_name="slow-1.pt").status_code == 200


def test_a_request_whose_decoder_is_killed_is_tried_again(server: Server, media: Path) -> None:
    """The decoder is frozen, so that it is surely holding the request when it is killed."""
    calm = server.infer("scenes", media / "clip.mp4").json()
    pid = server.pid_of("decoder-0")
    answers: list[httpx.Response] = []
    os.kill(pid, signal.SIGSTOP)
    asked = threading.Thread(
        target=lambda: answers.append(server.infer("scenes", media / "clip.mp4"))
    )
    asked.start()
    while server.metric("eioku_requests_in_progress") == 0:
        assert asked.is_alive()
    os.kill(pid, signal.SIGKILL)
    asked.join(60)
    assert answers[0].status_code == 200, answers[0].text
    assert payload(answers[0].json()) == payload(calm)
    assert server.metric("eioku_decoder_restarts_total") == 1


def test_a_batch_that_does_not_fit_is_halved(server: Server, media: Path) -> None:
    clip = media / "clip.mp4"
    restarts = server.metric("eioku_worker_restarts_total")
    whole = server.infer("objects", clip, model_name="slow-1.pt", frame_interval=2)
    halved = server.infer("objects", clip, model_name="oom-1.pt", frame_interval=2)
    assert payload(halved.json())["detections"] == payload(whole.json())["detections"]
    assert server.metric("eioku_worker_restarts_total") == restarts
    assert any(event["event"] == "out of device memory" for event in server.log)


def test_a_frame_that_never_fits_costs_the_worker_not_the_service(
    server: Server, media: Path
) -> None:
    response = server.infer("objects", media / "clip.mp4", model_name="oom-0.pt")
    assert response.json()["code"] == "no_worker_ready"
    assert server.infer("objects", media / "clip.mp4", model_name="slow-1.pt").status_code == 200


def test_sigterm_finishes_what_is_in_flight_and_leaves_nothing(media: Path) -> None:
    with fake_server(media) as server:
        left = [*arenas(server), *semaphores(server)]
        assert len(left) > len(arenas(server)) == 1
        answers: list[httpx.Response] = []
        asked = threading.Thread(
            target=lambda: answers.append(
                server.infer("objects", media / "clip.mp4", model_name="slow-300.pt")
            )
        )
        asked.start()
        while server.client.get("/health").json()["workers"][0]["queue_depth"] == 0:
            assert asked.is_alive()
        assert server.stop() == 0
        asked.join(60)
        assert answers[0].status_code == 200
        assert not any(path.exists() for path in left)


def test_what_a_killed_front_leaves_is_swept_by_the_next(media: Path) -> None:
    with fake_server(media) as server:
        children = [server.pid_of(name) for name in ("decoder-0", "worker-0", "cpu-worker")]
        watching = [os.pidfd_open(pid) for pid in children]
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    for descriptor in watching:
        assert select.select([descriptor], [], [], 30)[0], "a child outlives its front"
        os.close(descriptor)
    with fake_server(media) as following:
        assert not list(SHM.glob(f"eioku-{server.process.pid}-*"))
        assert following.infer("scenes", media / "clip.mp4").status_code == 200


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"GPU_CONCURRENCY": "many"}, ["GPU_CONCURRENCY", "many", "whole number"]),
        ({"FRAME_POOL_MB": "16000000"}, ["FRAME_POOL_MB", "--shm-size", "16000002 MB"]),
        ({"REQUIRE_GPU": "true", "DEVICES": "cpu"}, ["REQUIRE_GPU", "no CUDA device"]),
    ],
)
def test_a_start_that_cannot_work_says_why_in_one_line(
    environ: dict[str, str], words: list[str]
) -> None:
    started = subprocess.run(
        [sys.executable, "-m", "server"],
        env={**os.environ, **environ},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert started.returncode == 1
    assert len(started.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in started.stderr


def test_a_full_shm_ends_the_start_and_leaves_nothing() -> None:
    """It has filled since the settings were checked."""
    stat = os.statvfs(SHM)
    too_much = 2 * stat.f_blocks * stat.f_frsize // MB
    script = (
        "import msgspec, os, uvicorn; from server import app, settings;"
        "normal = settings.from_environ(os.environ, ());"
        f"too_much = msgspec.structs.replace(normal, frame_pool_mb={too_much});"
        "uvicorn.run(app.create_app(too_much), port=0)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    _, stderr = process.communicate(timeout=60)  # the children hold the pipe too
    assert process.returncode == STARTUP_FAILURE
    assert "No space left on device" in stderr
    assert not list(SHM.glob(f"eioku-{process.pid}-*"))


def test_a_second_uvicorn_worker_is_refused() -> None:
    command = ["uvicorn", "--factory", "server.app:create_app", "--workers", "2", "--port", "0"]
    started = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert "one front process" in started.stderr


def test_uvicorn_serves_the_same_app(media: Path) -> None:
    with running(
        "uvicorn --factory server.app:create_app --port {port}", MEDIA_ROOTS=str(media)
    ) as server:
        assert server.infer("scenes", media / "clip.mp4").status_code == 200
