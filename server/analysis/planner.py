"""Plans which frames a task needs, at which size, in which chunks.

A plan depends on the request, the video and the settings only, never on the load. So the same
request always has the same batches, and gets the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ipc.arena import SAMPLE_RATE, slot_bytes
from ipc.messages import MediaRange, VideoInfo
from server.errors import Problem
from server.settings import MB, Settings
from server.tasks.task import AudioInput, FrameInput

CHUNKS_IN_POOL = 8
SAMPLED_FROM_INTERVAL = 8
SAMPLE_BYTES = 2
RESAMPLER_SLACK = SAMPLE_RATE


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


@dataclass(frozen=True)
class AudioWindow:
    """A range of the audio."""

    start_ms: float
    end_ms: float

    @property
    def capacity(self) -> int:
        """The maximum number of samples."""
        return round((self.end_ms - self.start_ms) * SAMPLE_RATE / 1000) + RESAMPLER_SLACK


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


def plan_audio(needs: AudioInput, span: MediaRange, settings: Settings) -> list[AudioWindow]:
    """The range's audio, split into windows; raises Problem (no_audio_stream)."""
    if span.audio_start_ms is None or span.audio_end_ms is None:
        raise Problem("no_audio_stream", "The file has no audio stream.")
    fitting = settings.frame_pool_mb * MB // CHUNKS_IN_POOL // SAMPLE_BYTES
    fitting_ms = (fitting - RESAMPLER_SLACK) * 1000 / SAMPLE_RATE
    length_ms = min(needs.window_ms, fitting_ms)
    windows = []
    start_ms = span.audio_start_ms
    while start_ms < span.audio_end_ms:
        end_ms = min(start_ms + length_ms, span.audio_end_ms)
        windows.append(AudioWindow(start_ms, end_ms))
        start_ms = end_ms
    return windows
