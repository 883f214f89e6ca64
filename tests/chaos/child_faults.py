"""The faults of children: what is done to which one, when, and what comes of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
from faulty_children import POINTS
from outcomes import seeded
from processes import runs, tracker
from running import Server

LIVEZ_EVERY_S = 0.05
SIGNALS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP)
TRACKER = "resource tracker"
DECODERS = ("decoder-0", "decoder-1")
READY_DEADLINE_S = 180


@dataclass(frozen=True)
class Fault:
    """A signal to a child at a random moment, or its exit at a point of its work.

    `moment` is from 0 to 1, in the time that the requests take.
    """

    child: str
    what: str
    moment: float

    @property
    def name(self) -> str:
        """What is done to which kind of child, for the table."""
        kind = self.child.rstrip("-0123456789")
        return f"{kind}: {self.what}"

    @property
    def victims(self) -> Counter[str]:
        """How often each child must be replaced."""
        if self.child == TRACKER:
            return Counter([DECODERS[0]])
        return Counter({self.child: 2 if self.what == "exit in a load" else 1})


def planned(workers: tuple[str, ...], count: int, stops: int) -> list[Fault]:
    """Faults of every kind to every kind of child in random order, again and again.

    Only `stops` of them are SIGSTOP: each takes the heartbeat's deadline.
    """
    rng = seeded("children", len(workers))
    kinds = [
        (child, what)
        for child in (*DECODERS, *workers, "cpu-worker", TRACKER)
        for what in [*(s.name for s in SIGNALS), *(f"exit in a {point}" for point in POINTS)]
        if child != TRACKER or what.startswith("SIG")
    ]
    faults: list[Fault] = []
    while len(faults) < count:
        for child, what in rng.sample(kinds, len(kinds)):
            if what != "SIGSTOP" or child == TRACKER or stops > 0:
                stops -= what == "SIGSTOP" and child != TRACKER
                faults.append(Fault(child, what, rng.random()))
    return faults[:count]


def let_end(server: Server, folder: Path, child: str, point: str) -> None:
    """Let the process that this child is now end at a point of its work."""
    mark = folder / f"{child}-{point}"
    mark.with_suffix(".new").write_text(str(server.pid_of(child)))
    mark.with_suffix(".new").rename(mark)


class Injector:
    """Injects one fault at a time, and waits until the service has recovered."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder

    def prepare(self, fault: Fault) -> None:
        """Before the requests are sent: let a child end at a point of its work.

        A child loads its models only once, so it is replaced before an exit in a load.
        """
        if not fault.what.startswith("exit"):
            return
        point = fault.what.rsplit(" ", 1)[1]
        if point == "load":
            ready = self.readies()[fault.child]
            os.kill(self._server.pid_of(fault.child), signal.SIGKILL)
            self._server.wait_until(
                lambda: self.readies()[fault.child] > ready, f"{fault.child} is ready"
            )
        let_end(self._server, self._folder, fault.child, point)

    def strike(self, fault: Fault) -> None:
        """While the requests are worked on: send a signal."""
        if not fault.what.startswith("SIG"):
            return
        number = signal.Signals[fault.what]
        if fault.child == TRACKER:
            os.kill(tracker(self._server), number)
            os.kill(self._server.pid_of(DECODERS[0]), signal.SIGKILL)  # another one is needed now
        else:
            os.kill(self._server.pid_of(fault.child), number)

    def withdraw(self, fault: Fault) -> bool:
        """After the requests: whether the child never got to the point at which it was to end."""
        if fault.child == TRACKER and fault.what == "SIGSTOP":
            os.kill(tracker(self._server), signal.SIGCONT)
        points = [self._folder / f"{fault.child}-{point}" for point in POINTS]
        marks = [path for path in points if path.exists()]
        survivors = [mark for mark in marks if runs(int(mark.read_text()))]
        for mark in marks:
            mark.unlink()
        return bool(survivors)

    def wait_ready(self, since: Counter[str], victims: Counter[str]) -> None:
        """Wait until all victims have been replaced, and all children are ready."""
        end = time.monotonic() + READY_DEADLINE_S
        while not self.readies() >= since + victims or not self._ready():
            assert time.monotonic() < end, f"{victims} are not ready again"

    def recovery_s(self, victims: Counter[str]) -> float:
        """The longest time from the last death of a victim until another process was ready."""
        return max((self._gap_s(child) for child in victims), default=0.0)

    def _gap_s(self, child: str) -> float:
        times = {
            event["event"]: datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
            for event in list(self._server.log)
            if event.get("child") == child
        }
        return (times["child ready"] - times["child died"]).total_seconds()

    def readies(self) -> Counter[str]:
        """How often each child has become ready."""
        return self._count("child ready")

    def deaths(self) -> Counter[str]:
        """How often each child has died."""
        return self._count("child died")

    def _count(self, event: str) -> Counter[str]:
        return Counter(e["child"] for e in list(self._server.log) if e["event"] == event)

    def _ready(self) -> bool:
        return self._server.client.get("/readyz").status_code == 200


@contextmanager
def probed(client: httpx.Client) -> Iterator[list[float]]:
    """Asks /livez all the time; yields the seconds of each answer; it must never fail."""
    ended, seconds, failures = threading.Event(), [], []

    def probe() -> None:
        while not ended.wait(LIVEZ_EVERY_S):
            started = time.monotonic()
            try:
                client.get("/livez", timeout=30).raise_for_status()
            except httpx.HTTPError as error:
                failures.append(repr(error))
            seconds.append(time.monotonic() - started)

    prober = threading.Thread(target=probe)
    prober.start()
    try:
        yield seconds
    finally:
        ended.set()
        prober.join(60)
    assert failures == []
