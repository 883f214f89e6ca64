"""How far the results of two sides agree, item by item."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from bench.compare.precision_drift import boxes_share, edit_distance, text_distance, top1_share
from bench.compare.rounds import Item, Turn

NEAR_MS = 50.0  # one frame at 30 fps is 33 ms


@dataclass(frozen=True)
class Measure:
    """A share from 0 to 1 of the results that agree; `least` is what equal work must reach.

    Two decoders convert YUV to RGB slightly differently, so a box or a word at the threshold may
    appear or disappear.
    """

    least: float
    share: Callable[[Sequence[Item], Sequence[Item]], float]
    count: Callable[[Sequence[Item]], int] = len


def scenes_share(first: Sequence[Item], second: Sequence[Item]) -> float:
    """The share of the scenes that both lists have, by start and end."""
    near = sum(any(_near(one, other) for other in second) for one in first)
    return near / max(len(first), len(second), 1)


def words_share(first: Sequence[Item], second: Sequence[Item]) -> float:
    """1 - edits per word of the longer text; case and punctuation do not count."""
    one, other = _words(first), _words(second)
    return 1 - edit_distance(one, other) / max(len(one), len(other), 1)


def _boxes(first: Sequence[Item], second: Sequence[Item]) -> float:
    return min(boxes_share(first, second), boxes_share(second, first))


def _places(first: Sequence[Item], second: Sequence[Item]) -> float:
    frames = [[item["frame_index"] for item in items] for items in (first, second)]
    return top1_share(first, second) if frames[0] == frames[1] else 0.0


def _texts(first: Sequence[Item], second: Sequence[Item]) -> float:
    if not first and not second:
        return 1.0
    return max(0.0, 1 - max(text_distance(first, second), text_distance(second, first)))


def _near(one: Item, other: Item) -> bool:
    return all(abs(one[key] - other[key]) <= NEAR_MS for key in ("start_ms", "end_ms"))


def _words(items: Sequence[Item]) -> list[str]:
    return re.findall(r"[\w']+", " ".join(item["text"] for item in items).lower())


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "objects": Measure(0.98, _boxes),
        "faces": Measure(0.98, _boxes),
        "places": Measure(0.98, _places),
        "scenes": Measure(1.0, scenes_share),
        "ocr": Measure(0.95, _texts),
        "transcribe": Measure(0.98, words_share, lambda items: len(_words(items))),
    }
)


@dataclass(frozen=True)
class Agreement:
    """The lowest share of each task over all pairs, and the number of items in the last pair."""

    shares: Mapping[str, float]
    counts: Mapping[str, tuple[int, int]]

    @property
    def different(self) -> list[str]:
        """The tasks whose results differ more than those of equal work."""
        return [task for task, share in self.shares.items() if share < MEASURES[task].least]

    @property
    def words(self) -> str:
        """Every task with its number of items, ours for theirs if they differ, and its share."""
        return ", ".join(
            f"{task} {_counted(*self.counts[task])} ({share:.1%})"
            for task, share in self.shares.items()
        )


def agreement(pairs: Sequence[tuple[Turn, Turn]]) -> Agreement:
    """Compare the items of each pair (theirs, ours)."""
    shares: dict[str, float] = {}
    counts: dict[str, tuple[int, int]] = {}
    for theirs, ours in pairs:
        for task in theirs.items:
            both = theirs.items[task], ours.items[task]
            measure = MEASURES[task]
            shares[task] = min(shares.get(task, 1.0), measure.share(*both))
            counts[task] = measure.count(both[0]), measure.count(both[1])
    return Agreement(shares, counts)


def _counted(theirs: int, ours: int) -> str:
    return str(ours) if theirs == ours else f"{ours} for {theirs}"
