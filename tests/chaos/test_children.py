"""Children that are killed, stopped, crash or exit under load: all requests get their answers."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from child_faults import Fault, Injector, let_end, planned, probed
from outcomes import LOST, Outcome, Table, seeded, share
from payload import payload
from processes import new_connections
from running import SUPPORT, Server, running
from traffic import check_ended

from bench.clips.distinct_copy import distinct_copy
from bench.clips.generate import make_small

CLIENTS = 8
SHARE = 0.02  # of the count: a fault of a process that loads models takes some seconds
STOPS_SHARE = 0.05
QUICK_SHARE = 0.04
QUICK: dict[str, dict[str, Any]] = {
    "objects": {"model_name": "slow-10.pt", "frame_interval": 2},
    "scenes": {},
}
TASKS: dict[str, dict[str, Any]] = {
    "objects": {"frame_interval": 6, "confidence_threshold": 0.3},
    "faces": {"frame_interval": 6},
    "transcribe": {"language": "en"},
    "ocr": {"frame_interval": 30},
    "places": {"frame_interval": 6},
    "scenes": {},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_small(tmp_path / "clip.mp4", seconds=2, width=224, height=126)
    return tmp_path


def settings(folder: Path, weights: Path, **more: str) -> dict[str, str]:
    """Of a server with faulty children and the real tasks."""
    path = f"{SUPPORT}:{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}"
    own = {"MODEL_CACHE_DIR": str(weights), "MEDIA_ROOTS": str(folder), "PYTHONPATH": path}
    own |= {"EIOKU_TEST_FOLDER": str(folder), "WHISPER_MODEL": "tiny"}
    return own | more


@contextmanager
def faulty_server(folder: Path, weights: Path, **more: str) -> Iterator[Server]:
    with running("faulty_children", **settings(folder, weights, **more)) as server:
        yield server


@dataclass
class Load:
    """Requests of several clients at the same time, and the answers that they must get."""

    client: httpx.Client
    folder: Path
    tasks: dict[str, dict[str, Any]]
    expected: dict[str, Any] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    copies: Iterator[int] = field(default_factory=itertools.count)

    def ask(self, task: str) -> str:
        """Send one request about a new copy of the clip; say what is wrong, or nothing."""
        number = next(self.copies)
        copy = distinct_copy(self.folder / "clip.mp4", self.folder / f"{number}.mp4", number)
        started = time.monotonic()
        body = {"video_path": str(copy), **self.tasks[task]}
        try:
            response = self.client.post(f"/infer/{task}", json=body)
        except httpx.TimeoutException:
            return LOST
        except httpx.HTTPError as error:
            return type(error).__name__
        finally:
            copy.unlink()
        self.seconds.append(time.monotonic() - started)
        if response.status_code != 200:
            return f"{response.status_code} {response.json()['code']}"
        answer = payload(response.json())
        del answer["input_hash"]
        return "" if self.expected.setdefault(task, answer) == answer else "another answer"

    @contextmanager
    def sent(self, number: int) -> Iterator[list[str]]:
        """Every task and some more, all sent at once; what is wrong is in the list afterwards."""
        more = seeded("tasks", number).choices(list(self.tasks), k=CLIENTS)
        tasks = [*self.tasks, *more][:CLIENTS]
        wrong: list[str] = []
        with ThreadPoolExecutor(CLIENTS) as threads:
            answers = threads.map(self.ask, tasks)
            yield wrong
        wrong += [
            f"{task}: {result}" for task, result in zip(tasks, answers, strict=True) if result
        ]


class Disturbance:
    """Faults one after the other, each among requests of all clients."""

    def __init__(self, load: Load, injector: Injector) -> None:
        self.load = load
        self.recoveries: list[float] = []
        self._injector = injector
        tasks = load.tasks
        assert [self.load.ask(task) for task in tasks] == [""] * len(tasks)
        started = time.monotonic()
        with self.load.sent(-1) as wrong:
            pass
        assert wrong == []
        self._round_s = time.monotonic() - started
        self.calm_s = sorted(self.load.seconds[len(tasks) :])
        self.load.seconds.clear()

    def outcome(self, number: int, fault: Fault) -> Outcome:
        """What came of a fault, once all are answered and all children are ready again."""
        injector = self._injector
        ready, died = injector.readies(), injector.deaths()
        injector.prepare(fault)
        with self.load.sent(number) as wrong:
            time.sleep(fault.moment * self._round_s)
            injector.strike(fault)
        missed = injector.withdraw(fault)
        victims = injector.deaths() - died if missed else fault.victims
        injector.wait_ready(ready, victims)
        recovery_s = injector.recovery_s(victims)
        self.recoveries.append(recovery_s)
        if (others := injector.deaths() - died) != victims:
            wrong.append(f"died: {others}, not {victims}")
        if wrong:
            result = LOST if any(LOST in each for each in wrong) else "wrong"
            return Outcome(fault.name, result, "; ".join(wrong))
        return Outcome(fault.name, "missed" if missed else "right", seconds=recovery_s)


def disturb(
    server: Server, folder: Path, faults: list[Fault], table: Table, tasks: dict[str, Any] = TASKS
) -> None:
    """Inject all faults; the table has their outcomes."""
    with new_connections(server) as client, probed(client) as livez:
        disturbance = Disturbance(Load(client, folder, tasks), Injector(server, folder))
        for number, fault in enumerate(faults):
            table.add(disturbance.outcome(number, fault))
    seconds = disturbance.load.seconds
    table.notes["requests"] = len(seconds)
    table.notes["seconds of a request"] = spread(seconds)
    table.notes["undisturbed"] = spread(disturbance.calm_s)
    table.notes["recovery, seconds"] = spread(disturbance.recoveries)
    table.notes["/livez"] = f"{len(livez)} answers, {max(livez):.2f} s at most"


def spread(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds):.1f}, most {max(seconds):.1f}"


def workers_of(devices: str) -> tuple[str, ...]:
    return tuple(f"worker-{number}" for number in range(len(devices.split(","))))


def check_unharmed(server: Server) -> None:
    """The front never failed, and still ends as it should."""
    assert server.process.poll() is None
    assert not any("Traceback" in event["event"] for event in server.log)
    check_ended(server)


def test_no_answer_of_the_six_tasks_changes(
    folder: Path, weights_dir: Path, new_table: Callable[[str], Table]
) -> None:
    """Two workers with real networks; a worker that is replaced loads its models again."""
    table = new_table("Children with the six tasks, DEVICES=cpu,cpu")
    count = share(SHARE, least=2)
    faults = planned(workers_of("cpu,cpu"), count, round(count * STOPS_SHARE))
    with faulty_server(folder, weights_dir, DEVICES="cpu,cpu") as server:
        disturb(server, folder, faults, table)
        table.check(least=count)
        check_unharmed(server)


@pytest.mark.parametrize("devices", ["cpu,cpu", "cpu"])
def test_no_answer_of_quick_tasks_changes(
    devices: str, folder: Path, new_table: Callable[[str], Table]
) -> None:
    """Workers without a network start at once, so that there is time for more faults."""
    table = new_table(f"Children with quick tasks, DEVICES={devices}")
    count = share(QUICK_SHARE, least=6)
    stops = max(devices == "cpu", round(count * STOPS_SHARE))
    faults = planned(workers_of(devices), count, stops)
    if stops and not any(fault.what == "SIGSTOP" for fault in faults):
        faults[-1] = Fault("worker-0", "SIGSTOP", 0.5)
    with faulty_server(folder, folder, DEVICES=devices, CHAOS_QUICK="1") as server:
        disturb(server, folder, faults, table, QUICK)
        table.check(least=count)
        check_unharmed(server)


def test_a_front_that_does_not_retry_is_found(folder: Path) -> None:
    """The suite itself can fail."""
    table = Table("planted")
    fault = Fault("worker-0", "exit in a batch", 0.0)
    with faulty_server(folder, folder, CHAOS_QUICK="1", CHAOS_PLANT="no_retry") as server:
        disturb(server, folder, [fault], table, QUICK)
    with pytest.raises(AssertionError, match="objects: 503 no_worker_ready"):
        table.check()


def test_a_task_that_ends_two_workers_is_refused_by_name(folder: Path) -> None:
    with faulty_server(folder, folder, DEVICES="cpu,cpu", CHAOS_QUICK="1") as server:
        one_batch = {**QUICK["objects"], "frame_interval": 60}
        fields = {"video_path": str(folder / "clip.mp4"), **one_batch}
        server.client.post("/infer/objects", json=fields).raise_for_status()
        for worker in workers_of("cpu,cpu"):
            let_end(server, folder, worker, "batch")
        refused = server.client.post("/infer/objects", json=fields)
        assert (refused.status_code, refused.json()["code"]) == (503, "no_worker_ready")
        assert "objects task on frames 0 to" in refused.json()["detail"]
        assert "ended 2 worker processes" in refused.json()["detail"]
        server.client.post("/infer/objects", json=fields).raise_for_status()


def test_a_child_that_ends_at_every_start_backs_off_and_the_others_serve(folder: Path) -> None:
    environ = settings(folder, folder, DEVICES="cpu,cpu", FRAME_POOL_MB="64", CHAOS_QUICK="1")
    server = Server("faulty_children", {**environ, "CHAOS_BROKEN": "worker-1"})
    try:
        backoffs = [server.wait_for("child died", child="worker-1")["backoff_s"] for _ in range(3)]
        assert backoffs == [0.2, 0.4, 0.8]
        server.wait_until(lambda: "worker-0" in Injector(server, folder).readies(), "one is ready")
        for task, fields in QUICK.items():
            assert server.infer(task, folder / "clip.mp4", **fields).status_code == 200
        assert server.client.get("/livez").status_code == 200
        ready = server.client.get("/readyz")
        assert ready.status_code == 200
        assert "worker-1 on cpu is " in ready.text
        health = server.client.get("/health").json()
        states = {worker["name"]: worker["state"] for worker in health["workers"]}
        assert (health["status"], states["worker-0"]) == ("degraded", "ready")
        reasons = {worker["name"]: worker["reason"] for worker in health["workers"]}
        assert reasons["worker-0"] is None
        assert reasons["worker-1"] is not None
        assert states["worker-1"] in ("starting", "ending", "backing_off")
        assert server.stop() == 0
    finally:
        server.close()
