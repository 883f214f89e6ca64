"""How far the service's results in half precision are from those in fp32."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.reporting.tables import Table

Item = dict[str, Any]
Corners = tuple[float, float, float, float]  # x1, y1, x2, y2

SAME_BOX = 0.9  # minimum IoU of matching boxes
SAME_TEXT = 0.5  # of matching texts, whose positions are coarse


def iou(first: Sequence[Corners], second: Sequence[Corners]) -> npt.NDArray[np.float64]:
    """IoU of each box with each: (len(first), len(second)), from 0 to 1."""
    a = np.array(first, float).reshape(-1, 1, 4)
    b = np.array(second, float).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = sides.clip(0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (a, b)]
    union = areas[0] + areas[1] - shared
    likeness: npt.NDArray[np.float64] = shared / np.maximum(union, 1e-9)
    return likeness


def match(
    first: Sequence[Corners], second: Sequence[Corners], least: float
) -> list[tuple[int, int]]:
    """Pairs of boxes of the two lists, best match first, each box in at most one pair."""
    likeness = iou(first, second)
    free = np.ones(likeness.shape, bool)
    pairs = []
    for place in np.argsort(-likeness, axis=None, kind="stable"):
        i, j = divmod(int(place), len(second))
        if likeness[i, j] < least:
            break
        if free[i, j]:
            pairs.append((i, j))
            free[i, :] = free[:, j] = False
    return pairs


def boxes_share(expected: Sequence[Item], found: Sequence[Item]) -> float:
    """The share of boxes that are found in the same frame with the same label."""
    wanted, there = _grouped(expected, "label"), _grouped(found, "label")
    matched = sum(
        len(match(list(map(_box, items)), list(map(_box, there.get(key, []))), SAME_BOX))
        for key, items in wanted.items()
    )
    return matched / len(expected) if expected else 1.0


def text_distance(expected: Sequence[Item], found: Sequence[Item]) -> float:
    """Edits per expected character, between texts at the same position.

    A text in only one of the lists costs all its characters.
    """
    wanted, there = _grouped(expected), _grouped(found)
    edits = 0
    for key in wanted.keys() | there.keys():
        first, second = wanted.get(key, []), there.get(key, [])
        pairs = match(list(map(_outline, first)), list(map(_outline, second)), SAME_TEXT)
        texts = [(first[i]["text"], second[j]["text"]) for i, j in pairs]
        edits += sum(edit_distance(*both) for both in texts)
        edits += sum(len(item["text"]) for item in [*first, *second])
        edits -= sum(len(one) + len(other) for one, other in texts)
    return edits / max(1, sum(len(item["text"]) for item in expected))


def top1_share(expected: Sequence[Item], found: Sequence[Item]) -> float:
    """The share of frames whose most likely place is the same."""
    same = [
        one["predictions"][0]["label"] == other["predictions"][0]["label"]
        for one, other in zip(expected, found, strict=True)
    ]
    return sum(same) / len(same) if same else 1.0


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Insertions, deletions and substitutions from one text to the other (Levenshtein, 1965)."""
    row = list(range(len(second) + 1))
    for i, one in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            change = diagonal + (one != other)
            diagonal, row[j] = row[j], min(change, row[j] + 1, row[j - 1] + 1)
    return row[-1]


# The drift measure of each task: the items, its name, and its function.
MEASURES: dict[str, tuple[str, str, Callable[[Sequence[Item], Sequence[Item]], float]]] = {
    "objects": ("detections", "boxes matched at IoU 0.9", boxes_share),
    "faces": ("detections", "boxes matched at IoU 0.9", boxes_share),
    "places": ("classifications", "frames with the same top-1 place", top1_share),
    "ocr": ("detections", "edits per character", text_distance),
}


def drift_rows(full: Mapping[str, Item], half: Mapping[str, Item]) -> list[tuple[str, ...]]:
    """One row per task that has responses in both fp32 and half precision."""
    rows = []
    for task, (items, words, measure) in MEASURES.items():
        if task in full and task in half:
            before, after = full[task], half[task]
            drift = measure(before[items], after[items])
            times = [f"{one['timings_ms']['inference'] / 1000:.2f}" for one in (before, after)]
            weights = "stand-in" if before["provenance"]["stand_in"] else "trained"
            counts = [str(len(one[items])) for one in (before, after)]
            rows.append((task, weights, *counts, words, f"{drift:.1%}", *times))
    return rows


def drift_columns(precision: str) -> tuple[str, ...]:
    """What the cells of `drift_rows` are."""
    items = "items in fp32", f"in {precision}"
    return "task", "weights", *items, "measured", precision, "fp32, s", f"{precision}, s"


def drift_table(
    of: str,
    precision: str,
    full: Mapping[str, Item],
    half: Mapping[str, Item],
) -> Table:
    """The rows of one clip, which `of` names."""
    return Table(
        f"compare-drift-{of}",
        f"The service in {precision} compared with fp32: {of}",
        drift_columns(precision),
        drift_rows(full, half),
        "Seconds are of inference only. Whisper runs in fp32, or in fp16 on a GPU; scenes use no "
        "network.",
    )


def _grouped(items: Sequence[Item], *keys: str) -> dict[tuple[Any, ...], list[Item]]:
    groups = defaultdict(list)
    for item in items:
        group = (item["frame_index"], *(item[key] for key in keys))
        groups[group].append(item)
    return groups


def _box(item: Item) -> Corners:
    box = item["bbox"]
    return box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]


def _outline(item: Item) -> Corners:
    """The upright box around a polygon."""
    xs, ys = ([point[axis] for point in item["polygon"]] for axis in ("x", "y"))
    return min(xs), min(ys), max(xs), max(ys)
