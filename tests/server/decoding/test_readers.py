"""The frames of both engines against PyAV's plain decode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from bench.clips.generate import make_long, make_vfr, read_stamp
from ipc.child import TaskError
from ipc.messages import Decode, Decoded, Target
from server.decoding.decoder_process import Decoder
from server.decoding.media_index import read_index
from server.decoding.open_file import OpenFile
from server.decoding.pyav_reader import PyavReader
from server.decoding.rgb import AvPicture

if TYPE_CHECKING:
    from tests.conftest import FrameStore

CLIPS = [
    "car-detection.mp4",
    "nasa_13013.mp4",
    "h265_video.mp4",
    "h264_10bits.mp4",
    "av1_video.mkv",
    "video_90.mov",
    "unordered.mov",
]


def decode_all(path: Path) -> list[tuple[float, np.ndarray]]:
    """Every frame of the best stream by PyAV, upright, with its time in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        frames = []
        for frame in container.decode(stream):
            turns = round(frame.rotation / 90)
            frames.append((frame.time, np.rot90(frame.to_ndarray(format="rgb24"), turns)))
    return frames


def read(path: Path, engine: str, wanted: list[int]) -> dict[int, np.ndarray]:
    source = OpenFile(str(path))
    info = source.index.info()
    frames = {}
    for frame_index, picture in source.read(engine, wanted):
        frames[frame_index] = np.empty((info.height, info.width, 3), np.uint8)
        picture.write(frames[frame_index])
    source.park()
    return frames


@pytest.mark.parametrize("engine", ["decord", "pyav"])
@pytest.mark.parametrize("name", CLIPS)
def test_pixels_equal_pyavs_own(name: str, engine: str, data_dir: Path) -> None:
    truth = decode_all(data_dir / name)
    wanted = list(range(0, len(truth), max(1, len(truth) // 12)))
    frames = read(data_dir / name, engine, wanted)
    assert list(frames) == wanted
    for frame_index, frame in frames.items():
        expected = truth[frame_index][1].astype(int)
        assert np.abs(frame.astype(int) - expected).mean() < 2


@pytest.mark.parametrize("name", CLIPS)
def test_timestamps_are_the_containers(name: str, data_dir: Path) -> None:
    truth = [time_s * 1000 for time_s, _ in decode_all(data_dir / name)]
    index = read_index(str(data_dir / name))
    assert index.video is not None
    assert index.video.times_ms == pytest.approx(truth, abs=0.01)


def test_both_engines_give_the_same_bytes_in_any_order(data_dir: Path) -> None:
    """Chunks of one file are read forwards, again, and from the middle."""
    source = OpenFile(str(data_dir / "car-detection.mp4"))
    out = np.empty((432, 768, 3), np.uint8)
    for wanted in ([0, 30, 60], [61, 62, 300], [5, 6], [376]):
        seen: dict[str, list[bytes]] = {}
        for engine in ("decord", "pyav"):
            seen[engine] = []
            for _, picture in source.read(engine, wanted):
                picture.write(out)
                seen[engine].append(out.tobytes())
            assert source.engine == engine
            source.park()
        assert seen["decord"] == seen["pyav"]
        assert len(seen["pyav"]) == len(wanted)


class Counting(PyavReader):
    """Counts the frames that the codec returns."""

    decoded = 0

    def _advance(self) -> None:
        self.decoded += 1
        super()._advance()


def test_what_is_left_out_is_missed_by_nobody(data_dir: Path) -> None:
    """Few frames, then their neighbours, also after an aborted read."""
    path = data_dir / "bottle-detection.mp4"
    truth = decode_all(path)
    index = read_index(str(path)).video
    assert index is not None
    reader = Counting(str(path), index)
    for wanted in ([0, 30, 60, 90], [91, 92], [40, 41], range(100, 130), [200, 260]):
        for frame_index, picture in reader.read(wanted):
            out = np.empty((index.height, index.width, 3), np.uint8)
            picture.write(out)
            assert np.array_equal(out, truth[frame_index][1])
            if frame_index == 100:
                break
    frames = dict(reader.read([101, 102, 103]))
    assert list(frames) == [101, 102, 103]
    reader.decoded = 0
    assert len(list(reader.read(range(300, 601, 30)))) == 11
    assert reader.decoded < 200
    reader.close()


def test_decord_reads_where_nothing_can_be_left_out(
    data_dir: Path, tmp_path: Path, frame_store: FrameStore
) -> None:
    one_group = tmp_path / "one_group.mp4"
    make_long(one_group, 120, 320, 180, gop=300)
    decoder = Decoder(frame_store.view)
    targets = (Target(0, 0, 9, 16), Target(30, 4096, 9, 16))
    for path, engine in ((one_group, "decord"), (data_dir / "nasa_13013.mp4", "pyav")):
        reply = decoder.answer(Decode(1, "", str(path), targets))
        assert isinstance(reply, Decoded)
        assert (len(reply.frames), reply.engine) == (2, engine)


def test_what_decord_cannot_open_is_read_by_pyav(data_dir: Path) -> None:
    source = OpenFile(str(data_dir / "av1_video.mkv"))
    assert len(list(source.read("decord", [0, 60, 120]))) == 3
    assert source.engine == "pyav"


def test_a_damaged_file_gives_what_is_there(data_dir: Path) -> None:
    """About packet 48 cannot be decoded; the frames around it can."""
    frames = read(data_dir / "corrupted.mp4", "decord", list(range(50)))
    assert 45 <= len(frames) < 50


def test_a_file_cut_short_gives_what_is_there(data_dir: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    source = data_dir / "nasa_13013.mp4"
    with (
        av.open(str(source)) as original,
        av.open(str(cut), "w", options={"movflags": "faststart"}) as copy,
    ):
        stream = copy.add_stream_from_template(original.streams.best("video"))
        for packet in original.demux(original.streams.best("video")):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    index = read_index(str(cut))
    assert index.video is not None
    assert 20 < len(index.video.pts) < 390
    wanted = list(range(0, len(index.video.pts), 10))
    assert len(read(cut, "decord", wanted)) >= len(wanted) - 1


def test_small_pictures_are_close_to_scaled_large_ones(data_dir: Path) -> None:
    import cv2

    with av.open(str(data_dir / "car-detection.mp4")) as container:
        frame = next(container.decode(video=0))
    small = np.empty((144, 256, 3), np.uint8)
    AvPicture(frame, 0).write(small)
    rgb = frame.to_ndarray(format="rgb24")
    expected = cv2.resize(rgb, (256, 144), interpolation=cv2.INTER_LINEAR)
    assert np.abs(small.astype(int) - expected.astype(int)).mean() < 2


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_rubbish_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rubbish.mp4"
    path.write_bytes(content)
    with pytest.raises(TaskError) as refusal:
        read_index(str(path))
    assert refusal.value.code == "undecodable_video"


@pytest.mark.parametrize("engine", ["decord", "pyav"])
def test_a_variable_frame_rate_keeps_its_times_and_frames(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "vfr.mp4"
    pts_ms = make_vfr(path, frames=40)
    index = read_index(str(path))
    assert index.video is not None
    assert index.video.times_ms == pytest.approx(pts_ms, abs=0.5)
    wanted = list(range(0, 40, 3))
    frames = read(path, engine, wanted)
    assert [read_stamp(frame) for frame in frames.values()] == wanted
