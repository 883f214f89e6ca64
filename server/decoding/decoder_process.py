"""The decoder process: indexes files, and writes frames and audio into leased slots."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
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
from server.decoding.engine_choice import PYAV, choose_engine, decord_reads
from server.decoding.media_index import MediaIndex, read_index
from server.decoding.readers import AvReader, DecordReader, Disagreement
from server.decoding.rgb import Picture

Identity = tuple[str, int, int, int]

OPEN_SOURCES = 2

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


class Source:
    """An open file; its readers are created on first use and kept for the next chunk."""

    def __init__(self, path: str) -> None:
        self.index: MediaIndex = read_index(path)
        self.engine = ""
        self._readers: dict[str, DecordReader | AvReader] = {}
        self._decord_can = self.index.video is not None and decord_reads(self.index.video)

    def read(self, engine: str, wanted: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        """Yield frames by index; PyAV takes over if decord fails. `engine` is the last one used."""
        done = -1
        if engine == "decord" and self._decord_can:
            try:
                self.engine = "decord"
                for done, picture in self._reader("decord").read(wanted):
                    yield done, picture
            except (decord.DECORDError, Disagreement) as error:
                log.warning("decord failed", extra={"reason": str(error).splitlines()[0]})
                self._decord_can = False
                if (reader := self._readers.pop("decord", None)) is not None:
                    reader.close()
            else:
                return
        rest = [frame_index for frame_index in wanted if frame_index > done]
        self.engine = "pyav"
        yield from self._reader("pyav").read(rest)

    def close(self) -> None:
        """Close the file."""
        for reader in self._readers.values():
            reader.close()

    def park(self) -> None:
        """Stop decoding until the next `read`."""
        for reader in self._readers.values():
            reader.park()

    def _reader(self, engine: str) -> DecordReader | AvReader:
        if engine not in self._readers:
            if self.index.video is None:
                raise child.TaskError("undecodable_video", "The file has no video stream.")
            kind = DecordReader if engine == "decord" else AvReader
            self._readers[engine] = kind(self.index.path, self.index.video)
        return self._readers[engine]


class Decoder:
    """Answers the front's requests; keeps the most recently read files open."""

    def __init__(self, arena: ArenaView) -> None:
        self._arena = arena
        self._sources: OrderedDict[Identity, Source] = OrderedDict()

    def answer(self, request: Probe | Decode | DecodeAudio) -> FromChild:
        """Return one reply per request; raises child.TaskError with an API error code."""
        try:
            match request:
                case Probe():
                    index = self._source(request.path).index
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
        for key in list(self._sources):
            try:
                gone = _identity(key[0]) != key
            except OSError:
                gone = True
            if gone:
                self._sources.pop(key).close()

    def _decode(self, request: Decode) -> Decoded:
        started = time.perf_counter()
        source = self._source(request.path)
        targets: dict[int, list[Target]] = {}
        for target in request.targets:
            targets.setdefault(target.frame_index, []).append(target)
        refs = []
        try:
            for frame_index, picture in source.read(_engine(source, list(targets)), list(targets)):
                refs += [self._write(picture, target, source) for target in targets[frame_index]]
        finally:
            source.park()
        elapsed_ms = (time.perf_counter() - started) * 1000
        return Decoded(request.id, tuple(refs), source.engine, round(elapsed_ms, 3))

    def _write(self, picture: Picture, target: Target, source: Source) -> FrameRef:
        picture.write(self._arena.pixels(target.offset, target.height, target.width))
        assert source.index.video is not None
        return FrameRef(
            target.offset,
            target.height,
            target.width,
            target.frame_index,
            float(source.index.video.times_ms[target.frame_index]),
        )

    def _decode_audio(self, request: DecodeAudio) -> AudioDecoded:
        started = time.perf_counter()
        out = self._arena.samples(request.offset, request.capacity)
        samples = read_audio(request.path, request.start_ms, request.end_ms, out)
        elapsed_ms = (time.perf_counter() - started) * 1000
        ref = AudioRef(request.offset, samples, request.start_ms)
        return AudioDecoded(request.id, ref, round(elapsed_ms, 3))

    def _source(self, path: str) -> Source:
        """Return the open file; reopen it if it has changed."""
        key = _identity(path)
        if key not in self._sources:
            self._sources[key] = Source(path)
        self._sources.move_to_end(key)
        while len(self._sources) > OPEN_SOURCES:
            self._sources.popitem(last=False)[1].close()
        return self._sources[key]


def _engine(source: Source, wanted: Sequence[int]) -> str:
    if source.index.video is None:
        return PYAV
    return choose_engine(source.index.video, wanted, source.engine)


def _identity(path: str) -> Identity:
    """Identify a file, to detect that its path later leads to another one."""
    stat = os.stat(path)
    return path, stat.st_ino, stat.st_size, stat.st_mtime_ns
