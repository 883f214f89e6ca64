"""The service's side of a contest: HTTP requests, each for a file that is not cached."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench.clips.distinct_copy import distinct_copy
from bench.clips.talk import Stretch, count_with_text
from bench.compare.pairs import Contest, Fields, Found, Turn, WorkDiffers

Answer = dict[str, Any]  # a task's response

_ITEMS = {
    "objects": "detections",
    "faces": "detections",
    "places": "classifications",
    "scenes": "scenes",
    "ocr": "detections",
}
_SLOW = {"ocr", "transcribe"}  # one second is enough for their warm-up


class Service:
    """A running service; `copies` is a folder in its media roots, `spoken` the talk's speech."""

    def __init__(self, client: httpx.Client, copies: Path, spoken: Sequence[Stretch]) -> None:
        self._client = client
        self._copies = copies
        self._spoken = spoken
        self._numbers = itertools.count()
        self._warm: set[tuple[str, Path]] = set()

    def warm_up(self, contest: Contest) -> None:
        """Load the models and send one request; raises WorkDiffers."""
        for task, fields in contest.tasks.items():
            if (task, contest.media) not in self._warm:
                end_ms = 1000 if task in _SLOW else None
                with self.copy(contest.media) as path:
                    self.ask(path, {task: fields}, end_ms)
                self._warm.add((task, contest.media))

    def run(self, contest: Contest) -> Turn:
        """Send `contest.requests` concurrent requests; raises WorkDiffers."""
        with ExitStack() as stack, ThreadPoolExecutor(contest.requests) as threads:
            copies = [
                stack.enter_context(self.copy(contest.media)) for _ in range(contest.requests)
            ]
            started = time.perf_counter()
            answers = list(threads.map(lambda path: self.ask(path, contest.tasks), copies))
            seconds = time.perf_counter() - started
        found: Counter[str] = Counter()
        for answer in answers:
            found.update(self._found(answer))
        timings = {task: answer["timings_ms"] for task, answer in answers[0].items()}
        return Turn(seconds, dict(found), {"timings_ms": timings}, answers[0])

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
        number = next(self._numbers)
        path = distinct_copy(media, self._copies / f"{number}{media.suffix}", number)
        try:
            yield path
        finally:
            path.unlink()

    def _found(self, answers: Mapping[str, Answer]) -> Found:
        found = {task: len(answers[task][_ITEMS[task]]) for task in answers if task in _ITEMS}
        if "transcribe" in answers:
            segments = answers["transcribe"]["segments"]
            times = [(one["start_ms"] / 1000, one["end_ms"] / 1000) for one in segments]
            found["transcribe"] = count_with_text(times, self._spoken)
        return found
