"""The arena: reserved in full, mapped without a copy, swept when its front is dead."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from ipc import malloc
from ipc.arena import SHM, Arena, ArenaView, sweep
from ipc.subjects import AudioRef, FrameRef


def test_what_one_process_writes_another_reads() -> None:
    arena = Arena(1 << 20)
    arena.create()
    try:
        ref = FrameRef(4096, 10, 20, 0, 0.0)
        pixels = np.arange(600, dtype=np.uint8).reshape(10, 20, 3)
        ArenaView(arena.name, writable=True).frame(ref)[:] = pixels
        script = (
            "from ipc.arena import ArenaView; from ipc.messages import FrameRef; import sys;"
            f"frame = ArenaView({arena.name!r}).frame(FrameRef(4096, 10, 20, 0, 0.0));"
            "sys.stdout.buffer.write(frame.tobytes())"
        )
        child = subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, timeout=60
        )
        assert child.stdout == pixels.tobytes()
    finally:
        arena.unlink()


def test_a_mapping_made_before_reserve_has_all_pages() -> None:
    arena = Arena(1 << 20)
    arena.create()
    try:
        view = ArenaView(arena.name, writable=True)
        assert (SHM / arena.name).stat().st_blocks == 0
        arena.reserve()
        assert (SHM / arena.name).stat().st_blocks * 512 == 1 << 20
        view.samples(0, 1 << 19)[-1] = 7
        assert ArenaView(arena.name).samples(0, 1 << 19)[-1] == 7
    finally:
        arena.unlink()


def mapped_bytes(name: str) -> int:
    """The number of arena bytes whose pages this process has mapped."""
    maps = Path("/proc/self/smaps").read_text().partition(str(SHM / name))[2]
    return int(maps.partition("Rss:")[2].split()[0]) * 1024


def populate(view: ArenaView) -> None:
    """Populate in a thread, because it lowers the thread's priority."""
    thread = threading.Thread(target=view.populate)
    thread.start()
    thread.join()


def test_populating_maps_every_page() -> None:
    arena = Arena(2 * malloc.POPULATED_BYTES + 4096)
    arena.create()
    arena.reserve()
    try:
        view = ArenaView(arena.name, writable=True)
        assert mapped_bytes(arena.name) == 0
        populate(view)
        assert mapped_bytes(arena.name) == arena.size_bytes
    finally:
        arena.unlink()


def test_the_arena_works_if_the_kernel_cannot_populate_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(malloc, "MADV_POPULATE_WRITE", 255)
    caplog.set_level("INFO")
    arena = Arena(1 << 16)
    arena.create()
    arena.reserve()
    try:
        view = ArenaView(arena.name, writable=True)
        populate(view)
        assert "not populated" in caplog.text
        view.samples(0, 8)[:] = 5
        assert ArenaView(arena.name).samples(0, 8).tolist() == [5] * 8
    finally:
        arena.unlink()


def test_a_reader_cannot_write() -> None:
    arena = Arena(1 << 16)
    arena.create()
    try:
        samples = ArenaView(arena.name).audio(AudioRef(0, 10, 0.0))
        with pytest.raises(ValueError, match="read-only"):
            samples[0] = 1
    finally:
        arena.unlink()


def test_too_large_an_arena_fails_and_leaves_no_file() -> None:
    stat = os.statvfs(SHM)
    arena = Arena(stat.f_blocks * stat.f_frsize * 2)
    arena.create()
    with pytest.raises(OSError, match="space") as error:
        arena.reserve()
    assert error.value.errno == errno.ENOSPC
    assert not (SHM / arena.name).exists()


def test_only_arenas_of_dead_fronts_are_swept() -> None:
    script = (
        "import os; from ipc.arena import Arena; arena = Arena(4096); arena.create();"
        "print(arena.name, flush=True); os._exit(1)"
    )
    dead = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    left = SHM / dead.stdout.strip()
    assert left.is_file()
    living = Arena(4096)
    living.create()
    try:
        assert left.name in sweep()
        assert not left.exists()
        assert (SHM / living.name).exists()
    finally:
        living.unlink()
