"""The threads of the child processes: no library creates one per CPU in each of them."""

from __future__ import annotations

from pathlib import Path

from running import running

from bench.clips.generate import make_small
from ipc.cpus import available_cpus

OWN_THREADS = 4  # main, heartbeat, the one that watches the front, the one that maps the arena


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def test_no_library_creates_a_thread_per_cpu_in_each_process(tmp_path: Path) -> None:
    """Except torch: all workers on a CPU have as many threads as there are cores."""
    make_small(tmp_path / "clip.mp4", seconds=1, width=320, height=180, fps=10, audio=False)
    with running(
        "cuda_server",
        DEVICES="cpu,cpu",
        DECODE_PROCESSES="1",
        MODEL_CACHE_DIR=str(tmp_path),
        MEDIA_ROOTS=str(tmp_path),
        EIOKU_TEST_WORKER="thread_counts:main",
    ) as server:
        for child in ("decoder-0", "cpu-worker"):
            pid = server.pid_of(child)
            server.wait_until(lambda pid=pid: threads(pid) <= OWN_THREADS, f"{child} has no more")
        detections = server.infer("objects", tmp_path / "clip.mp4").json()["detections"]
    cores = available_cpus()
    cv2_torch_interop = (max(1, cores // 2), cores, 1)
    assert {each["label"] for each in detections} == {str(cv2_torch_interop)}
