"""Plans which frames a task needs, at which size, in which chunks.

A plan depends on the request, the video and the settings only, never on the load. So the same
request always has the same batches, and gets the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ipc.arena import slot_bytes
from ipc.messages import MediaRange, VideoInfo
from server.errors import Problem
from server.settings import MB, Settings
from server.tasks.task import FrameInput

CHUNKS_IN_POOL = 8
SAMPLED_FROM_INTERVAL = 8


@dataclass(frozen=True)
class Chunk:
    """Frames that are analysed together; the first `context` are for comparison only."""

    indices: Sequence[int]
    context: int


@dataclass(frozen=True)
class FramePlan:
    """Chunks of frame indices, all at one size.

    Every chunk except the first begins with the last `context` frames of the previous one.
    """

    height: int
    width: int
    indices: range
    chunk_frames: int
    context: int = 0

    @property
    def sampled(self) -> bool:
        """Whether the frames are sparse: the pool keeps them longer than those of a full pass."""
        return self.indices.step >= SAMPLED_FROM_INTERVAL

    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks in frame order."""
        for start in range(0, len(self.indices), self.chunk_frames):
            context = min(start, self.context)
            yield Chunk(self.indices[start - context : start + self.chunk_frames], context)


def plan_frames(
    needs: FrameInput, video: VideoInfo, span: MediaRange, settings: Settings
) -> FramePlan:
    """The frames of the range that a task needs, in chunks.

    The interval counts from the video's first frame, so a range has the same frames as the whole
    video has there. Raises Problem (undecodable_video, frame_too_large).
    """
    if video.frame_count == 0:
        raise Problem("undecodable_video", "The file has no video stream, only audio.")
    _check_size(video, settings)
    first = -(-span.first_frame // needs.interval) * needs.interval
    height, width = _scaled_size(video.height, video.width, needs.longest_side)
    fitting = settings.frame_pool_mb * MB // CHUNKS_IN_POOL // slot_bytes(height * width * 3)
    return FramePlan(
        height=height,
        width=width,
        indices=range(first, span.end_frame, needs.interval),
        chunk_frames=max(1, min(needs.chunk_frames, fitting)),
        context=needs.context,
    )


def _check_size(video: VideoInfo, settings: Settings) -> None:
    pixels = video.width * video.height
    size = f"The video's frames are {video.width}x{video.height}"
    if pixels > settings.max_frame_pixels:
        raise Problem(
            "frame_too_large",
            f"{size}, {pixels} pixels; this service accepts up to {settings.max_frame_pixels} "
            "(MAX_FRAME_PIXELS). Scale the video down.",
        )
    if slot_bytes(pixels * 3) > settings.frame_pool_mb * MB // 2:
        raise Problem(
            "frame_too_large",
            f"{size}, too large for this service's frame pool of {settings.frame_pool_mb} MB "
            "(FRAME_POOL_MB). Scale the video down.",
        )


def _scaled_size(height: int, width: int, longest_side: int | None) -> tuple[int, int]:
    """The size scaled down to the longest side, rounded like PySceneDetect's SceneManager."""
    factor = max(height, width) / (longest_side or max(height, width))
    if factor <= 1:
        return height, width
    return max(1, round(height / factor)), max(1, round(width / factor))
