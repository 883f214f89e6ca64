"""The decoder process: indexes files, and writes frames and audio into leased slots."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict
from typing import Any

import av
import cv2
import decord

from ipc import child
from ipc.arena import ArenaView
from ipc.channel import Endpoint
from ipc.config import DecoderConfig
from ipc.messages import (
    AudioDecoded,
    AudioRef,
    Decode,
    DecodeAudio,
    Decoded,
    FrameRef,
    FromChild,
    Probe,
    Probed,
    Ready,
    Target,
    ToDecoder,
)
from server.decoding.audio import read_audio
from server.decoding.open_file import OpenFile
from server.decoding.rgb import Picture

Identity = tuple[str, int, int, int]

OPEN_FILES = 2

log = logging.getLogger(__name__)


def main(endpoint: Endpoint[Any], config: DecoderConfig) -> None:
    """Report ready, then decode until told to stop."""
    av.logging.set_level(None)
    cv2.setNumThreads(1)
    decord.logging.set_level(decord.logging.QUIET)
    endpoint.open(ToDecoder)
    arena = ArenaView(config.arena, writable=True)
    threading.Thread(target=arena.populate, daemon=True).start()
    decoder = Decoder(arena)
    child.serve(endpoint, decoder.answer, Ready(os.getpid(), "cpu"), idle=decoder.tidy)


class Decoder:
    """Answers the front's requests; keeps the most recently read files open."""

    def __init__(self, arena: ArenaView) -> None:
        self._arena = arena
        self._files: OrderedDict[Identity, OpenFile] = OrderedDict()

    def answer(self, request: Probe | Decode | DecodeAudio) -> FromChild:
        """Return one reply per request; raises child.TaskError with an API error code."""
        try:
            match request:
                case Probe():
                    index = self._file(request.path).index
                    span = index.range(request.start_ms, request.end_ms)
                    return Probed(request.id, index.info(), span)
                case Decode():
                    return self._decode(request)
                case DecodeAudio():
                    return self._decode_audio(request)
        except av.FFmpegError as error:
            reason = f"The video cannot be decoded: {error.strerror}."
            raise child.TaskError("undecodable_video", reason) from error
        except OSError as error:
            reason = f"The file cannot be read: {error.strerror}."
            raise child.TaskError("video_not_found", reason) from error

    def tidy(self) -> None:
        """Close deleted files: an upload's disk space is free once no process has it open."""
        for key in list(self._files):
            try:
                gone = _identity(key[0]) != key
            except OSError:
                gone = True
            if gone:
                self._files.pop(key).close()

    def _decode(self, request: Decode) -> Decoded:
        started = time.perf_counter()
        file = self._file(request.path)
        targets: dict[int, list[Target]] = {}
        for target in request.targets:
            targets.setdefault(target.frame_index, []).append(target)
        wanted = list(targets)
        refs = []
        try:
            for frame_index, picture in file.read(file.faster_engine(wanted), wanted):
                refs += [self._write(picture, target, file) for target in targets[frame_index]]
        finally:
            file.park()
        elapsed_ms = (time.perf_counter() - started) * 1000
        return Decoded(request.id, tuple(refs), file.engine, round(elapsed_ms, 3))

    def _write(self, picture: Picture, target: Target, file: OpenFile) -> FrameRef:
        picture.write(self._arena.pixels(target.offset, target.height, target.width))
        assert file.index.video is not None
        return FrameRef(
            target.offset,
            target.height,
            target.width,
            target.frame_index,
            float(file.index.video.times_ms[target.frame_index]),
        )

    def _decode_audio(self, request: DecodeAudio) -> AudioDecoded:
        started = time.perf_counter()
        out = self._arena.samples(request.offset, request.capacity)
        samples = read_audio(request.path, request.start_ms, request.end_ms, out)
        elapsed_ms = (time.perf_counter() - started) * 1000
        ref = AudioRef(request.offset, samples, request.start_ms)
        return AudioDecoded(request.id, ref, round(elapsed_ms, 3))

    def _file(self, path: str) -> OpenFile:
        """Return the open file; reopen it if it has changed."""
        key = _identity(path)
        if key not in self._files:
            self._files[key] = OpenFile(path)
        self._files.move_to_end(key)
        while len(self._files) > OPEN_FILES:
            self._files.popitem(last=False)[1].close()
        return self._files[key]


def _identity(path: str) -> Identity:
    """Identify a file, to detect that its path later leads to another one."""
    stat = os.stat(path)
    return path, stat.st_ino, stat.st_size, stat.st_mtime_ns
