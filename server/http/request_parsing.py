"""Requests: each task's fields with defaults and limits, and what they ask of a model."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
from msgspec import Meta

from ipc.specs import FacesSpec, ObjectsSpec, OcrSpec, PlacesSpec, ScenesSpec, Spec, TranscribeSpec
from server.errors import FieldError, Problem
from server.settings import Settings

Milliseconds = Annotated[int, Meta(ge=0, le=10**12)]
Interval = Annotated[int, Meta(ge=1, le=10**9)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Language = Annotated[str, Meta(min_length=2, max_length=16)]


class Video(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which file to analyse, and which part of it: the fields of every request."""

    video_path: Annotated[str, Meta(min_length=1, max_length=4096)]
    input_hash: Annotated[str, Meta(pattern="^[0-9a-fA-F]{16}$")] | None = None
    task_id: Annotated[str, Meta(max_length=256)] | None = None
    start_ms: Milliseconds | None = None
    end_ms: Milliseconds | None = None

    def __post_init__(self) -> None:
        if self.end_ms is not None and self.end_ms <= (self.start_ms or 0):
            raise ValueError("`end_ms` must be greater than `start_ms`")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The fields of one task. `ours` are those that the original service does not have."""

    ours: ClassVar[frozenset[str]] = frozenset()

    def spec(self, settings: Settings) -> Spec:
        """What is asked of the model."""
        raise NotImplementedError

    def config(self, settings: Settings) -> dict[str, Any]:
        """What `config_hash` is made from: the original's fields, and ours off their default."""
        defaults = msgspec.structs.asdict(type(self)())
        fields = msgspec.structs.asdict(self)
        return {k: v for k, v in fields.items() if k not in self.ours or v != defaults[k]}


class ObjectsOptions(Options, frozen=True):
    """YOLO."""

    ours: ClassVar[frozenset[str]] = frozenset({"classes"})

    model_name: Name = "yolov8n.pt"
    frame_interval: Interval = 30
    confidence_threshold: Fraction = 0.5
    model_profile: Literal["fast", "balanced", "high_quality"] = "balanced"
    classes: Annotated[list[Name], Meta(min_length=1, max_length=1000)] | None = None

    def spec(self, settings: Settings) -> Spec:
        """What is asked of the model."""
        classes = None if self.classes is None else tuple(self.classes)
        return ObjectsSpec(self.model_name, self.confidence_threshold, self.model_profile, classes)


class FacesOptions(Options, frozen=True):
    """YOLO trained on faces."""

    model_name: Name = "yolov8n-face.pt"
    frame_interval: Interval = 30
    confidence_threshold: Fraction = 0.5

    def spec(self, settings: Settings) -> Spec:
        """What is asked of the model."""
        return FacesSpec(self.model_name, self.confidence_threshold)


class TranscribeOptions(Options, frozen=True):
    """Whisper; `model_name` null means the deployment's (WHISPER_MODEL)."""

    ours: ClassVar[frozenset[str]] = frozenset({"word_timestamps"})

    model_name: Name | None = None
    language: Language | None = None
    vad_filter: bool = True
    word_timestamps: bool = False

    def spec(self, settings: Settings) -> Spec:
        """What is asked of the model."""
        name = self.model_name or settings.whisper_model
        return TranscribeSpec(name, self.language, self.vad_filter, self.word_timestamps)

    def config(self, settings: Settings) -> dict[str, Any]:
        """As of every task, with the model that really answers."""
        name = self.model_name or settings.whisper_model
        return super().config(settings) | {"model_name": name}


class OcrOptions(Options, frozen=True):
    """EasyOCR; `languages`, the old spelling, wins over `language`."""

    ours: ClassVar[frozenset[str]] = frozenset({"confidence_threshold"})

    frame_interval: Interval = 60
    language: Language = "en"
    languages: Annotated[list[Language], Meta(min_length=1, max_length=16)] | None = None
    use_gpu: bool = True
    confidence_threshold: Fraction = 0.0

    def spec(self, settings: Settings) -> Spec:
        """What is asked of the model."""
        return OcrSpec(tuple(self.effective_languages), self.confidence_threshold)

    def config(self, settings: Settings) -> dict[str, Any]:
        """As of every task, with the effective list of languages in place of both spellings."""
        config = super().config(settings) | {"languages": self.effective_languages}
        del config["language"]
        return config

    @property
    def effective_languages(self) -> list[str]:
        """The languages to read."""
        return [self.language] if self.languages is None else self.languages


class PlacesOptions(Options, frozen=True):
    """Places365."""

    frame_interval: Interval = 60
    top_k: Annotated[int, Meta(ge=1, le=365)] = 5

    def spec(self, settings: Settings) -> Spec:
        """What is asked of the model."""
        return PlacesSpec(self.top_k)


