"""Clips of some kilobytes whose header, or whose frames, claim to be gigapixels large."""

from __future__ import annotations

import struct
from pathlib import Path

import av

SIDE, ABSURD_SIDE = 320, 16_000
# The frame header of VP8 (RFC 6386, 9.1), and the track's size in Matroska.
IN_FRAME = b"\x9d\x01\x2a%b%b"
IN_HEADER = b"\xb0\x82%b\xba\x82%b"


def write_absurd(path: Path, *, header: bool, frames: bool) -> None:
    """A WebM clip of five grey frames; say where the absurd size is."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", 25)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for pts in range(5):
            frame = av.VideoFrame(SIDE, SIDE, "yuv420p")
            frame.pts = pts
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    if frames:
        content = _replaced(content, IN_FRAME, "<H")
    if header:
        content = _replaced(content, IN_HEADER, ">H")
    path.write_bytes(content)


def _replaced(content: bytes, pattern: bytes, form: str) -> bytes:
    small, absurd = struct.pack(form, SIDE), struct.pack(form, ABSURD_SIDE)
    assert content.count(pattern % (small, small)) == 1
    return content.replace(pattern % (small, small), pattern % (absurd, absurd))
