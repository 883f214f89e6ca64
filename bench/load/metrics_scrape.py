"""The service's own metrics: what changed between two scrapes of `/metrics`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

_INFERENCE = "eioku_inference_duration_seconds"
_BATCH = "eioku_inference_batch_size"
_HITS = "eioku_frame_pool_hits_total"
_MISSES = "eioku_frame_pool_misses_total"

Key = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Scrape:
    """The value of each metric, by its name and labels."""

    values: dict[Key, float]

    @classmethod
    def parse(cls, text: str) -> Scrape:
        """Read Prometheus' text format."""
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )

    def since(self, earlier: Scrape) -> Scrape:
        """How far each value has risen; what was not there counted nothing."""
        return Scrape(
            {key: value - earlier.values.get(key, 0.0) for key, value in self.values.items()}
        )

    def total(self, name: str) -> float:
        """The sum over all labels."""
        return sum(value for (own, _), value in self.values.items() if own == name)

    def by(self, label: str, name: str) -> dict[str, float]:
        """The sums for each value of `label` for which there is anything."""
        sums: defaultdict[str, float] = defaultdict(float)
        for (own, labels), value in self.values.items():
            if own == name and value:
                sums[dict(labels)[label]] += value
        return dict(sums)

    @property
    def frames(self) -> float:
        """Frames analysed, one for each task that looked at it."""
        return self.total(f"{_BATCH}_sum")

    @property
    def batch_sizes(self) -> dict[str, float]:
        """Mean frames in a batch, by task."""
        counts = self.by("task", f"{_BATCH}_count")
        sums = self.by("task", f"{_BATCH}_sum")
        return {task: sums.get(task, 0.0) / count for task, count in counts.items()}

    @property
    def device_shares(self) -> dict[str, float]:
        """The share, 0 to 1, of all batches that each device worked on."""
        counts = self.by("device", f"{_INFERENCE}_count")
        total = sum(counts.values())
        return {device: count / total for device, count in counts.items()}

    @property
    def pool_hit_rate(self) -> float | None:
        """The share, 0 to 1, of wanted frames that were in the pool; None where none was wanted."""
        hits, misses = self.total(_HITS), self.total(_MISSES)
        return hits / (hits + misses) if hits + misses else None
