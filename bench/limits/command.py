"""The upper limits of this machine: copying, decoding, and each network alone.

Nothing else runs meanwhile; figures are the best and the median of several runs after a warm-up.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.clips import generate
from bench.limits.repeats import repeat
from bench.openmp_waiting import wait_passively
from bench.reporting.tables import Table

if TYPE_CHECKING:
    from bench.limits.bare_networks import Network

COPIED_BYTES = 256 << 20
QUICK_BATCHES = (1, 8)
NOTE = "Best and median of several runs after a warm-up."


@dataclass(frozen=True)
class Figure:
    """One measurement: `amount` of something (bytes, frames) per run, and each run's seconds."""

    what: str
    amount: float
    times_s: list[float]

    @property
    def best(self) -> float:
        """The best run's amount per second."""
        return self.amount / min(self.times_s)

    @property
    def median(self) -> float:
        """The median run's amount per second."""
        return self.amount / median(self.times_s)


@dataclass(frozen=True)
class ForwardFigure(Figure):
    """A network's forward pass; `amount` is the batch size."""

    precision: str
    shape: tuple[int, ...]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def run(arguments: argparse.Namespace) -> list[Table]:
    """Measure everything; write limits.json."""
    wait_passively()
    clip = generate.bench_clip(arguments.output / "clips", arguments.quick)
    with Progress(
        TextColumn("{task.description:48}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    ) as progress:
        bar = progress.add_task("copies", total=None)

        def step(what: str, done: int, total: int) -> None:
            progress.update(bar, description=what, completed=done, total=total)

        copies = copy_figures()
        decodes = decode_figures(clip, 2 if arguments.quick else 3, step)
        forwards = _forward_figures(arguments.quick, step)
    recorded: dict[str, Sequence[Figure]] = {
        "copies": copies,
        "decodes": decodes,
        "forwards": forwards,
    }
    raw = {name: [asdict(one) for one in figures] for name, figures in recorded.items()}
    (arguments.output / "limits.json").write_text(json.dumps(raw, indent=1))
    return [_copy_table(copies), _decode_table(decodes, clip), _forward_table(forwards)]


def copy_figures() -> list[Figure]:
    """Bytes per second within memory and, with a CUDA device, from the host to it."""
    import torch

    source, target = np.ones(COPIED_BYTES, np.uint8), np.zeros(COPIED_BYTES, np.uint8)
    figures = [_copy_figure("memory to memory", lambda: np.copyto(target, source))]
    if not torch.cuda.is_available():
        return figures
    pageable = torch.from_numpy(source)
    for what, tensor in (("pageable", pageable), ("pinned", pageable.pin_memory())):
        figures.append(_copy_figure(f"host to device, {what}", _upload(tensor)))
    return figures


def _copy_figure(what: str, call: Callable[[], object]) -> Figure:
    return Figure(what, COPIED_BYTES, repeat(call, 3, 1.0))


def _upload(tensor: object) -> Callable[[], None]:
    import torch

    def upload() -> None:
        assert isinstance(tensor, torch.Tensor)
        tensor.to("cuda", non_blocking=True)
        torch.cuda.synchronize()

    return upload


def decode_figures(clip: Path, least: int, step: Callable[[str, int, int], None]) -> list[Figure]:
    """Frames of the clip per second, skipped ones included, for each engine."""
    from bench.limits.decode_only import ENGINES, frame_count

    figures = []
    for done, (name, decode) in enumerate(ENGINES.items()):
        step(name, done, len(ENGINES))
        times_s = repeat(partial(decode, clip), least, 0.0)
        figures.append(Figure(name, frame_count(clip), times_s))
    return figures


def _forward_figures(quick: bool, step: Callable[[str, int, int], None]) -> list[ForwardFigure]:
    import torch

    from bench.limits.bare_networks import Forward

    cuda = torch.cuda.is_available()
    networks, budget_s = _networks(quick), 0.5 if quick else 2.0
    pairs = [(net, kind) for net in networks for kind in ("fp32", "bf16", *["fp16"] * cuda)]
    figures = []
    for done, (network, precision) in enumerate(pairs):
        step(f"{network.name}, {precision}", done, len(pairs))
        forward = Forward(network, precision, "cuda" if cuda else "cpu")
        for batch in network.batches:
            if quick and batch not in QUICK_BATCHES:
                continue
            times_s = forward.times_s(batch, 1 if quick else 3, budget_s)
            figures.append(ForwardFigure(network.name, batch, times_s, precision, network.shape))
    return figures


def _networks(quick: bool) -> Sequence[Network]:
    from bench.limits import bare_networks

    craft = bare_networks.CRAFT_720P if quick else bare_networks.CRAFT_1080P
    return (
        bare_networks.YOLO,
        bare_networks.RESNET,
        bare_networks.CRNN,
        bare_networks.WHISPER,
        craft,
    )


def _copy_table(figures: Sequence[Figure]) -> Table:
    rows = [(one.what, f"{one.best / 1e9:.1f}", f"{one.median / 1e9:.1f}") for one in figures]
    if len(figures) == 1:
        rows.append(("host to device", "skipped: no CUDA device", ""))
    return Table("limits-copies", "Copying", ("from, to", "best, GB/s", "median, GB/s"), rows, NOTE)


def _decode_table(figures: Sequence[Figure], clip: Path) -> Table:
    rows = [(one.what, f"{one.best:.0f}", f"{one.median:.0f}") for one in figures]
    columns = ("engine", "best, frames/s", "median, frames/s")
    note = f"{figures[0].amount:.0f} frames of 1080p H.264, skipped frames included. {NOTE}"
    return Table("limits-decoding", f"Decoding {clip.name}", columns, rows, note)


def _forward_table(figures: Sequence[ForwardFigure]) -> Table:
    rows = [
        (
            one.what,
            " × ".join(map(str, one.shape)),
            one.precision,
            f"{one.amount:.0f}",
            f"{1000 / one.best:.2f}",
            f"{1000 / one.median:.2f}",
            f"{one.best:.1f}",
        )
        for one in figures
    ]
    columns = ("network", "input", "precision", "batch", "best, ms/frame", "median", "frames/s")
    return Table("limits-forwards", "Each network alone", columns, rows, NOTE)
