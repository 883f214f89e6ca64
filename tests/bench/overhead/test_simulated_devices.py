"""The service with simulated devices, and the measurements that use it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from bench.clips import generate
from bench.overhead import command, scaling
from bench.service_process import service


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


def test_a_simulated_device_sees_the_real_frames(folder: Path) -> None:
    clip = folder / "clip.mp4"
    generate.make_small(clip, 3)
    with service(
        folder / "log",
        "bench.overhead.simulated_devices",
        MEDIA_ROOTS=str(folder),
        FRAME_POOL_MB="64",
    ) as client:
        body = {"video_path": str(clip), "model_name": "wait-1.pt", "frame_interval": 30}
        answer = client.post("/infer/objects", json=body).json()
    assert [one["frame_index"] for one in answer["detections"]] == [0, 30, 60]
    assert len({one["confidence"] for one in answer["detections"]}) > 1
    assert answer["timings_ms"]["inference"] >= 3


def test_devices_share_the_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "CLIP_SECONDS", 1)
    arguments = argparse.Namespace(output=folder, quick=True, devices=[2])
    (table,) = scaling.run(arguments)
    ((devices, _, worth),) = table.rows
    (point,) = json.loads((folder / "scaling.json").read_text())
    assert devices == "2"
    assert 0 < float(worth) <= 2
    assert "2 devices do the work of" in (folder / "scaling.html").read_text()
    assert float(worth) == pytest.approx(point["frames_per_s"] * scaling.FRAME_MS / 1000, abs=0.01)


def test_the_overhead_is_of_the_same_frames(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "QUICK", (1, 3))
    short = folder / "clips" / "bench-20s.mp4"
    short.parent.mkdir(exist_ok=True)
    generate.make_small(short, 1)
    decoding, cached = command.run(argparse.Namespace(output=folder, quick=True))
    ((bare_s, through_s),) = json.loads((folder / "overhead.json").read_text())["decoding"]
    assert decoding.rows[0][:2] == (f"{bare_s:.2f} s", f"{through_s:.2f} s")
    assert decoding.rows[0][2] == f"{bare_s / through_s:.2f}"
    assert [row[:2] for row in cached.rows] == [(name, "1") for name in command.CACHED]
