"""Downloads from a local web server, as the service makes them."""

from __future__ import annotations

import asyncio
import os
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import xxhash
from web_server import WebServer

from server.http.stored_video import StoredVideo, stored_video
from server.net.checked_connections import connections
from server.net.destinations import parser
from server.net.download import download
from server.net.web_address import parse

DEADLINE_S = 60
MB = 1 << 20
DATA = os.urandom(300_000)
STEP = 130_000
LIMIT_BYTES = 4 * MB
OLD = "Tue, 01 Jan 2019 00:00:00 GMT"


def fetch(web: WebServer, path: str = "/clip.mp4", setting: str = "") -> bytes:
    """What is downloaded; its hash is checked."""

    async def run() -> bytes:
        hosts = parser("SOME_HOSTS")(setting or f"127.0.0.1:{web.port}")
        async with stored_video(LIMIT_BYTES, "video") as video:
            async with await connections(hosts) as pool:
                await download(parse(web.url + path), video, pool)
            return await whole(video)

    return asyncio.run(asyncio.wait_for(run(), DEADLINE_S))


async def whole(video: StoredVideo) -> bytes:
    received = Path((await video.complete()).path).read_bytes()
    assert video.size_bytes == len(received)
    assert video.input_hash == xxhash.xxh64(received).hexdigest()
    return received


def fails(web: WebServer, kind: type[Exception], says: str, path: str = "/clip.mp4") -> None:
    with pytest.raises(kind, match=says) as failure:
        fetch(web, path)
    assert "secret" not in str(failure.value)


def rubbish(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"no HTTP\r\n\r\n")
