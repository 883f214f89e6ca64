"""The table of generated test clips: how each is made, and what it shows.

A clip's name is its file name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import accumulate
from pathlib import Path

import av
import cv2
import numpy as np
from damage import corrupt_packet, scramble
from films import RATE, Film, write_films
from spoken import speech

from bench.clips import backdrops, generate
from bench.clips.encoding import Coding, encode, encode_sound, video_frame
from bench.clips.narrated import make_narrated
from bench.clips.scenes import Line, card, pan, parade, play
from bench.clips.shapes import LABELS, Frame
from bench.clips.voice import ESPEAK_RATE, say

Find = Callable[[str], Path]
Maker = Callable[[Path, Find], object]

NTSC = Fraction(1001, 30_000)
X264 = {"preset": "veryfast", "sc_threshold": "0"}
VP9 = {"deadline": "realtime", "cpu-used": "8", "crf": "20"}
AV1 = next(name for name in ("libsvtav1", "libaom-av1") if name in av.codecs_available)
AV1_OPTIONS = {
    "libsvtav1": {"preset": "10", "crf": "20"},
    "libaom-av1": {"usage": "realtime", "cpu-used": "8", "crf": "20"},
}
GAPS_MS = np.random.default_rng(9).choice([20, 33, 40, 100, 250], 59).tolist()
EARLY = tuple(range(-6, 54))

# What each clip of stamped frames presents.
FILMS = {
    "h264.mp4": Film(options=X264),
    "one_group.mp4": Film(options={**X264, "bf": "0"}, frames=120, gop=300),
    "reordered.mp4": Film(
        options={**X264, "bf": "5", "x264-params": "b-pyramid=normal:b-adapt=0:open-gop=1"},
        time_base=NTSC,
    ),
    "hevc.mp4": Film("libx265", {"preset": "ultrafast", "x265-params": "log-level=0:pools=1"}),
    "h264_10bit.mp4": Film(options=X264, pixel_format="yuv420p10le"),
    "h264_444_odd_size.mp4": Film(options=X264, pixel_format="yuv444p", width=321, height=181),
    "av1.mkv": Film(AV1, AV1_OPTIONS[AV1]),
    "vp9.webm": Film("libvpx-vp9", VP9),
    "odd_size.webm": Film("libvpx-vp9", VP9, width=321, height=181),
    "rotated_90.mp4": Film(options=X264, rotation=90),
    "rotated_180.mp4": Film(options=X264, rotation=180),
    "rotated_270.mp4": Film(options=X264, rotation=270),
    "variable_rate.mp4": Film(
        options=X264, time_base=Fraction(1, 1000), pts=(0, *accumulate(GAPS_MS))
    ),
    "negative_times.ts": Film(options=X264, pts=EARLY, muxer={"avoid_negative_ts": "disabled"}),
    "edit_list.mp4": Film(options=X264, pts=EARLY, hidden=6),
    "two_streams.mp4": Film(options=X264, frames=90),  # behind a smaller one
    "takes.mp4": Film(options=X264, width=640, height=360, frames=150, seed=5),
    "other_takes.mp4": Film(options=X264, width=480, height=270, frames=150, seed=6),
}
DAMAGED_AFTER = 40  # the damaged frame is the next that no other frame needs
SMALLER = Film(options=X264, width=160, height=90, frames=30, seed=2)

SHOTS = tuple(np.random.default_rng(3).integers(5, 40, 30).tolist())
CUTS = tuple(accumulate(SHOTS))[:-1]  # in cuts.mp4, the first frame of each shot but the first

VILLAGE = (
    "The people of the village waited on the old stone bridge until the lanterns were lit. "
    "Nobody knew how far the travellers had come, or why they carried so many green bottles."
)
WORDS = {
    "spoken.flac": (
        "My fellow citizens, this is the year of the bridge. Ask what your village can do for "
        "the river. Then ask what you can carry home."
    ),
    "museum.flac": (
        "Good morning, and welcome to the harbour museum. Please ask not only what you can see, "
        "but also what you can hear. Seven wooden ships crossed the cold river before dawn."
    ),
    "village.flac": VILLAGE,
    "spoken.m4a": VILLAGE,
    "everything.mp4": "This short film shows a title, a bus, some shapes, and two men in suits.",
}
SECONDS = {
    "spoken.flac": 11,
    "museum.flac": 11,
    "village.flac": 13,
    "spoken.m4a": 13,
    "everything.mp4": 8,
}

PAGES = {
    "notice.png": ("CLOSED ON MONDAYS", "Open from 9 to 17", "Please ring twice", "Entrance B"),
    "prices.png": ("Coffee 2.80", "Apple cake 4.15", "Total 35,498.64", "Thank you", "No. 271"),
    "letter.png": (
        "Dear Miss Palmer,",
        "the bridge is shut,",
        "take the ferry",
        "at half past six",
    ),
}


def _everything(path: Path, _: Find) -> None:
    """A title, photographs and shapes at 29.97 frames a second, with speech; for all six tasks."""
    size, rng = (480, 270), np.random.default_rng(8)
    dusk = backdrops.gradient(*size, (14, 22, 58), (92, 34, 120), 0.6)
    dawn = backdrops.gradient(*size, (255, 214, 150), (240, 120, 110), 1.2)
    lines = [Line("HARBOUR MUSEUM", 0.1, 0.2, 0.14), Line("open daily from 9 to 17", 0.1, 0.5, 0.1)]
    scenes = [
        card(2, dusk, lines),
        pan(2, "bus.jpg", size, (0.5, 0.45, 1.0), (0.5, 0.75, 1.1)),
        parade(rng, 2, dawn, LABELS),
        pan(2, "zidane.jpg", size, (0.5, 0.5, 1.0), (0.7, 0.2, 1.3)),
    ]
    frames = (video_frame(picture, pts) for pts, picture in enumerate(play(scenes, 30)))
    sound = speech(WORDS[path.name], SECONDS[path.name])
    encode(path, frames, 240, size, Coding(time_base=NTSC), sound)


def _photographs(film: Film) -> Iterator[Frame]:
    """Two seconds each of slow moves over two photographs."""
    size = film.width, film.height
    bus = pan(2, "bus.jpg", size, (0.5, 0.45, 1.0), (0.5, 0.75, 1.6))
    men = pan(2, "zidane.jpg", size, (0.3, 0.5, 1.0), (0.8, 0.2, 1.5))
    return play([bus, men], RATE)


PHOTOGRAPHS = Film(options=X264, width=640, height=360, frames=120, draw=_photographs)
EVERYTHING = {"width": 480, "height": 270, "fps": 29.9702, "frame_count": 240, "duration_ms": 8008}


def _mosaics(film: Film) -> Iterator[Frame]:
    """Shots of coloured fields that move sideways."""
    rng = np.random.default_rng(film.seed)
    for length in SHOTS:
        shot = cv2.resize(rng.integers(0, 256, (4, 6, 3), np.uint8), (film.width, film.height))
        for step in range(length):
            yield np.roll(shot, step, axis=1)


CUTS_FILM = Film(options=X264, time_base=NTSC, frames=sum(SHOTS), draw=_mosaics)


def _film(film: Film, path: Path, _: Find) -> None:
    write_films(path, [film])


def _two_streams(path: Path, _: Find) -> None:
    write_films(path, [SMALLER, FILMS[path.name]])


def _flac(path: Path, _: Find) -> None:
    """Speech in one channel, without loss."""
    samples = say(WORDS[path.name])
    samples = np.resize(samples, SECONDS[path.name] * ESPEAK_RATE)[None]
    with av.open(path, "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("flac", rate=ESPEAK_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.rate, frame.pts = ESPEAK_RATE, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _aac(path: Path, _: Find) -> None:
    encode_sound(path, speech(WORDS[path.name], SECONDS[path.name]))


def _page(path: Path, _: Find) -> None:
    """Lines of text on a bright gradient, 640 × 384."""
    page = backdrops.gradient(640, 384, (250, 246, 230), (205, 215, 235), 0.8)
    for row, line in enumerate(PAGES[path.name]):
        page = backdrops.write(page, [line], 40, 30 + 66 * row, 44, (20, 24, 48))
    cv2.imwrite(str(path), page[..., ::-1])


MAKERS: dict[str, Maker] = {
    **{name: partial(_film, film) for name, film in FILMS.items()},
    "two_streams.mp4": _two_streams,
    "cuts.mp4": partial(_film, CUTS_FILM),
    "photographs.mp4": partial(_film, PHOTOGRAPHS),
    "truncated.mp4": lambda path, find: generate.truncate(find("h264.mp4"), path, 0.6),
    "damaged.mp4": lambda path, find: corrupt_packet(find("h264.mp4"), path, after=DAMAGED_AFTER),
    "scrambled.mp4": lambda path, find: scramble(find("h264.mp4"), path, seed=7),
    "silent.mp4": lambda path, _: generate.make_silent(path),
    **dict.fromkeys(("spoken.flac", "museum.flac", "village.flac"), _flac),
    "spoken.m4a": _aac,
    "everything.mp4": _everything,
    "narrated.mp4": lambda path, _: make_narrated(path),
    **dict.fromkeys(PAGES, _page),
}
