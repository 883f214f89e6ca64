"""The language of a transcription: never null."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from running import Server

from bench.clips.generate import make_silent


@pytest.fixture(scope="module")
def silent(media: Path) -> Path:
    make_silent(media / "silent.mp4")
    return media / "silent.mp4"


def test_the_language_that_is_given(
    server: Server, clip: Path, plain: dict[str, dict[str, Any]]
) -> None:
    """The model is told it too: the stand-in's words depend on it."""
    answer = server.infer("transcribe", clip, language="de").json()
    assert answer["language"] == "de"
    assert answer["segments"] != plain["transcribe"]["segments"]


def test_the_language_that_is_detected(
    server: Server, clip: Path, plain: dict[str, dict[str, Any]]
) -> None:
    """Detection is part of the model: told to the model, its outcome changes nothing."""
    detected = plain["transcribe"]["language"]
    assert (len(detected), detected != "und") == (2, True)
    assert plain["transcribe"]["segments"]
    told = server.infer("transcribe", clip, language=detected).json()
    assert told["segments"] == plain["transcribe"]["segments"]


@pytest.mark.parametrize(("given", "language"), [(None, "und"), ("fr", "fr")])
def test_the_language_of_silence(
    given: str | None, language: str, server: Server, silent: Path
) -> None:
    answer = server.infer("transcribe", silent, language=given).json()
    assert (answer["language"], answer["segments"]) == (language, [])
