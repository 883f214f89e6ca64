"""When a deployment is ready, and what it says is missing."""

from __future__ import annotations

from server.children.incarnation import ChildSpec
from server.children.readiness import Readiness
from server.children.supervisor import Child

NEEDED = {"objects": frozenset({"worker-0", "worker-1"}), "scenes": frozenset({"cpu-worker"})}
DEVICES = {"worker-0": "cuda:0", "worker-1": "cuda:1", "cpu-worker": "cpu", "decoder-0": "cpu"}
FAILED = "no such device"


def child(name: str, state: str) -> Child:
    """A child in this state; `failed` is one whose first start has failed."""
    made = Child(ChildSpec(name, DEVICES[name], "", None, 1), "WARNING", lambda: None)
    made.state = "backing_off" if state == "failed" else state
    made.reason = FAILED if state == "failed" else None
    made.settled = state != "starting"
    return made


def readiness(
    first: str = "ready", second: str = "ready", cpu: str = "ready", decoder: str = "ready"
) -> Readiness:
    workers = [child("worker-0", first), child("worker-1", second), child("cpu-worker", cpu)]
    return Readiness(workers, [child("decoder-0", decoder)], NEEDED)


def test_everything_is_ready() -> None:
    assert readiness().ready
    assert (readiness().obstacles, readiness().absent) == ([], [])


def test_a_first_start_is_waited_for() -> None:
    starting = readiness(second="starting")
    assert not starting.ready
    assert starting.obstacles == ["not started yet: worker-1"]
    assert starting.absent == ["worker-1 on cuda:1 is starting"]


def test_a_failed_start_is_not_waited_for_if_others_have_its_tasks() -> None:
    failed = readiness(second="failed")
    assert failed.ready
    assert failed.absent == [f"worker-1 on cuda:1 is backing_off: {FAILED}"]


def test_every_task_needs_a_worker() -> None:
    assert readiness("failed", "failed").obstacles == ["no worker is ready for objects"]
    assert readiness(cpu="failed").obstacles == ["no worker is ready for scenes"]


def test_a_decoder_is_needed() -> None:
    assert readiness(decoder="starting").obstacles == ["no decoder is ready"]
