"""Provides the frames and the audio of a file as leases on the pool; decodes what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from ipc.files import FileRef
from ipc.messages import Target
from ipc.subjects import AudioRef
from server.analysis.audio_plan import SAMPLE_BYTES, Section
from server.analysis.decode_windows import Sized, Window
from server.children.decoder_client import DecoderClient
from server.errors import Problem
from server.frame_pool.pool import Entry, FramePool, Lease, TooLarge, Want

Fill = Callable[[Sequence[Entry]], Awaitable[None]]


class MediaSource:
    """One file, identified by the hash of its content.

    `engine` is the engine that last decoded it, `decode_ms` the total decoding time.
    """

    def __init__(
        self, file: FileRef, digest: str, lead_in: int, pool: FramePool, decoders: DecoderClient
    ) -> None:
        """`lead_in` frames at most have to be decoded before a wanted one."""
        self._file = file
        self._lead_in = lead_in
        self.engine = ""
        self.decode_ms = 0.0
        self._digest = digest
        self._pool = pool
        self._decoders = decoders

    @asynccontextmanager
    async def frames(self, window: Window) -> AsyncIterator[tuple[Lease, dict[Sized, Entry]]]:
        """Lease a window's decoded frames; raises Problem (undecodable_video, frame_too_large)."""
        wants = [
            Want((self._digest, *sized), sized[1] * sized[2] * 3, sized not in window.sampled)
            for sized in window.frames
        ]
        with await self._lease(wants) as lease:
            entries = dict(zip(window.frames, lease.entries, strict=True))
            sizes = {entry: sized for sized, entry in entries.items()}

            async def fill(claimed: Sequence[Entry]) -> None:
                targets = [
                    Target(index, entry.slot.offset, height, width)
                    for entry, (index, height, width) in ((e, sizes[e]) for e in claimed)
                ]
                decoded = await self._decoders.decode(self._file, targets, self._lead_in, lease)
                self.decode_ms += decoded.decode_ms
                written = {ref.offset: ref for ref in decoded.frames}
                for entry in claimed:
                    entry.fill(written.get(entry.slot.offset), decoded.engine)

            await self._settle(lease, fill)
            self.engine = lease.entries[-1].engine or self.engine
            yield lease, entries

    @asynccontextmanager
    async def audio(
        self, sections: Sequence[Section]
    ) -> AsyncIterator[tuple[Lease, dict[int, AudioRef]]]:
        """Lease decoded sections, by number; raises Problem (undecodable_video, …)."""
        keys = [(self._digest, "audio", one.start_ms, one.end_ms) for one in sections]
        sizes = [one.capacity * SAMPLE_BYTES for one in sections]
        with await self._lease([Want(*want) for want in zip(keys, sizes, strict=True)]) as lease:
            of_entry = dict(zip(lease.entries, sections, strict=True))

            async def fill(claimed: Sequence[Entry]) -> None:
                for entry in claimed:
                    one, offset = of_entry[entry], entry.slot.offset
                    decoded = await self._decoders.decode_audio(
                        self._file, one.start_ms, one.end_ms, offset, one.capacity, lease
                    )
                    self.decode_ms += decoded.decode_ms
                    entry.fill(decoded.ref, "pyav")

            await self._settle(lease, fill)
            refs = {}
            for entry, one in of_entry.items():
                assert isinstance(entry.content, AudioRef)
                refs[one.number], self.engine = entry.content, entry.engine
            yield lease, refs

    async def _lease(self, wants: Sequence[Want]) -> Lease:
        try:
            return await self._pool.lease(wants)
        except TooLarge:
            raise Problem(
                "frame_too_large",
                "The frames that the request needs at the same time do not fit the frame pool of "
                "this service (FRAME_POOL_MB). Request fewer tasks, or scale the video down.",
            ) from None

    async def _settle(self, lease: Lease, fill: Fill) -> None:
        """Fill the empty entries, and wait for those that other requests are filling.

        A fill continues if its request is cancelled, as its decoder does: the frames stay in the
        pool. If the fill of another request failed, this request tries it itself.
        """
        while True:
            if claimed := lease.claim():
                filling = asyncio.ensure_future(_filled(fill, claimed, lease))
                filling.add_done_callback(_noticed)
                await asyncio.shield(filling)
            waiting = [entry for entry in lease.entries if entry.state != "ready"]
            if not waiting:
                return
            for entry in waiting:
                await entry.settled.wait()


async def _filled(fill: Fill, claimed: Sequence[Entry], lease: Lease) -> None:
    lease.hold()
    try:
        await fill(claimed)
    finally:
        for entry in claimed:
            if entry.state == "filling":
                entry.give_up()
        lease.release()


def _noticed(filling: asyncio.Future[None]) -> None:
    """Retrieve the exception: no request awaits it if its request was cancelled."""
    if not filling.cancelled():
        filling.exception()
