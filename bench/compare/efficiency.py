"""Efficiency: the service's rates as a share of the machine's, as measured by `limits`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from bench.compare import media
from bench.compare.library_loops import INTERVAL
from bench.compare.rounds import Contest, Fields
from bench.compare.service_side import Service
from bench.compare.setup import Setup
from bench.limits import decode_only
from bench.limits.bare_networks import RESNET, YOLO, Forward, Network
from bench.limits.repeats import repeat
from bench.reporting.tables import Table

_BUDGET_S = 1.0
_LEAST = 3

# The service's chunk size per task is the batch size of the bare network next to it.
_POOLED: tuple[tuple[str, Network, int], ...] = (
    ("objects", YOLO, 8),
    ("faces", YOLO, 8),
    ("places", RESNET, 16),
)
_DECODED: tuple[tuple[str, Fields, str], ...] = (
    ("objects", {"frame_interval": INTERVAL}, decode_only.SAMPLED),
    ("scenes", {}, decode_only.DECODED),
)


def run(setup: Setup) -> list[Table]:
    """Rates of the service, in fp32, on the generated clip."""
    setup.step("efficiency")
    clip = media.generated(setup.clips, setup.seconds)
    frames = decode_only.frame_count(clip)
    analysed = len(range(0, frames, INTERVAL))
    rows = []
    with setup.service() as side:
        ours = side()
        for task, network, batch in _POOLED:
            setup.step(f"efficiency: {task}, frames in the pool")
            achieved = analysed / _pooled_s(ours, clip, task)
            possible = batch / _forward_s(network, batch)
            what = f"{task}, frames in the pool: {network.name} alone, batch {batch}"
            rows.append(_row(what, achieved, possible))
        for task, fields, engine in _DECODED:
            setup.step(f"efficiency: {task}, new file")
            alone = Contest(task, {task: fields}, clip)
            ours.warm_up(alone)
            achieved = frames / median(ours.run(alone).seconds for _ in range(_LEAST))
            possible = frames / median(_decode_s(clip, engine))
            rows.append(_row(f"{task}, skipped frames included: {engine}", achieved, possible))
    return [_table(rows)]


def _table(rows: list[tuple[str, ...]]) -> Table:
    return Table(
        "compare-efficiency",
        "The service compared with the possible rates, fp32",
        ("what: and the reference", "achieved, frames/s", "possible", "share"),
        rows,
        "Times are of a whole request, with HTTP, letterboxing and NMS; if the pool is empty, also "
        "inference on the same cores during decoding.",
    )


def _pooled_s(ours: Service, clip: Path, task: str) -> float:
    """Seconds of a request whose frames are in the pool."""
    tasks = {task: {"frame_interval": INTERVAL}}
    with ours.copy(clip) as path:
        return median(repeat(lambda: ours.ask(path, tasks), _LEAST, _BUDGET_S))


def _forward_s(network: Network, batch: int) -> float:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return median(Forward(network, "fp32", device).times_s(batch, _LEAST, _BUDGET_S))


def _decode_s(clip: Path, engine: str) -> list[float]:
    decode: Callable[[Path], int] = decode_only.ENGINES[engine]
    return repeat(lambda: decode(clip), 1, 0.0)


def _row(what: str, achieved: float, possible: float) -> tuple[str, ...]:
    return what, f"{achieved:.1f}", f"{possible:.1f}", f"{achieved / possible:.0%}"
