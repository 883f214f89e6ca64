"""Stopping: SIGTERM finishes what is in flight, a second signal or SIGKILL ends everything."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from gates import Gate
from outcomes import Outcome, Table, seeded, share
from processes import arenas, children, must_end, new_connections, semaphores
from running import SUPPORT, Server, running
from slow_download import offered

from bench.clips.generate import make_small

CLIENTS = 8
MOST_CHILDREN = 5  # two decoders, two workers, and the resource tracker
START_S = 2.0
STARTS_SHARE = 0.005
STOPS_SHARE = 0.002
REFUSED = "connection refused"
CLOSED = "connection closed"
DEADLINE_S = 120
GRACE_IS_OVER = "Cancel 2 running task(s), timeout graceful shutdown exceeded"
STOPPING = (503, "no_worker_ready")
CUT_OFF = {signal.SIGTERM: 143, signal.SIGINT: 130}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_small(tmp_path / "clip.mp4", seconds=2, fps=10, audio=False)
    return tmp_path


def environ(folder: Path, **more: str) -> dict[str, str]:
    """For a server that finds clips and gates in a folder."""
    names = ("MODEL_CACHE_DIR", "MEDIA_ROOTS", "EIOKU_TEST_FOLDER")
    path = f"{SUPPORT}:{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}"
    return {**dict.fromkeys(names, str(folder)), "PYTHONPATH": path, **more}


@contextmanager
def held_server(folder: Path, **more: str) -> Iterator[Server]:
    with running("slow_to_stop", **environ(folder, **more)) as server:
        yield server


@contextmanager
def asked(
    server: Server, folder: Path, count: int = 1, **fields: Any
) -> Iterator[list[Future[Any]]]:
    """Requests that the server has accepted, each on a connection of its own."""
    body = {"video_path": str(folder / "clip.mp4"), "frame_interval": 10, **fields}
    with new_connections(server) as client, ThreadPoolExecutor(count) as threads:
        sent = [threads.submit(client.post, "/infer/objects", json=body) for _ in range(count)]
        server.wait_until(
            lambda: server.metric("eioku_requests_in_progress") == count, "all are accepted"
        )
        yield sent


def refuses(server: Server) -> bool:
    """Whether the server accepts no more connections."""
    try:
        socket.create_connection(("127.0.0.1", server.port), DEADLINE_S).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # it was connected when the server stopped listening
    return False


def refusal(request: Future[httpx.Response]) -> tuple[int, str]:
    """The status of the answer, and its code."""
    answer = request.result(DEADLINE_S)
    return answer.status_code, answer.json()["code"]


@contextmanager
def must_leave_nothing(server: Server) -> Iterator[None]:
    """In the block, the server ends: no child is left, and nothing in /dev/shm."""
    names = semaphores(server)
    assert len(names) >= len(arenas(server)) == 1
    with must_end(children(server)):
        yield
    server.close()
    assert arenas(server) == []
    assert [name for name in names if name.exists()] == []
    assert not any("leaked" in event["event"] for event in server.log)


def errors(server: Server) -> list[dict[str, Any]]:
    """What the log has that should not be there when a server stops."""
    return [
        event
        for event in server.log
        if event.get("level") in ("ERROR", "CRITICAL") or "Traceback" in event["event"]
    ]


def test_what_is_in_flight_is_finished_and_nothing_else_begins(folder: Path) -> None:
    gate = Gate(folder / "hold")
    with (
        held_server(folder) as server,
        asked(server, folder, CLIENTS, model_name="hold.pt") as sent,
    ):
        with must_leave_nothing(server):
            server.process.send_signal(signal.SIGTERM)
            server.wait_until(lambda: refuses(server), "new connections are refused")
            assert not any(request.done() for request in sent)
            gate.let_pass(10 * CLIENTS)
            assert [request.result(DEADLINE_S).status_code for request in sent] == [200] * CLIENTS
            assert server.process.wait(DEADLINE_S) == 0
        assert errors(server) == []
    gate.close()


def test_a_model_that_is_being_loaded_is_waited_for(folder: Path) -> None:
    gate = Gate(folder / "load")
    with (
        held_server(folder) as server,
        asked(server, folder, model_name="slow-0.pt") as sent,
        must_leave_nothing(server),
    ):
        server.process.send_signal(signal.SIGTERM)
        server.wait_until(lambda: refuses(server), "new connections are refused")
        gate.let_pass(CLIENTS)
        assert sent[0].result(DEADLINE_S).status_code == 200
        assert server.process.wait(DEADLINE_S) == 0
    gate.close()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(first: int, second: int, folder: Path) -> None:
    """The requests would never end, and the first signal alone would give them 30 s."""
    gate = Gate(folder / "hold")
    with (
        held_server(folder) as server,
        asked(server, folder, CLIENTS, model_name="hold.pt") as sent,
    ):
        with must_leave_nothing(server):
            server.process.send_signal(first)
            server.wait_until(lambda: refuses(server), "new connections are refused")
            server.process.send_signal(second)
            assert server.process.wait(DEADLINE_S) == CUT_OFF[signal.Signals(second)]
        assert [refusal(request) for request in sent] == [STOPPING] * CLIENTS
        assert errors(server) == []
    gate.close()


def test_requests_that_outlast_the_grace_period_are_cut_off(folder: Path) -> None:
    """Nor does a file's hash that hangs keep the process alive."""
    (folder / "no-hash").touch()
    gate = Gate(folder / "hold")
    with (
        held_server(folder, CHAOS_GRACE_S="1") as server,
        asked(server, folder, 2, model_name="hold.pt") as sent,
        must_leave_nothing(server),
    ):
        assert server.stop() == 0
        assert [refusal(request) for request in sent] == [STOPPING] * 2
        assert [event["event"] for event in errors(server)] == [GRACE_IS_OVER]
    gate.close()


