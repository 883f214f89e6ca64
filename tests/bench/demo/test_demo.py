"""The demo as a whole: two scenes of its clip, a real service, stand-in weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from bench.clips import narrated
from bench.clips.narrated_parts import Part, parts
from bench.demo import __main__ as demo


def first_and_third() -> list[Part]:
    """Text, and shapes."""
    story = parts()
    return [story[0], story[2]]


def test_the_demo_runs(weights_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrated, "parts", first_and_third)
    monkeypatch.setattr(demo, "MODELS", weights_dir)
    findings = demo.run(tmp_path, Console(quiet=True))
    assert all(reply.response for reply in findings.replies.values())
    assert findings.cuts is not None
    assert findings.cuts.pairs == ((105, 105),)
    assert findings.shapes is not None
    assert len(findings.shapes.found) >= 0.8 * len(findings.shapes.matches)
    assert findings.shapes.mean_iou > 0.8
    assert (tmp_path / "index.html").exists()
    assert (tmp_path / "shapes.json").exists()
