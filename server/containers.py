"""Opening media files: containers only, never a list that leads to other files."""

from __future__ import annotations

import av

# ffmpeg would also follow a playlist, inside MEDIA_ROOTS or not, and read devices and images.
FORMATS = (
    "3gp,aac,ac3,aiff,asf,au,avi,caf,dv,eac3,flac,flv,gxf,h264,hevc,ivf,matroska,mov,mp3,mp4,mpeg,"
    "mpegts,mpegvideo,mxf,nut,ogg,rm,swf,wav,webm,wv"
)
OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}


def open_container(path: str) -> av.container.InputContainer:
    """The file, opened for demuxing; raises av.FFmpegError for what is no media container."""
    return av.open(path, options=OPTIONS)