class ScenesOptions(Options, frozen=True):
    """PySceneDetect."""

    threshold: Fraction = 0.4
    min_scene_length: Annotated[float, Meta(ge=0, le=86_400)] = 0.6

    def spec(self, settings: Settings) -> Spec:
        """What is asked of the model."""
        return ScenesSpec(self.threshold, self.min_scene_length)


OPTIONS: dict[str, type[Options]] = {
    "objects": ObjectsOptions,
    "faces": FacesOptions,
    "transcribe": TranscribeOptions,
    "ocr": OcrOptions,
    "places": PlacesOptions,
    "scenes": ScenesOptions,
}

T = TypeVar("T", Video, Options)


def parse(task: str, body: bytes, uploaded: bool = False) -> tuple[Video, Options]:
    """Decode the body of a single-task request; raises Problem.

    The body of an upload has no `video_path`.
    """
    fields = _object(body)
    errors: list[FieldError] = []
    video = _video(fields, uploaded, errors)
    options = _convert(fields, OPTIONS[task], errors)
    if errors:
        raise _invalid(errors)
    assert video is not None
    assert options is not None
    return video, options


def parse_combined(
    body: bytes, uploaded: bool = False
) -> tuple[Video, dict[str, Options], dict[str, Problem]]:
    """Decode the body of `POST /infer`; raises Problem.

    A task whose fields are not valid is told of in the last mapping, and spoils no other.
    """
    fields = _object(body)
    tasks = fields.pop("tasks", None)
    errors: list[FieldError] = []
    video = _video(fields, uploaded, errors)
    errors += [FieldError(name, "unknown field") for name in fields]
    if not isinstance(tasks, dict) or not tasks:
        errors.append(FieldError("tasks", "expected an object with a task or more"))
        tasks = {}
    errors += [
        FieldError(f"tasks.{task}", f"unknown task; there are {', '.join(OPTIONS)}")
        for task in tasks
        if task not in OPTIONS
    ]
    if errors:
        raise _invalid(errors)
    assert video is not None
    good, bad = _options(tasks)
    return video, good, bad


def _options(tasks: dict[str, Any]) -> tuple[dict[str, Options], dict[str, Problem]]:
    good: dict[str, Options] = {}
    bad: dict[str, Problem] = {}
    for task, fields in tasks.items():
        errors: list[FieldError] = []
        if not isinstance(fields, dict):
            errors.append(FieldError(f"tasks.{task}", "expected an object"))
            fields = {}
        options = _convert(fields, OPTIONS[task], errors)
        if options is None or errors:
            bad[task] = _invalid(errors)
        else:
            good[task] = options
    return good, bad


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("invalid_json", f"The body is not valid JSON: {error}.") from None
    if not isinstance(fields, dict):
        raise Problem("invalid_request", "The body must be a JSON object.", errors=[])
    return fields


def _video(fields: dict[str, Any], uploaded: bool, errors: list[FieldError]) -> Video | None:
    """Take the fields of every request out of `fields`."""
    of_video = {k: fields.pop(k) for k in Video.__struct_fields__ if k in fields}
    if uploaded:
        if "video_path" in of_video:
            errors.append(FieldError("video_path", "an upload has none"))
        of_video["video_path"] = "upload"
    return _convert(of_video, Video, errors)


def _invalid(errors: list[FieldError]) -> Problem:
    listed = "; ".join(f"{error.field}: {error.message}" for error in errors)
    return Problem("invalid_request", f"The request is not valid: {listed}.", errors=errors)


def _convert(fields: dict[str, Any], kind: type[T], errors: list[FieldError]) -> T | None:
    """Convert `fields`, or add every one that is wrong to `errors`."""
    known = {k: v for k, v in fields.items() if k in kind.__struct_fields__}
    errors += [
        FieldError(name, f"unknown field; allowed are {', '.join(kind.__struct_fields__)}")
        for name in fields
        if name not in known
    ]
    while True:
        try:
            return msgspec.convert(known, kind)
        except msgspec.ValidationError as error:
            found = _field_error(str(error))
            name = found.field.split("[")[0]
            if name not in {previous.field.split("[")[0] for previous in errors}:
                errors.append(found)
            if known.pop(name, None) is None:
                return None


def _field_error(message: str) -> FieldError:
    text, _, path = message.partition(" - at `$")
    if path:
        return FieldError(path.strip("`").removeprefix("."), text)
    named = re.search(r"`(\w+)`", text)
    return FieldError(named.group(1) if named else "", text)
