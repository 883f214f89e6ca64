"""Clips that are damaged in a known way."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def disposable_frame(path: Path, after: int) -> int:
    """The number of the first frame behind `after` that no other frame needs."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONREF"
        needed = {frame.pts for frame in container.decode(stream)}
    order = sorted(packet.pts for packet in _packets(path))
    return next(n for n, pts in enumerate(order) if n > after and pts not in needed)


def corrupt_packet(source: Path, target: Path, after: int) -> None:
    """Copy a clip, and overwrite the packet of `disposable_frame` with seeded bytes."""
    packets = sorted(_packets(source), key=lambda packet: packet.pts)
    packet = packets[disposable_frame(source, after)]
    content = bytearray(source.read_bytes())
    content[packet.pos : packet.pos + packet.size] = np.random.default_rng(4).bytes(packet.size)
    target.write_bytes(content)


def scramble(source: Path, target: Path, seed: int, changes: int = 40) -> None:
    """Copy a clip, and change single bytes in its second half."""
    content = bytearray(source.read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(len(content) // 2, len(content), changes):
        content[place] ^= int(rng.integers(1, 256))
    target.write_bytes(content)


def _packets(path: Path) -> list[av.Packet]:
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(video=0) if packet.pts is not None]
