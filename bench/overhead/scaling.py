"""The overhead of the front and the queues as devices are added: 1 to 8 simulated ones.

A simulated device takes a fixed time per frame. The frames are real and already in the pool; the
front, queues and workers are the real ones, so the loss is theirs.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
from rich.progress import Progress

from bench.clips import generate
from bench.reporting import page, plots
from bench.reporting.goals import Goal
from bench.reporting.tables import Table
from bench.service_process import service

FRAME_MS = 5
CLIP_SECONDS = 8
CLIP_FRAMES = CLIP_SECONDS * 30
REQUESTS_PER_DEVICE = 2  # concurrently
MUST, AIM = 7 / 8, 7.8 / 8


@dataclass(frozen=True)
class Point:
    """Frames per second of this many devices, measured and possible."""

    devices: int
    frames_per_s: float

    @property
    def efficiency(self) -> float:
        """The share of the time in which the devices worked."""
        return self.frames_per_s / (self.devices * 1000 / FRAME_MS)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `scaling`."""
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4, 8])


def run(arguments: argparse.Namespace) -> list[Table]:
    """Measure each number of devices; write scaling.json and scaling.html.

    Raises ServiceFailed, httpx.HTTPError.
    """
    output: Path = arguments.output.resolve()
    clip = output / "clips" / "scaling.mp4"
    clip.parent.mkdir(parents=True, exist_ok=True)
    if not clip.exists():
        generate.make_small(clip, CLIP_SECONDS)
    points = []
    with Progress() as progress:
        for devices in progress.track(arguments.devices, description="scaling"):
            rounds = 2 if arguments.quick else 6
            points.append(Point(devices, _frames_per_s(output, clip, devices, rounds)))
    (output / "scaling.json").write_text(json.dumps([asdict(point) for point in points]))
    table = _table(points)
    (output / "scaling.html").write_text(_page(points, table))
    return [table]


def _frames_per_s(output: Path, clip: Path, devices: int, rounds: int) -> float:
    """Send requests from enough threads that no device is ever idle for lack of one."""
    threads = devices * REQUESTS_PER_DEVICE
    environ = {"DEVICES": ",".join(["cpu"] * devices), "MEDIA_ROOTS": str(clip.parent)}
    log = output / "scaling-service.log"
    with (
        service(log, "bench.overhead.simulated_devices", **environ) as client,
        ThreadPoolExecutor(threads) as pool,
    ):
        _ask(client, clip)
        started = time.perf_counter()
        asked = [pool.submit(_ask, client, clip) for _ in range(threads * rounds)]
        frames = sum(answer.result() for answer in asked)
        return frames / (time.perf_counter() - started)


def _ask(client: httpx.Client, clip: Path) -> int:
    fields = {"model_name": f"wait-{FRAME_MS}.pt", "frame_interval": 1}
    response = client.post("/infer/objects", json={"video_path": str(clip), **fields})
    response.raise_for_status()
    return len(response.json()["detections"])


def _table(points: list[Point]) -> Table:
    rows = [
        (str(p.devices), f"{p.frames_per_s:.0f}", f"{p.efficiency * p.devices:.2f}", *_judged(p))
        for p in points
    ]
    return Table(
        "scaling",
        f"Simulated devices of {FRAME_MS} ms per frame, frames in the pool",
        ("devices", "frames/s", "effective devices", "limit / aim", "result"),
        rows,
        "Effective devices: how many were busy all the time.",
    )


def _judged(point: Point) -> tuple[str, str]:
    goal = Goal(MUST * point.devices, AIM * point.devices)
    return goal.words, goal.verdict(point.efficiency * point.devices)


def _page(points: list[Point], table: Table) -> str:
    most = points[-1]
    plot = page.Plot(
        f"{most.devices} devices do the work of {most.efficiency * most.devices:.1f}",
        plots.scaling([p.devices for p in points], [p.efficiency * p.devices for p in points]),
        "The gap to the dashed line is the cost of the front, the queues and the client.",
    )
    section = page.Section("Loss as devices are added", [], [table], [plot])
    return page.page("The Eioku ML service with more devices", table.title, [section])
