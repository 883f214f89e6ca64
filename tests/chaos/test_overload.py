"""More requests than the service can answer: it answers as many as ever, and refuses the rest."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from gates import Gate
from offered_load import REFUSED, Clients, peak_rate, rate
from outcomes import COUNT, SHORT_COUNT, Outcome, Table
from raw_http import connect, first_status, head
from running import Server
from traffic import alive, chaos_server, check_ended, check_whole, judged, result_of, until

from bench.clips.generate import make_small
from bench.load.loops import OK, Sample

LONG = COUNT > SHORT_COUNT
CAPACITY_S, FLOOD_S = (20.0, 60.0) if LONG else (2.0, 4.0)
FACTOR = 5
POLITE = 100 if LONG else 12
MOST_TRIES = 6
LEAST_SHARE = 0.9  # of the peak throughput, in the long form
WINDOW_S = 2.0
QUEUED = 16
TIMEOUT_S = 60.0
SLOW = {"model_name": "slow-40.pt", "frame_interval": 100}  # one frame: 25 requests per second
HOLD = {"model_name": "hold.pt", "frame_interval": 100}
FIRST = 8
WORKERS = 2
CHUNKS = 4
FORM = ("Content-Type: multipart/form-data; boundary=x", "Content-Length: 1000000")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_small(folder / "clip.mp4", seconds=3.2, width=160, height=90, fps=10, audio=False)
    return folder


@contextmanager
def loaded_server(media: Path, gates: Path, **environ: str) -> Iterator[Server]:
    folders = {"MODEL_CACHE_DIR": str(media), "EIOKU_TEST_FOLDER": str(gates)}
    environ = {"MAX_QUEUED_REQUESTS": str(QUEUED), **folders, **environ}
    with chaos_server(media, "held_server", **environ) as server:
        yield server


def test_an_overloaded_service(
    media: Path, tmp_path: Path, new_table: Callable[[str], Table]
) -> None:
    """Requests at five times the rate that it can answer, and clients that return when told."""
    table = new_table("Overload")
    with loaded_server(media, tmp_path) as server:
        clients = Clients(server, media / "clip.mp4", SLOW, TIMEOUT_S)
        peak, samples = asyncio.run(overload(clients))
        check_whole(server)
        check_ended(server)
    for sample in samples:
        result = "200" if sample.ok else sample.answer.code
        table.add(judged("five times the capacity", result, {"200", REFUSED}))
    for tries in clients.tries:
        wrong = "" if tries <= MOST_TRIES else "too many tries"
        table.add(Outcome("polite client", f"accepted at try {tries}", wrong))
    share = note(table, peak, samples, clients.refusals)
    table.check(least=POLITE)
    assert len(clients.tries) == POLITE
    assert min(clients.refusals) >= 1
    assert share >= LEAST_SHARE or not LONG


async def overload(clients: Clients) -> tuple[float, list[Sample]]:
    """The peak rate of answers, and what came of the requests at five times this rate."""
    peak = peak_rate(await clients.at_capacity(QUEUED, CAPACITY_S), WINDOW_S)
    samples = await clients.at_rate(FACTOR * peak, FLOOD_S, POLITE)
    return peak, samples


def note(table: Table, peak: float, samples: list[Sample], refusals: list[int]) -> float:
    """Write the figures into the table; return the throughput's share of the peak."""
    start = samples[0].intended_s
    sent = [each for each in samples if each.answer.code in (OK, REFUSED)]
    throughput = rate(samples, start + WINDOW_S, start + FLOOD_S)
    refused_ms = sorted(each.latency_ms for each in sent if not each.ok)
    table.notes |= {
        "peak": f"{peak:.1f}/s",
        "offered": f"{len(samples) / FLOOD_S:.1f}/s",
        "throughput": f"{throughput:.1f}/s ({throughput / peak:.0%} of the peak)",
        "429 after": f"{refused_ms[len(refused_ms) // 2]:.0f} ms (median), "
        f"{refused_ms[int(0.99 * len(refused_ms))]:.0f} ms (p99)",
        "Retry-After": f"{min(refusals)} to {max(refusals)} s",
    }
    return throughput / peak


def test_a_refusal_waits_for_nothing(
    media: Path, tmp_path: Path, new_table: Callable[[str], Table]
) -> None:
    """No request is answered until the gate opens; those beyond the limit are refused before."""
    table = new_table("Overload: a service that stands still")
    clip = media / "clip.mp4"
    with closing(Gate(tmp_path / "hold")) as gate, loaded_server(media, tmp_path) as server:
        with ThreadPoolExecutor(QUEUED) as threads:
            held = [threads.submit(server.infer, "objects", clip, **HOLD) for _ in range(QUEUED)]
            until(server, lambda: server.metric("eioku_requests_in_progress") == QUEUED)
            for _ in range(QUEUED):
                result = result_of(lambda: server.infer("objects", clip, **HOLD))
                table.add(judged("one more", result, {"429 overloaded"}))
            table.add(judged("upload, before its body", upload_head(server), {"429"}))
            gate.let_pass(QUEUED)
            for answered in held:
                table.add(judged("admitted", result_of(answered.result), {"200"}))
        table.check(least=2 * QUEUED + 1)
        check_whole(server)


def upload_head(server: Server) -> str:
    """The status of an upload whose body is never sent."""
    with connect(server) as connection:
        connection.sendall(head(*FORM))
        return first_status(connection.recv(1 << 16))


def test_a_model_is_loaded_once_per_worker(
    media: Path, tmp_path: Path, new_table: Callable[[str], Table]
) -> None:
    """Eight first requests at the same time; no load ends before all have arrived."""
    table = new_table("Overload: first requests")
    clip = media / "clip.mp4"
    fields = {"model_name": "first.pt", "frame_interval": 1}
    with (
        closing(Gate(tmp_path / "load")) as gate,
        loaded_server(media, tmp_path, DEVICES=",".join(["cpu"] * WORKERS)) as server,
        ThreadPoolExecutor(FIRST) as threads,
    ):
        asked = [threads.submit(server.infer, "objects", clip, **fields) for _ in range(FIRST)]
        until(server, lambda: server.metric("eioku_requests_in_progress") == FIRST)
        gate.let_pass(FIRST * CHUNKS * WORKERS)
        for answered in asked:
            table.add(judged("first request", result_of(answered.result), {"200"}))
        loads = Counter(e["process"] for e in server.log if e["event"] == "model loads")
        table.notes["loads"] = json.dumps(loads, sort_keys=True)
        table.check(least=FIRST)
        assert loads == {f"worker-{number}": 1 for number in range(WORKERS)}
        alive(server)
