"""A request, from JSON or from an upload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ipc.files import FileRef
from server.errors import Problem
from server.tasks.task import Options

Milliseconds = Annotated[int, Meta(ge=0, le=10**12)]


class Video(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file and the part of it to analyse: the fields that all tasks have in common.

    It has a `video_path` or a `video_url`; neither in an upload.
    """

    video_path: Annotated[str, Meta(min_length=1, max_length=4096)] | UnsetType = UNSET
    video_url: Annotated[str, Meta(min_length=1, max_length=8192)] | UnsetType = UNSET
    input_hash: Annotated[str, Meta(pattern="^[0-9a-fA-F]{16}$")] | None = None
    task_id: Annotated[str, Meta(max_length=256)] | None = None
    start_ms: Milliseconds | None = None
    end_ms: Milliseconds | None = None

    def __post_init__(self) -> None:
        if self.end_ms is not None and self.end_ms <= (self.start_ms or 0):
            raise ValueError("`end_ms` must be greater than `start_ms`")


@dataclass(frozen=True)
class Request:
    """The tasks to run on one file, whether it was named, uploaded or downloaded.

    `refused` has the tasks whose fields are invalid. `recurrence_key` is the same if the request is
    sent again after a refusal. `admitted`: it has its place already. `held` are the validators of
    the responses that the client has (see `server.analysis.validators`), with their ETags. `name`
    is that of the file, or its path.
    """

    file: FileRef
    video: Video
    tasks: Mapping[str, Options]
    refused: Mapping[str, Problem]
    timeout_s: float
    recurrence_key: str
    spent_s: float = 0.0
    """What the download took of `timeout_s`."""
    admitted: bool = False
    name: str = "video"
    held: Mapping[str, str] = field(default_factory=dict)
