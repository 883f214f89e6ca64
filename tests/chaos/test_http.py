"""Clients that break HTTP, are slow, or disappear: the front stays small, and answers others."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bad_requests import FORM, MB, PART, BadRequest, bad_forms, bad_http, bad_json
from clip_library import ClipLibrary
from outcomes import COUNT, Outcome, Table, seeded, share
from raw_http import (
    CLOSE,
    CLOSED,
    connect,
    disappear,
    exchange,
    first_status,
    head,
    many_connections,
    post,
    statuses,
)
from running import Server
from traffic import Undisturbed, alive, at_once, chaos_server, check_whole, judged, until

MOST_GROWTH_MB = 64
IDLE = min(2000, max(200, COUNT))
SAME_LOOKS = 50
PIPELINED = 50
UPLOAD = PART % (b"file", bytes(MB))


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def server(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = tmp_path_factory.mktemp("models")
    with chaos_server(media, MODEL_CACHE_DIR=str(models), MAX_UPLOAD_MB="2") as server:
        yield server


@pytest.fixture(autouse=True)
def front(server: Server, media: Path, clips: ClipLibrary) -> Iterator[None]:
    """After each test the front is as small as before, holds no more files, and answers as ever."""
    fields = {"objects": {"model_name": "mean.pt", "frame_interval": 7}}
    undisturbed = Undisturbed(server, media, [clips.path("takes.mp4")], fields)
    before_mb, before_files = rss_mb(server), open_files(server)
    yield
    assert [outcome.wrong for outcome in undisturbed.all_again()] == [""]
    check_whole(server)
    assert rss_mb(server) - before_mb < MOST_GROWTH_MB
    # Two for connections that the client keeps alive.
    until(server, lambda: open_files(server) <= before_files + 2)


def rss_mb(server: Server) -> int:
    """The resident memory of the front, without the frame pool that it shares."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) // 1024


def settled_files(server: Server) -> int:
    """How many files are open once the connections of earlier requests are closed."""
    counts = [open_files(server)]

    def same_again() -> bool:
        counts.append(open_files(server))
        return len(counts) >= SAME_LOOKS and len(set(counts[-SAME_LOOKS:])) == 1

    until(server, same_again)
    return counts[-1]


def open_files(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@pytest.mark.parametrize("cases", [bad_json, bad_http, bad_forms])
def test_bad_requests(
    cases: Callable[[], dict[str, BadRequest]], server: Server, new_table: Callable[[str], Table]
) -> None:
    table = new_table(f"HTTP: {cases.__name__.replace('_', ' ')}")
    for fault, request in cases().items():
        answer = exchange(server, request.pieces, end=CLOSED in request.allowed)
        wrong = "a traceback" if b"Traceback" in answer or b'File "' in answer else ""
        result = first_status(answer)
        table.add(
            judged(fault, result, request.allowed) if not wrong else Outcome(fault, result, wrong)
        )
        alive(server)
    table.check()


def test_random_bytes(server: Server, new_table: Callable[[str], Table]) -> None:
    """Good requests with bytes changed anywhere."""
    table = new_table("HTTP: changed bytes")
    whole = post(UPLOAD[:2000] + b"\r\n" + PART % (b"request", b"{}") + b"--x--", FORM)

    def send(number: int) -> Outcome:
        rng = seeded("http", number)
        changed = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(400 if rng.random() < 0.8 else len(changed))] = rng.randrange(256)
        status = first_status(exchange(server, [bytes(changed)], end=True))
        return Outcome(
            "bytes", status, "" if status == CLOSED or status[0] in "24" else f"{number}"
        )

    table.extend(at_once([lambda n=number: send(n) for number in range(COUNT)]))
    table.check(least=COUNT)
    alive(server)


def test_clients_that_trickle(server: Server, new_table: Callable[[str], Table]) -> None:
    """One byte at a time; others are answered between any two."""
    table = new_table("HTTP: one byte at a time")
    request = post(b'{"video_path": "/nowhere"}', "Content-Type: application/json")
    with many_connections(server, 20) as connections:
        for byte in request:
            for connection in connections:
                connection.sendall(bytes([byte]))
            alive(server)
        for connection in connections:
            table.add(judged("slow", first_status(connection.recv(1 << 16)), {"403"}))
    table.check(least=20)


def test_clients_that_disappear(server: Server, new_table: Callable[[str], Table]) -> None:
    """In the middle of a head, of a body, of an upload, and before the answer."""
    table = new_table("HTTP: clients that disappear")
    starts = {
        "in the head": head(FORM)[:40],
        "in the body": post(b'{"video_path": ', length=1000),
        "in the upload": head(FORM, "Content-Length: 2000000") + UPLOAD,
        "before the answer": post(UPLOAD + b"--x--", FORM),
    }
    for number in range(share(0.1, least=40)):
        fault = list(starts)[number % len(starts)]
        connection = connect(server)
        connection.sendall(starts[fault])
        alive(server)
        disappear(connection)
        table.add(Outcome(fault, "none awaited"))
    table.check()


def test_pipelining(server: Server, new_table: Callable[[str], Table]) -> None:
    table = new_table("HTTP: requests in one go")
    body = b'{"video_path": "/nowhere"}'
    for fault, last, expected in (
        ("GET", head(method="GET", path="/livez"), "200"),
        ("POST", post(body), "403"),
    ):
        others = last.replace(f"{CLOSE}\r\n".encode(), b"") * (PIPELINED - 1)
        found = statuses(exchange(server, [others + last]))
        table.extend(judged(fault, status, {expected}) for status in found)
        assert len(found) == PIPELINED
    table.check(least=2 * PIPELINED)


def test_an_endless_head(server: Server, new_table: Callable[[str], Table]) -> None:
    """Headers, one header, or a path that goes on for 50 MB."""
    table = new_table("HTTP: heads without an end")
    start = b"GET /livez HTTP/1.1\r\n"
    endless = {
        "headers": (start, b"X: " + b"a" * 1000 + b"\r\n"),
        "a header": (start + b"X: ", b"a" * 1000),
        "a path": (b"GET /", b"a" * 1000),
    }
    for fault, (first, piece) in endless.items():
        answer = exchange(server, [first, *[piece] * 50_000])
        table.add(judged(fault, first_status(answer), {"431", CLOSED}))  # a reset may overtake it
    table.check()


def test_idle_connections(server: Server, new_table: Callable[[str], Table]) -> None:
    """Some have sent nothing, some half a head, some half a body."""
    table = new_table("HTTP: idle connections")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 3 * IDLE)), hard))
    before = settled_files(server)
    starts = [b"", head()[:30], post(b"{", length=1000)]
    with many_connections(server, IDLE) as connections:
        for number, connection in enumerate(connections):
            connection.sendall(starts[number % 3])
        until(server, lambda: open_files(server) >= before + IDLE)
        table.extend(Outcome("idle", "connected") for _ in connections)
    until(server, lambda: open_files(server) <= before + 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    table.check(least=IDLE)
