"""Which engine decodes: decord where few frames are wanted and yet all must be decoded, else PyAV.

Full-size frames of 8-bit 4:2:0 video are the same bytes from both, so the choice is a matter of
speed alone. decord does not get other pixel formats, because its ffmpeg is older and converts them
differently, nor frames that are to be scaled: PyAV's are scaled before they are converted to RGB.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from server.decoding.media_index import VideoIndex

DECORD, PYAV = "decord", "pyav"

DECORD_PIXEL_FORMATS = ("yuv420p",)
SPARSE_INTERVAL = 8  # from here on decord is as fast as PyAV, or faster
MIN_SKIPPED_SHARE = 0.25  # of the frames between the first and the last wanted one


def choose_engine(index: VideoIndex, wanted: Sequence[int], last: str, *, scaled: bool) -> str:
    """The faster engine for these frames, whose indices rise.

    `scaled` says whether any is wanted at another size than its own, `last` which engine is open.
    """
    if scaled or not decord_reads(index):
        return PYAV
    if len(wanted) == 1:
        return last or DECORD
    sparse = all(later - earlier >= SPARSE_INTERVAL for earlier, later in pairwise(wanted))
    return DECORD if sparse and not _can_skip_frames(index, wanted) else PYAV


def decord_reads(index: VideoIndex) -> bool:
    """Whether decord gives the same bytes as PyAV.

    It does not where a chroma sample at the edge stands for less than two rows or columns. It
    allocates memory for as many frames as the header states, and aborts if that fails.
    """
    even = index.width % 2 == index.height % 2 == 0
    counted = index.stated_frames in (0, len(index.pts))
    return even and counted and index.pixel_format in DECORD_PIXEL_FORMATS


def _can_skip_frames(index: VideoIndex, wanted: Sequence[int]) -> bool:
    """Whether PyAV, unlike decord, can skip most of the frames between the wanted ones.

    It skips non-reference frames, and all frames up to the next keyframe.
    """
    if index.reordered:
        return True
    skipped = 0
    for earlier, later in pairwise(wanted):
        before = bisect_right(index.keyframes, later)  # none where the header marks no keyframe
        keyframe = int(index.keyframes[before - 1]) if before else 0
        skipped += max(0, keyframe - earlier - 1)
    return skipped > MIN_SKIPPED_SHARE * (wanted[-1] - wanted[0])
