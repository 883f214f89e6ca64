"""What is asked of the service: kinds of requests, about a file it knows or one it does not."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.clips.distinct_copy import distinct_copy
from bench.load.loops import OK, Answer, Ask

TASKS = ("objects", "faces", "transcribe", "ocr", "places", "scenes")
SCENARIOS = ("single", "mixed", "six")
FILES = ("cached", "fresh")
NDJSON = "application/x-ndjson"

Document = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A POST of `fields` and a `video_path` to `path`, answered at once or as a stream."""

    path: str
    fields: Document = field(default_factory=dict)
    stream: bool = False


def calls(scenario: str, task: str, fields: Document) -> tuple[Call, ...]:
    """The calls that a scenario chooses from.

    `single` is `task` with `fields`; `six` is all tasks in one call; `mixed` is three tasks by
    themselves, in one call, and one of them as a stream.
    """
    three = ("objects", "places", "scenes")
    if scenario == "single":
        return (Call(f"/infer/{task}", fields),)
    if scenario == "six":
        return (Call("/infer", {"tasks": {each: {} for each in TASKS}}),)
    return (
        *(Call(f"/infer/{each}") for each in three),
        Call("/infer", {"tasks": {each: {} for each in three}}),
        Call("/infer/objects", stream=True),
    )


class Clip:
    """The video that is asked about: itself, or each time a copy with other bytes."""

    def __init__(self, path: Path, copies: Path) -> None:
        self.path = path
        self._copies = copies
        # A service that has served an earlier run must not know these copies either.
        self._numbers = itertools.count(time.time_ns())

    def copy(self) -> Path:
        """A copy that no service has seen; whoever asked for it removes it."""
        number = next(self._numbers)
        return distinct_copy(self.path, self._copies / f"{number}.mp4", number)


class Asker:
    """Prepares requests of a scenario: always the same mix for the same seed."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        kinds: tuple[Call, ...],
        clip: Clip,
        fresh: bool,
        seed: int,
    ) -> None:
        self._client = client
        self._clip = clip
        self._fresh = fresh
        self._mix = _mixed(kinds, seed)

    async def prepare(self) -> Ask:
        """Choose a call and have its file ready."""
        call = next(self._mix)
        if not self._fresh:
            return lambda: ask(self._client, call, self._clip.path)
        copy = await asyncio.to_thread(self._clip.copy)

        async def ask_and_remove() -> Answer:
            try:
                return await ask(self._client, call, copy)
            finally:
                copy.unlink()

        return ask_and_remove


def _mixed(kinds: tuple[Call, ...], seed: int) -> Iterator[Call]:
    """Each kind once in every round, so that windows are alike; rounds are shuffled."""
    generator = random.Random(seed)
    while True:
        yield from generator.sample(kinds, len(kinds))


async def ask(client: httpx.AsyncClient, call: Call, video: Path) -> Answer:
    """Send the call; every way in which it may fail is told of in the answer's code."""
    try:
        responses, errors = read(call, await post(client, call, video))
    except httpx.TransportError as error:
        return Answer(type(error).__name__)
    if errors:
        return Answer(errors[0])
    timings = [response["timings_ms"] for response in responses]
    return Answer(
        OK,
        video_ms=responses[0]["video"]["duration_ms"],
        queue_ms=sum(each["queue"] for each in timings),
        decode_ms=max(each["decode"] for each in timings),  # one decode for all tasks
        inference_ms=sum(each["inference"] for each in timings),
    )


async def post(client: httpx.AsyncClient, call: Call, video: Path) -> httpx.Response:
    """Send the call and read the whole answer; raises httpx.TransportError."""
    headers = {"Accept": NDJSON} if call.stream else {}
    return await client.post(
        call.path, json={"video_path": str(video), **call.fields}, headers=headers
    )


def read(call: Call, reply: httpx.Response) -> tuple[list[Document], list[str]]:
    """The responses of a call's tasks, and the codes of what went wrong.

    A call that only partly succeeded did not succeed.
    """
    if reply.status_code != 200:
        is_problem = reply.headers.get("content-type", "").startswith("application/problem+json")
        return [], [reply.json()["code"] if is_problem else f"http_{reply.status_code}"]
    if call.stream:
        return _read_stream(json.loads(line) for line in reply.text.splitlines())
    document = reply.json()
    if "tasks" not in call.fields:
        return [document], []
    codes = [problem["code"] for problem in document["errors"].values()]
    return list(document["results"].values()), codes


def _read_stream(events: Iterator[Document]) -> tuple[list[Document], list[str]]:
    by_kind: dict[str, list[Document]] = {"result": [], "error": [], "done": []}
    for event in events:
        by_kind.setdefault(event["event"], []).append(event)
    codes = [event["problem"]["code"] for event in by_kind["error"]]
    if not codes and not by_kind["done"]:
        codes = ["cut_off"]
    return [event["response"] for event in by_kind["result"]], codes
