"""The models of a running service: evicted, not loadable, released, and loaded once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from running import Server, running

from bench.clips.generate import make_small

FRAMES = 80
RESTARTS = "eioku_worker_restarts_total"


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_small(folder / "clip.mp4", seconds=FRAMES / 10, fps=10, audio=False)
    return folder


@contextmanager
def serving(media: Path, models: Path, **environ: str) -> Iterator[Server]:
    """A server whose models are in a folder of the test's own."""
    folders = {"MODEL_CACHE_DIR": str(models), "EIOKU_TEST_FOLDER": str(models)}
    with running("model_faults", MEDIA_ROOTS=str(media), **folders, **environ) as server:
        yield server


def health(server: Server) -> dict[str, Any]:
    body: dict[str, Any] = server.client.get("/health").json()
    return body


def resident(server: Server) -> list[str]:
    """The models of the only worker on a device."""
    models: list[str] = health(server)["workers"][0]["models"]
    return [key.removeprefix("objects/") for key in models]


def logged(server: Server, name: str) -> list[dict[str, Any]]:
    return [event for event in server.log if event["event"] == name]


def test_evicted_models_are_loaded_again(media: Path, tmp_path: Path) -> None:
    order = ["large-30-a.pt", "large-30-b.pt", "large-5-c.pt", "large-30-a.pt"]
    with serving(media, tmp_path, MODEL_MEMORY_MB="40") as server:
        seen = []
        for model in order:
            assert server.infer("objects", media / "clip.mp4", model_name=model).status_code == 200
            seen.append(resident(server))
    assert seen == [
        ["large-30-a.pt"],
        ["large-30-b.pt"],
        ["large-30-b.pt", "large-5-c.pt"],
        ["large-30-a.pt", "large-5-c.pt"],
    ]
    assert (tmp_path / "loads").read_text().split() == order


def test_first_requests_at_the_same_time_load_once(media: Path, tmp_path: Path) -> None:
    with serving(media, tmp_path) as server, ThreadPoolExecutor(8) as pool:
        model = {"model_name": "slow-1.pt"}
        replies = pool.map(lambda _: server.infer("objects", media / "clip.mp4", **model), range(8))
        assert [reply.status_code for reply in replies] == [200] * 8
    assert (tmp_path / "loads").read_text().split() == ["slow-1.pt"]


def test_a_model_without_memory_is_unavailable(media: Path, tmp_path: Path) -> None:
    clip = media / "clip.mp4"
    (tmp_path / "huge.pt.full").touch()
    with serving(media, tmp_path) as server:
        server.infer("objects", clip, model_name="slow-0.pt")
        refused = server.infer("objects", clip, model_name="huge.pt")
        assert (refused.status_code, refused.json()["code"]) == (503, "model_unavailable")
        assert "not enough main memory" in refused.json()["detail"]
        assert resident(server) == []
        assert server.infer("objects", clip, model_name="slow-0.pt").status_code == 200
        assert server.metric(RESTARTS) == 0
    assert (tmp_path / "loads").read_text().split() == ["slow-0.pt", *["huge.pt"] * 2, "slow-0.pt"]


@pytest.mark.parametrize("when", ["fails", "fails-at-work"])
def test_a_failed_device_costs_the_worker_alone(when: str, media: Path, tmp_path: Path) -> None:
    (tmp_path / f"slow-0.pt.{when}").touch()
    with serving(media, tmp_path) as server:
        reply = server.infer("objects", media / "clip.mp4", model_name="slow-0.pt")
        assert reply.status_code == 200, reply.text
        assert server.metric(RESTARTS) == 1
        assert len(logged(server, "the device failed: this worker is replaced")) == 1


def test_what_cannot_be_preloaded_is_reported(media: Path, tmp_path: Path) -> None:
    clip, mark = media / "clip.mp4", tmp_path / "yolov8n.pt.full"
    (tmp_path / "yolov8n.pt").write_bytes(b"of any kind")
    mark.touch()
    with serving(media, tmp_path, PRELOAD="objects,scenes") as server:
        server.wait_until(
            lambda: "not enough main memory" in health(server)["models"]["yolov8n.pt"],
            "the failure",
        )
        assert health(server)["status"] == "degraded"
        assert server.infer("scenes", clip).status_code == 200
        assert server.metric(RESTARTS) == 0
        mark.unlink()
        assert server.infer("objects", clip).status_code == 200
        server.wait_until(lambda: health(server)["models"]["yolov8n.pt"] == "ready", "ready")


def test_idle_models_are_released(media: Path, tmp_path: Path) -> None:
    with serving(media, tmp_path, MODEL_IDLE_S="0.5") as server:
        for _ in range(2):
            reply = server.infer("objects", media / "clip.mp4", model_name="large-200-a.pt")
            assert reply.status_code == 200
            server.wait_until(lambda: resident(server) == [], "no resident models")
            event = server.wait_for("memory of idle models returned")
            assert event["rss_before_mb"] - event["rss_after_mb"] > 150
        assert server.metric(RESTARTS) == 0


def test_a_large_worker_is_recycled_between_batches(media: Path, tmp_path: Path) -> None:
    """More often than the number of workers that a batch may end."""
    clip, model = media / "clip.mp4", {"model_name": "large-300-a.pt", "frame_interval": 2}
    with serving(media, tmp_path) as server:
        calm = server.infer("objects", clip, **model).json()["detections"]
    assert len(calm) == FRAMES / 2
    with serving(media, tmp_path, WORKER_MAX_RSS_MB="250") as server:
        assert server.infer("objects", clip, **model).json()["detections"] == calm
        recycled = logged(server, "child recycled")
        assert len(recycled) > 2
        assert "WORKER_MAX_RSS_MB=250" in recycled[0]["reason"]
        assert not logged(server, "child died")
        assert health(server)["frame_pool"]["leased"] == 0
        server.wait_until(
            lambda: server.metric(RESTARTS) == health(server)["workers"][0]["restarts"] > 2,
            "recycled workers are counted",
        )
