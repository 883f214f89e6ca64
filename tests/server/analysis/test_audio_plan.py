"""Audio: its sections, and the parts of them that a message gets."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from ipc.messages import MediaRange
from ipc.subjects import AudioRef
from server.analysis.audio_plan import AudioPlan, plan_audio
from server.errors import Problem
from server.settings import MB, from_environ

LONG = MediaRange(0, 0, 0.0, 0.0, 1000.0, 3 * 3_600_000.0)


def test_long_audio_is_decoded_in_sections_that_fit(tmp_path: Path) -> None:
    environ = {"MODEL_CACHE_DIR": str(tmp_path), "FRAME_POOL_MB": "256", "DEVICES": "cpu"}
    plan = plan_audio(LONG, from_environ(environ, ()))
    assert plan.samples == (3 * 3600 - 1) * 16_000
    sections = plan.sections([(0, plan.samples)])
    assert (sections[0].start_ms, sections[-1].end_ms) == (1000.0, 3 * 3_600_000.0)
    assert [section.number for section in sections] == list(range(len(sections)))
    for before, after in itertools.pairwise(sections):
        assert before.end_ms == after.start_ms
    assert all(section.capacity * 2 * 8 <= 256 * MB for section in sections)


def test_no_audio_is_a_422(tmp_path: Path) -> None:
    environ = {"MODEL_CACHE_DIR": str(tmp_path), "DEVICES": "cpu"}
    with pytest.raises(Problem) as refusal:
        plan_audio(MediaRange(0, 9, 0.0, 300.0, None, None), from_environ(environ, ()))
    assert refusal.value.code == "no_audio_stream"


def test_only_the_sections_of_the_stretches_are_needed() -> None:
    plan = AudioPlan(0.0, 1000.0, 4000)
    numbers = [one.number for one in plan.sections([(100, 200), (3999, 4001), (12_000, 12_001)])]
    assert numbers == [0, 1, 3]
    assert plan.sections(()) == ()


def test_a_message_has_its_stretches_in_order() -> None:
    plan = AudioPlan(500.0, 1500.0, 4000)
    decoded = {0: AudioRef(0, 4000, 500.0), 1: AudioRef(40_960, 4000, 750.0)}
    audio = plan.cut([(160, 320), (3984, 4016)], decoded)
    assert audio.refs == (
        AudioRef(320, 160, 510.0),
        AudioRef(7968, 16, 749.0),
        AudioRef(40_960, 16, 750.0),
    )
    assert (audio.samples, audio.origin_ms) == (192, 500.0)


@pytest.mark.parametrize(
    ("present", "samples"), [((4000, 8), 24), ((4000, 0), 16), ((3990, 0), 6), ((3984, 0), 0)]
)
def test_audio_that_ends_early_is_said_so(present: tuple[int, int], samples: int) -> None:
    plan = AudioPlan(0.0, 1000.0, 4000)
    decoded = {number: AudioRef(0, count, 0.0) for number, count in enumerate(present)}
    audio = plan.cut([(3984, 4016)], decoded)
    assert audio.samples == samples
    assert sum(ref.samples for ref in audio.refs) == 32
