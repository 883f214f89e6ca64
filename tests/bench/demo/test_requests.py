"""The demo's requests, against a service that responses as a test wants it to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from demo_replies import replies
from rich.console import Console

from bench.demo import __main__ as demo
from bench.demo.requests import SHAPES, TASKS, Reply, send_all
from bench.service_process import ServiceFailed

DONE = {"event": "done", "run_id": "1"}
CONSOLE = Console(quiet=True)


def result(name: str) -> dict[str, Any]:
    response = replies()[SHAPES if name == "shapes" else name].response
    task = "objects" if name == SHAPES else name
    return {"event": "result", "task": task, "response": response}


def client(everything: list[dict[str, Any]], status: int = 200) -> httpx.Client:
    """Answers the request for all tasks with these events, and that for shapes with its result."""

    def respond(request: httpx.Request) -> httpx.Response:
        events = everything if request.url.path == "/infer" else [result(SHAPES), DONE]
        assert json.loads(request.content)["video_path"] == "/media/clip.mp4"
        return httpx.Response(status, text="\n".join(json.dumps(event) for event in events))

    return httpx.Client(transport=httpx.MockTransport(respond), base_url="http://service")


def ask(service: httpx.Client) -> dict[str, Reply]:
    return send_all(service, Path("/media/clip.mp4"), CONSOLE)


def test_every_task_gets_a_response() -> None:
    progress = {"event": "progress", "task": "ocr", "frames_done": 0, "frames_total": 0}
    events = [{"event": "started", "task": "ocr"}, progress, {**progress, "frames_total": 9}]
    found = ask(client([*events, *map(result, TASKS), DONE]))
    assert list(found) == [*TASKS, SHAPES]
    assert {name: reply.response for name, reply in found.items()} == {
        name: reply.response for name, reply in replies().items()
    }


def test_a_task_that_fails_does_not_hide_the_others() -> None:
    problem = {"code": "model_unavailable", "detail": "no file"}
    error = {"event": "error", "task": "ocr", "problem": problem}
    found = ask(client([error, *(result(name) for name in TASKS if name != "ocr"), DONE]))
    assert found["ocr"] == Reply("ocr", None, "model_unavailable: no file")
    assert found["objects"].response


@pytest.mark.parametrize(
    ("events", "status", "message"),
    [
        ([result("ocr")], 200, "ended the response early"),
        ([{"event": "error", "problem": {"detail": "no decoder"}}], 200, "no decoder"),
        ([{"title": "Overloaded", "detail": "try again"}], 429, "Overloaded: try again"),
    ],
)
def test_a_request_that_fails_says_why(
    events: list[dict[str, Any]], status: int, message: str
) -> None:
    with pytest.raises(ServiceFailed, match=message):
        ask(client(events, status))


def test_a_service_that_dies_is_an_error_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def die(request: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("peer closed connection")

    @contextmanager
    def dying(log_path: Path, **environ: str) -> Iterator[httpx.Client]:
        log_path.write_text("first\nlast words\n")
        yield httpx.Client(transport=httpx.MockTransport(die), base_url="http://service")

    monkeypatch.setattr(demo, "service", dying)
    monkeypatch.setattr(demo, "OUTPUT", tmp_path)
    monkeypatch.setattr(demo, "make_narrated", lambda path: None)
    monkeypatch.setattr(demo, "_ensure_weights", lambda log_path, console: None)
    assert demo.main() == 1
    shown = capsys.readouterr().out
    assert "The demo failed: the service does not respond" in shown
    assert "last words" in shown
