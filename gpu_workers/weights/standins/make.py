"""Makes the stand-ins: seeded, untrained files that the real libraries load and run."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress

from gpu_workers.weights.manifest import (
    Manifest,
    Record,
    digest,
    locked,
    put_in_place,
    temporary_beside,
)
from gpu_workers.weights.standins.ocr import make_craft, make_english
from gpu_workers.weights.standins.places import make_places
from gpu_workers.weights.standins.whisper import make_whisper
from gpu_workers.weights.standins.yolo import make_yolo

STAND_INS: dict[str, Callable[[Path], None]] = {
    "yolov8n.pt": partial(make_yolo, face=False, seed=1),
    "yolov8n-face.pt": partial(make_yolo, face=True, seed=1),
    "craft_mlt_25k.pth": partial(make_craft, seed=1),
    "english_g2.pth": partial(make_english, seed=1),
    "tiny.pt": partial(make_whisper, size="tiny", seed=3),
    "base.pt": partial(make_whisper, size="base", seed=3),
    "resnet18_places365.pth.tar": partial(make_places, seed=1),
}

WHOLE_S = 600.0  # maximum wait for another process that makes the same file


def make_stand_ins(folder: Path, names: Sequence[str] = tuple(STAND_INS)) -> list[str]:
    """Make the named stand-ins that the folder lacks; return the names of those made.

    An existing file, real or not, is not changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        for name in progress.track(names, description="stand-ins"):
            with locked(folder, name, WHOLE_S):
                if not (folder / name).exists():
                    _make(folder / name)
                    made.append(name)
    return made


def _make(path: Path) -> None:
    """Make one stand-in; the manifest marks it as such before the file appears.

    Uses one thread, because the order of sums, and so the last digits, depend on the thread count.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with temporary_beside(path) as temporary:
            STAND_INS[path.name](temporary)
            sha256 = digest(temporary, "sha256")
            record = Record.of(temporary, sha256, stand_in=True)
            Manifest(path.parent).add(path.name, record)
            put_in_place(temporary, path)
    finally:
        torch.set_num_threads(threads)
