"""The deadlines of child processes and of their messages, in seconds.

A child that misses one counts as hung: it is killed and replaced. A message's time starts when the
child starts to work on it. No deadline depends on a client's timeout: no client can end a process.
"""

from __future__ import annotations

from ipc.files import FileRef
from ipc.subjects import Gathered, Subject

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
    """Deadline for loading a model, which may include its download."""
    return longest_request_s + _AFTER_REQUEST_S


def infer_s(subject: Subject, longest_request_s: float) -> float:
    """Deadline for a batch of frames or of audio; the end of a fold may take much longer."""
    longest_s = longest_request_s + _AFTER_REQUEST_S
    return longest_s if isinstance(subject, Gathered) else min(_BATCH_S, longest_s)


def probe_s(file: FileRef) -> float:
    """Deadline for reading all packet headers of a file."""
    return _PROBE_S + _indexing_s(file)


def decode_s(file: FileRef, span_frames: int) -> float:
    """Deadline for decoding frames from a span of `span_frames` frames."""
    return _DECODE_S + _DECODE_PER_FRAME_S * span_frames + _indexing_s(file)


def decode_audio_s(file: FileRef, duration_ms: float) -> float:
    """Deadline for decoding `duration_ms` of audio."""
    return _DECODE_S + _DECODE_PER_AUDIO_MS_S * duration_ms + _indexing_s(file)


def _indexing_s(file: FileRef) -> float:
    """The time that a slow disk needs to read the whole file, as indexing may do."""
    return file.size_bytes / _SLOWEST_DISK_BYTES_PER_S
