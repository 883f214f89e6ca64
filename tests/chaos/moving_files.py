"""Changes a file all the time, so that requests read it while it changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Event, Thread

JOIN_S = 60

Change = Callable[[Path, bytes, Random], None]


def shrink(path: Path, content: bytes, rng: Random) -> None:
    """Cut the file short, then write it whole again."""
    os.truncate(path, rng.randrange(len(content)))
    _overwrite(path, content)


def grow(path: Path, content: bytes, rng: Random) -> None:
    """Write the file from empty to whole, in pieces."""
    os.truncate(path, 0)
    cuts = sorted(rng.randrange(len(content)) for _ in range(4))
    with path.open("r+b") as file:
        for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
            file.write(content[start:end])
            file.flush()


def replace(path: Path, content: bytes, rng: Random) -> None:
    """Put another file in its place, cut short or whole."""
    other = path.with_suffix(".new")
    other.write_bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])
    other.replace(path)


def overwrite(path: Path, content: bytes, rng: Random) -> None:
    """Change bytes in place; the size stays."""
    with path.open("r+b") as file:
        file.seek(rng.randrange(len(content)))
        file.write(rng.randbytes(100))
    _overwrite(path, content)


def unlink(path: Path, content: bytes, rng: Random) -> None:
    """Delete the file, then create it again."""
    path.unlink()
    path.write_bytes(content)


def _overwrite(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)


CHANGES: dict[str, Change] = {
    "file shrinks": shrink,
    "file grows": grow,
    "file is replaced": replace,
    "file is overwritten": overwrite,
    "file is deleted": unlink,
}


@contextmanager
def changing(path: Path, change: Change, content: bytes, rng: Random) -> Iterator[None]:
    """Change the file again and again while the block runs; it is whole at the end."""
    stopped = Event()

    def keep_changing() -> None:
        while not stopped.is_set():
            change(path, content, rng)

    path.write_bytes(content)
    changer = Thread(target=keep_changing)
    changer.start()
    try:
        yield
    finally:
        stopped.set()
        changer.join(JOIN_S)
        path.write_bytes(content)
