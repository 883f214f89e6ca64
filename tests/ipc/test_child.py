"""A child's heartbeat: what ends the process, and what does not."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from ipc import child
from ipc.messages import Heartbeat


class Ended(BaseException):
    """Replaces the end of the process."""


class FakeEndpoint:
    """Raises an exception per message; None is success."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.sent: list[Heartbeat] = []

    def send(self, message: Heartbeat) -> None:
        self.sent.append(message)
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome


@pytest.fixture(autouse=True)
def no_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(code: int) -> None:
        raise Ended

    monkeypatch.setattr(os, "_exit", ended)
    monkeypatch.setattr(child, "HEARTBEAT_S", 0.001)


def beat(endpoint: FakeEndpoint, heartbeat: Any = Heartbeat) -> None:
    with pytest.raises(Ended):
        child._beat(endpoint, heartbeat)  # type: ignore[arg-type]


@pytest.mark.parametrize("lost", [BrokenPipeError(), ConnectionResetError()])
def test_a_lost_front_ends_the_process(lost: OSError) -> None:
    endpoint = FakeEndpoint(None, lost)
    beat(endpoint)
    assert len(endpoint.sent) == 2


def test_another_error_of_a_send_does_not() -> None:
    endpoint = FakeEndpoint(
        OSError(errno.ENOMEM, "Cannot allocate memory"), None, BrokenPipeError()
    )
    beat(endpoint)
    assert len(endpoint.sent) == 3


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.ESTALE, "Stale file handle")])
def test_an_error_of_the_content_does_not(error: OSError) -> None:
    def content() -> Heartbeat:
        raise error

    endpoint = FakeEndpoint(None, None, BrokenPipeError())
    beat(endpoint, content)
    assert endpoint.sent == [Heartbeat()] * 3


def test_a_child_that_gives_itself_up_ends() -> None:
    def content() -> Heartbeat:
        raise SystemExit(1)

    endpoint = FakeEndpoint()
    beat(endpoint, content)
    assert endpoint.sent == []
