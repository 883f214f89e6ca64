"""The media of a comparison: generated, or made of real files; keyframes are the encoder's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import chain, cycle, islice, repeat
from pathlib import Path

import av
import cv2
import numpy as np

from bench.clips import generate, talk
from bench.clips.encoding import Coding, encode, encode_sound, video_frame
from bench.clips.shapes import Frame
from bench.clips.sound import RATE, Sound
from bench.service_process import ROOT

DATA = ROOT.parent / "shared" / "data"
FOOTAGE = ("car-detection.mp4", "bottle-detection.mp4", "nasa_13013.mp4")
SPEECH = ("jfk.flac", "nasa_13013.mp4")
PAGES = ("english.png", "example.png", "width_ths.png")
AS_IT_IS = ".mp4"  # a single file of this kind is not encoded again
FPS = 30
FRAMES_PER_PAGE = 60
VIDEO_SIZE, PAGE_SIZE = (1920, 1080), (1280, 720)


def present(names: Sequence[str]) -> list[Path]:
    """The files of these names in the data folder beside the repository; empty if one is not."""
    paths = [DATA / name for name in names]
    return paths if all(path.is_file() for path in paths) else []


def generated(folder: Path, seconds: int) -> Path:
    """The benchmark clip."""
    path = folder / f"compare-{seconds}s.mp4"
    if not path.exists():
        generate.make_bench(path, seconds, gop=None)
    return path


def footage(folder: Path, seconds: int, files: Sequence[Path]) -> Path:
    """All frames of the files, repeated, scaled to 1080p at 30 fps; a single MP4 as it is."""
    if len(files) == 1 and files[0].suffix == AS_IT_IS:
        return files[0].resolve()
    path = folder / f"footage-{seconds}s-{_digest(files)}.mp4"
    if not path.exists():
        count = seconds * FPS
        pictures = islice(chain.from_iterable(map(_frames, cycle(files))), count)
        _film(path, (cv2.resize(one, VIDEO_SIZE) for one in pictures), count, VIDEO_SIZE)
    return path


def pages(folder: Path, files: Sequence[Path]) -> Path:
    """Each picture for 60 frames, fitted into 720p; without files, 6 s of the benchmark clip."""
    if not files:
        return generated(folder, 6)
    path = folder / f"pages-{_digest(files)}.mp4"
    if not path.exists():
        shown = [_fitted(cv2.cvtColor(cv2.imread(str(one)), cv2.COLOR_BGR2RGB)) for one in files]
        pictures = chain.from_iterable(repeat(one, FRAMES_PER_PAGE) for one in shown)
        _film(path, pictures, len(files) * FRAMES_PER_PAGE, PAGE_SIZE)
    return path


def speech(folder: Path, seconds: int, files: Sequence[Path]) -> Path:
    """The audio of the files, repeated; a single MP4 as it is; or generated syllables."""
    if len(files) == 1 and files[0].suffix == AS_IT_IS:
        return files[0].resolve()
    path = folder / f"speech-{seconds}s-{_digest(files)}.mp4"
    if path.exists():
        return path
    if files:
        parts = [sound(one, RATE) for one in files]
        encode_sound(path, np.resize(np.concatenate(parts), seconds * RATE))
    else:
        talk.make_talk(path, seconds)
    return path


def sound(path: Path, rate: int) -> Sound:
    """The audio as mono float32; at 16 kHz, the result of `whisper.load_audio`."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    with av.open(str(path)) as container:
        frames = [*container.decode(audio=0), None]  # None flushes the resampler
    parts = [part.to_ndarray()[0] for frame in frames for part in resampler.resample(frame)]
    return np.concatenate(parts)


def _frames(path: Path) -> Iterator[Frame]:
    with av.open(str(path)) as clip:
        for frame in clip.decode(clip.streams.best("video")):
            yield frame.to_ndarray(format="rgb24")


def _film(path: Path, pictures: Iterable[Frame], count: int, size: tuple[int, int]) -> None:
    frames = (video_frame(picture, pts) for pts, picture in enumerate(pictures))
    encode(path, frames, count, size, Coding(FPS, gop=None))


def _fitted(picture: Frame) -> Frame:
    """Scale a picture to fit, on white."""
    width, height = PAGE_SIZE
    scale = min(width / picture.shape[1], height / picture.shape[0])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    page = np.full((height, width, 3), 255, np.uint8)
    page[: small.shape[0], : small.shape[1]] = small[:height, :width]
    return page


def _digest(files: Sequence[Path]) -> str:
    return sha256(":".join(str(path) for path in files).encode()).hexdigest()[:8]
