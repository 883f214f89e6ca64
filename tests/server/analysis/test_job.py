"""Batches in flight: folded in order, whatever order they end in; sent when the fold allows it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from ipc.messages import ModelInfo, TaskSpec
from ipc.results import Segment
from ipc.subjects import Audio, AudioRef, Gathered, Subject
from server.analysis.events import Event, Partial, Progress
from server.analysis.job import Batches, Job
from server.children.dispatcher import Outcome, Route
from server.errors import Problem
from server.frame_pool.pool import FramePool, Lease, Want
from server.tasks.registry import installed
from server.tasks.task import AudioInput, AudioStep, Options, Task
from server.tasks.transcribe import TranscribeOptions

MODEL = ModelInfo("base", None, False, "cpu", "fp32", {})
WINDOWS = 4
AUDIO = Audio((AudioRef(0, 1, 0.0),), 1, 0.0)


class Transcript(msgspec.Struct):
    """One window's language, if it has any, and its segments."""

    language: str | None
    segments: list[Segment]


class WindowOptions(Options, frozen=True):
    """`language` None means detection."""

    language: str | None = None


class Windows(Task[WindowOptions, Transcript]):
    """A task of windows that wait until one of them has told the language."""

    name = "windows"
    options = WindowOptions
    result = Transcript
    worker = "none"

    def needs(self, options: WindowOptions) -> AudioInput:
        return AudioInput(window_ms=1000.0)

    def spec(self, options: WindowOptions, state: Transcript) -> WindowOptions:
        return WindowOptions(language=options.language or state.language)

    def waits(self, options: WindowOptions, state: Transcript) -> bool:
        return options.language is None and state.language is None

    def start(self) -> Transcript:
        return Transcript(None, [])

    def add(self, state: Transcript, result: Transcript) -> list[Segment]:
        state.language = state.language or result.language
        state.segments += result.segments
        return result.segments

    def fields(self, options: WindowOptions, state: Transcript) -> dict[str, Any]:
        return {"language": state.language}


class HeldDispatcher:
    """Replaces the workers: keeps every batch until the test answers it."""

    def __init__(self) -> None:
        self.specs: list[Any] = []
        self.subjects: list[Subject] = []
        self.replies: list[asyncio.Future[Outcome]] = []

    def capacity(self, route: Route) -> int:
        return WINDOWS

    async def infer(
        self, route: Route, spec: TaskSpec, subject: Subject, lease: Lease | None = None
    ) -> Outcome:
        self.subjects.append(subject)
        self.specs.append(msgspec.msgpack.decode(spec.options))
        self.replies.append(asyncio.get_running_loop().create_future())
        return await self.replies[-1]

    def answer(self, number: int, language: str | None) -> None:
        """Answer a batch with one segment that contains its number."""
        transcript = Transcript(language, [Segment(number, number + 1, f" {number}", 1.0)])
        encoded = msgspec.Raw(msgspec.msgpack.encode(transcript))
        self.replies[number].set_result(Outcome((encoded,), f"cpu-{number}", 1.0, 2.0))


Script = Callable[[Job, Batches, HeldDispatcher, Callable[[], Awaitable[None]]], Awaitable[None]]


def run_windows(
    script: Script,
    language: str | None = None,
    workers: int = 1,
    task: Task[WindowOptions, Transcript] | None = None,
) -> tuple[Job, list[Event]]:
    """Run a script on a job; each `send` sends one more window."""
    events: list[Event] = []

    async def main() -> Job:
        options = WindowOptions(language=language)
        route = Route(frozenset(f"worker-{i}" for i in range(workers)), 60.0)
        job = Job(task or Windows(), options, route, MODEL, events.append)
        dispatcher = HeldDispatcher()
        batches = Batches(job, dispatcher)  # type: ignore[arg-type]
        pool = FramePool(1 << 20)

        async def send() -> None:
            with await pool.lease([Want(("audio", batches.sent), 4096)]) as lease:
                await batches.send(AUDIO, 0, lease, lease.entries)

        try:
            await asyncio.wait_for(script(job, batches, dispatcher, send), 10)
        finally:
            await batches.abandon()
        await turn()  # the callbacks that release slots run
        assert pool.leased == 0
        return job

    return asyncio.run(main()), events


async def turn() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_windows_run_in_parallel_and_are_folded_in_order() -> None:
    async def script(job: Job, batches: Batches, workers: HeldDispatcher, send: Any) -> None:
        for _ in range(WINDOWS):
            await send()
        await turn()
        assert len(workers.replies) == WINDOWS
        for number in reversed(range(WINDOWS)):
            workers.answer(number, "en")
        await batches.finish()

    job, events = run_windows(script, language="en")
    assert [segment.text for segment in job.state.segments] == [" 0", " 1", " 2", " 3"]
    partial = [item for event in events if isinstance(event, Partial) for item in event.items]
    assert partial == job.state.segments
    assert sum(isinstance(event, Progress) for event in events) == WINDOWS
    assert job.devices == {f"cpu-{number}" for number in range(WINDOWS)}
    assert (job.queue_ms, job.inference_ms) == (WINDOWS * 1.0, WINDOWS * 2.0)


