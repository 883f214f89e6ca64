"""A long video through a small pool: memory stays flat."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
from running import running

from bench.clips.generate import make_long

LIMIT_BYTES = 500 << 20
FRAMES = 9000


def private_bytes(pid: int) -> int:
    """The process's own memory, without the shared frame pool."""
    status = Path("/proc", str(pid), "status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024


def test_a_long_video_is_analysed_in_bounded_memory(tmp_path: Path) -> None:
    clip = tmp_path / "long.mp4"
    make_long(clip, frames=FRAMES)
    with running(
        "fake_server",
        MODEL_CACHE_DIR=str(tmp_path / "models"),
        MEDIA_ROOTS=str(tmp_path),
        FRAME_POOL_MB="256",
        DECODE_PROCESSES="1",
    ) as server:
        answers: list[httpx.Response] = []
        asked = threading.Thread(
            target=lambda: answers.append(
                server.infer("objects", clip, frame_interval=1, model_name="slow-2.pt")
            ),
            daemon=True,
        )
        asked.start()
        watched = [server.process.pid, server.pid_of("decoder-0")]
        peaks = dict.fromkeys(watched, 0)
        while asked.is_alive():
            for pid in watched:
                peaks[pid] = max(peaks[pid], private_bytes(pid))
            asked.join(0.05)
        assert answers[0].status_code == 200
        found = [item["frame_index"] for item in answers[0].json()["detections"]]
        assert found == list(range(FRAMES))
        assert 0 < max(peaks.values()) < LIMIT_BYTES, peaks
        assert server.client.get("/health").json()["frame_pool"]["leased"] == 0
