"""Merges several plans into one pass over a video, split into windows.

Each task keeps the chunks that it would have alone, so its batches and its numbers are those of a
request for this task only. A window is decoded in one message. A chunk that spans windows requests
its frames again in the next window, and finds them in the pool.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from server.analysis.planner import Chunk, FramePlan

Sized = tuple[int, int, int]  # frame index, height, width


@dataclass(frozen=True)
class Window:
    """Frames to lease together, in frame order, and the chunks that they complete.

    `sampled` are the frames of plans that do not pass over every frame. `chunks` has the index of
    the plan with each chunk.
    """

    frames: tuple[Sized, ...]
    sampled: frozenset[Sized]
    chunks: tuple[tuple[int, Chunk], ...]


@dataclass
class _Feed:
    """The chunks of one plan, and the index of the first incomplete one."""

    plan: FramePlan
    chunks: list[Chunk] = field(init=False)
    first: int = 0

    def __post_init__(self) -> None:
        self.chunks = list(self.plan.chunks())

    def sized(self, indices: Sequence[int]) -> set[Sized]:
        return {(i, self.plan.height, self.plan.width) for i in indices}

    def complete(self, last_index: int) -> list[Chunk]:
        """Take the chunks whose frames are all at or before `last_index`."""
        taken = []
        while self.first < len(self.chunks) and self.chunks[self.first].indices[-1] <= last_index:
            taken.append(self.chunks[self.first])
            self.first += 1
        return taken

    def open_frames(self, last_index: int) -> set[Sized]:
        """The frames at or before `last_index` of the first incomplete chunk."""
        if self.first == len(self.chunks):
            return set()
        return self.sized([i for i in self.chunks[self.first].indices if i <= last_index])


def windows(plans: Sequence[FramePlan]) -> Iterator[Window]:
    """The windows of one pass: each ends with a chunk of the plan that has the most chunks."""
    feeds = [_Feed(plan) for plan in plans]
    densest = max(feeds, key=lambda feed: len(feed.chunks))
    ends = [chunk.indices[-1] for chunk in densest.chunks]
    last = max((feed.chunks[-1].indices[-1] for feed in feeds if feed.chunks), default=-1)
    if not ends or ends[-1] < last:
        ends.append(last)
    for end in ends if last >= 0 else []:
        complete = [(i, chunk) for i, feed in enumerate(feeds) for chunk in feed.complete(end)]
        wanted = [(feeds[i].plan, feeds[i].sized(chunk.indices)) for i, chunk in complete]
        wanted += [(feed.plan, feed.open_frames(end)) for feed in feeds]
        frames = {sized for _, of_plan in wanted for sized in of_plan}
        sampled = {sized for plan, of_plan in wanted if plan.sampled for sized in of_plan}
        yield Window(tuple(sorted(frames)), frozenset(sampled), tuple(complete))
