"""`/readyz` and the status of `/health`, in every state that the processes can be in."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from gates import Gate
from running import Server

from bench.clips.generate import make_small

DEADLINE_S = 30
CHILDREN = ("worker-0", "worker-1", "cpu-worker", "decoder-0", "decoder-1")
WORKERS = CHILDREN[:3]


class Gated:
    """A server of which each child waits at its start until it is let pass."""

    def __init__(self, folder: Path, weights: Path) -> None:
        self.weights = weights
        self.gates = {child: Gate(folder / f"{child}-start") for child in CHILDREN}
        self.server = Server(
            "held_server",
            {
                "MODEL_CACHE_DIR": str(weights),
                "MEDIA_ROOTS": str(folder),
                "EIOKU_TEST_FOLDER": str(folder),
                "WHISPER_MODEL": "tiny",
                "DEVICES": "cpu,cpu",
                "DECODE_PROCESSES": "2",
                "FRAME_POOL_MB": "64",
            },
        )

    def start(self, *children: str) -> None:
        """Let children become ready."""
        for child in children:
            self.gates[child].let_pass()
            self.server.wait_for("child ready", child=child)

    def said_ready(self, child: str) -> bool:
        """Whether its present process is ready; what the log said since it was last killed."""
        events = [e["event"] for e in self.server.log if e.get("child") == child]
        return events[-1:] == ["child ready"]

    def kill(self, *children: str) -> None:
        """Kill children; they stay down until they are let pass again."""
        for child in children:
            os.kill(self.server.pid_of(child), signal.SIGKILL)
            self.server.wait_for("child died", child=child)

    def ready(self) -> int:
        """The status of /readyz."""
        return self.server.client.get("/readyz").status_code

    def status(self) -> str:
        """The status in /health, which is answered with 200 whatever it is."""
        response = self.server.client.get("/health")
        assert response.status_code == 200
        status: str = response.json()["status"]
        return status

    def models(self) -> dict[str, str]:
        """The states of the models in /health."""
        models: dict[str, str] = self.server.client.get("/health").json()["models"]
        return models

    def close(self) -> None:
        """Stop the server."""
        self.server.close()
        for gate in self.gates.values():
            gate.close()


@pytest.fixture(scope="module")
def gated(weights_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    folder = tmp_path_factory.mktemp("gates")
    weights = folder / "weights"
    weights.mkdir()
    for file in weights_dir.iterdir():
        (weights / file.name).symlink_to(file)
    gated = Gated(folder, weights)
    try:
        until(lambda: answers(gated.server))
        yield gated
    finally:
        gated.close()


def until(condition: Callable[[], bool]) -> None:
    """Ask until it is so; at most DEADLINE_S."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline


def answers(server: Server) -> bool:
    """Whether the front answers, which it does before its children are ready."""
    assert server.process.poll() is None, server.log
    try:
        return server.client.get("/livez").status_code == 200
    except httpx.ConnectError:
        return False


def test_the_states_of_a_start(gated: Gated) -> None:
    assert (gated.ready(), gated.status()) == (503, "unhealthy")
    gated.start("cpu-worker")
    assert (gated.ready(), gated.status()) == (503, "unhealthy")  # no decoder
    gated.start("decoder-0")
    assert (gated.ready(), gated.status()) == (503, "degraded")  # no worker for most tasks
    gated.start("worker-0")
    assert (gated.ready(), gated.status()) == (503, "degraded")
    gated.start("worker-1")
    assert (gated.ready(), gated.status()) == (200, "degraded")  # decoder-1 is missing
    gated.start("decoder-1")
    assert gated.ready() == 200
    until(lambda: gated.status() == "healthy")  # once the workers have reported the models


def set_up(gated: Gated) -> None:
    """All children ready, however the test before has ended."""
    gated.start(*(child for child in CHILDREN if not gated.said_ready(child)))
    until(lambda: (gated.ready(), gated.status()) == (200, "healthy"))


@pytest.mark.parametrize(
    ("down", "ready", "status"),
    [
        (("worker-1",), 200, "degraded"),  # worker-0 has the same tasks
        (("cpu-worker",), 503, "degraded"),
        (("decoder-0",), 200, "degraded"),
        (("worker-0", "worker-1"), 503, "degraded"),
        (WORKERS, 503, "unhealthy"),
        (("decoder-0", "decoder-1"), 503, "unhealthy"),
    ],
)
def test_children_that_are_down(
    down: tuple[str, ...], ready: int, status: str, gated: Gated
) -> None:
    set_up(gated)
    gated.kill(*down)
    assert (gated.ready(), gated.status()) == (ready, status)
    workers = gated.server.client.get("/health").json()["workers"]
    assert {w["name"] for w in workers if w["state"] != "ready"} == set(down) & set(WORKERS)
    assert gated.server.client.get("/livez").status_code == 200
    gated.start(*down)
    assert (gated.ready(), gated.status() == "unhealthy") == (200, False)
    pids = {w["name"]: w["pid"] for w in gated.server.client.get("/health").json()["workers"]}
    assert pids == {name: gated.server.pid_of(name) for name in WORKERS}


def test_weights_that_are_missing(gated: Gated) -> None:
    set_up(gated)
    link = gated.weights / "yolov8n.pt"
    file = link.readlink()
    link.unlink()
    until(lambda: gated.status() == "degraded")
    assert gated.models()["yolov8n.pt"] == "missing"
    assert gated.ready() == 200  # other tasks can be asked
    link.symlink_to(file)
    until(lambda: gated.status() == "healthy")


def test_weights_that_are_damaged(gated: Gated) -> None:
    """One of two workers has tried to load them, and says so."""
    name = "resnet18_places365.pth.tar"
    set_up(gated)
    link = gated.weights / name
    file = link.readlink()
    link.unlink()
    link.write_bytes(b"no checkpoint")
    clip = gated.weights.parent / "clip.mp4"
    make_small(clip, seconds=1, fps=10, audio=False)
    assert gated.server.infer("places", clip).json()["code"] == "model_unavailable"
    until(lambda: gated.models()[name].startswith(f"failed: {name} is no Places365 ResNet-18"))
    assert gated.models()["IO_places365.txt"] == "ready"
    assert (gated.ready(), gated.status()) == (200, "degraded")
    link.unlink()
    link.symlink_to(file)
    until(lambda: gated.status() == "healthy")
