"""The choice of the engine: decord only if few frames are wanted and few can be skipped."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from server.decoding.engine_choice import DECORD, PYAV, choose_engine
from server.decoding.media_index import VideoIndex


def video(
    *, pixel_format: str = "yuv420p", reordered: bool = False, gop: int = 300, width: int = 320
) -> VideoIndex:
    """600 frames at 30/s, a keyframe every `gop`."""
    return VideoIndex(
        stream_index=0,
        width=width,
        height=180,
        pixel_format=pixel_format,
        rotation=0,
        fps=30.0,
        time_base=Fraction(1, 30),
        pts=np.arange(600),
        end_pts=600,
        keyframes=np.arange(0, 600, gop),
        reordered=reordered,
    )


SPARSE, DENSE = range(0, 600, 30), range(0, 128)


@pytest.mark.parametrize(
    ("index", "wanted", "engine"),
    [
        (video(), SPARSE, DECORD),
        (video(), DENSE, PYAV),
        (video(), [0, 30, 37], PYAV),
        (video(pixel_format="yuv420p10le"), SPARSE, PYAV),
        (video(pixel_format="yuvj420p"), SPARSE, PYAV),
        (video(reordered=True), SPARSE, PYAV),
        (video(gop=15), SPARSE, PYAV),
        (video(width=321), SPARSE, PYAV),
    ],
)
def test_decord_reads_few_frames_of_which_none_can_be_skipped(
    index: VideoIndex, wanted: range | list[int], engine: str
) -> None:
    assert choose_engine(index, list(wanted), last="", scaled=False) == engine


@pytest.mark.parametrize(("last", "engine"), [("", DECORD), (PYAV, PYAV), (DECORD, DECORD)])
def test_a_single_frame_goes_to_the_reader_that_is_open(last: str, engine: str) -> None:
    assert choose_engine(video(), [128], last, scaled=False) == engine


@pytest.mark.parametrize("last", ["", DECORD, PYAV])
@pytest.mark.parametrize("wanted", [SPARSE, DENSE, [128]])
def test_scaled_frames_are_always_pyavs(wanted: range | list[int], last: str) -> None:
    """The two scale differently: what a task sees must not depend on which decoder was free."""
    assert choose_engine(video(), list(wanted), last, scaled=True) == PYAV
