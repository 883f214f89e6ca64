"""Builds the response of a task from its finished job."""

from __future__ import annotations

import time
from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec

from ipc.messages import VideoInfo
from server.analysis.hashes import config_hash
from server.analysis.job import Job
from server.analysis.request import Video
from server.analysis.validators import request_config
from server.errors import ProblemDocument
from server.tasks.response import Provenance, Response, Timings


class CombinedResponse(msgspec.Struct, frozen=True):
    """The response of `POST /infer`: the response of each task, or its error."""

    run_id: str
    input_hash: str
    video: VideoInfo
    results: dict[str, Any]
    errors: dict[str, ProblemDocument]


class ResponseBuilder:
    """Builds responses with the fields that all tasks of one request have in common."""

    def __init__(
        self, run_id: str, request: Video, input_hash: str, video: VideoInfo, started: float
    ) -> None:
        """`started` is the arrival of the request, in `time.perf_counter` seconds."""
        self._run_id = run_id
        self._request = request
        self._input_hash = input_hash
        self._video = video
        self._started = started

    def build(self, job: Job) -> Response:
        """The response of a job that has succeeded."""
        task = job.task
        producer, package = task.produced_by(job.options)
        return task.response(
            run_id=self._run_id,
            config_hash=config_hash(request_config(task, job.options, self._request)),
            input_hash=self._input_hash,
            task_id=self._request.task_id,
            producer=producer,
            producer_version=_installed(package),
            video=self._video,
            provenance=_provenance(job),
            timings_ms=Timings(
                queue=round(job.queue_ms, 1),
                decode=round(job.decode_ms, 1),
                inference=round(job.inference_ms, 1),
                total=round((time.perf_counter() - self._started) * 1000, 1),
            ),
            **task.fields(job.options, job.state),
        )


def _provenance(job: Job) -> Provenance:
    return Provenance(
        model_name=job.model.model_name,
        weights_sha256=job.model.weights_sha256,
        weights_source=job.model.weights_source,
        stand_in=job.model.stand_in,
        device=",".join(sorted(job.devices)) or job.model.device,
        precision=job.model.precision,
        decoder=job.engine,
        versions=job.model.versions,
    )


@cache
def _installed(package: str) -> str:
    return version(package)