def test_later_windows_wait_until_one_has_told_the_language() -> None:
    async def script(job: Job, batches: Batches, workers: HeldDispatcher, send: Any) -> None:
        await send()
        second = asyncio.create_task(send())
        await turn()
        assert len(workers.replies) == 1
        workers.answer(0, None)  # nobody speaks in it
        third = asyncio.create_task(send())
        await turn()
        assert len(workers.replies) == 2
        workers.answer(1, "de")
        await second
        await third
        await send()
        await turn()
        workers.answer(2, "en")
        workers.answer(3, "en")
        await batches.finish()
        assert [spec["language"] for spec in workers.specs] == [None, None, "de", "de"]

    job, _ = run_windows(script)
    assert job.task.fields(job.options, job.state)["language"] == "de"


class Pairs(Windows):
    """After every second window, a message with their numbers precedes the next result."""

    def follow_up(self, state: Transcript) -> list[str] | None:
        texts = [segment.text for segment in state.segments]
        return texts[-2:] if len(texts) % 3 == 2 else None


def test_a_follow_up_is_folded_before_the_next_result() -> None:
    async def script(job: Job, batches: Batches, workers: HeldDispatcher, send: Any) -> None:
        for _ in range(3):
            await send()
        await turn()
        for number in (2, 1, 0):
            workers.answer(number, "en")
        finishing = asyncio.create_task(batches.finish())
        await turn()
        assert [segment.text for segment in job.state.segments] == [" 0", " 1"]
        (gathered,) = (s for s in workers.subjects if isinstance(s, Gathered))
        assert msgspec.msgpack.decode(gathered.data) == [" 0", " 1"]
        workers.answer(3, "en")
        await finishing

    job, events = run_windows(script, language="en", task=Pairs())
    assert [segment.text for segment in job.state.segments] == [" 0", " 1", " 3", " 2"]
    partial = [item for event in events if isinstance(event, Partial) for item in event.items]
    assert partial == job.state.segments


def test_a_follow_up_that_fails_ends_the_job() -> None:
    async def script(job: Job, batches: Batches, workers: HeldDispatcher, send: Any) -> None:
        for number in range(3):
            await send()
            await turn()
            if number < 2:
                workers.answer(number, "en")
        finishing = asyncio.create_task(batches.finish())
        await turn()
        workers.replies[3].set_exception(Problem("no_worker_ready", "for a test"))
        await finishing

    job, _ = run_windows(script, language="en", task=Pairs())
    assert job.problem is not None
    assert [segment.text for segment in job.state.segments] == [" 0", " 1"]


def test_the_language_of_silence_is_undetermined() -> None:
    task = installed()["transcribe"]
    fields = task.fields(TranscribeOptions(), task.start())
    assert fields == {"language": "und", "segments": []}


def test_audio_goes_out_window_by_window_one_per_worker() -> None:
    """So that another request waits for the windows at work, and for no queue of them."""
    steps: list[AudioStep] = []

    async def script(job: Job, batches: Batches, workers: HeldDispatcher, send: Any) -> None:
        async def windows() -> None:
            pool = FramePool(1 << 20)
            while (step := await batches.next_audio(5 * 16_000 + 8)) is not None:
                steps.append(step)
                with await pool.lease([Want("audio", 4096)]) as lease:
                    batches.send_audio(step, AUDIO, lease)

        sending = asyncio.create_task(windows())
        for number in range(6):
            await turn()
            assert len(workers.replies) == min(number + 2, 6)
            workers.answer(number, "en")
        await sending

    job, _ = run_windows(script, language="en", workers=2)
    starts = [step.stretches[0] for step in steps]
    assert starts[0] == (0, 16_000)
    assert starts[-1] == (80_000, 80_008)
    assert [segment.text for segment in job.state.segments] == [f" {i}" for i in range(6)]


def test_a_step_that_waits_is_asked_for_again_after_each_result() -> None:
    async def script(job: Job, batches: Batches, workers: HeldDispatcher, send: Any) -> None:
        await send()
        step = asyncio.create_task(batches.next_audio(5 * 16_000))
        await turn()
        assert not step.done()
        workers.answer(0, "de")
        found = await step
        assert found is not None
        assert found.spec.language == "de"
        await batches.finish()

    run_windows(script, workers=2)


def test_a_problem_ends_the_job_and_releases_its_slots() -> None:
    async def script(job: Job, batches: Batches, workers: HeldDispatcher, send: Any) -> None:
        await send()
        await send()
        await turn()
        workers.replies[0].set_exception(Problem("no_worker_ready", "for a test"))
        await batches.finish()
        sent = batches.sent
        await send()
        assert batches.sent == sent

    job, _ = run_windows(script, language="en")
    assert job.problem is not None
    assert job.problem.code == "no_worker_ready"
