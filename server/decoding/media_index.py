"""Indexes a media file: the presentation time of every frame, found without decoding."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

import av
import numpy as np
from numpy.typing import NDArray

from ipc.child import TaskError
from ipc.messages import MediaRange, VideoInfo
from server.decoding.containers import (
    DAMAGE,
    LARGEST_PIXELS,
    demuxed,
    frame_pixels,
    is_read_error,
    limit_frame_size,
    open_container,
)

LONGEST_MS = 7 * 24 * 3_600_000
LOWEST_FPS = 0.0001  # the lowest that a response can state


@dataclass(frozen=True)
class VideoIndex:
    """The best video stream: each frame's `pts`, in presentation order and `time_base` units.

    `keyframes` are the indices of frames at which decoding can start. `reordered` tells whether
    decoding and presentation order differ, as they do if there are non-reference B-frames.
    `stated_frames` is how many frames the header claims, 0 if it does not say.
    """

    stream_index: int
    width: int
    height: int
    pixel_format: str
    rotation: int
    fps: float
    time_base: Fraction
    pts: NDArray[np.int64]
    end_pts: int
    keyframes: NDArray[np.int64]
    reordered: bool
    stated_frames: int = 0

    @cached_property
    def times_ms(self) -> NDArray[np.float64]:
        """The presentation time of every frame."""
        return self.pts.astype(np.float64) * float(self.time_base * 1000)

    @property
    def end_ms(self) -> float:
        """The end of the last frame's display time."""
        return float(self.end_pts * self.time_base * 1000)


@dataclass(frozen=True)
class MediaIndex:
    """A file's video, its audio (start and end in milliseconds), or both."""

    path: str
    video: VideoIndex | None
    audio_ms: tuple[float, float] | None

    def info(self) -> VideoInfo:
        """The response's `video`; for audio-only files, all zero except the duration."""
        if self.video is None:
            start, end = self.audio_ms or (0.0, 0.0)
            return VideoInfo(0, 0, 0.0, 0, round(end - start))
        video = self.video
        width, height = video.width, video.height
        if video.rotation % 180:
            width, height = height, width
        duration_ms = round(video.end_ms - float(video.times_ms[0]))
        return VideoInfo(width, height, round(video.fps, 4), len(video.pts), duration_ms)

    def range(self, start_ms: int | None, end_ms: int | None) -> MediaRange:
        """The frames and the audio presented in [start_ms, end_ms)."""
        first = end = 0
        start, stop = self.audio_ms or (0.0, 0.0)
        if self.video is not None:
            times = self.video.times_ms
            start, stop = float(times[0]), self.video.end_ms
            first = 0 if start_ms is None else bisect_left(times, start_ms)
            end = len(times) if end_ms is None else bisect_left(times, end_ms)
        return MediaRange(
            first_frame=first,
            end_frame=max(first, end),
            start_ms=_clamp(start_ms, start, stop, start),
            end_ms=_clamp(end_ms, start, stop, stop),
            audio_start_ms=self.audio_ms and _clamp(start_ms, *self.audio_ms, self.audio_ms[0]),
            audio_end_ms=self.audio_ms and _clamp(end_ms, *self.audio_ms, self.audio_ms[1]),
        )


def longest_lead_in(video: VideoIndex | None) -> int:
    """The most frames that may have to be decoded before a wanted one."""
    if video is None:
        return 0
    starts = [0, *video.keyframes.tolist(), len(video.pts)]
    longest: int = max(later - earlier for earlier, later in pairwise(starts))
    return longest


def _clamp(value: float | None, least: float, most: float, default: float) -> float:
    return default if value is None else min(max(value, least), most)


def read_index(path: str) -> MediaIndex:
    """Read every packet's header; raises child.TaskError (undecodable_video)."""
    try:
        with open_container(path) as container:
            video = _best_video(container)
            audio = best_audio(container)
            packets = _Packets()
            packets.read(container, [s for s in (video, audio) if s is not None])
            index = MediaIndex(
                path,
                None if video is None else _video_index(container, video, packets),
                None if audio is None else packets.bounds_ms(audio),
            )
    except av.FFmpegError as error:
        if is_read_error(error, path):
            raise
        raise TaskError(
            "undecodable_video", f"The file cannot be read: {error.strerror}."
        ) from None
    if index.info().duration_ms > LONGEST_MS or _length_ms(index.audio_ms) > LONGEST_MS:
        raise TaskError("undecodable_video", "The file claims to be longer than a week.")
    if index.video is None and index.audio_ms is None:
        raise TaskError("undecodable_video", "The file contains neither video nor audio.")
    return index


def _length_ms(bounds_ms: tuple[float, float] | None) -> float:
    return 0.0 if bounds_ms is None else bounds_ms[1] - bounds_ms[0]