def test_children_that_are_stopped_or_hang_end_with_a_killed_front(folder: Path) -> None:
    """A process that is stopped cannot notice anything itself."""
    gate = Gate(folder / "hold")
    with held_server(folder) as server, asked(server, folder, CLIENTS, model_name="hold.pt"):
        pids = children(server)
        with must_end(pids):
            for name in ("decoder-0", "worker-0"):
                os.kill(server.pid_of(name), signal.SIGSTOP)
            assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        assert len(pids) == 5  # with the resource tracker
        assert len(arenas(server)) == 1
    gate.close()
    with held_server(folder) as following:
        assert arenas(server) == []
        answer = following.infer("objects", folder / "clip.mp4", model_name="slow-0.pt")
        assert answer.status_code == 200


@pytest.mark.parametrize("gated", ["decoder-0", "decoder-1", "worker-0", "cpu-worker", None])
def test_a_stop_while_children_start(gated: str | None, folder: Path) -> None:
    """One of them never becomes ready."""
    gate = Gate(folder / f"{gated}-start")
    server = Server("slow_to_stop", {**environ(folder), "FRAME_POOL_MB": "64", "DEVICES": "cpu"})
    try:
        server.wait_until(lambda: len(children(server)) >= MOST_CHILDREN, "all are started")
        if gated is None:
            server.wait_for("service ready")
        with must_leave_nothing(server):
            assert server.stop() == 0
        assert errors(server) == []
    finally:
        server.close()
        gate.close()


def test_a_stop_at_any_moment_of_the_start(folder: Path, new_table: Callable[[str], Table]) -> None:
    """From the first file in /dev/shm on; before, there is nothing to clean up."""
    table = new_table("SIGTERM during the start")
    for number in range(share(STARTS_SHARE, least=2)):
        server = Server("slow_to_stop", {**environ(folder), "FRAME_POOL_MB": "64"})
        try:
            server.wait_until(partial(arenas, server), "the arena is created")
            time.sleep(seeded("start", number).uniform(0, START_S))
            with must_end(children(server)):
                code = server.stop()
            left = [*arenas(server), *errors(server)]
            table.add(Outcome("SIGTERM", f"exit code {code}", str(left) if code or left else ""))
        finally:
            server.close()
    table.check()


def test_a_stop_while_a_model_is_downloaded(folder: Path, weights_dir: Path) -> None:
    """The next start downloads it anew, and deletes what the first one left."""
    with offered((weights_dir / "yolov8n-face.pt").read_bytes()) as download:
        more = {"CHAOS_FACES_URL": download.url, "PRELOAD": "faces", "FRAME_POOL_MB": "64"}
        server = Server("slow_to_stop", {**environ(folder), **more, "DEVICES": "cpu"})
        try:
            assert download.begun.wait(DEADLINE_S)
            with must_leave_nothing(server):
                assert server.stop() == 0
        finally:
            server.close()
        assert len(list(folder.glob(".*.part"))) == 1
        download.go_on.set()
        with held_server(folder, **more) as following:
            answer = following.infer("faces", folder / "clip.mp4")
            assert answer.status_code == 200
        assert list(folder.glob(".*.part")) == []


def test_a_stop_under_load(folder: Path, new_table: Callable[[str], Table]) -> None:
    """At a random moment; each request is answered, or was never accepted."""
    table = new_table("SIGTERM under load")
    for number in range(share(STOPS_SHARE, least=1)):
        with held_server(folder, DEVICES="cpu,cpu") as server:
            with (
                new_connections(server) as client,
                ThreadPoolExecutor(CLIENTS) as threads,
                must_end(children(server)),
            ):
                ask = partial(ask_until_refused, client, folder)
                clients = [threads.submit(ask) for _ in range(CLIENTS)]
                try:
                    server.wait_until(partial(busy, server), "clients are served")
                    time.sleep(seeded("stop", number).uniform(0, START_S))
                    server.process.send_signal(signal.SIGTERM)
                    assert server.process.wait(DEADLINE_S) == 0
                finally:
                    server.process.kill()  # or the clients would go on
            server.close()
            accepted = {event["request_id"] for event in server.log if event["event"] == "request"}
            for request_id, result in itertools.chain(*(client.result() for client in clients)):
                lost = result == CLOSED and request_id in accepted
                wrong = "" if result in ("200", REFUSED, CLOSED) and not lost else request_id
                table.add(Outcome("SIGTERM", result, wrong))
            assert arenas(server) == []
            assert errors(server) == []
    table.check(least=2 * CLIENTS)


def busy(server: Server) -> bool:
    """Whether several clients have a request in progress."""
    return server.metric("eioku_requests_in_progress") >= CLIENTS / 2


def ask_until_refused(client: httpx.Client, folder: Path) -> list[tuple[str, str]]:
    """Send one request after the other; return the id and the result of each."""
    results: list[tuple[str, str]] = []
    body = {"video_path": str(folder / "clip.mp4"), "model_name": "slow-20.pt"}
    while not results or results[-1][1] == "200":
        request_id = uuid.uuid4().hex
        headers = {"X-Request-ID": request_id}
        try:
            answer = client.post("/infer/objects", json=body, headers=headers)
            result = str(answer.status_code)
        except httpx.ConnectError:
            result = REFUSED
        except (httpx.RemoteProtocolError, httpx.ReadError):
            result = CLOSED
        results.append((request_id, result))
    return results
