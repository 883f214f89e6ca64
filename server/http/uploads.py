"""Uploads: streams the `file` part of a multipart body to disk, and deletes it after use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from ipc.files import FileRef
from server.errors import FieldError, Problem
from server.http.stored_video import StoredVideo, stored_video, too_large

MAX_REQUEST_BYTES = 1 << 20
# Maximum size of the rest of the body: the `request` part and the framing.
SLACK_BYTES = 1 << 20


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

    The file is deleted when the block ends, whatever happens.
    Raises Problem: upload_too_large over `max_bytes`, before reading if the client declares the
    size; invalid_request if the body is not one `file` and at most one `request` part;
    insufficient_storage if the disk is full.
    Raises ClientDisconnect if the client disconnects.
    """
    if int(request.headers.get("content-length", 0)) > max_bytes + SLACK_BYTES:
        raise too_large(max_bytes, "upload")
    async with stored_video(max_bytes, "upload") as video:
        form = _Form(video)
        await _receive(request, _parser(request, form), form, max_bytes)
        file = await video.complete()
        sent = bytes(form.request) if "request" in form.names else b"{}"
        yield Upload(file, video.input_hash, video.size_bytes, sent, form.file_name)


async def _receive(request: Request, parser: MultipartParser, form: _Form, max_bytes: int) -> None:
    """Read the body to its end."""
    body_bytes = 0
    async for chunk in request.stream():
        body_bytes += len(chunk)
        if body_bytes > max_bytes + SLACK_BYTES:
            raise too_large(max_bytes, "upload")
        try:
            parser.write(chunk)
        except FormParserError as error:
            raise _invalid("", f"its syntax is invalid: {error}") from None
        await form.video.write_blocks()
    form.check()


class _Form:
    """The parser's state so far, updated by its callbacks; they raise Problem."""

    def __init__(self, video: StoredVideo) -> None:
        self.video = video
        self.names: set[str] = set()
        self.file_name = ""
        self.request = bytearray()
        self._name = ""
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._ended = False

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
            self.video.append(data[start:end])
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
