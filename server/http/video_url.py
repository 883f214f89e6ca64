"""Videos by address: downloads what `video_url` leads to, and deletes it after use."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import anyio

from ipc.files import FileRef
from server.errors import FieldError, Problem
from server.http.stored_video import StoredVideo, stored_video
from server.net.checked_connections import connections
from server.net.destinations import Destinations, NotPermitted
from server.net.download import DownloadFailed, NotThere, download
from server.net.web_address import BadAddress, WebAddress, parse

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Downloaded:
    """A downloaded file."""

    file: FileRef
    input_hash: str
    """XXH64 of the file's bytes, 16 hex digits."""
    elapsed_s: float


def permitted(video_url: str, destinations: Destinations) -> WebAddress:
    """The address of `video_url`; raises Problem (invalid_request, address_not_allowed)."""
    try:
        address = parse(video_url)
    except BadAddress as error:
        errors = [FieldError("video_url", str(error))]
        detail = f"The request is not valid: video_url: {error}."
        raise Problem("invalid_request", detail, errors=errors) from None
    with _problems(address):
        destinations.check_host(address.host, address.port)
    return address


@asynccontextmanager
async def downloaded(
    address: WebAddress,
    destinations: Destinations,
    max_bytes: int,
    timeout_s: float,
    while_connected: Callable[[Awaitable[None]], Awaitable[None]],
) -> AsyncIterator[Downloaded]:
    """Download a video. The file is deleted when the block ends, whatever happens.

    `while_connected` awaits the download, and cancels it if the client is gone.
    Raises Problem: address_not_allowed, video_not_found, download_failed, upload_too_large over
    `max_bytes`, insufficient_storage, deadline_exceeded.
    """
    started = time.perf_counter()
    async with stored_video(max_bytes, "video") as video:
        with _problems(address):
            await while_connected(_within(timeout_s, _download(address, video, destinations)))
        file = await video.complete()
        elapsed_s = time.perf_counter() - started
        about = {"bytes": video.size_bytes, "ms": round(elapsed_s * 1000, 1)}
        log.info("video downloaded", extra={"origin": address.origin, **about})
        yield Downloaded(file, video.input_hash, elapsed_s)


async def _download(address: WebAddress, video: StoredVideo, destinations: Destinations) -> None:
    async with await connections(destinations) as pool:
        await download(address, video, pool)


async def _within(timeout_s: float, work: Awaitable[None]) -> None:
    try:
        with anyio.fail_after(timeout_s):
            await work
    except TimeoutError:
        raise Problem(
            "deadline_exceeded",
            f"The video was not downloaded within {timeout_s:g} s (REQUEST_TIMEOUT_S, or the "
            "request's X-Request-Timeout).",
        ) from None


@contextmanager
def _problems(address: WebAddress) -> Iterator[None]:
    """Turn what can go wrong outside this service into problems."""
    try:
        yield
    except NotPermitted as error:
        raise Problem("address_not_allowed", str(error)) from None
    except NotThere as error:
        raise Problem(
            "video_not_found", f"The video of {address.origin} cannot be read: {error}."
        ) from None
    except DownloadFailed as error:
        log.warning("download failed", extra={"origin": address.origin, "reason": str(error)})
        raise Problem(
            "download_failed",
            f"The video of {address.origin} could not be downloaded: {error}. Try again later, or "
            "upload the video.",
        ) from None
