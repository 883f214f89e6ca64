"""Which worker has which model: known from the worker's own messages, in their order."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from ipc.messages import Load, Loaded, ModelInfo, Resident, TaskSpec
from server.children.dispatcher import LOAD_COST_S, Dispatcher, Route
from server.children.incarnation import ChildSpec
from server.children.supervisor import Child
from server.children.waiting_line import Line
from server.metrics import Metrics

ROUTE = Route(frozenset({"worker-0"}), 60.0)
DEVICE = "cuda:1"


class Pipe:
    """Replaces the process: keeps what is sent."""

    def __init__(self) -> None:
        self.channel = self
        self.sent: list[Load] = []
        self.last_sign = 0.0

    def send(self, message: Load) -> None:
        self.sent.append(message)


def spec(name: str) -> TaskSpec:
    return TaskSpec("objects", f"objects/{name}", msgspec.Raw(b"\x80"))


def info(name: str) -> ModelInfo:
    return ModelInfo(name, None, False, "cuda:0", "fp16", {})


class Setup:
    """A dispatcher with one worker, whose messages the test sends."""

    def __init__(self) -> None:
        line = Line()
        self.child = Child(ChildSpec("worker-0", DEVICE, "", None, 2), "INFO", line.advance)
        self.child.state = "ready"
        self.pipe: Any = Pipe()
        self.child._incarnation = self.pipe
        self.dispatcher = Dispatcher([self.child], line, Metrics())

    def receive(self, *messages: Any) -> None:
        for message in messages:
            self.child._receive(self.pipe, message)

    async def loading(self, name: str) -> tuple[asyncio.Task[ModelInfo], int]:
        """A load that was sent, and its id."""
        task = asyncio.create_task(self.dispatcher.load(ROUTE, spec(name)))
        for _ in range(3):
            await asyncio.sleep(0)
        return task, self.pipe.sent[-1].id


def test_a_resident_model_is_not_loaded_again() -> None:
    async def script() -> None:
        setup = Setup()
        task, number = await setup.loading("a.pt")
        setup.receive(Resident({"objects/a.pt": info("a.pt")}), Loaded(number, info("a.pt")))
        assert (await task).device == DEVICE
        assert (await setup.dispatcher.load(ROUTE, spec("a.pt"))).device == DEVICE
        assert len(setup.pipe.sent) == 1

    asyncio.run(script())


@pytest.mark.parametrize("after", [{}, {"objects/b.pt": info("b.pt")}], ids=["idle", "replaced"])
def test_an_evicted_model_is_loaded_again(after: dict[str, ModelInfo]) -> None:
    """Also if it was evicted before the request that loaded it has seen the reply."""

    async def script() -> None:
        setup = Setup()
        task, number = await setup.loading("a.pt")
        setup.receive(Resident({"objects/a.pt": info("a.pt")}))
        without_cost_s = setup.dispatcher._cost_s(setup.child, spec("a.pt"))
        setup.receive(Loaded(number, info("a.pt")), Resident(after))
        await task
        assert set(setup.child.resident) == set(after)
        assert setup.dispatcher._cost_s(setup.child, spec("a.pt")) == without_cost_s + LOAD_COST_S
        task, number = await setup.loading("a.pt")
        assert len(setup.pipe.sent) == 2
        setup.receive(Loaded(number, info("a.pt")))
        await task

    asyncio.run(script())
