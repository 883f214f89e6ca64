"""A service that runs out of shared memory, or is asked for frames that are too large."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from absurd_frames import write_absurd
from clip_library import ClipLibrary
from outcomes import Outcome, Table, share
from running import ROOT, SUPPORT, Server
from small_shm import SmallShm
from traffic import (
    Undisturbed,
    at_once,
    chaos_server,
    check_ended,
    check_whole,
    judged,
    result_of,
    until,
)

from bench.clips.generate import make_small

POOL_MB = 64
SHM_MB = POOL_MB + 8
EXIT_S = 60
LIMIT = (640, 360)
SIZES = {LIMIT: "200", (642, 360): "413 frame_too_large", (1920, 1080): "413 frame_too_large"}
MOST_PRIVATE_MB = 300  # a frame of 16000 x 16000 alone has 768 MB
CHILDREN = ("decoder-0", "worker-0")
TASKS: dict[str, dict[str, Any]] = {
    "objects": {"model_name": "mean.pt", "frame_interval": 7},
    "scenes": {},
}
PYTHONPATH = f"{SUPPORT}:{Path(__file__).parent}"


@pytest.fixture
def server(tmp_path: Path, weights_dir: Path) -> Iterator[Server]:
    """A service whose /dev/shm is hardly larger than its pool."""
    environ = {"FRAME_POOL_MB": str(POOL_MB), "SHM_MB": str(SHM_MB), "SHM_OPTIONS": "rw"}
    environ |= {"DECODE_PROCESSES": "1", "PYTHONPATH": PYTHONPATH}
    environ |= {"MODEL_CACHE_DIR": str(weights_dir), "SHM_PRETENDED": str(tmp_path)}
    with chaos_server(tmp_path, "small_shm fake_server", **environ) as server:
        yield server


def open_files(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def reason_not_started(server: Server, name: str) -> str:
    """Kill a child until another one cannot be started; return the reason in the log."""
    reasons: list[str] = []

    def failed() -> bool:
        nonlocal reasons
        died = [e for e in server.log if e["event"] == "child died" and e["child"] == name]
        reasons = [event["reason"] for event in died if "be started" in event["reason"]]
        if not reasons:
            with suppress(ProcessLookupError):
                os.kill(server.pid_of(name), signal.SIGKILL)
        return bool(reasons)

    until(server, failed)
    return reasons[-1]


def test_a_full_dev_shm(
    server: Server, tmp_path: Path, clips: ClipLibrary, new_table: Callable[[str], Table]
) -> None:
    """The pool is reserved, so nothing changes; a child that must be replaced waits for room."""
    table = new_table("Memory: /dev/shm is filled by others")
    clip = Path(shutil.copy(clips.path("takes.mp4"), tmp_path))
    undisturbed = Undisturbed(server, tmp_path, [clip, clips.path("h264.mp4")], TASKS)
    shm, files = SmallShm(server, tmp_path), open_files(server)
    shm.fill()
    table.extend(undisturbed.all_again())
    upload = partial(server.client.post, "/infer/scenes", files={"file": clip.read_bytes()})
    table.add(judged("upload", result_of(upload), {"200"}))
    for name in CHILDREN:  # each leaves the room that its successor needs
        os.kill(server.pid_of(name), signal.SIGKILL)
        server.wait_for("child ready", child=name)
        table.add(Outcome(f"{name} is killed", "replaced"))
    with shm.kept_full():
        for name in CHILDREN:
            reason = reason_not_started(server, name)
            wrong = "" if "No space left on device: '/dev/shm'" in reason else reason
            table.add(Outcome(f"{name} is killed", "not replaced: no room", wrong))
        ask = partial(server.infer, "objects", clip, **TASKS["objects"])
        table.extend(judged("request", result_of(ask), {"503 no_worker_ready"}) for _ in range(5))
    until(server, lambda: server.client.get("/readyz").status_code == 200)
    table.extend(undisturbed.all_again())
    table.notes["open files"] = f"{files} before, {open_files(server)} after"
    table.check(least=18)
    assert open_files(server) <= files + 2
    assert server.stop() == 0


@pytest.mark.parametrize(("size_mb", "options"), [(8, "rw"), (POOL_MB, "rw"), (100, "ro")])
def test_a_start_without_room(size_mb: int, options: str, tmp_path: Path) -> None:
    environ = {"FRAME_POOL_MB": str(POOL_MB), "PYTHONPATH": PYTHONPATH}
    environ |= {"SHM_MB": str(size_mb), "SHM_OPTIONS": options, "SHM_PRETENDED": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "small_shm", "fake_server"],
        env={**os.environ, "MODEL_CACHE_DIR": str(tmp_path), "DEVICES": "cpu", **environ},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=EXIT_S,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert re.match("eioku-ml: FRAME_POOL_MB=.* is not allowed: .*/dev/shm", line)


def peak_mb(pid: int) -> int:
    """The most memory that a process has had, with what it maps of the pool."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) // 1024


def test_frames_beyond_the_limit(tmp_path: Path, new_table: Callable[[str], Table]) -> None:
    """They are refused before a process has memory for one."""
    table = new_table("Memory: frames larger than MAX_FRAME_PIXELS")
    for width, height in SIZES:
        path = tmp_path / f"{width}x{height}.mp4"
        make_small(path, seconds=1, width=width, height=height, fps=5, audio=False)
    write_absurd(tmp_path / "header.webm", header=True, frames=False)
    write_absurd(tmp_path / "frames.webm", header=False, frames=True)
    cases = {f"{width}x{height}.mp4": result for (width, height), result in SIZES.items()}
    cases |= {"header.webm": "413 frame_too_large", "frames.webm": "422 undecodable_video"}
    most_pixels = str(LIMIT[0] * LIMIT[1])
    folder = str(tmp_path)
    with chaos_server(
        tmp_path, MAX_FRAME_PIXELS=most_pixels, MODEL_CACHE_DIR=folder, FRAME_POOL_MB=str(POOL_MB)
    ) as server:
        work = [
            partial(asked, server, task, tmp_path / name, {result})
            for task in TASKS
            for name, result in cases.items()
        ]
        table.extend(at_once(work * share(0.05)))
        pids = {"front": server.process.pid}
        pids |= {name: server.pid_of(name) for name in ("decoder-0", "decoder-1")}
        peaks = {name: peak_mb(pid) for name, pid in pids.items()}
        check_whole(server)
        check_ended(server)
    table.notes["peaks"] = ", ".join(f"{name} {peak} MB" for name, peak in peaks.items())
    table.check(least=len(work))
    assert max(peaks.values()) < POOL_MB + MOST_PRIVATE_MB


def asked(server: Server, task: str, path: Path, allowed: set[str]) -> Outcome:
    send = partial(server.infer, task, path, **TASKS[task])
    return judged(path.name, result_of(send), allowed, task)
