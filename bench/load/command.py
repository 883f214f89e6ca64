"""Load generation over HTTP: throughput and latency in closed and open loops, and a report."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

import httpx
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.clips import generate
from bench.load import report
from bench.load.points import CLOSED, OPEN, Level, Point
from bench.load.scenarios import FILES, SCENARIOS, TASKS, Clip, Document, calls
from bench.load.sweeps import LoadFailed, Plan, Sweep, Sweeper
from bench.load.timeline import Span, read_spans
from bench.reporting import page
from bench.reporting.tables import Table
from bench.service_process import service

TIMELINE_S = 4.0
REQUEST_TIMEOUT_S = 600.0
LONGEST_WINDOW_S = 60.0
QUICK_BUDGET_S = 90.0  # for the points only, without making the clip and starting the service


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `load`."""
    add = parser.add_argument_group("load").add_argument
    add("--url", help="a running service (default: start one)")
    add("--clip", type=Path, help="an MP4 that the service may read (default: one is made)")
    add("--scenario", action="append", choices=SCENARIOS, help="(default: single and mixed)")
    add("--task", choices=TASKS, default="objects", help="the task of `single` (%(default)s)")
    add("--fields", type=json.loads, default={}, help="more fields for `single`, as JSON")
    add("--concurrency", type=int, nargs="+", help="closed loop: concurrent requests")
    add("--rates", type=float, nargs="+", help="open loop: shares of the best closed-loop rate")
    add("--window", type=float, help="length of a measurement window in seconds")
    add("--longest-window", type=float, help="open loop: at most this, for enough requests")
    add("--max-windows", type=int, help="after this many, a point is unstable")
    add("--seed", type=int, default=1, help="for arrivals and mixes (%(default)s)")


def run(arguments: argparse.Namespace) -> list[Table]:
    """Measure every point; write load.json and load.html.

    Raises LoadFailed, ServiceFailed, httpx.HTTPError.
    """
    output: Path = arguments.output.resolve()
    copies = output / "clips" / "copies"
    copies.mkdir(parents=True, exist_ok=True)
    path = arguments.clip.resolve() if arguments.clip else _clip(output / "clips", arguments.quick)
    log = output / "load-service.log"
    try:
        with _address(arguments.url, log, [output, path.parent], arguments.models) as url:
            sweeper, environment = asyncio.run(_measure(_plan(arguments), url, Clip(path, copies)))
    finally:
        shutil.rmtree(copies)
    points, left_out = sweeper.points, sweeper.left_out
    recorded = {"environment": environment, "points": [asdict(point) for point in points]}
    recorded["left_out"] = [asdict(level) for level in left_out]
    (output / "load.json").write_text(json.dumps(recorded, indent=1))
    words = {"single": arguments.task, **report.SCENARIO_WORDS}
    timelines = {} if arguments.url else _timelines(points, log)
    sections = report.sections(points, left_out, words, timelines, TIMELINE_S, environment)
    subtitle = f"{environment['date']}; {environment['machine']}; {environment['clip']}"
    html = page.page("The Eioku ML service under load", subtitle, sections, report.UNSTABLE)
    (output / "load.html").write_text(html)
    return report.tables(points, left_out, words)


def _clip(folder: Path, quick: bool) -> Path:
    """A clip of 4 s at 640 × 360, or the benchmark clip; made if missing."""
    if not quick:
        return generate.bench_clip(folder, quick)
    path = folder / "load-quick.mp4"
    if not path.exists():
        generate.make_bench(path, seconds=4, width=640, height=360)
    return path


@contextmanager
def _address(url: str | None, log: Path, media: Sequence[Path], models: Path) -> Iterator[str]:
    """The service to measure; without `url` a new one, with models for every task."""
    if url is not None:
        yield url
        return
    ensure = [sys.executable, "-m", "gpu_workers.weights", "ensure", str(models)]
    if subprocess.run(ensure, check=False, stdout=subprocess.DEVNULL).returncode:
        raise LoadFailed(f"Could not get the weights in {models}.")
    roots = ":".join(str(folder) for folder in media)
    with service(log, MODEL_CACHE_DIR=str(models), MEDIA_ROOTS=roots, LOG_LEVEL="DEBUG") as client:
        yield str(client.base_url)


def _plan(arguments: argparse.Namespace) -> Plan:
    """Fill in defaults.

    Quick measures the open loop, and the same file, only for the first scenario.
    """
    quick = arguments.quick
    sweeps = []
    for place, scenario in enumerate(arguments.scenario or SCENARIOS[:2]):
        kinds = calls(scenario, arguments.task, arguments.fields)
        for files in FILES:
            if quick and (place, files) != (0, "cached"):
                loops: tuple[str, ...] = (CLOSED,) if files == "fresh" else ()
            else:
                loops = (CLOSED, OPEN)
            sweeps.append(Sweep(scenario, files, loops, kinds))
    window_s = arguments.window or (2.0 if quick else 5.0)
    return Plan(
        [sweep for sweep in sweeps if sweep.loops],
        arguments.concurrency or ([1, 2, 4] if quick else [1, 2, 4, 8]),
        arguments.rates or ([0.5, 0.9] if quick else [0.3, 0.6, 0.9]),
        window_s,
        arguments.longest_window or (window_s if quick else LONGEST_WINDOW_S),
        arguments.max_windows or (6 if quick else 10),
        QUICK_BUDGET_S if quick else float("inf"),
        arguments.seed,
    )


async def _measure(plan: Plan, url: str, clip: Clip) -> tuple[Sweeper, dict[str, str]]:
    columns = (TextColumn("{task.description:56}"), BarColumn(), MofNCompleteColumn())
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=REQUEST_TIMEOUT_S, limits=limits) as client:
        with Progress(*columns, TimeElapsedColumn()) as progress:
            bar = progress.add_task("", total=plan.points)

            def show(doing: str, points: int) -> None:
                progress.update(bar, description=doing, completed=points)

            sweeper = Sweeper(client, clip, plan, show)
            await sweeper.run()
            show("done", plan.points)
        health = (await client.get("/health")).raise_for_status().json()
    return sweeper, _environment(health, sweeper.provenances, clip.path)


def _environment(health: Document, provenances: dict[str, Document], clip: Path) -> dict[str, str]:
    """The measured service and machine: one text per fact."""
    versions = {
        f"{package} {version}"
        for provenance in provenances.values()
        for package, version in provenance["versions"].items()
    }
    models = [
        f"{name}{' (a stand-in)' * p['stand_in']} on {p['device']} in {p['precision']}"
        for name, p in provenances.items()
    ]
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "GPU": health["gpu_device_name"] or "none",
        "workers": ", ".join(f"{each['name']} on {each['device']}" for each in health["workers"]),
        "frame pool": f"{health['frame_pool']['bytes'] >> 20} MB",
        "clip": f"{clip.name}, {clip.stat().st_size / 1e6:.1f} MB",
        "models": "; ".join(models),
        "versions": ", ".join(sorted(versions)),
        "client": f"Python {platform.python_version()}, httpx {httpx.__version__}",
    }


def _timelines(points: Sequence[Point], log: Path) -> dict[Level, list[Span]]:
    """The start of the highest closed-loop level of each scenario and kind of file."""
    highest = {
        (point.level.scenario, point.level.files): point
        for point in points
        if point.level.loop == CLOSED
    }
    return {
        point.level: read_spans(log, point.started_at, TIMELINE_S) for point in highest.values()
    }
