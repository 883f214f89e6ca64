"""The service's own overhead: frames on their way to a task, and a cached request.

The task is a simulated device that takes no time. The reference is the bare decoder, which writes
every frame into one buffer.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import av
import httpx
import numpy as np
from rich.progress import Progress, TaskID

from bench.clips import generate
from bench.clips.distinct_copy import distinct_copy
from bench.reporting.goals import Goal
from bench.reporting.tables import Table
from bench.service_process import service

POOL_MB = "600"
CACHED = {"the first frame": {"end_ms": 1}, "every 30th frame": {}}
CACHED_GOALS = {
    "the first frame": Goal(1.5, at_most=True, unit=" ms"),
    "every 30th frame": Goal(3, at_most=True, unit=" ms"),
}
DECODING_GOAL = Goal(0.9, 0.97)
NO_TIME = "wait-0.pt"
QUICK, WHOLE = (3, 300), (7, 2000)  # decode pairs; cached requests


class Cached(NamedTuple):
    """The number of frames per request, and each request's latency."""

    frames: int
    latencies_ms: list[float]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def run(arguments: argparse.Namespace) -> list[Table]:
    """Measure both; write overhead.json. Raises ServiceFailed, httpx.HTTPError."""
    output: Path = arguments.output.resolve()
    clip = generate.bench_clip(output / "clips", arguments.quick)
    pairs, requests = QUICK if arguments.quick else WHOLE
    environ = {"DEVICES": "cpu", "FRAME_POOL_MB": POOL_MB, "MEDIA_ROOTS": str(clip.parent)}
    with (
        Progress() as progress,
        service(
            output / "overhead-service.log", "bench.overhead.simulated_devices", **environ
        ) as client,
    ):
        bar = progress.add_task("overhead", total=pairs + len(CACHED))
        decoding = _decoding(client, clip, pairs, progress, bar)
        cached = {}
        for name, fields in CACHED.items():
            frames = _ask(client, clip, fields)
            cached[name] = Cached(frames, _latencies_ms(client, clip, fields, requests))
            progress.advance(bar)
    (output / "overhead.json").write_text(json.dumps({"decoding": decoding, "cached": cached}))
    return [_decoding_table(decoding), _cached_table(cached)]


def _decoding(
    client: httpx.Client, clip: Path, pairs: int, progress: Progress, bar: TaskID
) -> list[tuple[float, float]]:
    """Seconds of the bare decoder and of the service for every frame of the clip, in turn."""
    measured = []
    for number in range(pairs + 1):
        copy = distinct_copy(clip, clip.with_name("overhead-copy.mp4"), number)
        started = time.perf_counter()
        frames = _decode(copy)
        bare_s = time.perf_counter() - started
        started = time.perf_counter()
        answered = _ask(client, copy, {"frame_interval": 1})
        measured.append((bare_s, time.perf_counter() - started))
        assert answered == frames
        progress.advance(bar)
    copy.unlink()
    return measured[1:]  # the first is the warm-up


def _decode(path: Path) -> int:
    """Convert every frame to RGB in one buffer, as fast as PyAV can."""
    frames = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = len(os.sched_getaffinity(0))
        out = np.empty((stream.height, stream.width, 3), np.uint8)
        for frame in container.decode(stream):
            out[:] = frame.to_ndarray(format="rgb24")
            frames += 1
    return frames


def _latencies_ms(
    client: httpx.Client, clip: Path, fields: dict[str, int], requests: int
) -> list[float]:
    """Latencies of `requests` equal sequential requests whose frames are in the pool."""
    for _ in range(20):
        _ask(client, clip, fields)
    latencies = []
    for _ in range(requests):
        started = time.perf_counter()
        _ask(client, clip, fields)
        latencies.append((time.perf_counter() - started) * 1000)
    return latencies


def _ask(client: httpx.Client, clip: Path, fields: dict[str, int]) -> int:
    body = {"video_path": str(clip), "model_name": NO_TIME, **fields}
    response = client.post("/infer/objects", json=body)
    response.raise_for_status()
    return len(response.json()["detections"])


def _decoding_table(measured: list[tuple[float, float]]) -> Table:
    bare_s, service_s = (statistics.median(times) for times in zip(*measured, strict=True))
    ratios = [bare / through for bare, through in measured]
    ratio = statistics.median(ratios)
    return Table(
        "overhead-decoding",
        "Every frame of the clip: decoder, pool and queues to a no-op task",
        ("bare decoder", "service", "ratio (min–max)", "limit / aim", "result"),
        [
            (
                f"{bare_s:.2f} s",
                f"{service_s:.2f} s",
                f"{ratio:.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
                DECODING_GOAL.words,
                DECODING_GOAL.verdict(ratio),
            )
        ],
        f"Medians of {len(measured)} pairs, in turn.",
    )


def _cached_table(cached: dict[str, Cached]) -> Table:
    rows = []
    for name, (frames, latencies_ms) in cached.items():
        p50, p99 = np.percentile(latencies_ms, [50, 99])
        goal = CACHED_GOALS[name]
        rows.append(
            (name, str(frames), f"{p50:.2f} ms", f"{p99:.2f} ms", goal.words, goal.verdict(p50))
        )
    return Table(
        "overhead-cached",
        "A cached request to a no-op task, measured at the client",
        ("wanted", "frames", "p50", "p99", "limit of p50", "result"),
        rows,
    )
