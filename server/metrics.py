"""The service's metrics, in a registry of its own, under the names of the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """One attribute a metric."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "eioku_requests_total", "Requests answered.", ["task", "status"], registry=registry
        )
        self.request_duration = Histogram(
            "eioku_request_duration_seconds",
            "From the request's arrival to its answer.",
            ["task"],
            buckets=SECONDS,
            registry=registry,
        )
        self.queue_wait = Histogram(
            "eioku_queue_wait_seconds",
            "How long a batch waited for its worker.",
            ["task"],
            buckets=SECONDS,
            registry=registry,
        )
        self.inference = Histogram(
            "eioku_inference_duration_seconds",
            "How long a worker worked on a batch.",
            ["task", "device"],
            buckets=SECONDS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "eioku_inference_batch_size",
            "Frames in a batch.",
            ["task"],
            buckets=SIZES,
            registry=registry,
        )
        self.frames_decoded = Counter(
            "eioku_frames_decoded_total", "Frames written into the pool.", registry=registry
        )
        self.pool_hits = Counter(
            "eioku_frame_pool_hits_total",
            "Frames that were wanted and in the pool, or on their way there.",
            registry=registry,
        )
        self.pool_misses = Counter(
            "eioku_frame_pool_misses_total",
            "Frames that were wanted and had to be decoded.",
            registry=registry,
        )
        self.cancelled = Counter(
            "eioku_requests_cancelled_total",
            "Requests whose client hung up.",
            registry=registry,
        )
        self.rejected = Counter(
            "eioku_requests_rejected_total", "Requests refused.", ["reason"], registry=registry
        )

    def count_pool(self, hits: int, misses: int) -> None:
        """Count what a lease found, and what it did not."""
        self.pool_hits.inc(hits)
        self.pool_misses.inc(misses)

    def observe(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Ask `collect` for further metrics at every scrape."""
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
    """How the frame pool is used."""
    family = GaugeMetricFamily(
        "eioku_frame_pool_bytes", "Bytes of the frame pool.", labels=["state"]
    )
    for state, size_bytes in by_state.items():
        family.add_metric([state], size_bytes)
    return family


def in_progress(count: int) -> Metric:
    """How many requests are admitted and not yet answered."""
    return GaugeMetricFamily("eioku_requests_in_progress", "Requests being answered.", count)


def restarts(name: str, documentation: str, counts: dict[str, int]) -> Metric:
    """How often each worker was replaced."""
    family = CounterMetricFamily(name, documentation, labels=["worker"])
    for worker, count in counts.items():
        family.add_metric([worker], count)
    return family


def total(name: str, documentation: str, count: int) -> Metric:
    """A count without labels."""
    family = CounterMetricFamily(name, documentation)
    family.add_metric([], count)
    return family
