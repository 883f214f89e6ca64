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
from ipc.files import FileChanged, FileRef, Identity
from ipc.messages import (
    AudioDecoded,
    Decode,
    DecodeAudio,
    Decoded,
    FromChild,
    Probe,
    Probed,
    Ready,
    Target,
    ToDecoder,
)
from ipc.subjects import AudioRef, FrameRef
from server.decoding.audio import read_audio
from server.decoding.containers import THREADS, is_read_error
from server.decoding.media_index import longest_lead_in
from server.decoding.open_file import OpenFile
from server.decoding.upright_rgb import Picture

OPEN_FILES = 2
CHANGED = "The file changed while it was being read. Send the request again once it is complete."
TOO_LARGE = "The video cannot be decoded: it needs more memory than a decoder may have."

log = logging.getLogger(__name__)


def main(endpoint: Endpoint[Any], config: DecoderConfig) -> None:
    """Report ready, then decode until told to stop."""
    av.logging.set_level(None)
    cv2.setNumThreads(1)
    decord.logging.set_level(decord.logging.QUIET)
    endpoint.open(ToDecoder)
    arena = ArenaView(config.arena, writable=True)
    threading.Thread(target=arena.populate, daemon=True).start()
    decoder = Decoder(arena, config.threads)
    child.serve(endpoint, decoder.answer, Ready(os.getpid(), "cpu"), idle=decoder.tidy)


class Decoder:
    """Answers the front's requests; keeps the most recently read files open."""

    def __init__(self, arena: ArenaView, threads: int = THREADS) -> None:
        self._arena = arena
        self._threads = threads
        self._files: OrderedDict[Identity, OpenFile] = OrderedDict()

    def answer(self, request: Probe | Decode | DecodeAudio) -> FromChild:
        """Return one reply per request; raises child.TaskError with an API error code."""
        try:
            try:
                return self._reply(request)
            finally:
                self._check_unchanged(request.file)  # what was read may be of another content
        except FileChanged:
            raise child.TaskError("input_hash_mismatch", CHANGED) from None
        except av.FFmpegError as error:
            if is_read_error(error, request.file.local_path):
                raise _unreadable(error.strerror) from error
            reason = f"The video cannot be decoded: {error.strerror}."
            raise child.TaskError("undecodable_video", reason) from error
        except OSError as error:
            raise _unreadable(error.strerror) from error
        except MemoryError as error:
            raise child.TaskError("undecodable_video", TOO_LARGE) from error

    def tidy(self) -> None:
        """Close files that have changed or are deleted; an upload's disk space is then free."""
        for identity, file in list(self._files.items()):
            if file.deleted or not file.unchanged:
                self._files.pop(identity).close()

    def _reply(self, request: Probe | Decode | DecodeAudio) -> FromChild:
        match request:
            case Probe():
                index = self._file(request.file).index
                span = index.range(request.start_ms, request.end_ms)
                return Probed(request.id, index.info(), span, longest_lead_in(index.video))
            case Decode():
                return self._decode(request)
            case DecodeAudio():
                return self._decode_audio(request)

    def _decode(self, request: Decode) -> Decoded:
        started = time.perf_counter()
        file = self._file(request.file)
        targets: dict[int, list[Target]] = {}
        for target in request.targets:
            targets.setdefault(target.frame_index, []).append(target)
        refs = []
        try:
            engine = file.faster_engine(request.targets)
            for frame_index, picture in file.read(engine, list(targets)):
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
        file = self._file(request.file)
        out = self._arena.samples(request.offset, request.capacity)
        samples = read_audio(file.path, request.start_ms, request.end_ms, out)
        elapsed_ms = (time.perf_counter() - started) * 1000
        ref = AudioRef(request.offset, samples, request.start_ms)
        return AudioDecoded(request.id, ref, round(elapsed_ms, 3))

    def _check_unchanged(self, ref: FileRef) -> None:
        """Close the file and raise FileChanged if it is open, and no longer what `ref` means."""
        file = self._files.get(ref.identity)
        if file is not None and not file.unchanged:
            self._files.pop(ref.identity).close()
            raise FileChanged

    def _file(self, ref: FileRef) -> OpenFile:
        """The open file; raises FileChanged where it is no longer what `ref` means."""
        self._check_unchanged(ref)
        file = self._files.get(ref.identity)
        if file is None:
            file = self._files[ref.identity] = OpenFile(ref, self._threads)
        self._files.move_to_end(ref.identity)
        while len(self._files) > OPEN_FILES:
            self._files.popitem(last=False)[1].close()
        return file


def _unreadable(reason: str | None) -> child.TaskError:
    return child.TaskError("video_not_found", f"The file cannot be read: {reason}.")
