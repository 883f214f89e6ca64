"""The service with simulated devices, and the measurements that use it."""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from pathlib import Path

import av
import pytest

from bench.clips import generate
from bench.load.timeline import read_spans
from bench.overhead import command, scaling
from bench.service_process import service

BATCH_FRAMES = 8  # of an objects request


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
    with av.open(str(clip)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    last_pixels = [round(float(frames[index][-1, -1].mean()) / 255, 4) for index in (0, 30, 60)]
    assert len(set(last_pixels)) > 1
    assert [one["confidence"] for one in answer["detections"]] == last_pixels


def test_devices_share_the_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "CLIP_SECONDS", 1)
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")  # each batch is logged
    arguments = argparse.Namespace(output=folder, quick=True, devices=[2])
    (table,) = scaling.run(arguments)
    ((devices, *_),) = table.rows
    (point,) = json.loads((folder / "scaling.json").read_text())
    assert (devices, point["devices"]) == ("2", 2)
    worth = 2 * scaling.Point(point["devices"], point["frames_per_s"]).efficiency
    assert f"2 devices do the work of {worth:.1f}" in (folder / "scaling.html").read_text()
    spans = read_spans(folder / "scaling-service.log", 0.0, math.inf)
    batches = Counter(span.process for span in spans if span.activity == "objects")
    assert set(batches) == {"worker-0", "worker-1"}
    requests = 2 * scaling.REQUESTS_PER_DEVICE * 2 + 1  # two rounds, and one to warm up
    assert sum(batches.values()) == requests * math.ceil(30 / BATCH_FRAMES)


def test_the_work_of_devices_is_counted_in_devices() -> None:
    point = scaling.Point(devices=4, frames_per_s=600.0)
    assert point.efficiency == pytest.approx(600 * scaling.FRAME_MS / 1000 / 4)
    (table,) = [scaling._table([point])]
    assert table.rows == [("4", "600", "3.00", "3.5 / 3.9", "MISSED")]


def test_the_overhead_is_of_the_same_frames(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "QUICK", (1, 3))
    short = folder / "clips" / "bench-20s.mp4"
    short.parent.mkdir(exist_ok=True)
    generate.make_small(short, 1)
    frames: list[int] = []
    decode = command._decode
    monkeypatch.setattr(command, "_decode", lambda path: frames.append(decode(path)) or frames[-1])
    _, cached = command.run(argparse.Namespace(output=folder, quick=True))
    assert frames == [30, 30]  # the warm-up's and the pair's; the service's are held to them
    recorded = json.loads((folder / "overhead.json").read_text())
    assert len(recorded["decoding"]) == 1
    assert [len(latencies) for _, latencies in recorded["cached"].values()] == [3, 3]
    assert [row[:2] for row in cached.rows] == [(name, "1") for name in command.CACHED]


def test_overhead_is_the_median_of_the_pairs() -> None:
    table = command._decoding_table([(1.0, 2.0), (3.0, 4.0), (2.0, 2.0)])
    assert table.rows == [("2.00 s", "2.00 s", "0.75 (0.50–1.00)", "0.9 / 0.97", "MISSED")]
    table = command._cached_table({"the first frame": command.Cached(7, [1.0, 3.0, 2.0])})
    assert table.rows[0][:3] == ("the first frame", "7", "2.00 ms")
