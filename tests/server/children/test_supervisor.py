"""Requests that a child has not got to yet: a real child, and a clock of the test's own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ipc.files import FileRef
from ipc.messages import Probe, Probed
from server.children import flights, supervisor
from server.children.flights import ChildDied
from server.children.incarnation import ChildSpec
from server.children.supervisor import Child

NULL = os.open(os.devnull, os.O_RDONLY)  # what a message's file is does not matter here
Script = Callable[[Child, Path], Awaitable[None]]


class Clock:
    """Runs as the real one, and can be put forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self._real = supervisor.monotonic
        self._read = asyncio.Event()

    def __call__(self) -> float:
        self._read.set()
        return self._real() + self.ahead_s

    async def readings(self, count: int) -> None:
        """Wait until the supervisor has looked at the clock so often."""
        for _ in range(count):
            self._read.clear()
            await self._read.wait()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (supervisor, flights):
        monkeypatch.setattr(module, "monotonic", clock)
    return clock


def run(
    script: Script,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    entry: str = "blocking_child:main",
) -> None:
    """Run `script` on a child that is ready."""
    support = Path(__file__).parents[2] / "support"
    monkeypatch.setenv("PYTHONPATH", str(support))
    for name in ("first", "second"):
        os.mkfifo(folder / name)

    async def main() -> None:
        changed = asyncio.Event()
        spec = ChildSpec("child-0", "cpu", entry, None, capacity=2)
        child = Child(spec, "WARNING", changed.set)
        running = asyncio.create_task(child.run())
        try:
            while child.state != "ready":
                changed.clear()
                await asyncio.wait_for(changed.wait(), 60)
            await asyncio.wait_for(script(child, folder), 60)
        finally:
            await child.stop()
            await running

    asyncio.run(main())


def probe(number: int, path: Path) -> Probe:
    return Probe(number, "", FileRef(str(path), 0, 0, 0, 0, NULL))


def go_on(path: Path) -> None:
    """Let the child end this request, once it gets to it."""
    os.write(os.open(path, os.O_RDWR), b"!")  # stays open, and so does the byte in it


def test_time_in_the_queue_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    async def script(child: Child, folder: Path) -> None:
        pid = child.pid
        first = child.send(probe(1, folder / "first"), timeout_s=1000)
        second = child.send(probe(2, folder / "second"), timeout_s=5)
        clock.ahead_s = 10
        await clock.readings(4)
        go_on(folder / "first")
        assert isinstance(await first, Probed)
        go_on(folder / "second")
        assert isinstance(await second, Probed)
        assert (child.pid, child.restarts) == (pid, 0)

    run(script, tmp_path, monkeypatch)


def test_a_child_that_works_for_too_long_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    async def script(child: Child, folder: Path) -> None:
        first = child.send(probe(1, folder / "first"), timeout_s=5)
        second = child.send(probe(2, folder / "second"), timeout_s=1000)
        clock.ahead_s = 10
        with pytest.raises(ChildDied) as at_work:
            await first
        with pytest.raises(ChildDied) as queued:
            await second
        assert (at_work.value.running, queued.value.running) == (True, False)
        assert child.restarts == 1
        assert child.settled
        assert child.reason == "a request missed its deadline (exit code -9)"

    run(script, tmp_path, monkeypatch)


def test_a_queued_request_that_nobody_waits_for_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(child: Child, folder: Path) -> None:
        first = child.send(probe(1, folder / "first"), timeout_s=1000)
        dropped = child.send(probe(2, folder / "second"), timeout_s=1000)
        dropped.cancel()
        await asyncio.sleep(0)  # the future's callbacks run
        go_on(folder / "first")
        await first
        os.mkfifo(folder / "third")
        third = child.send(probe(3, folder / "third"), timeout_s=1000)
        go_on(folder / "third")
        await third
        assert (folder / "worked-on").read_text().split() == ["first", "third"]
        assert child.in_flight == 0

    run(script, tmp_path, monkeypatch)


def test_a_request_at_work_that_nobody_waits_for_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(child: Child, folder: Path) -> None:
        first = child.send(probe(1, folder / "first"), timeout_s=1000)
        second = child.send(probe(2, folder / "second"), timeout_s=1000)
        first.cancel()
        go_on(folder / "first")
        go_on(folder / "second")
        assert isinstance(await second, Probed)
        assert child.restarts == 0

    run(script, tmp_path, monkeypatch)


def test_a_child_that_leaves_is_replaced_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is no failure: there is no backoff, and the queued request was not at work."""
    caplog.set_level("INFO")
    os.mkfifo(tmp_path / "last")
    states: list[str] = []

    async def script(child: Child, folder: Path) -> None:
        pid, changed = child.pid, asyncio.Event()

        def note() -> None:
            states.append(child.state)
            changed.set()

        child._changed = note
        last = child.send(probe(1, folder / "last"), timeout_s=1000)
        queued = child.send(probe(2, folder / "second"), timeout_s=1000)
        go_on(folder / "last")
        assert isinstance(await last, Probed)
        with pytest.raises(ChildDied) as raised:
            await queued
        assert not raised.value.running
        while child.state != "ready":
            changed.clear()
            await changed.wait()
        assert child.pid != pid
        assert (child.restarts, child.failed_starts) == (1, 0)
        go_on(folder / "second")
        await child.send(probe(3, folder / "second"), timeout_s=1000)

    run(script, tmp_path, monkeypatch, "leaving_child:main")
    assert "backing_off" not in states
    assert "ending" in states
    recycled = [record for record in caplog.records if record.message == "child recycled"]
    assert [record.__dict__["reason"] for record in recycled] == ["it is the last one"]
    assert "child died" not in caplog.messages


def test_a_start_that_fails_has_its_reason() -> None:
    async def main() -> None:
        died = asyncio.Event()
        spec = ChildSpec("child-0", "cpu", "no_such_module:main", None, capacity=1)
        child = Child(
            spec, "CRITICAL", lambda: died.set() if child.state == "backing_off" else None
        )
        running = asyncio.create_task(child.run())
        assert not child.settled
        await asyncio.wait_for(died.wait(), 60)
        assert child.settled
        assert child.reason == "ModuleNotFoundError: No module named 'no_such_module' (exit code 1)"
        await child.stop()
        await running

    asyncio.run(main())


@pytest.mark.parametrize(("works", "growth"), [(True, [1, 1, 1]), (False, [1, 2, 4])])
def test_the_backoff_grows_only_while_a_child_does_no_work(
    works: bool,
    growth: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Files that end decoders must not keep them from others for longer and longer."""

    async def script(child: Child, folder: Path) -> None:
        for restarts in range(1, 4):
            if works:
                reply = child.send(probe(restarts, folder / "first"), timeout_s=1000)
                go_on(folder / "first")
                await reply
            child.kill("a test")
            while (child.restarts, child.state) != (restarts, "ready"):
                await asyncio.sleep(0)

    run(script, tmp_path, monkeypatch)
    backoffs = [record.backoff_s for record in caplog.records if record.msg == "child died"]  # type: ignore[attr-defined]
    assert [backoff_s / backoffs[0] for backoff_s in backoffs] == growth
