"""CPUs: the affinity, and a container's quota, which the affinity does not show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ipc.cpus import available_cpus

GROUP = "/kubepods/pod1/box"


@pytest.fixture(autouse=True)
def sixteen_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))


def machine(folder: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    """The root of the control groups, and the file that says which are this process's."""
    (folder / "own").write_text(own)
    for name, content in files.items():
        path = folder / "cgroup" / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder / "cgroup", folder / "own"


@pytest.mark.parametrize(
    ("own", "files", "cpus"),
    [
        (f"0::{GROUP}\n", {f"{GROUP}/cpu.max": "400000 100000\n"}, 4),
        (f"0::{GROUP}\n", {f"{GROUP}/cpu.max": "150000 100000\n"}, 2),
        (f"0::{GROUP}\n", {f"{GROUP}/cpu.max": "max 100000\n"}, 16),
        (f"0::{GROUP}\n", {f"{GROUP}/cpu.max": "6400000 100000\n"}, 16),
        (f"0::{GROUP}\n", {f"{GROUP}/cpu.max": "max 100000", "/kubepods/cpu.max": "8 1"}, 8),
        ("0::/\n", {"/cpu.max": "50000 100000\n"}, 1),
        (
            f"4:cpu,cpuacct:{GROUP}\n0::/\n",
            {f"/cpu{GROUP}/cpu.cfs_quota_us": "300000", f"/cpu{GROUP}/cpu.cfs_period_us": "100000"},
            3,
        ),
        (
            f"4:cpu,cpuacct:{GROUP}\n",
            {f"/cpu{GROUP}/cpu.cfs_quota_us": "-1", f"/cpu{GROUP}/cpu.cfs_period_us": "100000"},
            16,
        ),
        (f"0::{GROUP}\n", {}, 16),
        (f"0::{GROUP}\n", {f"{GROUP}/cpu.max": "nonsense"}, 16),
    ],
)
def test_the_smallest_quota_counts(
    own: str, files: dict[str, str], cpus: int, tmp_path: Path
) -> None:
    assert available_cpus(*machine(tmp_path, own, files)) == cpus


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert available_cpus(tmp_path / "none", tmp_path / "nothing") == 16
