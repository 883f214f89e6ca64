"""Reads audio in Whisper's format (mono, 16 kHz, int16), resampled by ffmpeg's own resampler."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, groupby

import av

from ipc.arena import SAMPLE_RATE, Samples
from ipc.child import TaskError
from server.decoding.containers import decoded, is_read_error, open_container
from server.decoding.media_index import best_audio

PREROLL_S = 1.0


def read_audio(path: str, start_ms: float, end_ms: float, out: Samples) -> int:
    """Fill `out` with the audio in [start_ms, end_ms), then zeros; return the number of samples.

    Raises child.TaskError (no_audio_stream, undecodable_video).
    """
    wanted = min(len(out), round((end_ms - start_ms) * SAMPLE_RATE / 1000))
    filled = 0
    try:
        with open_container(path) as container:
            stream = best_audio(container)
            if stream is None:
                raise TaskError("no_audio_stream", "The file has no audio stream.")
            for block in _from(start_ms / 1000, container, stream):
                taken = block[: wanted - filled]
                out[filled : filled + len(taken)] = taken
                filled += len(taken)
                if filled == wanted:
                    break
    except av.FFmpegError as error:
        if is_read_error(error, path):
            raise
        raise TaskError(
            "undecodable_video", f"The audio cannot be read: {error.strerror}."
        ) from None
    out[filled:] = 0
    return filled


def _from(
    start_s: float, container: av.container.InputContainer, stream: av.AudioStream
) -> Iterator[Samples]:
    """Yield blocks of samples from `start_s` on."""
    if start_s > PREROLL_S:
        container.seek(int((start_s - PREROLL_S) / stream.time_base), stream=stream)
    frames = decoded(container, stream)
    first = next(frames, None)
    if first is None:
        return
    skip = max(0, round((start_s - (first.time or 0.0)) * SAMPLE_RATE))
    for block in _resampled(chain([first], frames)):
        yield block[skip:]
        skip = max(0, skip - len(block))


def _resampled(frames: Iterable[av.AudioFrame]) -> Iterator[Samples]:
    """Yield the audio in Whisper's format, also where its own format changes on the way."""
    for _, alike in groupby(frames, key=_format):
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        for frame in chain(alike, [None]):  # the end flushes it
            for resampled in resampler.resample(frame):
                yield resampled.to_ndarray().reshape(-1)


def _format(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
