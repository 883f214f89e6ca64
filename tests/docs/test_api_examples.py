"""The curl commands of README.md against a service, and its JSON examples against the types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from documents import Command, commands, quoted, table, text_of
from running import Server, running

from bench.clips.generate import make_small
from server.http import request_parsing
from server.settings import Settings, from_environ
from server.tasks.registry import installed

ADDRESS = "localhost:8001"
CLIP = "demo-output/demo.mp4"
WITHOUT_WEIGHTS = {"objects", "scenes"}  # `objects` is a fake one
CURLS = [command for command in commands("README.md") if command.words[0] == "curl"]


@dataclass
class Call:
    """One curl command, taken apart."""

    path: str = ""
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    form: dict[str, str] = field(default_factory=dict)

    @property
    def task(self) -> str | None:
        return self.path.removeprefix("/infer/") if self.path.startswith("/infer/") else None


def parsed(command: Command) -> Call:
    call = Call()
    words = iter(command.words[1:])
    for word in words:
        match word:
            case "-s" | "-sN" | "-sOJ":
                pass
            case "-H":
                name, _, value = next(words).partition(": ")
                call.headers[name] = value
            case "-d":
                call.body = next(words)
            case "-F":
                name, _, value = next(words).partition("=")
                call.form[name] = value
            case _:
                assert word.startswith(ADDRESS)
                call.path, _, call.query = word.removeprefix(ADDRESS).partition("?")
    return call


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("media") / "demo.mp4"
    make_small(path, seconds=2, width=320, height=180, fps=10, audio=False)
    return path


@pytest.fixture(scope="module")
def server(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    empty = tmp_path_factory.mktemp("no-models")
    with running("fake_server", MODEL_CACHE_DIR=str(empty), MEDIA_ROOTS=str(clip.parent)) as server:
        yield server


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("models")
    return from_environ({"MODEL_CACHE_DIR": str(folder), "DEVICES": "cpu"}, ())


def send(call: Call, server: Server, clip: Path) -> httpx.Response:
    if not call.form:
        body = call.body.replace(CLIP, str(clip))
        url = f"{call.path}?{call.query}"
        return server.client.post(url, content=body, headers=call.headers)
    assert call.form.pop("file") == f"@{CLIP}"
    files = {"file": clip.read_bytes(), **{k: (None, v) for k, v in call.form.items()}}
    return server.client.post(call.path, files=files, headers=call.headers)


@pytest.mark.parametrize("command", CURLS, ids=lambda command: command.text)
def test_curl(command: Command, server: Server, clip: Path, settings: Settings) -> None:
    """Tasks that need weights are parsed as requests; all others are sent."""
    call = parsed(command)
    if call.task is not None and call.task not in WITHOUT_WEIGHTS:
        request_parsing.parse(installed()[call.task], call.body.encode(), settings)
        return
    response = send(call, server, clip)
    assert response.status_code == 200, response.text
    if "Accept" in call.headers:
        assert response.headers["content-type"] == call.headers["Accept"]
        events = [json.loads(line) for line in response.text.splitlines()]
        named = "the events are `started`, `progress`, `partial`, `result`, `error` and `done`"
        assert named in " ".join(text_of("README.md").lower().split())
        assert {event["event"] for event in events} <= set(quoted(named))
    elif call.query:
        name = call.query.removeprefix("format=")
        assert response.headers["content-disposition"].startswith("attachment")
        assert name in {export.format.NAME for export in installed()[str(call.task)].exports}
    elif call.task is None:
        assert set(response.json()["results"]) == WITHOUT_WEIGHTS


def test_every_task_and_way_to_ask_has_a_curl() -> None:
    calls = [parsed(command) for command in CURLS]
    assert {call.task for call in calls} == {None, *builtin()}
    assert any(call.form for call in calls)
    assert any("Accept" in call.headers for call in calls)
    assert any("If-None-Match" in call.headers for call in calls)
    assert any(call.query for call in calls)


def test_the_responses_shown_have_the_fields_of_the_contract() -> None:
    shown = [(parsed(command).task, command.example) for command in CURLS if command.example]
    assert {name for name, _ in shown} == set(builtin())
    assert any("run_id" in example for _, example in shown)
    for name, example in shown:
        fields = msgspec.structs.fields(installed()[name].response)
        types = {item.name: item.type for item in fields}
        if "run_id" in example:
            assert set(example) == {item.name for item in fields if item.required}
        for key, value in example.items():
            converted = msgspec.convert(value, types[key])
            assert msgspec.to_builtins(converted) == value, f"{name}: {key}"


def test_the_error_shown_is_the_one_that_is_sent(server: Server, clip: Path) -> None:
    response = server.infer("objects", clip, frame_intervall=5)
    shown = text_of("README.md").split("### Errors")[1].split("```json\n")[1].split("```")[0]
    assert response.json() == json.loads(shown)


def test_the_index_has_the_fields_that_are_named(server: Server) -> None:
    assert "`GET /` returns JSON with `service` and `version`" in text_of("README.md")
    assert set(server.client.get("/").json()) == {"service", "version"}


def test_every_metric_is_listed(server: Server) -> None:
    listed = {name for row in table("README.md", "metric") for name in quoted(row[0])}
    lines = server.client.get("/metrics").text.splitlines()
    kinds = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert listed == {name for name in kinds if not name.endswith("_created")}


def builtin() -> dict[str, Any]:
    return {n: t for n, t in installed().items() if t.worker.startswith("gpu_workers.tasks.")}
