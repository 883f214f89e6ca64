"""`make demo`: a generated clip, the service, one request per model, and the results to view."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.clips import generate
from bench.demo import annotate
from bench.service_process import MODELS, ROOT, ServiceFailed, service

OUTPUT = ROOT / "demo-output"
ROWS_SHOWN = 5

Answer = dict[str, Any]


@dataclass(frozen=True)
class DemoRequest:
    """A request, the field with its items, and how to show them as rows and as an image."""

    name: str
    task: str
    fields: Answer
    items: str
    columns: tuple[str, ...]
    row: Callable[[Answer], tuple[str, ...]]
    draw: Callable[[Path, Answer], Image.Image] | None


def _at(item: Answer) -> str:
    time_ms: float = item["timestamp_ms"] if "timestamp_ms" in item else item["start_ms"]
    return f"{time_ms / 1000:.2f} s"


def _box_row(item: Answer) -> tuple[str, ...]:
    box = item["bbox"]
    where = f"{box['x']:.0f}, {box['y']:.0f}, {box['width']:.0f} x {box['height']:.0f}"
    return _at(item), item["label"], f"{item['confidence']:.2f}", where


def _place_row(item: Answer) -> tuple[str, ...]:
    best = item["predictions"][0]
    indoor = "indoor" if item["indoor"] else "outdoor"
    return _at(item), best["label"], f"{best['confidence']:.2f}", indoor


def _boxes(path: Path, answer: Answer) -> Image.Image:
    return annotate.boxes(path, answer["detections"])


BOX_COLUMNS = ("time", "label", "confidence", "x, y, size")
TEXT_COLUMNS = ("time", "confidence", "text")


def _text_row(item: Answer) -> tuple[str, ...]:
    return _at(item), f"{item['confidence']:.2f}", item["text"]


def _scene_row(item: Answer) -> tuple[str, ...]:
    return str(item["scene_index"]), _at(item), f"{item['end_ms'] / 1000:.2f} s"


REQUESTS = (
    DemoRequest("objects", "objects", {}, "detections", BOX_COLUMNS, _box_row, _boxes),
    DemoRequest(
        "shapes",
        "objects",
        {"model_name": "shapes.pt"},
        "detections",
        BOX_COLUMNS,
        _box_row,
        _boxes,
    ),
    DemoRequest("faces", "faces", {}, "detections", BOX_COLUMNS, _box_row, _boxes),
    DemoRequest(
        "places",
        "places",
        {},
        "classifications",
        ("time", "top-1 place", "confidence", "where"),
        _place_row,
        lambda path, answer: annotate.places(path, answer["classifications"]),
    ),
    DemoRequest(
        "scenes",
        "scenes",
        {},
        "scenes",
        ("scene", "start", "end"),
        _scene_row,
        lambda path, answer: annotate.scenes(path, answer["scenes"], answer["video"]["fps"]),
    ),
    DemoRequest("transcribe", "transcribe", {}, "segments", TEXT_COLUMNS, _text_row, None),
    DemoRequest(
        "ocr",
        "ocr",
        {},
        "detections",
        TEXT_COLUMNS,
        _text_row,
        lambda path, answer: annotate.texts(path, answer["detections"]),
    ),
)


def main() -> int:
    """Run the demo; return the exit code."""
    console = Console()
    OUTPUT.mkdir(exist_ok=True)
    clip = OUTPUT / "demo.mp4"
    started = time.monotonic()
    console.rule("Clip")
    generate.make_demo(clip)
    console.rule("Weights")
    ensure = [sys.executable, "-m", "gpu_workers.weights", "ensure", str(MODELS)]
    if subprocess.run(ensure, check=False).returncode:
        console.print(f"Could not get the weights in {MODELS}.", style="red")
        return 1
    console.rule("Requests")
    try:
        answers = _send_all(console, clip)
    except (ServiceFailed, httpx.HTTPError) as error:
        console.print(str(error), style="red")
        return 1
    failed = [name for name, answer in answers.items() if "run_id" not in answer]
    _show_all(console, clip, answers)
    elapsed_s = time.monotonic() - started
    console.print(f"{elapsed_s:.0f} s in total; the responses and images are in {OUTPUT}")
    return 1 if failed else 0


def _send_all(console: Console, clip: Path) -> dict[str, Answer]:
    environ = {"MODEL_CACHE_DIR": str(MODELS), "MEDIA_ROOTS": str(OUTPUT)}
    answers = {}
    with (
        service(OUTPUT / "service.log", **environ) as client,
        Progress(
            TextColumn("{task.description:12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        ) as progress,
    ):
        bar = progress.add_task("", total=len(REQUESTS))
        for request in REQUESTS:
            progress.update(bar, description=request.name)
            body = {"video_path": str(clip), **request.fields}
            answers[request.name] = client.post(f"/infer/{request.task}", json=body).json()
            progress.advance(bar)
    return answers


def _show_all(console: Console, clip: Path, answers: dict[str, Answer]) -> None:
    for request in REQUESTS:
        answer = answers[request.name]
        text = json.dumps(answer, indent=2, ensure_ascii=False)
        (OUTPUT / f"{request.name}.json").write_text(text)
        if "run_id" not in answer:
            console.print(f"{request.name}: {answer['code']}: {answer['detail']}", style="red")
            continue
        console.print(_table(request, answer))
        if request.draw is not None and answer[request.items]:
            request.draw(clip, answer).save(OUTPUT / f"{request.name}.png")
    if any(answer.get("provenance", {}).get("stand_in") for answer in answers.values()):
        console.print(
            "Models marked as stand-ins have the real architecture, but untrained weights: their "
            "results mean nothing.",
            style="yellow",
        )


def _table(request: DemoRequest, answer: Answer) -> Table:
    provenance, timings = answer["provenance"], answer["timings_ms"]
    items = answer[request.items]
    stand_in = " [yellow](stand-in)[/]" if provenance["stand_in"] else ""
    table = Table(
        title=f"[bold]{request.name}[/]: {len(items)} {request.items} by "
        f"{provenance['model_name']}{stand_in} on {provenance['device']}",
        caption=f"total {timings['total']:.0f} ms: decode {timings['decode']:.0f}, inference "
        f"{timings['inference']:.0f}, queue {timings['queue']:.0f}",
        title_justify="left",
        caption_justify="left",
    )
    for column in request.columns:
        table.add_column(column)
    for item in items[:ROWS_SHOWN]:
        table.add_row(*request.row(item))
    if len(items) > ROWS_SHOWN:
        table.add_row(f"… {len(items) - ROWS_SHOWN} more")
    return table


if __name__ == "__main__":
    sys.exit(main())
