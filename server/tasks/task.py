"""Defines a task: its options, the input it needs, and the fold of its results into a response.

A task is a subclass of `Task`, found through the entry point group `eioku_ml.tasks`. The front
knows a task only through this class: routes, OpenAPI, health, metrics and preloading use it. Its
counterpart in the workers is the module `worker`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec
from msgspec import Meta

from ipc.arena import SAMPLE_RATE
from ipc.messages import MediaRange, TaskSpec, VideoInfo
from server.formats.format import Export
from server.settings import Settings
from server.tasks.response import Response

Interval = Annotated[int, Meta(ge=1, le=10**9)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Language = Annotated[str, Meta(min_length=2, max_length=16)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The fields of a request that belong to one task, with defaults and limits.

    `extensions` are the fields that the original service does not have: they enter `config_hash`
    only if they differ from their default.
    """

    extensions: ClassVar[frozenset[str]] = frozenset()


class RunsOn(Enum):
    """Which workers may run a task."""

    DEVICE = auto()
    """Any worker of DEVICES."""
    CPU = auto()
    """The workers of DEVICES that run on a CPU; if there is none, a separate worker on the CPU."""
    CPU_WORKER = auto()
    """The CPU worker, which exists with any DEVICES. Scenes runs there: batches must be short."""


@dataclass(frozen=True)
class FrameInput:
    """Every `interval`th frame, in chunks of `chunk_frames`.

    Each chunk except the first begins with the last `context` frames of the previous one. Frames
    are scaled down to a longer side of `longest_side` pixels; None keeps their size.
    """

    interval: int
    chunk_frames: int
    context: int = 0
    longest_side: int | None = None


@dataclass(frozen=True)
class AudioInput:
    """The audio, mono at 16 kHz, in windows of up to `window_ms` milliseconds.

    A worker runs one window at a time, and other requests wait meanwhile: seconds of work are fair.
    `Task.next_audio` may select other parts.
    """

    window_ms: float = 30_000.0


Stretch = tuple[int, int]  # [start, end) in samples, from the start of the analysed audio


@dataclass(frozen=True)
class AudioStep:
    """One message of a task that needs audio: its stretches, in order, and the worker's `Spec`."""

    stretches: tuple[Stretch, ...]
    spec: Any


OptionsT = TypeVar("OptionsT", bound=Options)
StateT = TypeVar("StateT")


class Task(ABC, Generic[OptionsT, StateT]):
    """One kind of analysis.

    The results of chunks are folded in order into a state, which is plain data and belongs to one
    request: `start`, then `add` and `follow_up` for each result, then `finish` and `fields`. A
    chunk whose worker dies is sent again before its result is folded, so a fold never sees a
    result twice.
    """

    name: ClassVar[str]
    """As in the route: /infer/{name}."""
    options: ClassVar[type[Options]]
    response: ClassVar[type[Response]]
    result: ClassVar[Any]
    """The type of a worker's result for one chunk."""
    producer: ClassVar[str]
    package: ClassVar[str]
    """The distribution whose installed version is `producer_version`."""
    worker: ClassVar[str]
    """The module that workers import: it has `Spec` and `load`, see gpu_workers.model."""
    exports: ClassVar[tuple[Export, ...]] = ()
    """The formats of its response besides JSON and MessagePack, see server.formats."""

    def with_defaults(self, options: OptionsT, settings: Settings) -> OptionsT:
        """The options, completed with the defaults that depend on the deployment."""
        return options

    def config(self, options: OptionsT) -> dict[str, Any]:
        """The fields from which `config_hash` is computed."""
        defaults = msgspec.structs.asdict(self.options())
        fields = msgspec.structs.asdict(options)
        extensions = self.options.extensions
        return {k: v for k, v in fields.items() if k not in extensions or v != defaults[k]}

    @abstractmethod
    def needs(self, options: OptionsT) -> FrameInput | AudioInput:
        """The frames or the audio that the task needs."""

    def runs_on(self, options: OptionsT) -> RunsOn:
        """The workers that may run it."""
        return RunsOn.DEVICE

    def weights(self, options: OptionsT) -> tuple[str, ...]:
        """The names of the files from which its model is loaded."""
        return ()

    def produced_by(self, options: OptionsT) -> tuple[str, str]:
        """The producer, and the distribution whose installed version is `producer_version`."""
        return self.producer, self.package

    def model_key(self, options: OptionsT) -> str:
        """Identifies the resident model that these options need."""
        return self.name

    def spec(self, options: OptionsT, state: StateT) -> Any:
        """The data sent with the next chunk; the worker decodes it as its module's `Spec`."""
        return options

    def task_spec(self, options: OptionsT, state: StateT) -> TaskSpec:
        """The encoded spec of the next chunk."""
        return self.encoded(options, self.spec(options, state))

    def encoded(self, options: OptionsT, spec: Any) -> TaskSpec:
        """A spec, as messages carry it."""
        encoded = msgspec.Raw(msgspec.msgpack.encode(spec))
        return TaskSpec(self.name, self.model_key(options), encoded, self.weights(options))

    def waits(self, options: OptionsT, state: StateT) -> bool:
        """Whether the next chunk's spec depends on results that have not arrived yet."""
        return False

    def next_audio(
        self, options: OptionsT, state: StateT, samples: int, sent: int
    ) -> AudioStep | None:
        """The next message of a task that needs audio, after `sent` others; may change `state`.

        By default, the next window of the `samples` of audio. None means that the next message
        depends on results that have not arrived yet, or, if all have arrived, that none follows.
        What this method returns must not depend on when the results arrive.
        """
        needs = self.needs(options)
        assert isinstance(needs, AudioInput)
        window = max(1, round(needs.window_ms * SAMPLE_RATE / 1000))
        start, end = sent * window, min((sent + 1) * window, samples)
        return AudioStep(((start, end),), self.spec(options, state)) if start < end else None

    @abstractmethod
    def start(self) -> StateT:
        """The state before the first chunk."""

    @abstractmethod
    def add(self, state: StateT, result: Any) -> Sequence[Any]:
        """Fold the next result into the state; return its new items for the response."""

    def follow_up(self, state: StateT) -> Any:
        """The data of a message to a worker that comes before the next result; None for none.

        Its result is folded before those of later chunks, which may be at work meanwhile.
        """
        return None

    def finish(self, state: StateT, video: VideoInfo, span: MediaRange) -> Any:
        """The data of one more message to a worker after all chunks are folded; None for none.

        The result of this message is folded like any other.
        """
        return None

    @abstractmethod
    def fields(self, options: OptionsT, state: StateT) -> dict[str, Any]:
        """The task's own fields of the response."""


class ListTask(Task[OptionsT, list[Any]]):
    """A task whose results are lists of items; its response has them all in `items_field`."""

    items_field: ClassVar[str] = "detections"

    def start(self) -> list[Any]:
        """No items."""
        return []

    def add(self, state: list[Any], result: list[Any]) -> Sequence[Any]:
        """Append the items."""
        state += result
        return result

    def fields(self, options: OptionsT, state: list[Any]) -> dict[str, Any]:
        """The items."""
        return {self.items_field: state}
