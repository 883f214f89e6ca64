"""Windows of speech: which regions are packed together, and the mapping back to audio time."""

from __future__ import annotations

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transcription import cut

from gpu_workers.speech.packing import (
    LONGEST_PAUSE_SAMPLES,
    PAD_SAMPLES,
    WINDOW_SAMPLES,
    Window,
    pack,
)
from ipc.arena import SAMPLE_RATE

SECOND = SAMPLE_RATE

# Speech and the pause before it, in samples.
REGIONS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, SECOND, 20 * SECOND, LONGEST_PAUSE_SAMPLES + 1]),
        st.integers(SECOND, WINDOW_SAMPLES) | st.just(WINDOW_SAMPLES),
    ),
    max_size=12,
)
SHORT = st.integers(SECOND, 3 * SECOND)


def laid_out(lengths: list[tuple[int, int]]) -> list[tuple[int, int]]:
    regions, now = [], 0
    for pause, length in lengths:
        regions.append((now + pause, now + pause + length))
        now += pause + length
    return regions


@settings(deadline=None)
@given(REGIONS)
def test_windows_hold_all_speech_in_order_and_no_more_than_fits(
    lengths: list[tuple[int, int]],
) -> None:
    regions = laid_out(lengths)
    windows = pack(regions)
    stretches = [stretch for window in windows for stretch in window.stretches]
    assert sum(window.samples for window in windows) == sum(end - start for start, end in regions)
    assert {start for start, _ in stretches} <= {start for start, _ in regions}
    assert stretches == sorted(stretches)
    for window in windows:
        assert window.samples <= WINDOW_SAMPLES
        for (_, end), (start, _) in zip(window.stretches, window.stretches[1:], strict=False):
            assert 0 < start - end <= LONGEST_PAUSE_SAMPLES


def test_speech_goes_into_the_window_at_hand_if_it_fits() -> None:
    s = SECOND
    regions = [(0, 10 * s), (13 * s, 25 * s), (27 * s, 36 * s), (36 * s, 50 * s), (90 * s, 91 * s)]
    assert pack(regions) == [
        Window(((0, 10 * s), (13 * s, 25 * s))),
        Window(((27 * s, 50 * s),)),
        Window(((90 * s, 91 * s),)),
    ]
    assert pack([]) == []


def test_a_window_is_its_speech_without_the_pauses() -> None:
    window = Window(((10, 20), (50, 55)))
    assert window.samples == 15
    assert cut(window, torch.arange(100)).tolist() == [*range(10, 20), *range(50, 55)]


def test_times_lead_back_to_the_sound() -> None:
    window = Window(((10 * SECOND, 20 * SECOND), (50 * SECOND, 55 * SECOND)))
    assert window.span(0, 10) == (10, 20)
    assert window.span(2, 5.5) == (12, 15.5)
    assert window.span(10, 15) == (50, 55)
    assert window.span(8, 12) == (18, 52)  # spans the pause
    assert window.span(9.9, 12) == (50, 52)  # begins in the padding before the join
    assert window.span(8, 10.1) == (18, 20)  # ends in the padding behind it
    assert window.span(9.9, 10.2) == (50, 50.2)
    assert window.span(12, 99) == (52, 55)  # nothing lasts beyond the window
    assert window.word(9.5, 10.2) == (19.5, 20)
    assert window.word(9.9, 10.6) == (50, 50.6)


@settings(deadline=None)
@given(REGIONS.filter(bool), st.floats(0, 30), st.floats(0, 30))
def test_times_stay_in_the_speech_and_in_order(
    lengths: list[tuple[int, int]], one: float, other: float
) -> None:
    start_s, end_s = sorted((one, other))
    for window in pack(laid_out(lengths)):
        for start, end in (window.span(start_s, end_s), window.word(start_s, end_s)):
            assert start <= end
            for place in (start, end):
                assert any(
                    first <= round(place * SECOND) <= last for first, last in window.stretches
                )


@settings(deadline=None)
@given(st.lists(st.tuples(SHORT, SHORT), min_size=1, max_size=6), st.floats(0, 1))
def test_what_is_not_at_a_join_is_at_its_own_sample(
    lengths: list[tuple[int, int]], part: float
) -> None:
    (window,) = pack(laid_out(lengths))
    sample = int(part * (window.samples - 1))
    assume(min(abs(sample - join) for join in window.joins) > PAD_SAMPLES)
    numbered = torch.arange(window.stretches[-1][1])
    start, end = window.span(sample / SECOND, sample / SECOND)
    assert round(start * SECOND) == round(end * SECOND) == int(cut(window, numbered)[sample])
