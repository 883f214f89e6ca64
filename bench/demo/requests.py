"""The requests of the demo, and how it follows the responses: one decode for six tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.service_process import ServiceFailed

Json = dict[str, Any]

# Frames between two that are analysed. These are the defaults of the service.
BOXES_EVERY, TEXT_EVERY = 30, 60
TASKS: dict[str, Json] = {
    "objects": {"frame_interval": BOXES_EVERY},
    "faces": {"frame_interval": BOXES_EVERY},
    "places": {"frame_interval": TEXT_EVERY},
    "scenes": {},
    "transcribe": {},
    "ocr": {"frame_interval": TEXT_EVERY},
}
SHAPES = "shapes"  # the objects task with another model, in a request of its own
SHAPES_FIELDS: Json = {"model_name": "shapes.pt", "frame_interval": BOXES_EVERY}
# The service repeats an event every 10 s if nothing happens.
DEADLINE = httpx.Timeout(10, read=120)


@dataclass(frozen=True)
class Reply:
    """The response to one task, or else why there is none."""

    name: str
    response: Json | None
    problem: str = ""

    @property
    def stand_in(self) -> bool:
        """Whether the weights are untrained, so that the response means nothing."""
        return self.response is not None and bool(self.response["provenance"]["stand_in"])

    @property
    def trained(self) -> Json | None:
        """The response if it means something."""
        return None if self.stand_in else self.response


def send_all(client: httpx.Client, clip: Path, console: Console) -> dict[str, Reply]:
    """Send the two requests, with a bar for each task; return the replies by name.

    Raises ServiceFailed and httpx.HTTPError.
    """
    path = str(clip)
    everything = {"video_path": path, "tasks": TASKS}
    shapes = {"video_path": path, **SHAPES_FIELDS}
    columns = (
        TextColumn("{task.description:10}"),
        BarColumn(),
        TextColumn("{task.fields[share]:>9}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        names = [*TASKS, SHAPES]
        bars = {name: progress.add_task(name, total=None, share="") for name in names}
        replies = _follow(_events(client, "/infer", everything), progress, bars)
        again = {"objects": bars[SHAPES]}
        reply = _follow(_events(client, "/infer/objects", shapes), progress, again)["objects"]
    return {**replies, SHAPES: Reply(SHAPES, reply.response, reply.problem)}


def _events(client: httpx.Client, route: str, body: Json) -> Iterator[Json]:
    headers = {"Accept": "application/x-ndjson"}
    with client.stream("POST", route, json=body, headers=headers, timeout=DEADLINE) as response:
        if response.status_code != 200:
            problem = json.loads(response.read())
            raise ServiceFailed(f"{problem['title']}: {problem['detail']}")
        for line in response.iter_lines():
            yield json.loads(line)


def _follow(
    events: Iterator[Json], progress: Progress, bars: Mapping[str, TaskID]
) -> dict[str, Reply]:
    replies = {}
    ended = False
    for event in events:
        name = event.get("task", "")
        match event["event"]:
            case "progress":
                _advance(progress, bars[name], event["frames_done"], event["frames_total"])
            case "result":
                replies[name] = Reply(name, event["response"])
                _finish(progress, bars[name], "done")
            case "error" if name:
                problem = event["problem"]
                replies[name] = Reply(name, None, f"{problem['code']}: {problem['detail']}")
                _finish(progress, bars[name], "failed")
            case "error":
                raise ServiceFailed(event["problem"]["detail"])
            case "done":
                ended = True
    if not ended:
        raise ServiceFailed("The service ended the response early.")
    return replies


def _advance(progress: Progress, bar: TaskID, done: int, total: int) -> None:
    if total:  # transcription does not know how many steps it needs
        progress.update(bar, completed=done, total=total, share=f"{done}/{total}")


def _finish(progress: Progress, bar: TaskID, how: str) -> None:
    total = progress.tasks[bar].total or 1
    progress.update(bar, completed=total, total=total, share=how)
    progress.stop_task(bar)
