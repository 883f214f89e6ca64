"""Scenes as chapters and timelines, read by FFmpeg and OpenTimelineIO."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import imageio_ffmpeg
import opentimelineio as otio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otio_cmx3600_adapter import cmx_3600

from bench.clips.generate import make_small
from ipc.messages import VideoInfo
from ipc.results import Scene
from server.formats import edl, ffmetadata
from server.formats import otio as otio_format
from server.formats.format import Clip

SCENES = [Scene(0, 0, 1200), Scene(1, 1200, 1233), Scene(2, 1233, 3000)]


def clip_at(fps: float) -> Clip:
    return Clip("my clip.mp4", VideoInfo(64, 36, fps, 90, 3000))


def test_ffmpeg_takes_the_chapters(tmp_path: Path) -> None:
    video, chapters, out = (tmp_path / name for name in ("a.mp4", "a.ffmetadata", "b.mkv"))
    make_small(video, seconds=3, width=64, height=36, audio=False)
    chapters.write_bytes(ffmetadata.render(clip_at(30), SCENES))
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    command = [ffmpeg, "-v", "error", "-i", video, "-i", chapters, "-map_chapters", "1"]
    subprocess.run([*command, "-c", "copy", out], check=True, timeout=60)
    read = subprocess.run(
        [ffmpeg, "-v", "error", "-i", out, "-f", "ffmetadata", "-"],
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    ).stdout
    lines = read.splitlines()
    times = [(line.split("=")[1]) for line in lines if line.startswith(("START", "END"))]
    scale = {line for line in lines if line.startswith("TIMEBASE")}
    assert scale == {"TIMEBASE=1/1000000000"}
    assert [int(time) // 10**6 for time in times] == [0, 1200, 1200, 1233, 1233, 3000]
    assert [line for line in lines if line.startswith("title=Scene")] == [
        "title=Scene 1",
        "title=Scene 2",
        "title=Scene 3",
    ]


def spans_ms(timeline: otio.schema.Timeline) -> list[tuple[float, float]]:
    """The parts of the video that the clips of the timeline show."""
    found = []
    for clip in timeline.find_clips():
        span = clip.source_range
        found.append(
            (span.start_time.to_seconds() * 1000, span.end_time_exclusive().to_seconds() * 1000)
        )
    return found


RATES = [24, 25, 30, 23.976, 29.97, 30000 / 1001, 59.94, 12.5, 60, 120, 1.0, 0.0]


@pytest.mark.parametrize("fps", RATES)
def test_opentimelineio_reads_its_format(fps: float) -> None:
    written = otio_format.render(clip_at(fps), SCENES)
    timeline = otio.adapters.read_from_string(written.decode(), "otio_json")
    assert timeline.name == "my clip"
    frame_ms = 1000 / (fps or 1000)
    assert len(timeline.find_clips()) == (2 if fps in (12.5, 1.0) else 3)
    for clip in timeline.find_clips():
        assert clip.media_reference.target_url == "my%20clip.mp4"
        available = clip.media_reference.available_range
        assert clip.source_range.start_time >= available.start_time
        assert clip.source_range.end_time_exclusive() <= available.end_time_exclusive()
        scene = SCENES[int(clip.name.split()[1]) - 1]
        start = clip.source_range.start_time.to_seconds() * 1000
        assert abs(start - scene.start_ms) <= frame_ms / 2 + 0.001
    assert all(a[1] == b[0] for a, b in itertools.pairwise(spans_ms(timeline)))


@pytest.mark.parametrize("fps", RATES)
def test_opentimelineio_reads_the_edl(fps: float) -> None:
    """Also of rates for which there is no timecode: the times are right within a frame."""
    written = edl.render(clip_at(fps), SCENES).decode()
    rate = min(edl.RATES, key=lambda known: abs(known - fps))
    lines = written.splitlines()
    assert lines[0] == "TITLE: my clip"
    dropped = fps in (29.97, 30000 / 1001, 59.94)
    assert lines[1] == ("FCM: DROP FRAME" if dropped else "FCM: NON-DROP FRAME")
    timeline = cmx_3600.read_from_string(written, rate=rate)
    assert [clip.name for clip in timeline.find_clips()][:1] == ["my clip.mp4"]
    spans = spans_ms(timeline)
    assert spans[0][0] == 0
    assert spans[-1][1] == pytest.approx(3000, abs=500 / rate + 0.001)
    assert all(a[1] == pytest.approx(b[0]) for a, b in itertools.pairwise(spans))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=40), st.sampled_from(RATES))
def test_timelines_have_no_gap(lengths: list[int], fps: float) -> None:
    ends = list(itertools.accumulate(lengths))
    scenes = [Scene(i, a, b) for i, (a, b) in enumerate(itertools.pairwise([0, *ends]))]
    clip = Clip("a.mp4", VideoInfo(64, 36, fps, 100, ends[-1]))
    written = otio_format.render(clip, scenes).decode()
    spans = spans_ms(otio.adapters.read_from_string(written, "otio_json"))
    assert all(a[1] == pytest.approx(b[0]) for a, b in itertools.pairwise(spans))
    assert edl.render(clip, scenes) == edl.render(clip, scenes)
