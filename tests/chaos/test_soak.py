"""Thousands of mixed requests: no process grows, whatever is sent to it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from clip_library import ClipLibrary
from growth import QUANTITIES, Growth, Quantity
from mixed_requests import Mixed
from outcomes import COUNT, SHORT_COUNT, Table
from running import SUPPORT, Server
from traffic import at_once, chaos_server, check_ended, check_whole, until

from bench.clips.generate import make_small

LONG = COUNT > SHORT_COUNT
SAMPLES = 40 if LONG else 10
WARM_UPS = 2
CONTROL_COUNT, CONTROL_SAMPLES = 60, 10
CONTROL_TASKS = {"objects": 1, "scenes": 1}
# A child returns freed memory to the kernel after one second without work.
GIVE_BACK_S = 1.5


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    make_small(path, seconds=2, width=320, height=180, fps=12)
    return path


def processes(server: Server) -> dict[str, int]:
    """The front and its children, by name."""
    names = {event["child"] for event in server.log if event["event"] == "child ready"}
    return {"front": server.process.pid} | {name: server.pid_of(name) for name in sorted(names)}


def soak(server: Server, mixed: Mixed, table: Table, count: int, samples: int) -> Growth:
    """Send requests in blocks, and measure all processes between two blocks."""
    growth = Growth()
    for _ in range(WARM_UPS):
        table.extend(at_once(mixed.one_of_each()))
    for block in range(samples):
        numbers = range(block * count // samples, (block + 1) * count // samples)
        table.extend(at_once(mixed.request(number) for number in numbers))
        until(server, lambda: server.metric("eioku_requests_in_progress") == 0)
        threading.Event().wait(GIVE_BACK_S)
        growth.sample(processes(server), numbers.stop)
    return growth


def test_nothing_grows(
    clip: Path,
    tmp_path: Path,
    clips: ClipLibrary,
    weights_dir: Path,
    new_table: Callable[[str], Table],
) -> None:
    table, sizes = new_table("Soak"), new_table("Soak: growth of the processes")
    folders = {"MEDIA_ROOTS": f"{tmp_path}:{clip.parent}", "MODEL_CACHE_DIR": str(weights_dir)}
    with chaos_server(tmp_path, "server", **folders) as server:
        mixed = Mixed(server, tmp_path, clip, clips)
        sizes.extend(soak(server, mixed, table, COUNT, SAMPLES).outcomes())
        check_whole(server)
        check_ended(server)
    table.check(least=COUNT)
    sizes.check(least=len(QUANTITIES))


@pytest.mark.parametrize("fault", ["leaks memory", "leaks files"])
def test_a_planted_leak_is_found(
    fault: str,
    clip: Path,
    tmp_path: Path,
    clips: ClipLibrary,
    new_table: Callable[[str], Table],
) -> None:
    """The control: a decoder that keeps something of each frame."""
    folders = {"MEDIA_ROOTS": f"{tmp_path}:{clip.parent}", "MODEL_CACHE_DIR": str(tmp_path)}
    environ = {"CHAOS_PLANT": fault, "PYTHONPATH": f"{SUPPORT}:{Path(__file__).parent}"}
    table, sizes = Table("control"), new_table(f"Soak: control, a decoder that {fault}")
    with chaos_server(tmp_path, "planted", DECODE_PROCESSES="1", **folders, **environ) as server:
        mixed = Mixed(server, tmp_path, clip, clips, CONTROL_TASKS)
        growth = soak(server, mixed, table, CONTROL_COUNT, CONTROL_SAMPLES)
    sizes.extend(growth.outcomes())
    table.check(least=CONTROL_COUNT)
    expected = {"leaks memory": "memory (MB)", "leaks files": "open files"}[fault]
    assert [line.split(": ")[1] for line in sizes.wrong] == [expected]
    assert sizes.wrong[0].startswith("decoder-0")
    sizes.wrong.clear()  # it was expected


def verdict(values: Sequence[float], most: float = 16.0) -> bool:
    """Whether the values, one per sample, count as growth."""
    quantity = Quantity("memory", most, lambda _: 0.0)
    points = [(100.0 * number, value) for number, value in enumerate(values)]
    return bool(Growth({("front", quantity): points}).outcomes()[0].wrong)


def noisy(values: Sequence[float], noise: float = 5.0) -> list[float]:
    rng = random.Random(1)
    return [value + rng.gauss(0, noise) for value in values]


@pytest.mark.parametrize("count", [10, 40])
def test_what_counts_as_growth(count: int) -> None:
    assert verdict([200 + 100 * number / count for number in range(count)])
    assert verdict(noisy([200 + 100 * number / count for number in range(count)]))
    assert verdict([max(0.0, number - count / 2) * 60 / count for number in range(count)])


@pytest.mark.parametrize("count", [10, 40])
def test_what_does_not_count_as_growth(count: int) -> None:
    assert not verdict([200.0] * count)
    assert not verdict(noisy([200.0] * count))
    assert not verdict([200 + 500 * min(1.0, 2 * number / count) for number in range(count)])
    assert not verdict([200.0] * (count - 1) + [500.0])  # one sample is far off
    assert not verdict([500.0 - number for number in range(count)])
