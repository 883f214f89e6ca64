"""The service's side of a contest: HTTP requests, each for a file that is not cached."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench.clips.distinct_copy import distinct_copy
from bench.compare.rounds import Contest, Fields, Item, Turn, WorkDiffers

Answer = dict[str, Any]  # a task's response

_ITEMS = {
    "objects": "detections",
    "faces": "detections",
    "places": "classifications",
    "scenes": "scenes",
    "ocr": "detections",
    "transcribe": "segments",
}
_SLOW = {"ocr", "transcribe"}  # a second is enough for their warm-up; others get a full batch
_NUMBERS = itertools.count()  # of copies


class Service:
    """A running service; `copies` is a folder in its media roots.

    `fields` are added to the contest's, per task.
    """

    def __init__(
        self, client: httpx.Client, copies: Path, fields: Mapping[str, Fields] | None = None
    ) -> None:
        self._client = client
        self._copies = copies
        self._fields = fields or {}
        self._warm: set[str] = set()

    def warm_up(self, contest: Contest) -> None:
        """Load the models and send one request; raises WorkDiffers."""
        for task, fields in self._tasks(contest).items():
            if task not in self._warm:
                with self.copy(contest.media) as path:
                    self.ask(path, {task: fields}, end_ms=1000 if task in _SLOW else 8000)
                self._warm.add(task)

    def run(self, contest: Contest) -> Turn:
        """Send `contest.requests` concurrent requests; raises WorkDiffers."""
        tasks = self._tasks(contest)
        with ExitStack() as stack, ThreadPoolExecutor(contest.requests) as threads:
            copies = [
                stack.enter_context(self.copy(contest.media)) for _ in range(contest.requests)
            ]
            started = time.perf_counter()
            answers = list(threads.map(lambda path: self.ask(path, tasks), copies))
            seconds = time.perf_counter() - started
        items: dict[str, list[Item]] = {task: [] for task in contest.tasks}
        for answer in answers:
            for task, response in answer.items():
                items[task] += response[_ITEMS[task]]
        timings = {task: answer["timings_ms"] for task, answer in answers[0].items()}
        return Turn(seconds, items, {"timings_ms": timings}, answers[0])

    def ask(
        self, path: Path, tasks: Mapping[str, Fields], end_ms: int | None = None
    ) -> dict[str, Answer]:
        """The response per task, up to `end_ms`; raises WorkDiffers if any failed."""
        body = {"video_path": str(path), "tasks": tasks, "end_ms": end_ms}
        response = self._client.post("/infer", json=body)
        answer = response.json()
        if response.status_code != httpx.codes.OK:
            raise WorkDiffers(f"the service responded: {answer['detail']}")
        for task, problem in answer["errors"].items():
            raise WorkDiffers(f"the service responded to {task}: {problem['detail']}")
        results: dict[str, Answer] = answer["results"]
        return results

    @contextmanager
    def copy(self, media: Path) -> Iterator[Path]:
        """A copy of a file that is not in the service's pool."""
        number = next(_NUMBERS)
        path = distinct_copy(media, self._copies / f"{number}{media.suffix}", number)
        try:
            yield path
        finally:
            path.unlink()

    def _tasks(self, contest: Contest) -> dict[str, Fields]:
        return {
            task: {**fields, **self._fields.get(task, {})} for task, fields in contest.tasks.items()
        }
