"""When a child counts as hung: the deadlines of processes and of the messages they work on, in s.

A child that misses one is killed and replaced. The time of a message runs from when the child
gets to it. No deadline follows from a client's own timeout, so no client can end a process.
"""

from __future__ import annotations

from ipc.files import FileRef
from ipc.messages import Frames, Subject

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


def load_s(longest_request_s: float) -> float:
    """For loading a model, which may include its download."""
    return longest_request_s + _AFTER_REQUEST_S


def infer_s(subject: Subject, longest_request_s: float) -> float:
    """For a batch: frames are few, a window of audio may take as long as the request."""
    longest_s = longest_request_s + _AFTER_REQUEST_S
    return min(_BATCH_S, longest_s) if isinstance(subject, Frames) else longest_s


def probe_s(file: FileRef) -> float:
    """For reading all packet headers of a file."""
    return _PROBE_S + _indexing_s(file)


def decode_s(file: FileRef, span_frames: int) -> float:
    """For decoding frames that span so many frames of the file."""
    return _DECODE_S + _DECODE_PER_FRAME_S * span_frames + _indexing_s(file)


def decode_audio_s(file: FileRef, duration_ms: float) -> float:
    """For decoding so much audio."""
    return _DECODE_S + _DECODE_PER_AUDIO_MS_S * duration_ms + _indexing_s(file)


def _indexing_s(file: FileRef) -> float:
    """How long a slow disk takes to read the whole file, to find all its frames."""
    return file.size_bytes / _SLOWEST_DISK_BYTES_PER_S
