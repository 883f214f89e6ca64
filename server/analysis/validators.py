"""Validators: a hash of all that a response depends on, known before any inference."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from ipc.messages import ModelInfo
from server.analysis.hashes import config_hash
from server.analysis.request import Request, Video
from server.tasks.registry import AnyTask, distribution, installed
from server.tasks.task import Options

ROOT = Path(__file__).parents[2]
PACKAGES = ("server", "gpu_workers", "ipc")
DECODING = ("av", "decord", "opencv-python-headless")
DIGEST_BYTES = 16


def request_config(task: AnyTask, options: Options, video: Video) -> Mapping[str, Any]:
    """The fields from which `config_hash` is computed."""
    span = {"start_ms": video.start_ms, "end_ms": video.end_ms}
    given = {name: value for name, value in span.items() if value is not None}
    return task.config(options) | given


def validator(request: Request, input_hash: str, models: Mapping[str, ModelInfo]) -> str:
    """32 hex digits. They change with the input, the options, the weights and the code.

    `models` are those of the request's tasks.
    """
    parts = [_part(task, request, models[task]) for task in request.tasks]
    libraries = [version(package) for package in DECODING]
    depends_on = [input_hash, code_digest(), libraries, parts]
    return blake2b(msgspec.json.encode(depends_on), digest_size=DIGEST_BYTES).hexdigest()


@cache
def code_digest() -> str:
    """A hash of this service's source files. Call it at the start: later, they may be others."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _part(name: str, request: Request, model: ModelInfo) -> list[Any]:
    """One task. The device is left out: one request may use several."""
    task, options = installed()[name], request.tasks[name]
    producer, package = task.produced_by(options)
    return [
        name,
        distribution(name),
        config_hash(request_config(task, options, request.video)),
        producer,
        version(package),
        model.model_name,
        model.weights_sha256,
        model.other_sha256,
        model.stand_in,
        model.precision,
        sorted(model.versions.items()),
    ]
