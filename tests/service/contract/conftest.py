"""A server with every model, a clip for it, and what it answers about the clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Server, running

from bench.clips.generate import make_small

# Such that every task but transcription and scenes has more than one chunk.
REQUESTS: dict[str, dict[str, Any]] = {
    "objects": {"frame_interval": 9},
    "faces": {"frame_interval": 9},
    "transcribe": {},
    "ocr": {"frame_interval": 30},
    "places": {"frame_interval": 5},
    "scenes": {},
}
POOL_MB = "64"  # such that audio of more than 261 s has two windows


@pytest.fixture(scope="package")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the clips."""
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="package")
def clip(media: Path) -> Path:
    """3 s of 30 fps, 224 × 126, with audio that resembles speech."""
    path = media / "clip.mp4"
    make_small(path, seconds=3, width=224, height=126)
    return path


@pytest.fixture(scope="package")
def server(weights_dir: Path, media: Path) -> Iterator[Server]:
    """One worker, on the CPU."""
    with running(
        MODEL_CACHE_DIR=str(weights_dir),
        MEDIA_ROOTS=str(media),
        WHISPER_MODEL="tiny",
        FRAME_POOL_MB=POOL_MB,
    ) as server:
        yield server


@pytest.fixture(scope="package")
def requests() -> dict[str, dict[str, Any]]:
    """The fields of each task's request about the clip."""
    return REQUESTS


@pytest.fixture(scope="package")
def plain(server: Server, clip: Path) -> dict[str, dict[str, Any]]:
    """The plain response of each task."""
    answers = {task: server.infer(task, clip, **fields) for task, fields in REQUESTS.items()}
    assert {task: answer.status_code for task, answer in answers.items()} == dict.fromkeys(
        REQUESTS, 200
    )
    return {task: answer.json() for task, answer in answers.items()}
