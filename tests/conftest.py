"""Fixtures that every test may ask for: clips, and weights to run the real models with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from clip_library import ROOT, ClipLibrary
from offline import go_offline
from only_gpu_skips import (  # noqa: F401
    pytest_make_collect_report,
    pytest_runtest_makereport,
    pytest_runtest_setup,
)
from trained_weights import (  # noqa: F401
    pytest_collection_modifyitems,
    pytest_report_collectionfinish,
    trained_dir,
)

from ipc.arena import Arena, ArenaView
from ipc.subjects import FrameRef, Frames

WEIGHTS = ROOT / ".cache" / "standins"


def pytest_configure() -> None:
    go_offline()  # before any test module is imported: libraries may call home on import


@pytest.fixture(scope="session")
def clips() -> ClipLibrary:
    """Generated clips, and real ones where there are any."""
    return ClipLibrary()


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
