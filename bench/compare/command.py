"""Compares the service with the libraries' own loops: same videos, weights and cores, in turn.

A pair is one run of the libraries and one of the service; the result is the median of the pairs'
ratios. Models are loaded and warm on both sides before timing, and one side is idle while the
other works.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.clips import generate, talk
from bench.compare.litserve.side import NoLitServe, litserve
from bench.compare.pairs import Contest, Fields, Outcome, Side, compete, table
from bench.compare.precision_drift import drift_table
from bench.compare.service_side import Service
from bench.openmp_waiting import wait_passively
from bench.reporting.tables import Table
from bench.service_process import MODELS, service

FOUR: dict[str, Fields] = {
    "objects": {"frame_interval": 30},
    "faces": {"frame_interval": 30},
    "places": {"frame_interval": 30},
    "scenes": {},
}
FIVE: dict[str, Fields] = {**FOUR, "ocr": {"frame_interval": 60}}
TRANSCRIBE: dict[str, Fields] = {"transcribe": {"model_name": "base.pt", "vad_filter": True}}
AT_ONCE = 4
NOTE = (
    "Every 30th frame, for OCR every 60th. Found: items found by the service (for: by the "
    "libraries; 2 % of boxes and 5 % of texts may differ, in half precision more: see the drift). "
    "On a CPU, ultralytics uses one thread fewer than there are cores. whisper.transcribe has no "
    "filter for pauses: a third of the talk is speech, in regions of 25 s. OpenMP waits passively "
    "on both sides."
)


class CompareFailed(Exception):
    """There is nothing to compare with; the message says why."""


@dataclass(frozen=True)
class Media:
    """The media for both sides; OCR's clip is short, because a library needs seconds per frame."""

    clip: Path
    short: Path
    short_s: int
    talk: Path
    talk_s: int


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `compare`."""
    add = parser.add_argument_group("compare").add_argument
    add("--pairs", type=int, help="pairs of runs (default: 3, with --quick 1)")
    add("--litserve", action="store_true", help="also a LitServe server, from the package index")


def run(arguments: argparse.Namespace) -> list[Table]:
    """Measure everything; write compare.json; raises CompareFailed, ServiceFailed."""
    wait_passively()
    ensure = [sys.executable, "-m", "gpu_workers.weights", "ensure", str(MODELS)]
    if subprocess.run(ensure, check=False, stdout=subprocess.DEVNULL).returncode:
        raise CompareFailed(f"Could not get the weights in {MODELS}.")
    with Progress(TextColumn("{task.description:64}"), BarColumn(), TimeElapsedColumn()) as bars:
        bar = bars.add_task("clips", total=None)

        def step(what: str) -> None:
            bars.update(bar, description=what)

        return _Comparison(arguments, step).tables()


class _Comparison:
    """One run of `compare`; `step` receives progress messages."""

    def __init__(self, arguments: argparse.Namespace, step: Callable[[str], None]) -> None:
        # Torch and all libraries are imported only here, so that other commands start fast.
        import torch

        from bench.compare.library_loops import Libraries

        self._output: Path = arguments.output.resolve()
        self._media = _media(self._output / "clips", arguments.quick)
        self._copies = self._output / "clips" / "compare"
        shutil.rmtree(self._copies, ignore_errors=True)  # left by a run that was killed
        self._copies.mkdir()
        self._pairs: int = arguments.pairs or (1 if arguments.quick else 3)
        self._starts = 1 if arguments.quick else 3
        self._with_litserve: bool = arguments.litserve
        self._half = "fp16" if torch.cuda.is_available() else "bf16"
        self._spoken = talk.stretches(self._media.talk_s)
        self._libraries = Libraries(MODELS, self._spoken)
        self._step = step

    def tables(self) -> list[Table]:
        """Measure; write compare.json."""
        from bench.compare.efficiency import efficiency_table

        starts_s = [self._start_s() for _ in range(self._starts)]
        with self._service("fp32") as ours:
            singles = [self._compete(one, self._libraries, ours) for one in _singles(self._media)]
            four = self._compete(_four(self._media), self._libraries, ours)
            five = self._compete(_five(self._media), self._libraries, ours)
            speech = self._compete(_speech(self._media), self._libraries, ours)
            self._step("efficiency")
            efficiency = efficiency_table(ours, self._media.clip, singles)
            others = self._litserve(ours) if self._with_litserve else []
        with self._service(self._half) as ours:
            in_half = replace(five.contest, precision=self._half, must=2.6)
            five_in_half = self._compete(in_half, self._libraries, ours)
            ours.warm_up(four.contest)
            four_in_half = ours.run(four.contest).answers
        drift = drift_table(
            self._half,
            {
                **five.answers,
                **four.answers,
            },  # OCR's from the short clip
            {**five_in_half.answers, **four_in_half},
        )
        outcomes = [*singles, four, five, five_in_half, speech]
        self._record(starts_s, outcomes + others)
        tables = [_main_table(outcomes, starts_s), efficiency, drift]
        return tables + ([_litserve_table(others)] if others else [])

    def _start_s(self) -> float:
        """Seconds from the start of the service until it is ready, without preload."""
        self._step("startup to ready")
        started = time.perf_counter()
        with self._service("fp32"):
            return time.perf_counter() - started

    @contextmanager
    def _service(self, precision: str) -> Iterator[Service]:
        environ = {
            "MODEL_CACHE_DIR": str(MODELS),
            "MEDIA_ROOTS": str(self._copies),
            "PRECISION": precision,
            "PRELOAD": "",
        }
        with service(self._output / f"compare-service-{precision}.log", **environ) as client:
            yield Service(client, self._copies, self._spoken)

    def _compete(self, contest: Contest, theirs: Side, ours: Side) -> Outcome:
        return compete(contest, theirs, ours, self._pairs, self._step)

    def _litserve(self, ours: Service) -> list[Outcome]:
        self._step("LitServe: packages and start")
        contests = [
            Contest(
                f"objects, {AT_ONCE} concurrent requests",
                {"objects": FOUR["objects"]},
                self._media.clip,
                requests=AT_ONCE,
            ),
            Contest("four tasks: one call each, or one call", FOUR, self._media.clip),
        ]
        try:
            with litserve(self._output / "litserve", MODELS) as theirs:
                return [self._compete(contest, theirs, ours) for contest in contests]
        except NoLitServe as error:
            Console().print(f"LitServe is skipped: {error}")
            return []

    def _record(self, starts_s: list[float], outcomes: Sequence[Outcome]) -> None:
        raw = {"start_to_ready_s": starts_s, "contests": [outcome.raw() for outcome in outcomes]}
        (self._output / "compare.json").write_text(json.dumps(raw, indent=1))


def _singles(media: Media) -> list[Contest]:
    words = {
        "objects": "objects: YOLO.predict",
        "faces": "faces: YOLO.predict",
        "places": "places: ResNet-18, frame by frame",
        "scenes": "scenes: scenedetect.detect",
    }
    return [Contest(words[task], {task: fields}, media.clip) for task, fields in FOUR.items()]


def _four(media: Media) -> Contest:
    return Contest("four tasks, in one call", FOUR, media.clip, 2.5, 3.5)


def _five(media: Media) -> Contest:
    what = f"four tasks and OCR, of {media.short_s} s: easyocr.Reader"
    return Contest(what, FIVE, media.short, 1.5)


def _speech(media: Media) -> Contest:
    what = f"transcribe, {media.talk_s // 60} min: whisper.transcribe"
    return Contest(what, TRANSCRIBE, media.talk, 2.0)


def _media(folder: Path, quick: bool) -> Media:
    short_s, talk_s = (4, 120) if quick else (12, 600)
    clip = generate.bench_clip(folder, quick)
    short, speech = folder / f"bench-{short_s}s.mp4", folder / f"talk-{talk_s}s.mp4"
    if not short.exists():
        generate.make_bench(short, seconds=short_s)
    if not speech.exists():
        talk.make_talk(speech, talk_s)
    return Media(clip, short, short_s, speech, talk_s)


def _main_table(outcomes: Sequence[Outcome], starts_s: Sequence[float]) -> Table:
    shown = table("compare", "The service compared with the libraries", "libraries", outcomes, NOTE)
    start = ("startup to ready, nothing preloaded", "", f"{median(starts_s):.2f}", *[""] * 4)
    return replace(shown, rows=[*shown.rows, start])


def _litserve_table(outcomes: Sequence[Outcome]) -> Table:
    note = (
        "LitServe: one worker per model, up to 4 requests per batch; each call decodes with OpenCV."
    )
    return table("compare-litserve", "Compared with LitServe", "LitServe", outcomes, note)
