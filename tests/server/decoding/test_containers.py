"""The end of a file, damage, and a disk that fails: only the last says nothing of the content."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from server.decoding import containers
from server.decoding.containers import decoded, is_read_error, open_container

EIO = av.error.OSError(errno.EIO, "Input/output error")


class BrokenContainer:
    """In the place of a container whose demuxer fails: no real disk fails on demand."""

    def __init__(self, path: Path, error: av.FFmpegError) -> None:
        self.name = str(path)
        self._error = error

    def demux(self, stream: Any) -> Iterator[av.Packet]:
        yield from ()
        raise self._error


def test_damage_that_ffmpeg_reports_as_eio_is_the_end(tmp_path: Path) -> None:
    path = tmp_path / "readable"
    path.write_bytes(b"x" * 3_000_000)
    assert list(decoded(BrokenContainer(path, EIO), None)) == []  # type: ignore[arg-type]
    assert not is_read_error(EIO, str(path))


def test_a_disk_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "unreadable"
    path.write_bytes(b"x")

    def failing(*arguments: Any, **more: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(containers, "open", failing, raising=False)
    with pytest.raises(av.error.OSError):
        list(decoded(BrokenContainer(path, EIO), None))  # type: ignore[arg-type]


def test_other_damage_does_not_even_read_the_file() -> None:
    damage = av.InvalidDataError(errno.EINVAL, "Invalid data")
    assert not is_read_error(damage, "/nowhere")


def test_metadata_that_is_not_utf8_is_no_reason_to_refuse(tmp_path: Path) -> None:
    path = tmp_path / "latin1.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "caf______"
        stream = container.add_stream("mpeg4", 25)
        stream.width = stream.height = 64
        for packet in (*stream.encode(av.VideoFrame(64, 64, "yuv420p")), *stream.encode(None)):
            container.mux(packet)
    path.write_bytes(path.read_bytes().replace(b"caf______", b"caf\xe9\xff\xfe\xd5\xc0!"))
    with open_container(str(path)) as container:
        assert container.metadata["title"].startswith("caf")
