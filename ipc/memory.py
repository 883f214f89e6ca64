"""Main memory: how much this process may use, how much is left, and how much it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ipc import cgroups
from ipc.cgroups import CGROUP_ROOT, OWN_CGROUPS

MEMINFO = Path("/proc/meminfo")
OWN_STATUS = Path("/proc/self/status")

# The files of a control group by its version: limit, usage, and the line of memory.stat with the
# page cache that the kernel drops first. The usage includes it.
_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}


def total_bytes(meminfo: Path = MEMINFO, root: Path = CGROUP_ROOT, own: Path = OWN_CGROUPS) -> int:
    """The machine's memory, or the limit of the container if that is lower."""
    return min([_kilobytes(meminfo, "MemTotal:"), *(limit for limit, _ in _limits(root, own))])


def available_bytes(
    meminfo: Path = MEMINFO, root: Path = CGROUP_ROOT, own: Path = OWN_CGROUPS
) -> int:
    """The memory that can be allocated now."""
    left = [max(0, limit - used) for limit, used in _limits(root, own)]
    return min([_kilobytes(meminfo, "MemAvailable:"), *left])


def own_bytes(status: Path = OWN_STATUS) -> int:
    """The resident memory of this process without the pages of shared memory.

    The frame pool belongs to the front, but its pages count in the RSS of each process that has
    read them.
    """
    return _kilobytes(status, "RssAnon:") + _kilobytes(status, "RssFile:")


def _limits(root: Path, own: Path) -> Iterator[tuple[int, int]]:
    """Limit and usage of this process's group and of all groups around it; "max" is no limit."""
    for folder, version in cgroups.folders("memory", root, own):
        limit_file, usage_file, cache = _FILES[version]
        limit, usage = (_number(folder / name) for name in (limit_file, usage_file))
        if limit is not None:
            yield limit, (usage or 0) - _value(folder / "memory.stat", cache)


def _number(path: Path) -> int | None:
    match cgroups.words(path):
        case [word] if word.isdigit():
            return int(word)
    return None


def _kilobytes(path: Path, name: str) -> int:
    return _value(path, name) * 1024


def _value(path: Path, name: str) -> int:
    """The number in the line that begins with `name`; 0 without such a line."""
    for line in cgroups.lines(path):
        if line.split()[:1] == [name]:
            return int(line.split()[1])
    return 0
