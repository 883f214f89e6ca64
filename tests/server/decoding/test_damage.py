"""Damage that once made a decoder fail, or take too much memory."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from absurd_frames import ABSURD_SIDE, write_absurd
from clip_library import ROOT, ClipLibrary
from held_open import held_open

from ipc.child import TaskError
from ipc.messages import Decode, Probe, Target
from server.decoding import open_file
from server.decoding.containers import DAMAGE, demuxed, limit_frame_size, open_container
from server.decoding.decoder_process import Decoder
from server.decoding.engine_choice import decord_reads
from server.decoding.media_index import MediaIndex, read_index
from server.decoding.upright_rgb import AvPicture

if TYPE_CHECKING:
    from tests.conftest import FrameStore

MOST_MB = 200  # a frame of 16 000 × 16 000 has 366 MB
MEASURE = """
import resource, sys
from ipc.child import TaskError
from server.decoding.media_index import read_index

def used_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

before = used_mb()
try:
    read_index(sys.argv[1])
except TaskError:
    pass
print(used_mb() - before)
"""


class LateStream:
    """In the place of a container that gets a stream more while it is read: PyAV fails then."""

    def demux(self, streams: list[Any]) -> Iterator[str]:
        yield "packet"
        raise IndexError("list index out of range")


@pytest.mark.parametrize(("header", "frames"), [(True, True), (True, False), (False, True)])
def test_an_absurd_frame_is_not_allocated(header: bool, frames: bool, tmp_path: Path) -> None:
    path = tmp_path / "absurd.webm"
    write_absurd(path, header=header, frames=frames)
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < MOST_MB


@pytest.mark.parametrize("frames", [True, False])
def test_the_index_has_an_absurd_size_that_the_header_states(frames: bool, tmp_path: Path) -> None:
    """So the front can refuse it, and say why."""
    path = tmp_path / "absurd.webm"
    write_absurd(path, header=True, frames=frames)
    info = read_index(str(path)).info()
    assert (info.width, info.height, info.frame_count) == (ABSURD_SIDE, ABSURD_SIDE, 5)


def test_a_codec_refuses_an_absurd_frame_as_damage(tmp_path: Path) -> None:
    path = tmp_path / "absurd.webm"
    write_absurd(path, header=False, frames=True)
    with pytest.raises(TaskError, match="Not one frame"):
        read_index(str(path))
    with open_container(str(path)) as container:
        stream = container.streams.video[0]
        limit_frame_size(stream)
        with pytest.raises(DAMAGE):
            next(container.demux(stream)).decode()


def test_a_stream_that_appears_on_the_way_is_left_out() -> None:
    assert list(demuxed(LateStream(), [])) == ["packet"]  # type: ignore[arg-type, comparison-overlap]


def test_a_frame_rate_of_nearly_zero_is_not_believed(clips: ClipLibrary, tmp_path: Path) -> None:
    """The table of durations claims a second entry, which is that of the next box."""
    content = clips.path("h264.mp4").read_bytes()
    place = content.index(b"stts") + 8
    assert content[place : place + 4] == struct.pack(">I", 1)
    path = tmp_path / "slow.mp4"
    path.write_bytes(content[:place] + struct.pack(">I", 2) + content[place + 4 :])
    with av.open(str(path)) as container:
        assert float(container.streams.video[0].average_rate) < 0.0001
    assert read_index(str(path)).info().fps == 30.0


class CutWhileRead:
    """Cuts a file short while its index is read, and makes it whole again."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, cut_bytes: int) -> None:
        self._path = path
        self._content = path.read_bytes()
        self._cut_bytes = cut_bytes
        monkeypatch.setattr(open_file, "read_index", self.read_index)

    def read_index(self, path: str) -> MediaIndex:
        os.truncate(self._path, self._cut_bytes)
        try:
            return read_index(path)
        finally:
            self._path.write_bytes(self._content)
            os.utime(self._path, ns=(1, 1))  # clocks of file systems are coarse


@pytest.mark.parametrize("cut_bytes", [0, 9000])
def test_an_index_of_other_content_is_not_used(
    cut_bytes: int,
    clips: ClipLibrary,
    tmp_path: Path,
    frame_store: FrameStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file was whole when it was opened, and is whole again when its index is there."""
    path = tmp_path / "cut.mp4"
    path.write_bytes(clips.path("h264.mp4").read_bytes())
    ref = held_open(path)
    CutWhileRead(path, monkeypatch, cut_bytes)
    with pytest.raises(TaskError) as refusal:
        Decoder(frame_store.view).answer(Probe(1, "", ref))
    assert refusal.value.code == "input_hash_mismatch"


def test_frames_of_other_content_are_not_used(
    clips: ClipLibrary, tmp_path: Path, frame_store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would stay in the frame pool, under the hash of the content that is there no more."""
    path = tmp_path / "changed.mp4"
    path.write_bytes(clips.path("h264.mp4").read_bytes())
    ref = held_open(path)
    decoder = Decoder(frame_store.view)
    decoder.answer(Probe(1, "", ref))
    write = AvPicture.write

    def change_then_write(picture: AvPicture, out: np.ndarray) -> None:
        os.utime(path, ns=(1, 1))
        write(picture, out)

    monkeypatch.setattr(AvPicture, "write", change_then_write)
    with pytest.raises(TaskError) as refusal:
        decoder.answer(Decode(2, "", ref, (Target(0, 0, 90, 160),)))
    assert refusal.value.code == "input_hash_mismatch"


def test_decord_does_not_get_a_header_that_states_billions_of_frames(
    clips: ClipLibrary, tmp_path: Path
) -> None:
    """It would end the process."""
    content = clips.path("h264.mp4").read_bytes()
    place = content.index(b"stts") + 12  # the number of frames of the only entry
    path = tmp_path / "billions.mp4"
    path.write_bytes(content[:place] + b"\xff" * 4 + content[place + 4 :])
    index = read_index(str(path)).video
    assert index is not None
    assert index.stated_frames > 1 << 31
    assert not decord_reads(index)
    assert decord_reads(replace(index, stated_frames=len(index.pts)))