def _best_video(container: av.container.InputContainer) -> av.VideoStream | None:
    """The stream that ffmpeg would select; cover art is not video."""
    stream = container.streams.best("video")
    if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
        return None
    return stream if _decodable(stream) else None


def best_audio(container: av.container.InputContainer) -> av.AudioStream | None:
    """The stream that the ffmpeg program selects, and so `whisper.load_audio`.

    That is the first one with the most channels, preferring default streams; ffmpeg's library
    function would compare bit rates instead.
    """
    default = av.stream.Disposition.default
    return max(
        filter(_decodable, container.streams.audio),
        key=lambda stream: (bool(stream.disposition & default), stream.channels),
        default=None,
    )


def _decodable(stream: av.stream.Stream) -> bool:
    """Whether the header names a codec that is known, and a unit of time."""
    return stream.codec_context is not None and bool(stream.time_base)


class _Packets:
    """The times of all packets, by stream index."""

    def __init__(self) -> None:
        self.times: dict[int, list[tuple[int, int, bool]]] = {}

    def read(self, container: av.container.InputContainer, streams: list[av.stream.Stream]) -> None:
        """Demux to the end, or to the first damage."""
        self.times = {stream.index: [] for stream in streams}
        try:
            for packet in demuxed(container, streams):
                pts = packet.dts if packet.pts is None else packet.pts
                times = self.times.get(packet.stream_index)  # damage may add streams on the way
                if times is None or pts is None or packet.size == 0 or packet.is_discard:
                    continue
                times.append((pts, packet.duration or 0, packet.is_keyframe))
        except av.FFmpegError as error:
            if is_read_error(error, container.name):
                raise
            if not any(self.times.values()):
                raise TaskError(
                    "undecodable_video", f"The file cannot be read: {error.strerror}."
                ) from None

    def bounds_ms(self, stream: av.stream.Stream) -> tuple[float, float] | None:
        """The start and end of the stream."""
        times = self.times[stream.index]
        if not times:
            return None
        unit_ms = stream.time_base * 1000
        start = max(0, min(pts for pts, _, _ in times))
        end = max(start, *(pts + duration for pts, duration, _ in times))
        return float(start * unit_ms), float(end * unit_ms)


def _video_index(
    container: av.container.InputContainer, stream: av.VideoStream, packets: _Packets
) -> VideoIndex | None:
    coded = packets.times[stream.index]
    times = sorted(set(coded))
    if not times:
        return None
    pts = np.array([pts for pts, _, _ in times], np.int64)
    if stream.codec_context.width < 1 or stream.codec_context.height < 1:
        raise TaskError("undecodable_video", "The video does not say how large its frames are.")
    frame_pts = _frame_duration(stream, pts)
    last_pts, last_duration, _ = times[-1]
    return VideoIndex(
        stream_index=stream.index,
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        pixel_format=stream.codec_context.format.name if stream.codec_context.format else "",
        rotation=_rotation(container, stream),
        fps=_fps(stream, frame_pts),
        time_base=stream.time_base,
        pts=pts,
        end_pts=last_pts + (last_duration or frame_pts),
        keyframes=np.flatnonzero([key for _, _, key in times]).astype(np.int64),
        reordered=any(later < earlier for earlier, later in pairwise(coded)),
        stated_frames=stream.frames,
    )


def _frame_duration(stream: av.VideoStream, pts: NDArray[np.int64]) -> int:
    """The typical frame duration, in `time_base` units."""
    if len(pts) > 1:
        return max(1, int(np.median(np.diff(pts))))
    return max(1, int(1 / (stream.average_rate or 25) / stream.time_base))


def _fps(stream: av.VideoStream, frame_pts: int) -> float:
    """The header's frame rate; that of the typical frame if the header has none, or nonsense."""
    stated = float(stream.average_rate or 0)
    if stated >= LOWEST_FPS:
        return stated
    return max(LOWEST_FPS, float(1 / (frame_pts * stream.time_base)))


def _rotation(container: av.container.InputContainer, stream: av.VideoStream) -> int:
    """The rotation to upright, a multiple of 90 degrees, anticlockwise.

    PyAV reports it of decoded frames only. A frame of more than LARGEST_PIXELS is not decoded for
    it, and counts as upright: almost every service refuses it (MAX_FRAME_PIXELS).
    """
    if frame_pixels(stream) > LARGEST_PIXELS:
        return 0
    limit_frame_size(stream)
    container.seek(0)
    for packet in demuxed(container, [stream]):
        try:
            frames = packet.decode()
        except DAMAGE:
            continue
        if frames:
            quarter_turns = round(float(frames[0].rotation) / 90)
            return quarter_turns * 90 % 360
    raise TaskError("undecodable_video", "Not one frame of the video can be decoded.")
