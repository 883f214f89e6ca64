"""Stability of windows, percentiles, and differences of scrapes."""

from __future__ import annotations

import pytest

from bench.load.metrics_scrape import Scrape
from bench.load.stability import Window, percentiles, stable


def windows(*figures: tuple[float, float]) -> list[Window]:
    return [Window(i, i + 1, rate, mean_ms) for i, (rate, mean_ms) in enumerate(figures)]


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ([(10, 50), (10, 50)], False),
        ([(10, 50), (10, 50), (10, 50)], True),
        ([(10, 50), (11, 50), (10, 55)], True),
        ([(10, 50), (11.1, 50), (10, 50)], False),
        ([(10, 50), (10, 50), (10, 55.1)], False),
        ([(5, 90), (10, 50), (10, 50), (10, 50)], True),
        ([(10, 50), (10, 50), (10, 50), (5, 90)], False),
        ([(0, 0), (0, 0), (0, 0)], False),
    ],
)
def test_three_windows_must_agree_in_throughput_and_latency(
    figures: list[tuple[float, float]], expected: bool
) -> None:
    assert stable(windows(*figures)) is expected


def test_percentiles_are_values_by_nearest_rank() -> None:
    assert percentiles([float(n) for n in range(100, 0, -1)]) == (50, 90, 95, 99)
    assert percentiles([3.0, 1.0, 2.0]) == (2, 3, 3, 3)
    assert percentiles([]) == (0, 0, 0, 0)


BEFORE = """\
# TYPE eioku_inference_batch_size histogram
eioku_inference_batch_size_bucket{le="+Inf",task="objects"} 4.0
eioku_inference_batch_size_count{task="objects"} 4.0
eioku_inference_batch_size_sum{task="objects"} 10.0
# TYPE eioku_inference_duration_seconds histogram
eioku_inference_duration_seconds_count{device="cpu",task="objects"} 4.0
# TYPE eioku_frame_pool_hits counter
eioku_frame_pool_hits_total 7.0
# TYPE eioku_frame_pool_misses counter
eioku_frame_pool_misses_total 3.0
"""
AFTER = """\
# TYPE eioku_inference_batch_size histogram
eioku_inference_batch_size_bucket{le="+Inf",task="objects"} 6.0
eioku_inference_batch_size_count{task="objects"} 6.0
eioku_inference_batch_size_sum{task="objects"} 26.0
eioku_inference_batch_size_count{task="places"} 1.0
eioku_inference_batch_size_sum{task="places"} 5.0
# TYPE eioku_inference_duration_seconds histogram
eioku_inference_duration_seconds_count{device="cpu",task="objects"} 4.0
eioku_inference_duration_seconds_count{device="cuda:0",task="objects"} 3.0
eioku_inference_duration_seconds_count{device="cuda:1",task="places"} 1.0
# TYPE eioku_frame_pool_hits counter
eioku_frame_pool_hits_total 10.0
# TYPE eioku_frame_pool_misses counter
eioku_frame_pool_misses_total 4.0
"""


def test_the_difference_of_scrapes_is_what_happened_between_them() -> None:
    before, after = Scrape.parse(BEFORE), Scrape.parse(AFTER)
    change = after.since(before)
    assert change.frames == 21
    assert change.batch_sizes == {"objects": 8, "places": 5}
    assert change.device_shares == {"cuda:0": 0.75, "cuda:1": 0.25}
    assert change.pool_hit_rate == 0.75
    nothing = after.since(after)
    assert (nothing.frames, nothing.batch_sizes, nothing.device_shares) == (0, {}, {})
    assert nothing.pool_hit_rate is None
