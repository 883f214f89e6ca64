"""Frames as both engines read them: the right ones, at the right times, pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest
from clip_library import ClipLibrary, real
from clip_table import DAMAGED_AFTER, FILMS
from damage import disposable_frame
from held_open import held_open

from bench.clips.generate import read_stamp
from ipc.child import TaskError
from ipc.messages import Decode, Decoded, Target
from server.decoding.decoder_process import Decoder
from server.decoding.media_index import read_index
from server.decoding.open_file import OpenFile
from server.decoding.pyav_reader import PyavReader
from server.decoding.upright_rgb import AvPicture

if TYPE_CHECKING:
    from tests.conftest import FrameStore

# Of each generated clip, the engine that reads it where decord is asked for.
ENGINES = {
    "h264.mp4": "decord",
    "one_group.mp4": "decord",
    "reordered.mp4": "decord",
    "hevc.mp4": "decord",
    "h264_10bit.mp4": "pyav",  # decord's conversion differs
    "h264_444_odd_size.mp4": "pyav",  # the same
    "av1.mkv": "pyav",  # decord has no decoder
    "vp9.webm": "decord",
    "rotated_90.mp4": "decord",
    "rotated_180.mp4": "decord",
    "rotated_270.mp4": "decord",
    "variable_rate.mp4": "decord",
    "negative_times.ts": "pyav",  # decord counts other frames or times
    "edit_list.mp4": "pyav",  # the same
    "two_streams.mp4": "decord",
}
REAL_ENGINES = {
    "car-detection.mp4": "decord",
    "nasa_13013.mp4": "decord",
    "h265_video.mp4": "decord",
    "h264_10bits.mp4": "pyav",
    "av1_video.mkv": "pyav",
    "video_90.mov": "decord",
    "unordered.mov": "decord",
}
OPEN_GROUPS = ("reordered.mp4", "hevc.mp4")  # whose keyframes have leading frames
ALL_ENGINES = {**ENGINES, **{name: REAL_ENGINES[name] for name in real(*REAL_ENGINES)}}
MATROSKA_MS = 0.5  # Matroska's unit is 1 ms
DRAWN_MEAN = 8  # coding loses so much at most; another frame or another side up differs by 20


def decode_all(path: Path) -> list[tuple[float, np.ndarray]]:
    """Every frame of the best stream by PyAV, upright, with its time in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        frames = []
        for frame in container.decode(stream):
            turns = round(frame.rotation / 90)
            frames.append((frame.time, np.rot90(frame.to_ndarray(format="rgb24"), turns)))
    return frames


