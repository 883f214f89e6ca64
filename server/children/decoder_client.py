"""The front's side of decoding: selects a decoder, and turns its failures into problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ipc import logs
from ipc.files import FileRef, Identity
from ipc.messages import (
    AudioDecoded,
    Decode,
    DecodeAudio,
    Decoded,
    Failed,
    FromChild,
    Probe,
    Probed,
    Target,
)
from server.children import deadlines
from server.children.flights import ChildDied
from server.children.supervisor import HOPELESS_STARTS, Child
from server.children.waiting_line import Line, next_id
from server.errors import Problem
from server.frame_pool.pool import Lease
from server.metrics import Metrics

ATTEMPTS = 2


class DecoderClient:
    """Sends messages to decoders; prefers the free decoder that last read the same file."""

    def __init__(self, children: Sequence[Child], line: Line, metrics: Metrics) -> None:
        self.children = children
        self._line = line
        self._metrics = metrics
        self._last_file: dict[str, Identity] = {}

    async def probe(self, file: FileRef, start_ms: int | None, end_ms: int | None) -> Probed:
        """Index `file`; raises Problem (undecodable_video)."""
        message = Probe(next_id(), _request_id(), file, start_ms, end_ms)
        reply = await self._ask(file, message, deadlines.probe_s(file))
        assert isinstance(reply, Probed)
        return reply

    async def decode(
        self, file: FileRef, targets: Sequence[Target], lead_in: int, lease: Lease
    ) -> Decoded:
        """Write frames into the slots of `lease`; raises Problem (undecodable_video).

        Up to `lead_in` frames must be decoded before the first one.
        """
        message = Decode(next_id(), _request_id(), file, tuple(targets))
        span = lead_in + targets[-1].frame_index - targets[0].frame_index + 1
        reply = await self._ask(file, message, deadlines.decode_s(file, span), lease)
        assert isinstance(reply, Decoded)
        self._metrics.frames_decoded.inc(len({ref.frame_index for ref in reply.frames}))
        return reply

    async def decode_audio(
        self,
        file: FileRef,
        start_ms: float,
        end_ms: float,
        offset: int,
        capacity: int,
        lease: Lease,
    ) -> AudioDecoded:
        """Write audio into a slot of `lease`, at `offset`; raises Problem (undecodable_video)."""
        message = DecodeAudio(next_id(), _request_id(), file, start_ms, end_ms, offset, capacity)
        deadline_s = deadlines.decode_audio_s(file, end_ms - start_ms)
        reply = await self._ask(file, message, deadline_s, lease)
        assert isinstance(reply, AudioDecoded)
        return reply

    async def _ask(
        self, file: FileRef, message: Any, deadline_s: float, lease: Lease | None = None
    ) -> FromChild:
        """Send a message, once more if its decoder dies; what that one wrote is written again."""
        for _ in range(ATTEMPTS):
            child, reply = await self._line.send(
                lambda: self._choose(file), message, deadline_s, lease
            )
            self._last_file[child.spec.name] = file.identity
            try:
                answer = await reply
            except ChildDied as death:
                if death.overdue:
                    break  # the file is to blame, and its client has waited long enough
                continue
            if isinstance(answer, Failed):
                raise Problem(answer.code, answer.detail)
            return answer
        raise Problem(
            "undecodable_video",
            "The decoders that were reading the video crashed or hung, and were replaced. The "
            "file is probably damaged: check that ffmpeg can decode it, or encode it again.",
        )

    def _choose(self, file: FileRef) -> Child | None:
        if all(child.failed_starts >= HOPELESS_STARTS for child in self.children):
            raise Problem(
                "no_worker_ready",
                "No decoder process can be started. The service's log has the reason.",
            )
        free = [child for child in self.children if child.has_room]
        return min(
            free,
            key=lambda child: self._last_file.get(child.spec.name) != file.identity,
            default=None,
        )


def _request_id() -> str:
    return logs.request_id.get() or ""
