"""The drift of half precision on footage: the same requests in fp32 and in half precision.

Weights are those of `MODEL_CACHE_DIR`: put trained ones there, since the drift of stand-ins says
nothing about trained weights. Without `--clips`, the clip is that of `make demo`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.clips.narrated import make_narrated
from bench.compare.precision_drift import drift_columns, drift_rows
from bench.openmp_waiting import wait_passively
from bench.reporting.tables import Table
from bench.service_process import MODELS, service

Answers = dict[str, Any]  # the response of each task

TASKS: dict[str, dict[str, int]] = {
    "objects": {"frame_interval": 15},
    "faces": {"frame_interval": 15},
    "places": {"frame_interval": 60},
    "ocr": {"frame_interval": 120},
}
ANSWER_S = 3600.0
WITHOUT_SECONDS = -2  # the precisions run one after the other: `compare` measures speed


class DriftFailed(Exception):
    """There is nothing to compare; the message says why."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `drift`."""
    add = parser.add_argument_group("drift").add_argument
    add("--clips", type=Path, nargs="+", help="videos (default: the clip of the demo)")


def run(arguments: argparse.Namespace) -> list[Table]:
    """Send all requests in both precisions; raises DriftFailed, ServiceFailed."""
    wait_passively()
    ensure = [sys.executable, "-m", "gpu_workers.weights", "ensure", str(MODELS)]
    if subprocess.run(ensure, check=False, stdout=subprocess.DEVNULL).returncode:
        raise DriftFailed(f"Could not get the weights in {MODELS}.")
    clips: list[Path] = arguments.clips or [_demo_clip(arguments.output / "clips")]
    return [measure([clip.resolve() for clip in clips], _half(), arguments.output.resolve())]


def measure(clips: Sequence[Path], half: str, output: Path) -> Table:
    """One row per clip and task that found anything; logs of the service go to `output`."""
    full, other = (answers(precision, clips, output) for precision in ("fp32", half))
    rows = [
        (clip.name, *row[:WITHOUT_SECONDS])
        for clip, one, two in zip(clips, full, other, strict=True)
        for row in drift_rows(one, two)
        if row[2:4] != ("0", "0")
    ]
    return Table(
        "drift",
        f"Footage in {half} compared with fp32",
        ("clip", *drift_columns(half)[:WITHOUT_SECONDS]),
        rows,
    )


def answers(precision: str, clips: Sequence[Path], output: Path) -> list[Answers]:
    """The responses to one request per clip; raises DriftFailed, ServiceFailed."""
    roots = ":".join(sorted({str(clip.parent) for clip in clips}))
    environ = {"MODEL_CACHE_DIR": str(MODELS), "MEDIA_ROOTS": roots, "PRECISION": precision}
    with service(output / f"drift-service-{precision}.log", **environ) as client:
        replies = [
            client.post(
                "/infer",
                json={"video_path": str(clip), "tasks": TASKS},
                headers={"X-Request-Timeout": f"{ANSWER_S:.0f}"},
            ).json()
            for clip in clips
        ]
    for clip, reply in zip(clips, replies, strict=True):
        if "results" not in reply or reply["errors"]:
            raise DriftFailed(f"{clip.name}: {reply.get('errors') or reply['detail']}")
    return [reply["results"] for reply in replies]


def _demo_clip(folder: Path) -> Path:
    path = folder / "demo.mp4"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        make_narrated(path)
    return path


def _half() -> str:
    """The half precision of this machine's device."""
    import torch

    return "fp16" if torch.cuda.is_available() else "bf16"
