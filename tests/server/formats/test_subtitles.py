"""Subtitles: what holds for any speech and any text on the screen; what readers make of it."""

from __future__ import annotations

import itertools
import subprocess

import imageio_ffmpeg
import pysubs2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.messages import VideoInfo
from ipc.results import Point, Segment, TextDetection, Word
from server.formats import screen_text, srt, vtt
from server.formats.format import Clip
from server.formats.subtitles import Cue, spoken

VIDEO = VideoInfo(640, 360, 25.0, 2500, 100_000)
CLIP = Clip("clip.mp4", VIDEO)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=90)
WORDS = st.lists(st.text("abcdefgh.,?", min_size=1, max_size=14), max_size=25).map(" ".join)
TEXT = st.one_of(ANY_TEXT, WORDS, st.text("漢字かな。", max_size=80))


@st.composite
def segments(draw: st.DrawFn) -> list[Segment]:
    """Speech in order, with or without words, dense or with pauses."""
    found, now_ms = [], 0
    for text in draw(st.lists(TEXT, max_size=12)):
        start_ms = now_ms + draw(st.integers(0, 3000))
        now_ms = start_ms + draw(st.integers(0, 12_000))
        words = draw(st.booleans()) and _timed(draw, text, start_ms, now_ms)
        found.append(Segment(start_ms, now_ms, text, 0.5, words or None))
    return found


def _timed(draw: st.DrawFn, text: str, start_ms: int, end_ms: int) -> list[Word]:
    parts = [f" {part}" for part in text.split()]
    times = sorted(draw(st.integers(start_ms, end_ms)) for _ in range(2 * len(parts)))
    return [Word(times[2 * i], times[2 * i + 1], part, 0.5) for i, part in enumerate(parts)]


@st.composite
def detections(draw: st.DrawFn) -> list[TextDetection]:
    """Texts in some of the sampled frames, anywhere in them."""
    found = []
    for frame in sorted(draw(st.sets(st.integers(0, 30), max_size=8))):
        for text in draw(
            st.lists(st.one_of(TEXT, st.sampled_from(["EXIT", "One line"])), max_size=4)
        ):
            x, y = draw(st.integers(0, 600)), draw(st.integers(0, 300))
            found.append(detection(frame * 50, text, x, y))
    return found


def detection(
    frame: int, text: str, x: float = 10, y: float = 10, score: float = 0.9
) -> TextDetection:
    corners = [Point(x, y), Point(x + 40, y), Point(x + 40, y + 20), Point(x, y + 20)]
    return TextDetection(frame, frame * 40, text, score, corners)


def check_readable(cues: list[Cue]) -> None:
    for cue in cues:
        assert 1 <= len(cue.lines) <= 2
        assert all(0 < len(line) <= 42 for line in cue.lines)
        assert 1000 <= cue.end_ms - cue.start_ms <= 7000
    for before, after in itertools.pairwise(cues):
        assert before.end_ms <= after.start_ms


def letters(text: str) -> str:
    """All that is visible, whatever the line breaks."""
    return "".join(char for char in text if char.isprintable() and not char.isspace())


def shown(cues: list[Cue]) -> str:
    return letters("".join(line for cue in cues for line in cue.lines))


@settings(max_examples=300, deadline=None)
@given(segments())
def test_speech_is_readable_and_complete(speech: list[Segment]) -> None:
    cues = spoken(speech)
    check_readable(cues)
    assert shown(cues) == letters("".join(segment.text for segment in speech))
    if cues:
        assert cues[0].start_ms >= speech[0].start_ms


@settings(max_examples=300, deadline=None)
@given(segments(), st.sampled_from([srt, vtt]))
def test_readers_find_the_cues_that_were_written(speech: list[Segment], form: srt) -> None:
    """Of letters: pysubs2 reads no number in a line of its own, and takes `{` for a tag."""
    plain = [
        Segment(
            s.start_ms,
            s.end_ms,
            "".join(c for c in s.text if c.isalpha() or c == " "),
            s.confidence,
        )
        for s in speech
    ]
    cues = spoken(plain)
    read = pysubs2.SSAFile.from_string(form.render(CLIP, cues).decode(), form.NAME)
    assert [(e.start, e.end, e.plaintext) for e in read] == [
        (cue.start_ms, cue.end_ms, "\n".join(cue.lines)) for cue in cues
    ]


