"""Compares the service with alternatives: same files, weights and cores, in turn.

In a round every side runs once, all others being idle and warm; every other round runs in reverse
order. A ratio is that of two sides in one round; tables have the median and the range.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.compare import media
from bench.compare.setup import Setup
from bench.openmp_waiting import wait_passively
from bench.reporting.tables import Table

# Modules and functions, imported only when they run: torch must not be loaded before.
GROUPS = {
    "start": "start:run",
    "footage": "four_tasks:footage",
    "generated": "four_tasks:generated",
    "ocr": "ocr:run",
    "speech": "speech:run",
    "efficiency": "efficiency:run",
    "litserve": "litserve.contests:run",
}
BY_DEFAULT = [name for name in GROUPS if name != "litserve"]
PAIRS, QUICK_PAIRS = 7, 1
SECONDS, QUICK_SECONDS = 60, 8
TALK_S, QUICK_TALK_S = 240, 24


class CompareFailed(Exception):
    """There is nothing to compare with; the message says why."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `compare`."""
    add = parser.add_argument_group("compare").add_argument
    add("--only", nargs="+", choices=GROUPS, help="(default: all but litserve)")
    add("--pairs", type=int, help=f"rounds (default: {PAIRS}, with --quick {QUICK_PAIRS})")
    add("--litserve", action="store_true", help="also a LitServe server, from the package index")
    add("--seconds", type=int, help=f"length of the videos (default: {SECONDS})")
    add("--talk-seconds", type=int, help=f"length of the speech (default: {TALK_S})")
    data = f"{media.DATA.parent.name}/{media.DATA.name}"
    more = f"(default: files in {data} beside the repository, if they are there)"
    add("--footage", type=Path, nargs="+", help=f"videos; a single MP4 is used as it is {more}")
    add("--speech", type=Path, nargs="+", help=f"recordings; a single MP4 as it is {more}")
    add("--pages", type=Path, nargs="+", help=f"pictures of text {more}")


def run(arguments: argparse.Namespace) -> list[Table]:
    """Measure; write compare.json. Raises CompareFailed, ServiceFailed."""
    wait_passively()
    ensure = [sys.executable, "-m", "gpu_workers.weights", "ensure", str(arguments.models)]
    if subprocess.run(ensure, check=False, stdout=subprocess.DEVNULL).returncode:
        raise CompareFailed(f"Could not get the weights in {arguments.models}.")
    with Progress(TextColumn("{task.description:72}"), BarColumn(), TimeElapsedColumn()) as bars:
        bar = bars.add_task("", total=None)
        setup = _setup(arguments, lambda what: bars.update(bar, description=what))
        shutil.rmtree(setup.copies, ignore_errors=True)  # left by a run that was killed
        setup.copies.mkdir(parents=True)
        tables = []
        for name in _wanted(arguments):
            module, _, function = GROUPS[name].partition(":")
            group: Callable[[Setup], list[Table]]
            group = getattr(import_module(f"bench.compare.{module}"), function)
            tables += group(setup)
    return tables


def _wanted(arguments: argparse.Namespace) -> list[str]:
    if arguments.only:
        return list(arguments.only)
    return [*BY_DEFAULT, *(["litserve"] if arguments.litserve else [])]


def _setup(arguments: argparse.Namespace, step: Callable[[str], None]) -> Setup:
    """Fill in defaults."""
    import torch

    quick = arguments.quick
    return Setup(
        output=arguments.output.resolve(),
        models=arguments.models.resolve(),
        pairs=arguments.pairs or (QUICK_PAIRS if quick else PAIRS),
        seconds=arguments.seconds or (QUICK_SECONDS if quick else SECONDS),
        talk_s=arguments.talk_seconds or (QUICK_TALK_S if quick else TALK_S),
        starts=1 if quick else 3,
        half="fp16" if torch.cuda.is_available() else "bf16",
        footage=arguments.footage or media.present(media.FOOTAGE),
        speech=arguments.speech or media.present(media.SPEECH),
        pages=arguments.pages or media.present(media.PAGES),
        step=step,
    )
