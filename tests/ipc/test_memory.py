"""Memory: the machine's, a container's limit, and what this process has of its own."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from ipc.memory import available_bytes, own_bytes, total_bytes

GB, MB = 1 << 30, 1 << 20
GROUP = "/kubepods/pod1/box"
V1 = f"4:memory:{GROUP}\n0::/\n"
V1_GROUP = f"/memory{GROUP}"
UNLIMITED_V1 = 9223372036854771712


def machine(folder: Path, own: str, files: dict[str, str]) -> tuple[Path, Path, Path]:
    """A machine with 16 GB, 8 of them free: its meminfo, control groups, and this process's."""
    (folder / "meminfo").write_text(f"MemTotal: {16 << 20} kB\nMemAvailable: {8 << 20} kB\n")
    (folder / "own").write_text(own)
    for name, content in files.items():
        path = folder / "cgroup" / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder / "meminfo", folder / "cgroup", folder / "own"


@pytest.mark.parametrize(
    ("own", "files", "total", "available"),
    [
        (f"0::{GROUP}\n", {}, 16 * GB, 8 * GB),
        (f"0::{GROUP}\n", {f"{GROUP}/memory.max": "max\n"}, 16 * GB, 8 * GB),
        (
            f"0::{GROUP}\n",
            {f"{GROUP}/memory.max": f"{4 * GB}\n", f"{GROUP}/memory.current": f"{3 * GB}\n"},
            4 * GB,
            1 * GB,
        ),
        (
            f"0::{GROUP}\n",
            {
                f"{GROUP}/memory.max": f"{4 * GB}",
                f"{GROUP}/memory.current": f"{3 * GB}",
                f"{GROUP}/memory.stat": f"anon {GB}\ninactive_file {2 * GB}\n",
            },
            4 * GB,
            3 * GB,
        ),
        (
            f"0::{GROUP}\n",
            {f"{GROUP}/memory.max": "max", "/kubepods/memory.max": f"{2 * GB}"},
            2 * GB,
            2 * GB,
        ),
        ("0::/\n", {"/memory.max": f"{32 * GB}"}, 16 * GB, 8 * GB),
        (
            V1,
            {
                f"{V1_GROUP}/memory.limit_in_bytes": f"{4 * GB}",
                f"{V1_GROUP}/memory.usage_in_bytes": f"{5 * GB}",
                f"{V1_GROUP}/memory.stat": f"total_inactive_file {2 * GB}",
            },
            4 * GB,
            1 * GB,
        ),
        (V1, {f"{V1_GROUP}/memory.limit_in_bytes": f"{UNLIMITED_V1}"}, 16 * GB, 8 * GB),
        (f"0::{GROUP}\n", {f"{GROUP}/memory.max": "nonsense"}, 16 * GB, 8 * GB),
    ],
)
def test_the_smallest_limit_counts(
    own: str, files: dict[str, str], total: int, available: int, tmp_path: Path
) -> None:
    where = machine(tmp_path, own, files)
    assert total_bytes(*where) == total
    assert available_bytes(*where) == available


def test_this_machine_has_memory() -> None:
    assert 0 < available_bytes() <= total_bytes()


def test_shared_memory_is_not_a_processs_own() -> None:
    size_bytes = 64 * MB
    before = own_bytes()
    with mmap.mmap(-1, size_bytes, mmap.MAP_SHARED) as shared:
        shared[:] = bytes([1]) * size_bytes
        with_shared = own_bytes()
        with mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as private:
            private[:] = bytes([1]) * size_bytes
            with_private = own_bytes()
    assert with_shared - before < size_bytes // 2 < with_private - with_shared


def test_the_lines_of_status_are_added(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("VmRSS: 70 kB\nRssAnon: 10 kB\nRssFile: 20 kB\nRssShmem: 40 kB\n")
    assert own_bytes(status) == 30 * 1024
