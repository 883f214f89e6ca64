"""Fixtures that every test may ask for: real clips, and weights to run the real models with."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ipc.arena import Arena, ArenaView
from ipc.messages import FrameRef, Frames

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("EIOKU_TEST_DATA", ROOT.parent / "shared" / "data"))
WEIGHTS = ROOT / ".cache" / "standins"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real clips and images."""
    if not DATA.is_dir():
        pytest.skip(f"no test data in {DATA}; set EIOKU_TEST_DATA")
    return DATA


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """A folder with weights for every default model; files that lie there are used as they are."""
    command = [sys.executable, "-m", "gpu_workers.weights", "standins", str(WEIGHTS)]
    subprocess.run(command, check=True, timeout=300, cwd=ROOT, stdout=subprocess.DEVNULL)
    return WEIGHTS


class FrameStore:
    """An arena of a test's own, with frames put into it by hand."""

    def __init__(self, arena: Arena) -> None:
        arena.create()
        self.arena = arena
        self.view = ArenaView(arena.name, writable=True)
        self._end = 0

    def put(self, frames: list[np.ndarray], interval: int = 1) -> Frames:
        """Copy (height, width, 3) RGB frames in, one every 40 ms."""
        refs = []
        for i, frame in enumerate(frames):
            height, width, _ = frame.shape
            ref = FrameRef(self._end, height, width, i * interval, i * interval * 40.0)
            self.view.frame(ref)[:] = frame
            self._end += -(-frame.nbytes // 4096) * 4096
            refs.append(ref)
        return Frames(tuple(refs))


@pytest.fixture
def frame_store() -> Iterator[FrameStore]:
    """An arena of 128 MB for tests that feed a model directly."""
    arena = Arena(128 << 20)
    store = FrameStore(arena)
    yield store
    arena.unlink()
