"""Scenarios: kinds of requests, for a cached or for a new file."""

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
    """A POST of `fields` and a `video_path` to `path`, with a plain or a streamed response."""

    path: str
    fields: Document = field(default_factory=dict)
    stream: bool = False


def calls(scenario: str, task: str, fields: Document) -> tuple[Call, ...]:
    """The calls of a scenario.

    `single` is `task` with `fields`; `six` is all tasks in one call; `mixed` is three tasks
    separately, in one call, and one of them as a stream.
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
    """The video to analyse: itself, or a new copy with different bytes each time."""

    def __init__(self, path: Path, copies: Path) -> None:
        self.path = path
        self._copies = copies
        # Start at a number that no earlier run against the same service has used.
        self._numbers = itertools.count(time.time_ns())

    def copy(self) -> Path:
        """A copy that no service has seen; the caller deletes it."""
        number = next(self._numbers)
        return distinct_copy(self.path, self._copies / f"{number}.mp4", number)


class Asker:
    """Prepares a scenario's requests; equal seeds give equal mixes."""

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
        """Choose a call and prepare its file."""
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
    """Each kind once per round, so that windows are comparable; rounds are shuffled."""
    generator = random.Random(seed)
    while True:
        yield from generator.sample(kinds, len(kinds))


async def ask(client: httpx.AsyncClient, call: Call, video: Path) -> Answer:
    """Send the call; the answer's code reports any failure."""
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
    """Send the call and read the whole response; raises httpx.TransportError."""
    headers = {"Accept": NDJSON} if call.stream else {}
    return await client.post(
        call.path, json={"video_path": str(video), **call.fields}, headers=headers
    )


def read(call: Call, reply: httpx.Response) -> tuple[list[Document], list[str]]:
    """The responses of a call's tasks, and the codes of all errors.

    A call that succeeded only in part counts as failed.
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
