"""The client's side of uploads: the parts of a multipart body, sent in chunks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from starlette.requests import Request

from server.http.uploads import Upload, received

MB = 1 << 20
TYPE = "multipart/form-data; boundary=edge"


class Sender:
    """A client's side of one request: sends `chunks`, then ends the body, or hangs up."""

    def __init__(
        self,
        chunks: Iterable[bytes],
        content_type: str = TYPE,
        length: int | None = None,
        hangs_up: bool = False,
    ) -> None:
        self.messages_read = 0
        self._chunks = iter(chunks)
        self._hangs_up = hangs_up
        headers = [(b"content-type", content_type.encode())]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        self.request = Request({"type": "http", "method": "POST", "headers": headers}, self._send)

    async def _send(self) -> dict[str, Any]:
        self.messages_read += 1
        for chunk in self._chunks:
            return {"type": "http.request", "body": chunk, "more_body": True}
        if self._hangs_up:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}


def receive(sender: Sender, max_bytes: int = 64 * MB) -> tuple[Upload, bytes]:
    """The upload, and the content at its path."""

    async def run() -> tuple[Upload, bytes]:
        async with received(sender.request, max_bytes) as upload:
            return upload, Path(upload.file.path).read_bytes()

    return asyncio.run(run())


def part(name: str, content: bytes) -> bytes:
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="a"\r\n\r\n'
    return head.encode() + content + b"\r\n"


def body(*parts: tuple[str, bytes]) -> bytes:
    return b"".join(part(name, content) for name, content in parts) + b"--edge--\r\n"


def in_chunks(whole: bytes, size: int) -> list[bytes]:
    return [whole[i : i + size] for i in range(0, len(whole), size)]


def open_files() -> list[str]:
    """The targets of this process's file descriptors."""
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:  # the one that listed the folder
            continue
    return sorted(links)
