"""Defines a format: it renders the items of a task's response for other tools."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ipc.messages import VideoInfo

MAX_NAME = 200  # characters


@dataclass(frozen=True)
class Clip:
    """The video that the items are about: its file name without folders, and its properties."""

    name: str
    video: VideoInfo

    @classmethod
    def of(cls, path: str, video: VideoInfo) -> Clip:
        """With a name that is safe in any format: a client may send any path."""
        last = re.split(r"[/\\]", path)[-1]
        printable = "".join(c if unicodedata.category(c)[0] != "C" else "_" for c in last)
        return cls(printable[-MAX_NAME:].strip(" .") or "video", video)

    @property
    def stem(self) -> str:
        """The file name without its extension."""
        return self.name.rpartition(".")[0] or self.name


class Format(Protocol):
    """A module of this package, or of another one. Its libraries are imported when it renders."""

    NAME: str
    """As in `?format=`."""
    MEDIA_TYPE: str
    EXTENSION: str

    def render(self, clip: Clip, items: Any) -> bytes:
        """The whole document; the same items always give the same bytes."""
        ...


@dataclass(frozen=True)
class Export:
    """A format that a task has; `items` selects, from options and response, what it renders."""

    format: Format
    items: Callable[[Any, Any], Any]
