"""The service's Prometheus metrics, in a separate registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """One attribute per metric."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "eioku_requests_total", "Requests answered.", ["task", "status"], registry=registry
        )
        self.client_requests = Counter(
            "eioku_client_requests_total",
            "Requests answered, by the name of the API key.",
            ["client", "status"],
            registry=registry,
        )
        self.request_duration = Histogram(
            "eioku_request_duration_seconds",
            "Time from the arrival of a request to the end of its response.",
            ["task"],
            buckets=SECONDS,
            registry=registry,
        )
        self.queue_wait = Histogram(
            "eioku_queue_wait_seconds",
            "Waiting time of a batch.",
            ["task"],
            buckets=SECONDS,
            registry=registry,
        )
        self.inference = Histogram(
            "eioku_inference_duration_seconds",
            "Processing time of a batch.",
            ["task", "device"],
            buckets=SECONDS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "eioku_inference_batch_size",
            "Frames per batch.",
            ["task"],
            buckets=SIZES,
            registry=registry,
        )
        self.frames_decoded = Counter(
            "eioku_frames_decoded_total", "Frames decoded into the pool.", registry=registry
        )
        self.pool_hits = Counter(
            "eioku_frame_pool_hits_total",
            "Requested frames that were in the pool, or being decoded.",
            registry=registry,
        )
        self.pool_misses = Counter(
            "eioku_frame_pool_misses_total",
            "Requested frames that had to be decoded.",
            registry=registry,
        )
        self.cancelled = Counter(
            "eioku_requests_cancelled_total",
            "Requests whose client disconnected.",
            registry=registry,
        )
        self.rejected = Counter(
            "eioku_requests_rejected_total", "Requests refused.", ["reason"], registry=registry
        )

    def count_pool(self, hits: int, misses: int) -> None:
        """Count the frames that a lease found in the pool, and those that it did not."""
        self.pool_hits.inc(hits)
        self.pool_misses.inc(misses)

    def observe(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Call `collect` for further metrics at every scrape."""
        self.registry.register(_Collector(collect))

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)


class _Collector:
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()

    def describe(self) -> Iterable[Metric]:
        return ()


def pool_bytes(by_state: dict[str, int]) -> Metric:
    """The bytes of the frame pool by state."""
    family = GaugeMetricFamily(
        "eioku_frame_pool_bytes", "Bytes of the frame pool.", labels=["state"]
    )
    for state, size_bytes in by_state.items():
        family.add_metric([state], size_bytes)
    return family


def in_progress(count: int) -> Metric:
    """The number of admitted requests without a complete response."""
    return GaugeMetricFamily(
        "eioku_requests_in_progress", "Admitted requests without a complete response.", count
    )


def restarts(name: str, documentation: str, counts: dict[str, int]) -> Metric:
    """The number of restarts per worker."""
    family = CounterMetricFamily(name, documentation, labels=["worker"])
    for worker, count in counts.items():
        family.add_metric([worker], count)
    return family


def total(name: str, documentation: str, count: int) -> Metric:
    """A counter without labels."""
    family = CounterMetricFamily(name, documentation)
    family.add_metric([], count)
    return family