@settings(max_examples=300, deadline=None)
@given(detections())
def test_text_on_the_screen_is_readable_and_complete(found: list[TextDetection]) -> None:
    cues = screen_text.cues(found, 50, VIDEO)
    check_readable(cues)
    for text in screen_text.on_screen(found, 50, VIDEO):
        assert letters(text.best.text) in shown(cues)


def test_text_that_stays_is_one_cue() -> None:
    """With a frame in which OCR misses it, one in which it misreads a letter, and a move."""
    found = [
        detection(0, "Clean hands", score=0.8),
        detection(50, "Clean hands", score=0.9),
        detection(150, "Clean hamds", score=0.6),
        detection(200, "Clean hands", x=300),
        detection(500, "Clean hands"),
    ]
    texts = screen_text.on_screen(found, 50, VIDEO)
    assert [(t.best.text, t.start_ms, t.end_ms) for t in texts] == [
        ("Clean hands", 0, 10_000),
        ("Clean hands", 20_000, 22_000),
    ]
    assert screen_text.cues(found, 50, VIDEO) == [
        Cue(0, 7000, ("Clean hands",)),
        Cue(20_000, 22_000, ("Clean hands",)),
    ]


def test_another_text_at_the_same_place_is_another_cue() -> None:
    for one, other in (("Monday", "Thursday"), ("Final score 1:0", "Final score 1:1")):
        found = [detection(0, one), detection(50, other)]
        assert [cue.lines for cue in screen_text.cues(found, 50, VIDEO)] == [(one,), (other,)]


def test_texts_of_a_frame_are_read_by_rows() -> None:
    found = [
        detection(0, "below", y=100),
        detection(0, "right", x=200, y=12),
        detection(0, "left", x=10, y=18),
    ]
    assert screen_text.cues(found, 50, VIDEO)[0].lines == ("left right below",)


@pytest.mark.parametrize(
    ("gap_ms", "lines"),
    [(100, [("One two",)]), (900, [("One",), ("two",)])],
)
def test_words_are_split_at_a_pause(gap_ms: int, lines: list[tuple[str, ...]]) -> None:
    words = [Word(0, 400, " One", 1), Word(400 + gap_ms, 800 + gap_ms, " two", 1)]
    cues = spoken([Segment(0, 800 + gap_ms, " One two", 1, words)])
    assert [cue.lines for cue in cues] == lines
    assert cues[-1].start_ms == (0 if len(lines) == 1 else max(1000, 400 + gap_ms))


def test_a_long_sentence_is_split_at_its_comma() -> None:
    text = (
        "When the rain had ended at last in the evening, all of them went out to the garden again."
    )
    first, second = spoken([Segment(0, 8000, text, 1)])
    assert first.lines[-1].endswith("evening,")
    assert second.lines[0].startswith("all of them")


def test_words_without_spaces_are_not_given_any() -> None:
    words = [Word(0, 500, "今日", 1), Word(500, 900, "は", 1), Word(900, 1500, "晴れ", 1)]
    assert [cue.lines for cue in spoken([Segment(0, 1500, "今日は晴れ", 1, words)])] == [
        ("今日は晴れ",)
    ]


AWKWARD = [r"C:\New\home {\i1}", "a < b & c > d", "<b>no tag</b>", "42"]


@pytest.mark.parametrize(("form", "muxer"), [(srt, "srt"), (vtt, "webvtt")])
def test_ffmpeg_reads_them(form: srt, muxer: str) -> None:
    cues = [Cue(1000 * i, 1000 * i + 1000, (text, "second line")) for i, text in enumerate(AWKWARD)]
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-f",
        muxer,
        "-i",
        "-",
        "-f",
        "webvtt",
        "-",
    ]
    done = subprocess.run(
        command, input=form.render(CLIP, cues), capture_output=True, timeout=60, check=True
    )
    assert done.stderr == b""
    text = done.stdout.decode()
    times = [line for line in text.splitlines() if " --> " in line]
    assert times == [f"00:0{i}.000 --> 00:0{i + 1}.000" for i in range(len(cues))]
    assert text.count("second line") == len(cues)


def test_webvtt_has_no_tags_and_both_keep_backslashes() -> None:
    cues = [Cue(0, 1000, (text,)) for text in AWKWARD]
    assert r"C:\New\home {\i1}" in srt.render(CLIP, cues).decode()
    written = vtt.render(CLIP, cues).decode()
    assert r"C:\New\home {\i1}" in written
    assert "a &lt; b &amp; c &gt; d" in written
    assert "<b>" not in written