def read(path: Path, engine: str, wanted: list[int]) -> tuple[dict[int, np.ndarray], str]:
    """The frames, and the engine that read the last of them."""
    source = OpenFile(held_open(path))
    info = source.index.info()
    frames = {}
    for frame_index, picture in source.read(engine, wanted):
        frames[frame_index] = np.empty((info.height, info.width, 3), np.uint8)
        picture.write(frames[frame_index])
    source.close()
    return frames, source.engine


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        *((name, "pyav") for name in ALL_ENGINES),
        *((name, "decord") for name in ALL_ENGINES if name not in OPEN_GROUPS),
    ],
)
def test_pixels_equal_pyavs_own(name: str, engine: str, clips: ClipLibrary) -> None:
    """Byte for byte, also where decord reads."""
    truth = decode_all(clips.path(name))
    wanted = list(range(0, len(truth), max(1, len(truth) // 12)))
    frames, used = read(clips.path(name), engine, wanted)
    assert used == (ALL_ENGINES[name] if engine == "decord" else "pyav")
    assert list(frames) == wanted
    for frame_index, frame in frames.items():
        assert np.array_equal(frame, truth[frame_index][1])


@pytest.mark.parametrize("engine", ["decord", "pyav"])
@pytest.mark.parametrize("name", ENGINES)
def test_frames_are_those_that_were_drawn(name: str, engine: str, clips: ClipLibrary) -> None:
    film = FILMS[name]
    drawn = list(film.draw(film))[film.hidden :]
    frames, _ = read(clips.path(name), engine, list(range(len(drawn))))
    assert [read_stamp(frame) for frame in frames.values()] == film.stamps
    for frame, picture in zip(frames.values(), drawn, strict=True):
        assert frame.shape == picture.shape
        assert np.abs(frame.astype(int) - picture).mean() < DRAWN_MEAN


def test_odd_sizes_are_left_to_pyav(clips: ClipLibrary) -> None:
    """decord's older ffmpeg puts the chroma of the odd last column and row half a pixel aside."""
    ours, used = read(clips.path("odd_size.webm"), "decord", [0, 25, 59])
    assert used == "pyav"
    truth = decode_all(clips.path("odd_size.webm"))
    for frame_index, frame in ours.items():
        assert np.array_equal(frame, truth[frame_index][1])


@pytest.mark.parametrize("name", ENGINES)
def test_timestamps_are_those_the_clip_was_made_with(name: str, clips: ClipLibrary) -> None:
    film, index = FILMS[name], read_index(str(clips.path(name)))
    assert index.video is not None
    within = 0.01 if clips.path(name).suffix in (".mp4", ".ts") else MATROSKA_MS
    assert index.video.times_ms == pytest.approx(film.times_ms, abs=within)
    info = index.info()
    assert (info.width, info.height) == (film.width, film.height)


@pytest.mark.parametrize("name", ALL_ENGINES)
def test_timestamps_are_the_containers(name: str, clips: ClipLibrary) -> None:
    truth = [time_s * 1000 for time_s, _ in decode_all(clips.path(name))]
    index = read_index(str(clips.path(name)))
    assert index.video is not None
    assert index.video.times_ms == pytest.approx(truth, abs=0.01)


@pytest.mark.parametrize("name", ["takes.mp4", *real("car-detection.mp4")])
def test_both_engines_give_the_same_bytes_in_any_order(name: str, clips: ClipLibrary) -> None:
    """Chunks of one file are read forwards, again, and from the middle."""
    source = OpenFile(held_open(clips.path(name)))
    info = source.index.info()
    out = np.empty((info.height, info.width, 3), np.uint8)
    for wanted in ([0, 30, 60], [61, 62, 130], [5, 6], [info.frame_count - 1]):
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
    source.close()


class Counting(PyavReader):
    """Counts the frames that the codec returns."""

    decoded = 0

    def _advance(self) -> None:
        self.decoded += 1
        super()._advance()


@pytest.mark.parametrize("name", ["cuts.mp4", *real("bottle-detection.mp4")])
def test_what_is_left_out_is_missed_by_nobody(name: str, clips: ClipLibrary) -> None:
    """Few frames, then the ones beside them, after a read that was broken off as well."""
    path = clips.path(name)
    truth = decode_all(path)
    index = read_index(str(path)).video
    assert index is not None
    reader = Counting(str(path), index, threads=2)
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
    assert len(list(reader.read(range(300, 571, 30)))) == 10
    assert reader.decoded < 200
    reader.close()


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        ("one_group.mp4", "decord"),
        ("hevc.mp4", "pyav"),
        ("reordered.mp4", "pyav"),
        *((name, "pyav") for name in real("nasa_13013.mp4")),
    ],
)
def test_decord_reads_where_nothing_can_be_left_out(
    name: str, engine: str, clips: ClipLibrary, frame_store: FrameStore
) -> None:
    """Nowhere else: after a seek in open groups of pictures, decord gives other frames."""
    decoder = Decoder(frame_store.view)
    info = read_index(str(clips.path(name))).info()
    for height, width, expected in ((info.height, info.width, engine), (9, 16, "pyav")):
        targets = (Target(0, 0, height, width), Target(30, 1 << 20, height, width))
        reply = decoder.answer(Decode(1, "", held_open(clips.path(name)), targets))
        assert isinstance(reply, Decoded)
        assert (len(reply.frames), reply.engine) == (2, expected)


@pytest.mark.parametrize("engine", ["decord", "pyav"])
def test_a_damaged_frame_is_missing_and_no_other_changed(engine: str, clips: ClipLibrary) -> None:
    whole, damaged = clips.path("h264.mp4"), clips.path("damaged.mp4")
    truth = decode_all(whole)
    frames, used = read(damaged, engine, list(range(60)))
    assert used == "pyav"
    missing = disposable_frame(whole, DAMAGED_AFTER)
    assert list(frames) == [index for index in range(60) if index != missing]
    for frame_index, frame in frames.items():
        assert np.array_equal(frame, truth[frame_index][1])


@pytest.mark.parametrize("engine", ["decord", "pyav"])
def test_damage_spoils_nothing_before_it(engine: str, clips: ClipLibrary) -> None:
    """Bytes are changed in the second half of the file, which is behind the first frames."""
    truth = decode_all(clips.path("h264.mp4"))
    frames, used = read(clips.path("scrambled.mp4"), engine, list(range(60)))
    assert used == "pyav"
    assert list(frames)[:20] == list(range(20))
    assert 30 < len(frames) < 60
    for frame_index in range(20):
        assert np.array_equal(frames[frame_index], truth[frame_index][1])


@pytest.mark.parametrize("name", ["damaged.mp4", *real("corrupted.mp4")])
def test_what_cannot_be_decoded_is_left_out(name: str, clips: ClipLibrary) -> None:
    """That is one frame of the generated clip; of the real one packet 48 or so."""
    frames, used = read(clips.path(name), "decord", list(range(50)))
    assert used == "pyav"
    assert 45 <= len(frames) < 50


@pytest.mark.parametrize("engine", ["decord", "pyav"])
def test_a_file_cut_short_gives_what_is_there(engine: str, clips: ClipLibrary) -> None:
    truth = decode_all(clips.path("h264.mp4"))
    index = read_index(str(clips.path("truncated.mp4")))
    assert index.video is not None
    count = len(index.video.pts)
    assert 20 < count < 50
    frames, used = read(clips.path("truncated.mp4"), engine, list(range(count)))
    assert used == "pyav"
    assert len(frames) >= count - 3  # the frames that the cut one is needed for
    for frame_index, frame in frames.items():
        assert np.array_equal(frame, truth[frame_index][1])


@pytest.mark.parametrize("name", ["takes.mp4", *real("car-detection.mp4")])
def test_small_pictures_are_close_to_scaled_large_ones(name: str, clips: ClipLibrary) -> None:
    """Not equal: planes are scaled before the conversion to RGB, which rounds and clips."""
    with av.open(str(clips.path(name))) as container:
        frame = next(container.decode(video=0))
    small = np.empty((144, 256, 3), np.uint8)
    AvPicture(frame, 0).write(small)
    rgb = frame.to_ndarray(format="rgb24")
    expected = cv2.resize(rgb, (256, 144), interpolation=cv2.INTER_LINEAR)
    difference = np.abs(small.astype(int) - expected)
    assert difference.mean() < 2
    assert np.abs(small.astype(int) - small.mean()).mean() > 5  # it is no plain picture


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_rubbish_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rubbish.mp4"
    path.write_bytes(content)
    with pytest.raises(TaskError) as refusal:
        read_index(str(path))
    assert refusal.value.code == "undecodable_video"
