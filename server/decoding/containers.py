"""Opens media containers, but no formats that refer to other files."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator, Iterator
from typing import Any

import av

from ipc.cpus import available_cpus

# ffmpeg would also follow playlists, even out of MEDIA_ROOTS, and read devices and images.
FORMATS = (
    "3gp,aac,ac3,aiff,asf,au,avi,caf,dv,eac3,flac,flv,gxf,h264,hevc,ivf,matroska,mov,mp3,mp4,mpeg,"
    "mpegts,mpegvideo,mxf,nut,ogg,rm,swf,wav,webm,wv"
)
THREADS = min(4, available_cpus())  # of a codec, unless the front has selected another number
READ_BYTES = 1 << 20
# What a codec reports about damaged data; also of a frame that is larger than it may be.
DAMAGE = (av.InvalidDataError, av.ArgumentError, av.PatchWelcomeError)
LARGEST_PIXELS = 8192 * 8192
# Metadata in another encoding than UTF-8 is no reason to refuse a video: PyAV 19 has no such error.
LENIENT = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}


def is_read_error(error: av.FFmpegError, path: str) -> bool:
    """Whether the disk, and not the content of the file, is at fault.

    ffmpeg reports EIO for both, so the file is read to its end to find out.
    """
    if not isinstance(error, OSError) or error.errno not in (errno.EIO, errno.ESTALE):
        return False
    try:
        with open(path, "rb", buffering=0) as file:
            while file.read(READ_BYTES):
                pass
    except OSError:
        return True
    return False


def open_container(path: str) -> av.container.InputContainer:
    """Open a file for demuxing; raises av.FFmpegError if it is not a media container."""
    return av.open(path, options=OPTIONS, **LENIENT)


def limit_frame_size(stream: av.VideoStream) -> None:
    """Let the codec refuse a frame, before it allocates it, that is much larger than others.

    A frame has a header of its own, so a file of some kilobytes may claim frames of gigabytes.
    """
    most = max(LARGEST_PIXELS, 2 * frame_pixels(stream))
    stream.codec_context.options = {"max_pixels": str(most)}


def frame_pixels(stream: av.VideoStream) -> int:
    """The size of a frame, as the container has it."""
    size: int = stream.codec_context.width * stream.codec_context.height
    return size


def demuxed(
    container: av.container.InputContainer, streams: list[av.stream.Stream]
) -> Iterator[av.Packet]:
    """Yield the packets of these streams, and last an empty one of each; raises av.FFmpegError."""
    try:
        yield from container.demux(streams)
    except IndexError:
        # Damage added streams on the way. PyAV does not know them, and fails after the last packet.
        return


def decoded(
    container: av.container.InputContainer,
    stream: av.stream.Stream,
    before: Callable[[av.Packet], None] = lambda packet: None,
) -> Generator[Any, None, None]:
    """Yield every decodable frame, up to the end or to damage of the container.

    `before` is called with each packet before it is decoded. Raises OSError where the file cannot
    be read, which says nothing about its content.
    """
    packets = demuxed(container, [stream])
    while True:
        try:
            packet = next(packets)
        except (StopIteration, EOFError):
            return
        except av.FFmpegError as error:
            if is_read_error(error, container.name):
                raise
            return
        before(packet)
        try:
            yield from packet.decode()
        except DAMAGE:
            continue
