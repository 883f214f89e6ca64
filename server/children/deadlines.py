"""When a child counts as hung: the deadlines of processes and of the messages they work on, in s.

A child that misses one is killed and replaced.
"""

from __future__ import annotations

import os

from ipc.messages import Frames, Subject
from server.errors import Problem

READY_S = 90.0
READY_WITH_PRELOAD_S = 1800.0  # models may have to be downloaded
HEARTBEAT_S = 15.0
EXIT_S = 5.0

_PROBE_S = 60.0
_DECODE_S = 30.0
_DECODE_PER_FRAME_S = 0.25
_DECODE_PER_AUDIO_MS_S = 0.001
_SLOWEST_DISK_BYTES_PER_S = 20_000_000
_BATCH_S = 600.0
_AFTER_REQUEST_S = 30.0


def load_s(request_timeout_s: float) -> float:
    """For loading a model, which may include its download."""
    return request_timeout_s + _AFTER_REQUEST_S


def infer_s(subject: Subject, request_timeout_s: float) -> float:
    """For a batch: frames are few, a window of audio may take as long as the request."""
    longest_s = request_timeout_s + _AFTER_REQUEST_S
    return min(_BATCH_S, longest_s) if isinstance(subject, Frames) else longest_s


def probe_s(path: str) -> float:
    """For reading all packet headers of a file."""
    return _PROBE_S + _indexing_s(path)


def decode_s(path: str, span_frames: int) -> float:
    """For decoding frames that span so many frames of the file."""
    return _DECODE_S + _DECODE_PER_FRAME_S * span_frames + _indexing_s(path)


def decode_audio_s(path: str, duration_ms: float) -> float:
    """For decoding so much audio."""
    return _DECODE_S + _DECODE_PER_AUDIO_MS_S * duration_ms + _indexing_s(path)


def _indexing_s(path: str) -> float:
    """How long a slow disk takes to read the whole file, to find all its frames."""
    try:
        return os.stat(path).st_size / _SLOWEST_DISK_BYTES_PER_S
    except OSError as error:
        raise Problem("video_not_found", f"The file cannot be read: {error.strerror}.") from None
