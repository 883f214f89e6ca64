"""The control groups of this process, v1 and v2: the limits that a container has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def folders(
    controller: str, root: Path = CGROUP_ROOT, own: Path = OWN_CGROUPS
) -> Iterator[tuple[Path, int]]:
    """The folders of this process's group and of all groups around it, with their version."""
    for line in lines(own):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from ((folder, 2) for folder in _upwards(root, path))
        elif controller in controllers.split(","):
            yield from ((folder, 1) for folder in _upwards(root / controller, path))


def words(path: Path) -> list[str]:
    """The words of a file; none if it cannot be read."""
    return " ".join(lines(path)).split()


def lines(path: Path) -> list[str]:
    """The lines of a file; none if it cannot be read."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []  # no control groups, or none that this process may see


def _upwards(root: Path, path: str) -> Iterator[Path]:
    """The group's folder, and those above it; in a container its own is mounted as the root."""
    folder = root / path.lstrip("/")
    while folder != root:
        yield folder
        folder = folder.parent
    yield root
