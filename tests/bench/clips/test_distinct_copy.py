"""Copies of a clip differ only in their bytes, not in their frames."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import xxhash

from bench.clips.distinct_copy import distinct_copy
from bench.clips.generate import make_small


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as clip:
        return [frame.to_ndarray() for frame in clip.decode(video=0)]


def test_copies_differ_in_their_hash_and_hold_the_same_frames(tmp_path: Path) -> None:
    source = tmp_path / "clip.mp4"
    make_small(source, seconds=1)
    paths = [source, *(distinct_copy(source, tmp_path / f"{n}.mp4", n) for n in (1, 2))]
    assert len({xxhash.xxh64_hexdigest(path.read_bytes()) for path in paths}) == 3
    expected = frames(source)
    assert len(expected) == 30
    for path in paths[1:]:
        assert np.array_equal(frames(path), expected)
