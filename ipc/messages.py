"""Messages between the front and its children: frozen tagged structs, grouped by direction.

Messages carry no pixels or audio: a `FrameRef` or an `AudioRef` says where they are in the arena.
Every request has an `id` that its reply repeats. The spec and the results of a task are encoded,
and are decoded with the task's own types.
"""

from __future__ import annotations

import msgspec

from ipc.files import FileRef
from ipc.subjects import AudioRef, FrameRef, Subject


class TaskSpec(msgspec.Struct, frozen=True):
    """Which model to use, and how: `options` is an encoded struct of the task.

    `model_key` identifies a resident model; `weights` are the names of the files that it needs.
    """

    task: str
    model_key: str
    options: msgspec.Raw
    weights: tuple[str, ...] = ()


# Front to worker.


class Load(msgspec.Struct, frozen=True, tag=True):
    """Make the model of `spec` resident."""

    id: int
    request_id: str
    spec: TaskSpec


class Infer(msgspec.Struct, frozen=True, tag=True):
    """Apply the model of `spec` to `subject`."""

    id: int
    request_id: str
    spec: TaskSpec
    subject: Subject


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Finish the queued requests, then exit."""


ToWorker = Load | Infer | Stop


# Front to decoder.


class Probe(msgspec.Struct, frozen=True, tag=True):
    """Index a file, and find its frames in [start_ms, end_ms)."""

    id: int
    request_id: str
    file: FileRef
    start_ms: int | None = None
    end_ms: int | None = None


class Target(msgspec.Struct, frozen=True, gc=False):
    """One requested frame, and the slot to write it to, scaled to (height, width)."""

    frame_index: int
    offset: int
    height: int
    width: int


class Decode(msgspec.Struct, frozen=True, tag=True):
    """Decode `targets`, which are in frame order, into their slots."""

    id: int
    request_id: str
    file: FileRef
    targets: tuple[Target, ...]


class DecodeAudio(msgspec.Struct, frozen=True, tag=True):
    """Write up to `capacity` samples of the audio in [start_ms, end_ms) at `offset`."""

    id: int
    request_id: str
    file: FileRef
    start_ms: float
    end_ms: float
    offset: int
    capacity: int


ToDecoder = Probe | Decode | DecodeAudio | Stop


def activity(request: ToWorker | ToDecoder) -> str:
    """What a child does for a request, in one word for the log."""
    return request.spec.task if isinstance(request, Infer) else type(request).__name__.lower()


# Child to front.


class ModelInfo(msgspec.Struct, frozen=True):
    """The weights of a model, where they come from, and how it runs.

    `other_sha256` are the hashes of its further files.
    """

    model_name: str
    weights_sha256: str | None
    stand_in: bool
    device: str
    precision: str
    versions: dict[str, str]
    weights_source: str | None = None
    other_sha256: tuple[str, ...] = ()


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The child has started; `device_name` is its device.

    `sandbox` has the measures that hold for it, see `ipc.sandbox`.
    """

    pid: int
    device_name: str
    sandbox: dict[str, str] = {}


class Heartbeat(msgspec.Struct, frozen=True, tag=True):
    """The child's interpreter is running; memory is that of the device, zero without one.

    What it takes to make one must neither read a file system nor wait for work.
    """

    memory_used_bytes: int = 0
    memory_total_bytes: int = 0


class Resident(msgspec.Struct, frozen=True, tag=True):
    """The models that are loaded now, by their `model_key`; sent before the reply that shows it."""

    models: dict[str, ModelInfo]


class ModelStates(msgspec.Struct, frozen=True, tag=True):
    """The state of each file of the default models, sent when it changes.

    It is ready, missing, or failed and why.
    """

    files: dict[str, str]


class Leaving(msgspec.Struct, frozen=True, tag=True):
    """The child exits between two requests, and is to be replaced; this is no failure.

    It does not work on the requests that are still in its queue.
    """

    reason: str


class Crashed(msgspec.Struct, frozen=True, tag=True):
    """The child ends, because of an exception outside its requests; `reason` is one line."""

    reason: str


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The request failed: `code` is an API error code, `detail` a sentence.

    `field` names the field of the client's request that is at fault, if one is.
    """

    id: int
    code: str
    detail: str
    field: str = ""


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The model is resident."""

    id: int
    model: ModelInfo


class Inferred(msgspec.Struct, frozen=True, tag=True):
    """The encoded results of one `Infer`, and the model that produced them.

    There is one result, or several in frame order if the worker had to split the batch.
    """

    id: int
    results: tuple[msgspec.Raw, ...]
    model: ModelInfo
    inference_ms: float


class VideoInfo(msgspec.Struct, frozen=True):
    """The properties of a video in responses; the size is that of the upright frame."""

    width: int
    height: int
    fps: float
    frame_count: int
    duration_ms: int


class MediaRange(msgspec.Struct, frozen=True):
    """The requested part of a file, in presentation times.

    Its frames are `first_frame` to `end_frame` (exclusive), none without a video stream. Its audio
    is from `audio_start_ms` to `audio_end_ms`, None without an audio stream.
    """

    first_frame: int
    end_frame: int
    start_ms: float
    end_ms: float
    audio_start_ms: float | None
    audio_end_ms: float | None


class Probed(msgspec.Struct, frozen=True, tag=True):
    """The reply to a `Probe`.

    `longest_lead_in` is the largest number of frames from a keyframe to the one before the next:
    so many may have to be decoded before a wanted one.
    """

    id: int
    video: VideoInfo
    range: MediaRange
    longest_lead_in: int = 0


class Decoded(msgspec.Struct, frozen=True, tag=True):
    """The frames written, in order; fewer than requested if the file is damaged."""

    id: int
    frames: tuple[FrameRef, ...]
    engine: str
    decode_ms: float


class AudioDecoded(msgspec.Struct, frozen=True, tag=True):
    """The audio written."""

    id: int
    ref: AudioRef
    decode_ms: float


Reply = Failed | Loaded | Inferred | Probed | Decoded | AudioDecoded
FromChild = Ready | Heartbeat | Resident | ModelStates | Leaving | Crashed | Reply
