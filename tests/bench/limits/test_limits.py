"""The parts of `limits`, on a tiny clip."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.clips.generate import make_small
from bench.limits.bare_networks import CRNN, RESNET, YOLO, Forward, Network
from bench.limits.command import Figure, copy_figures, decode_figures
from bench.limits.repeats import ENOUGH, repeat


def test_a_figure_quotes_its_best_and_its_median_run() -> None:
    figure = Figure("decoding", 60, [2.0, 1.0, 4.0])
    assert (figure.best, figure.median) == (60, 30)


def test_a_call_is_repeated_after_a_warm_up() -> None:
    calls: list[None] = []
    assert len(repeat(lambda: calls.append(None), 2, 0.0)) == 2
    assert len(calls) == 3
    assert len(repeat(lambda: None, 2, 1e9)) == ENOUGH


def test_memory_is_copied_at_some_rate() -> None:
    first, *others = copy_figures()
    assert first.what == "memory to memory"
    assert 1e8 < first.median <= first.best < 1e13
    assert len(others) == 2 * torch.cuda.is_available()


def test_every_engine_passes_the_clips_frames(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    make_small(clip, seconds=2)
    steps: list[str] = []
    figures = decode_figures(clip, 1, lambda what, done, total: steps.append(what))
    assert [figure.what for figure in figures] == steps
    assert [figure.amount for figure in figures] == [60] * 5
    assert all(figure.best > 0 for figure in figures)


@pytest.mark.parametrize("network", [YOLO, RESNET, CRNN], ids=lambda network: network.name)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_networks_run_in_each_precision(network: Network, precision: str) -> None:
    times_s = Forward(network, precision, "cpu").times_s(1, 1, 0.0)
    assert len(times_s) == 1
    assert times_s[0] > 0
