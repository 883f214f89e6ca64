"""Uploads: bodies that httpx builds, and malformed bodies."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import httpx
import pytest
import xxhash
from clip_library import ClipLibrary, real
from starlette.requests import ClientDisconnect
from upload_sender import MB, TYPE, Sender, body, in_chunks, open_files, part, receive

from server.errors import Problem
from server.http.uploads import MAX_REQUEST_BYTES, SLACK_BYTES, Upload, received

CHUNK_BYTES = 1 << 16
VIDEO = bytes(range(256)) * 1000 + b"\r\n--" * 500
OPEN_BOTH = """
import sys, av, decord
print(sum(1 for _ in av.open(sys.argv[1]).decode(video=0)))
print(len(decord.VideoReader(sys.argv[1])))
"""


def test_what_httpx_sends() -> None:
    files = {"file": ("clip.mp4", VIDEO), "request": (None, b'{"top_k": 3}')}
    sent = httpx.Request("POST", "http://any/", files=files)
    whole = sent.read()
    sender = Sender([whole], sent.headers["content-type"], len(whole))
    upload, content = receive(sender)
    assert content == VIDEO
    assert upload.size_bytes == len(VIDEO)
    assert upload.input_hash == xxhash.xxh64(VIDEO).hexdigest()
    assert upload.request == b'{"top_k": 3}'


@pytest.mark.parametrize("chunk_bytes", [1, 7, 4096, MB])
@pytest.mark.parametrize("order", [1, -1])
def test_parts_in_either_order_and_chunks_of_any_size(order: int, chunk_bytes: int) -> None:
    video = VIDEO[-3000:]
    whole = body(*[("file", video), ("request", b"{}\r\n")][::order])
    upload, content = receive(Sender(in_chunks(whole, chunk_bytes)))
    assert content == video
    assert upload.input_hash == xxhash.xxh64(video).hexdigest()
    assert upload.request == b"{}\r\n"


def test_a_file_alone() -> None:
    upload, _ = receive(Sender([body(("file", VIDEO))]))
    assert upload.request == b"{}"


def test_as_large_as_is_allowed() -> None:
    whole = body(("file", VIDEO))
    upload, _ = receive(Sender([whole], length=len(whole)), max_bytes=len(VIDEO))
    assert upload.size_bytes == len(VIDEO)


def refusal(sender: Sender, max_bytes: int = 64 * MB) -> Problem:
    """The problem of a refused body; no file stays open."""
    before = open_files()
    with pytest.raises(Problem) as caught:
        receive(sender, max_bytes)
    assert open_files() == before
    return caught.value


def test_too_large_by_its_own_account_is_not_read() -> None:
    sender = Sender([body(("file", VIDEO))], length=1000 + SLACK_BYTES + 1)
    problem = refusal(sender, max_bytes=1000)
    assert problem.code == "upload_too_large"
    assert "MAX_UPLOAD_MB" in problem.detail
    assert sender.messages_read == 0


@pytest.mark.parametrize("length", [None, 100])
def test_too_large_without_saying_so_is_read_no_further(length: int | None) -> None:
    chunks = in_chunks(body(("file", VIDEO)), 1000)
    sender = Sender(chunks, length=length)
    assert refusal(sender, max_bytes=10_000).code == "upload_too_large"
    assert sender.messages_read == 11


def test_too_large_a_request_part() -> None:
    problem = refusal(Sender([body(("request", b" " * (MAX_REQUEST_BYTES + 1)))]))
    assert problem.code == "upload_too_large"
    assert "`request`" in problem.detail


def test_endless_bytes_after_the_end_are_refused() -> None:
    sender = Sender([body(("file", VIDEO)), *[b"\0" * CHUNK_BYTES] * 100])
    assert refusal(sender, max_bytes=len(VIDEO)).code == "upload_too_large"
    assert sender.messages_read < 20


WHOLE = body(("file", VIDEO))
NAMELESS = b"--edge\r\nContent-Type: video/mp4\r\n\r\nabc\r\n--edge--\r\n"


@pytest.mark.parametrize(
    ("content_type", "sent", "field", "says"),
    [
        ("multipart/form-data", WHOLE, "", "boundary"),
        ("multipart/form-data; boundary=", WHOLE, "", "boundary"),
        (f"multipart/form-data; boundary={'x' * 300}", WHOLE, "", "boundary"),
        ("multipart/form-data; boundary=other", WHOLE, "", "syntax"),
        (TYPE, b"not multipart at all", "", "syntax"),
        (TYPE, b"--edge\r\nbad header\r\n\r\nabc\r\n--edge--\r\n", "", "syntax"),
        (TYPE, b"--edge\r\nX: " + b"y" * 10_000 + b"\r\n\r\n\r\n--edge--\r\n", "", "syntax"),
        (TYPE, b"", "", "closing boundary"),
        (TYPE, WHOLE[:-6], "", "closing boundary"),
        (TYPE, b"--edge--\r\n", "file", "no `file` part"),
        (TYPE, body(("request", b"{}")), "file", "no `file` part"),
        (TYPE, body(("file", b"a"), ("file", b"b")), "file", "more than one"),
        (TYPE, body(("request", b"{}"), ("request", b"{}")), "request", "more than one"),
        (TYPE, body(("video", b"a")), "video", "'video'"),
        (TYPE, NAMELESS, "", "unknown part"),
        (TYPE, part("file", b"a") + NAMELESS, "", "unknown part"),
    ],
)
def test_a_broken_body_says_what_is_wrong(
    content_type: str, sent: bytes, field: str, says: str
) -> None:
    problem = refusal(Sender([sent], content_type))
    assert problem.code == "invalid_request"
    assert problem.errors is not None
    assert [error.field for error in problem.errors] == [field]
    assert says in problem.detail


def test_a_hang_up_leaves_nothing_open() -> None:
    before = open_files()
    seen: list[list[str]] = []

    def chunks() -> Iterable[bytes]:
        for chunk in in_chunks(part("file", bytes(3 * MB)), CHUNK_BYTES):
            seen.append(open_files())
            yield chunk

    with pytest.raises(ClientDisconnect):
        receive(Sender(chunks(), hangs_up=True))
    assert any("deleted" in link for link in set(seen[-1]) - set(before))
    assert open_files() == before


def test_cancelled_while_it_writes_leaves_nothing_open() -> None:
    before = open_files()
    # The first thing to be awaited is the write of this chunk's block.
    sender = Sender([part("file", bytes(8 * MB))])

    async def take() -> None:
        async with received(sender.request, 64 * MB):
            raise AssertionError("it went on")

    async def run() -> None:
        task = asyncio.create_task(take())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert sender.messages_read == 1
    assert open_files() == before


@pytest.mark.parametrize("fails", [False, True])
def test_the_file_has_no_name_and_ends_with_the_block(fails: bool) -> None:
    paths: list[str] = []

    async def run() -> None:
        async with received(Sender([WHOLE]).request, 64 * MB) as upload:
            assert os.stat(upload.file.path).st_nlink == 0
            paths.append(upload.file.path)
            if fails:
                raise ZeroDivisionError

    before = open_files()
    if fails:
        with pytest.raises(ZeroDivisionError):
            asyncio.run(run())
    else:
        asyncio.run(run())
    assert open_files() == before
    assert not os.path.exists(paths[0])


def test_memory_stays_flat() -> None:
    block = os.urandom(CHUNK_BYTES)
    digest = xxhash.xxh64()

    def chunks() -> Iterable[bytes]:
        yield part("file", b"")[:-2]
        for _ in range(20 * MB // CHUNK_BYTES):
            digest.update(block)
            yield block
        yield b"\r\n--edge--\r\n"

    async def run() -> Upload:
        async with received(Sender(chunks()).request, 20 * MB) as upload:
            return upload

    tracemalloc.start()
    try:
        upload = asyncio.run(run())
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert upload.size_bytes == 20 * MB
    assert upload.input_hash == digest.hexdigest()
    assert peak_bytes < 8 * MB


@pytest.mark.parametrize(
    "name", ["h264.mp4", "rotated_90.mp4", *real("nasa_13013.mp4", "video_90.mov")]
)
def test_another_process_decodes_it_by_its_path(name: str, clips: ClipLibrary) -> None:
    def decode(path: str) -> list[str]:
        command = [sys.executable, "-c", OPEN_BOTH, path]
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        return found.stdout.split()

    async def run(content: bytes) -> list[str]:
        async with received(Sender([body(("file", content))]).request, 64 * MB) as upload:
            return await asyncio.to_thread(decode, upload.file.path)

    path = clips.path(name)
    frame_counts = decode(str(path))
    assert min(map(int, frame_counts)) > 0
    assert asyncio.run(run(path.read_bytes())) == frame_counts


@pytest.mark.parametrize("size", [100, 3 * MB])
def test_an_upload_that_the_disk_cannot_hold(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes fail at once, or when what Python has buffered is written."""
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(Path("/dev/full").open, "wb+"))
    chunks = in_chunks(body(("file", bytes(size))), CHUNK_BYTES)
    with pytest.raises(Problem, match="TMPDIR") as refusal:
        receive(Sender(chunks))
    assert refusal.value.code == "insufficient_storage"
