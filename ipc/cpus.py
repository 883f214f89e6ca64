"""How many CPUs this process may use (affinity, quota of its control group), and BLAS threads."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from ipc import cgroups
from ipc.cgroups import CGROUP_ROOT, OWN_CGROUPS


def available_cpus(root: Path = CGROUP_ROOT, own: Path = OWN_CGROUPS) -> int:
    """The number of CPUs, at least 1: a quota of 1.5 CPUs counts as 2.

    A container's quota (docker --cpus, a Kubernetes limit) does not show in the affinity.
    """
    quotas = [math.ceil(quota) for quota in _quotas(root, own)]
    return max(1, min([len(os.sched_getaffinity(0)), *quotas]))


def limit_blas_threads() -> None:
    """Let no process that is started from now on create a BLAS thread for each CPU of the machine.

    numpy and cv2 would each do so when they are imported, although no task computes with BLAS. On
    large machines the threads of all children may exceed a container's limit.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _quotas(root: Path, own: Path) -> Iterator[float]:
    """The quotas in CPUs of this process's group and of all groups around it."""
    for folder, version in cgroups.folders("cpu", root, own):
        if version == 2:
            yield from _quota(cgroups.words(folder / "cpu.max"))
        else:
            files = (folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
            yield from _quota([word for file in files for word in cgroups.words(file)])


def _quota(words: list[str]) -> Iterator[float]:
    """Quota and period in µs; "max" or -1 is no quota."""
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]) > 0:
        yield int(words[0]) / int(words[1])
