"""Uploads: streams the `file` part of a multipart body to disk, and deletes it after use."""

from __future__ import annotations

import asyncio
import errno
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import IO

import xxhash
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from ipc.files import FileRef, file_ref
from server.errors import FieldError, Problem

BLOCK_BYTES = 1 << 20
MAX_REQUEST_BYTES = 1 << 20
# Maximum size of the rest of the body: the `request` part and the framing.
SLACK_BYTES = 1 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Upload:
    """An uploaded file, and the JSON sent with it."""

    file: FileRef
    input_hash: str
    """XXH64 of the file's bytes, 16 hex digits."""
    size_bytes: int
    request: bytes
    """The `request` part; `{}` if there is none."""
    name: str
    """The client's name for the file."""


@asynccontextmanager
async def received(request: Request, max_bytes: int) -> AsyncIterator[Upload]:
    """Receive a multipart/form-data body: the `file` part to disk, the `request` part to memory.

    The file has no name, so it is deleted when the block ends, whatever happens.
    Raises Problem: upload_too_large over `max_bytes`, before reading if the client declares the
    size; invalid_request if the body is not one `file` and at most one `request` part;
    insufficient_storage if the disk is full.
    Raises ClientDisconnect if the client disconnects.
    """
    if int(request.headers.get("content-length", 0)) > max_bytes + SLACK_BYTES:
        raise _file_too_large(max_bytes)
    form = _Form(max_bytes)
    parser = _parser(request, form)
    with tempfile.TemporaryFile() as file:
        try:
            with _disk_may_be_full():
                input_hash = await _receive(request, parser, form, file)
            sent = bytes(form.request) if "request" in form.names else b"{}"
            yield Upload(file_ref(file.fileno()), input_hash, form.size_bytes, sent, form.file_name)
        finally:
            # In a thread: it frees the blocks, and waits for a write whose awaiter was cancelled.
            await asyncio.shield(asyncio.to_thread(_close, file))


@contextmanager
def _disk_may_be_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        log.warning("upload refused", extra={"reason": str(error)})
        raise Problem(
            "insufficient_storage",
            "The service has no room for the upload: the file system of its TMPDIR is full. Try "
            "again later, or name a file on the service's machine with video_path.",
        ) from None


def _close(file: IO[bytes]) -> None:
    """Close the file; what cannot be written any more is lost, as the whole file is."""
    with suppress(OSError):
        file.close()


async def _receive(request: Request, parser: MultipartParser, form: _Form, file: IO[bytes]) -> str:
    """Read the body to its end; return the XXH64 of the file."""
    digest = xxhash.xxh64()

    def write(block: bytearray) -> None:
        file.write(block)
        digest.update(block)

    body_bytes = 0
    async for chunk in request.stream():
        body_bytes += len(chunk)
        if body_bytes > form.max_bytes + SLACK_BYTES:
            raise _file_too_large(form.max_bytes)
        try:
            parser.write(chunk)
        except FormParserError as error:
            raise _invalid("", f"its syntax is invalid: {error}") from None
        if len(form.unwritten) >= BLOCK_BYTES:
            await asyncio.to_thread(write, form.take())
    form.check()
    await asyncio.to_thread(write, form.take())
    await asyncio.to_thread(file.flush)
    return digest.hexdigest()


class _Form:
    """The parser's state so far, updated by its callbacks; they raise Problem."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.names: set[str] = set()
        self.file_name = ""
        self.request = bytearray()
        self.size_bytes = 0
        self.unwritten = bytearray()
        self._name = ""
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._ended = False

    def take(self) -> bytearray:
        """Return the file data received since the last call."""
        taken, self.unwritten = self.unwritten, bytearray()
        return taken

    def check(self) -> None:
        """Check at the end of the body that it is complete and contains a file."""
        if not self._ended:
            raise _invalid("", "it ends before its closing boundary")
        if "file" not in self.names:
            raise _invalid("file", "it has no `file` part with the video")

    def on_part_begin(self) -> None:
        """Start a part whose headers are not known yet."""
        self._disposition = b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        """Append to a header's name."""
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """Append to a header's value."""
        self._value += data[start:end]

    def on_header_end(self) -> None:
        """Use only the header with the part's name."""
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def on_headers_finished(self) -> None:
        """Check the part's name."""
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode(errors="replace")
        if self._name not in ("file", "request"):
            raise _invalid(
                self._name, f"unknown part {self._name!r}; allowed are `file`, `request`"
            )
        if self._name in self.names:
            raise _invalid(self._name, f"it has more than one `{self._name}` part")
        self.names.add(self._name)
        if self._name == "file":
            self.file_name = options.get(b"filename", b"").decode(errors="replace")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Append to the part's content."""
        if self._name == "file":
            self.size_bytes += end - start
            if self.size_bytes > self.max_bytes:
                raise _file_too_large(self.max_bytes)
            self.unwritten += data[start:end]
        else:
            self.request += data[start:end]
            if len(self.request) > MAX_REQUEST_BYTES:
                raise Problem(
                    "upload_too_large",
                    f"The `request` part is larger than {MAX_REQUEST_BYTES} bytes.",
                )

    def on_end(self) -> None:
        """Record the closing boundary."""
        self._ended = True


def _parser(request: Request, form: _Form) -> MultipartParser:
    _, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if not boundary:
        raise _invalid("", "its Content-Type has no boundary")
    try:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": form.on_part_begin,
                "on_header_field": form.on_header_field,
                "on_header_value": form.on_header_value,
                "on_header_end": form.on_header_end,
                "on_headers_finished": form.on_headers_finished,
                "on_part_data": form.on_part_data,
                "on_end": form.on_end,
            },
        )
    except FormParserError as error:
        raise _invalid("", f"its boundary is not usable: {error}") from None


def _invalid(field: str, message: str) -> Problem:
    return Problem(
        "invalid_request",
        f"The multipart body is not valid: {message}.",
        errors=[FieldError(field, message)],
    )


def _file_too_large(max_bytes: int) -> Problem:
    return Problem(
        "upload_too_large",
        f"The upload is larger than {max_bytes} bytes, the limit set by MAX_UPLOAD_MB. Send "
        "a shorter video, or name a file on the service's machine with video_path.",
    )
