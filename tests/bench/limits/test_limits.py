"""The parts of `limits`, on a tiny clip."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from clip_library import ClipLibrary

from bench.limits import bare_networks, command
from bench.limits.bare_networks import CRNN, DTYPES, RESNET, YOLO, Forward, Network
from bench.limits.command import Figure
from bench.limits.decode_only import DECODED, ENGINES, SAMPLED
from bench.limits.repeats import ENOUGH, repeat


def test_a_figure_quotes_its_best_and_its_median_run() -> None:
    figure = Figure("decoding", 60, [2.0, 1.0, 4.0])
    assert (figure.best, figure.median) == (60, 30)


def test_a_call_is_repeated_after_a_warm_up() -> None:
    calls: list[None] = []
    assert len(repeat(lambda: calls.append(None), 2, 0.0)) == 2
    assert len(calls) == 3
    assert len(repeat(lambda: None, 2, 1e9)) == ENOUGH


def test_memory_is_copied_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[tuple[np.ndarray, np.ndarray]] = []

    def three_times(call: Callable[[], object], least: int, budget_s: float) -> list[float]:
        with monkeypatch.context() as patch:
            patch.setattr(np, "copyto", lambda target, source: copies.append((target, source)))
            call()
        return [2.0, 1.0, 4.0]

    monkeypatch.setattr(command, "repeat", three_times)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (figure,) = command.copy_figures()
    ((target, source),) = copies
    assert target.nbytes == source.nbytes == figure.amount == command.COPIED_BYTES
    assert not np.array_equal(target, source)
    assert (figure.what, figure.best, figure.median) == (
        "memory to memory",
        figure.amount,
        figure.amount / 2,
    )


def test_every_engine_passes_the_clips_frames(clips: ClipLibrary) -> None:
    found = {name: decode(clips.path("h264.mp4")) for name, decode in ENGINES.items()}
    assert found == {
        "decord, every frame as RGB: next": 60,
        SAMPLED: 2,
        DECODED: 60,
        "PyAV, every frame as RGB": 60,
        "PyAV, keyframes only": 2,
    }


def test_each_engine_is_timed_and_told_of(
    clips: ClipLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "repeat", lambda call, least, budget_s: [call() / 100] * least)
    steps: list[str] = []
    figures = command.decode_figures(
        clips.path("h264.mp4"), 2, lambda what, done, total: steps.append(what)
    )
    assert [figure.what for figure in figures] == steps == list(ENGINES)
    assert [figure.amount for figure in figures] == [60] * 5
    assert [figure.times_s for figure in figures] == [
        [frames / 100] * 2 for frames in (60, 2, 60, 60, 2)
    ]


@pytest.mark.parametrize("network", [YOLO, RESNET, CRNN], ids=lambda network: network.name)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_networks_run_in_each_precision(
    network: Network, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs: list[object] = []

    def once(call: Callable[[], object], least: int, budget_s: float) -> list[float]:
        outputs.append(call())
        return [0.5]

    monkeypatch.setattr(bare_networks, "repeat", once)
    torch.manual_seed(1)
    assert Forward(network, precision, "cpu").times_s(2, 1, 0.0) == [0.5]
    (found,) = (one[0] if isinstance(one, tuple) else one for one in outputs)
    assert isinstance(found, torch.Tensor)
    assert (found.shape[0], found.dtype) == (2, DTYPES[precision])
    assert found.isfinite().all()
    assert found.std() > 0
