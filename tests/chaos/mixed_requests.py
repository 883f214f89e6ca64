"""A mix of all kinds of requests: six tasks, streams, uploads, hang-ups, bad and damaged files."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import httpx
from clip_library import ClipLibrary
from damaged_files import damaged_file
from outcomes import Outcome, seeded
from raw_http import connect, disappear, post
from running import Server
from traffic import ANY_ANSWER, alive, judged, result_of

from bench.clips.distinct_copy import distinct_copy

NDJSON = "application/x-ndjson"
UNDECODABLE = {"422 undecodable_video"}
# The slow ones are rare: OCR and speech take most of the time nevertheless.
WEIGHTS = {"objects": 10, "faces": 6, "places": 6, "scenes": 6, "ocr": 1, "transcribe": 1}
FIELDS: dict[str, dict[str, Any]] = {
    "objects": {"frame_interval": 12, "model_profile": "fast"},
    "faces": {"frame_interval": 12},
    "places": {"frame_interval": 12},
    "ocr": {"frame_interval": 24},
    "transcribe": {"language": "en"},
}


class Mixed:
    """Sends requests about a clip and its copies in `folder`; `weights` are those of the tasks."""

    def __init__(
        self,
        server: Server,
        folder: Path,
        clip: Path,
        clips: ClipLibrary,
        weights: dict[str, int] = WEIGHTS,
    ) -> None:
        self._server = server
        self._folder = folder
        self._clip = clip
        self._clips = clips
        self._weights = weights
        self._text = folder / "text.mp4"
        self._text.write_text("this is no video\n" * 100)

    def one_of_each(self) -> list[Callable[[], Outcome]]:
        """Every kind of request, and every task."""
        kinds = [partial(kind, self, 0, seeded("soak", 0)) for kind, _ in KINDS]
        return [*kinds, *(partial(self._ask, "a task", task) for task in self._weights)]

    def request(self, number: int) -> Callable[[], Outcome]:
        """The request with this number; the seed and the number say what it is."""
        rng = seeded("soak", number)
        (kind,) = rng.choices([kind for kind, _ in KINDS], [weight for _, weight in KINDS])
        return partial(kind, self, number, rng)

    def task(self, number: int, rng: Random) -> Outcome:
        """A clip whose frames are probably in the pool."""
        return self._ask("a task", self._some_task(rng))

    def new_file(self, number: int, rng: Random) -> Outcome:
        """A clip that the service has not seen."""
        copy = distinct_copy(self._clip, self._folder / f"new-{number}.mp4", number)
        outcome = self._ask("a task on a new file", self._some_task(rng), copy)
        copy.unlink()
        return outcome

    def several(self, number: int, rng: Random) -> Outcome:
        """Two tasks on one decode."""
        tasks = {name: FIELDS.get(name, {}) for name in ("objects", "scenes")}
        body = {"video_path": str(self._clip), "tasks": tasks}
        send = partial(self._server.client.post, "/infer", json=body)
        return judged("several tasks", result_of(send), {"200"})

    def stream(self, number: int, rng: Random) -> Outcome:
        """A stream that is read to its end."""
        response = self._post("objects", {"Accept": NDJSON})
        last = json.loads(response.text.splitlines()[-1])
        return judged("a stream", f"{response.status_code} {last['event']}", {"200 done"})

    def upload(self, number: int, rng: Random) -> Outcome:
        """The clip in the body."""
        task = self._some_task(rng)
        form = {"file": self._clip.read_bytes(), "request": json.dumps(FIELDS.get(task, {}))}
        send = partial(self._server.client.post, f"/infer/{task}", files=form)
        return judged("an upload", result_of(send), {"200"})

    def hang_up(self, number: int, rng: Random) -> Outcome:
        """A client that disappears, before or while the service works."""
        copy = distinct_copy(self._clip, self._folder / f"gone-{number}.mp4", number)
        request = post(json.dumps({"video_path": str(copy)}).encode())
        connection = connect(self._server)
        connection.sendall(request if rng.random() < 0.8 else request[: rng.randrange(300)])
        alive(self._server)
        disappear(connection)
        copy.unlink()
        return Outcome("a client that disappears", "none awaited")

    def bad_file(self, number: int, rng: Random) -> Outcome:
        """A file that is no video."""
        return self._ask("no video", self._some_task(rng), self._text, UNDECODABLE)

    def damaged(self, number: int, rng: Random) -> Outcome:
        """A damaged video."""
        path = damaged_file(number, self._clips).write(self._folder)
        task = "transcribe" if rng.random() < 0.03 and "transcribe" in self._weights else "scenes"
        outcome = self._ask("a damaged file", task, path, ANY_ANSWER)
        path.unlink()
        return outcome

    def bad_request(self, number: int, rng: Random) -> Outcome:
        """Fields that do not exist."""
        send = partial(self._server.infer, "objects", self._clip, no_such_field=1)
        return judged("a bad request", result_of(send), {"422 invalid_request"})

    def _some_task(self, rng: Random) -> str:
        return rng.choices(list(self._weights), list(self._weights.values()))[0]

    def _ask(
        self, fault: str, task: str, path: Path | None = None, allowed: set[str] | None = None
    ) -> Outcome:
        send = partial(self._server.infer, task, path or self._clip, **FIELDS.get(task, {}))
        return judged(fault, result_of(send), allowed or {"200"}, task)

    def _post(self, task: str, headers: dict[str, str]) -> httpx.Response:
        body = {"video_path": str(self._clip), **FIELDS.get(task, {})}
        return self._server.client.post(f"/infer/{task}", json=body, headers=headers)


KINDS: list[tuple[Callable[[Mixed, int, Random], Outcome], int]] = [
    (Mixed.task, 25),
    (Mixed.new_file, 15),
    (Mixed.several, 8),
    (Mixed.stream, 10),
    (Mixed.upload, 10),
    (Mixed.hang_up, 10),
    (Mixed.bad_file, 5),
    (Mixed.damaged, 15),
    (Mixed.bad_request, 2),
]
