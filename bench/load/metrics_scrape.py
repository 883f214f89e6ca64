"""The service's own metrics: the change between two scrapes of `/metrics`."""

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
        """Parse Prometheus' text format."""
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )

    def since(self, earlier: Scrape) -> Scrape:
        """The increase of each value; a value missing in `earlier` counts as 0 there."""
        return Scrape(
            {key: value - earlier.values.get(key, 0.0) for key, value in self.values.items()}
        )

    def total(self, name: str) -> float:
        """The sum over all labels."""
        return sum(value for (own, _), value in self.values.items() if own == name)

    def by(self, label: str, name: str) -> dict[str, float]:
        """The non-zero sums per value of `label`."""
        sums: defaultdict[str, float] = defaultdict(float)
        for (own, labels), value in self.values.items():
            if own == name and value:
                sums[dict(labels)[label]] += value
        return dict(sums)

    @property
    def frames(self) -> float:
        """Frames analysed; a frame counts once per task."""
        return self.total(f"{_BATCH}_sum")

    @property
    def batch_sizes(self) -> dict[str, float]:
        """Mean frames per batch, by task."""
        counts = self.by("task", f"{_BATCH}_count")
        sums = self.by("task", f"{_BATCH}_sum")
        return {task: sums.get(task, 0.0) / count for task, count in counts.items()}

    @property
    def device_shares(self) -> dict[str, float]:
        """Each device's share, 0 to 1, of all batches."""
        counts = self.by("device", f"{_INFERENCE}_count")
        total = sum(counts.values())
        return {device: count / total for device, count in counts.items()}

    @property
    def pool_hit_rate(self) -> float | None:
        """The share, 0 to 1, of requested frames that were in the pool; None if there were none."""
        hits, misses = self.total(_HITS), self.total(_MISSES)
        return hits / (hits + misses) if hits + misses else None
