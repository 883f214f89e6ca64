"""Parses JSON bodies into a video and the options of tasks; errors name the field."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from server.analysis.request import Video
from server.errors import FieldError, Problem
from server.settings import Settings
from server.tasks.registry import AnyTask, installed
from server.tasks.task import Options

T = TypeVar("T", Video, Options)


def parse(
    task: AnyTask, body: bytes, settings: Settings, *, uploaded: bool = False
) -> tuple[Video, Options]:
    """Decode the body of a single-task request; raises Problem.

    The body of an upload has neither `video_path` nor `video_url`.
    """
    fields = _object(body)
    errors: list[FieldError] = []
    video = _video(fields, uploaded, errors)
    options = _convert(fields, task.options, errors)
    if errors:
        raise _invalid(errors)
    assert video is not None
    assert options is not None
    return video, task.with_defaults(options, settings)


def parse_combined(
    body: bytes, settings: Settings, *, uploaded: bool = False
) -> tuple[Video, dict[str, Options], dict[str, Problem]]:
    """Decode the body of `POST /infer`; raises Problem.

    The last mapping has the tasks whose fields are invalid; the other tasks are unaffected.
    """
    fields = _object(body)
    tasks = fields.pop("tasks", None)
    errors: list[FieldError] = []
    video = _video(fields, uploaded, errors)
    errors += [FieldError(name, "unknown field") for name in fields]
    if not isinstance(tasks, dict) or not tasks:
        errors.append(FieldError("tasks", "expected an object with at least one task"))
        tasks = {}
    errors += [
        FieldError(f"tasks.{task}", f"unknown task; known are {', '.join(installed())}")
        for task in tasks
        if task not in installed()
    ]
    if errors:
        raise _invalid(errors)
    assert video is not None
    good, bad = _options(tasks, settings)
    return video, good, bad


def _options(
    tasks: dict[str, Any], settings: Settings
) -> tuple[dict[str, Options], dict[str, Problem]]:
    good: dict[str, Options] = {}
    bad: dict[str, Problem] = {}
    for name, fields in tasks.items():
        task = installed()[name]
        errors: list[FieldError] = []
        if not isinstance(fields, dict):
            errors.append(FieldError(f"tasks.{name}", "expected an object"))
            fields = {}
        options = _convert(fields, task.options, errors)
        if options is None or errors:
            bad[name] = _invalid(errors)
        else:
            good[name] = task.with_defaults(options, settings)
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
    """Remove the fields common to all tasks from `fields`, and convert them."""
    of_video = {k: fields.pop(k) for k in Video.__struct_fields__ if k in fields}
    named = [name for name in ("video_path", "video_url") if name in of_video]
    if uploaded:
        errors += [FieldError(name, "not allowed in an upload") for name in named]
    elif len(named) == 2:
        errors.append(FieldError("video_url", "not allowed together with `video_path`"))
    elif not named:
        message = "missing required field; give `video_path`, or `video_url` instead"
        errors.append(FieldError("video_path", message))
    return _convert(of_video, Video, errors)


def _invalid(errors: list[FieldError]) -> Problem:
    listed = "; ".join(f"{error.field}: {error.message}" for error in errors)
    return Problem("invalid_request", f"The request is not valid: {listed}.", errors=errors)


def _convert(fields: dict[str, Any], kind: type[T], errors: list[FieldError]) -> T | None:
    """Convert `fields`, or add every invalid one to `errors`."""
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
            found = _field_error(str(error), kind)
            name = found.field.split("[")[0]
            if name not in {previous.field.split("[")[0] for previous in errors}:
                errors.append(found)
            if known.pop(name, None) is None:
                return None


def _field_error(message: str, kind: type[T]) -> FieldError:
    text, _, path = message.partition(" - at `$")
    if path:
        name = path.strip("`").removeprefix(".")
        return FieldError(name, text + _allowed(name, kind))
    named = re.search(r"`(\w+)`", text)
    return FieldError(named.group(1) if named else "", text)


def _allowed(name: str, kind: type[T]) -> str:
    """The values of a field that has a list of them."""
    hint = get_type_hints(kind).get(name)
    if get_origin(hint) is not Literal:
        return ""
    return f"; allowed are {', '.join(map(str, get_args(hint)))}"
