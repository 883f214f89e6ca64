"""The fields that the responses of all tasks have in common."""

from __future__ import annotations

import msgspec

from ipc.messages import VideoInfo


class Provenance(msgspec.Struct, frozen=True):
    """The model, device and versions that produced the response.

    `weights_source`: hub HOST, mirror PACKAGE==VERSION, local, package, stand-in; null without any.
    """

    model_name: str
    weights_sha256: str | None
    weights_source: str | None
    stand_in: bool
    device: str
    precision: str
    decoder: str
    versions: dict[str, str]


class Timings(msgspec.Struct, frozen=True):
    """Milliseconds: queue wait, decoding and inference are sums over chunks; `total` is wall time.

    Decoding and inference overlap, so the parts may add up to more than `total`.
    """

    queue: float
    decode: float
    inference: float
    total: float


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """The common fields; each task adds its own."""

    run_id: str
    config_hash: str
    input_hash: str
    task_id: str | None
    producer: str
    producer_version: str
    video: VideoInfo
    provenance: Provenance
    timings_ms: Timings
