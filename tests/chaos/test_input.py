"""Damaged files are refused or analysed, whatever the damage, and harm no other request."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from clip_library import ClipLibrary
from damaged_files import PART, damaged_file
from outcomes import COUNT, Outcome, Table, seeded
from running import SUPPORT, Server
from traffic import (
    ANY_ANSWER,
    Undisturbed,
    at_once,
    chaos_server,
    check_ended,
    check_whole,
    judged,
    result_of,
)

AUDIO_SHARE = 0.08
CONTROL_EVERY = 10
PLANTED_COUNT = 20
TASKS: dict[str, dict[str, Any]] = {
    "objects": {"model_name": "mean.pt", "frame_interval": 7},
    "scenes": {},
    "transcribe": {"language": "en"},
}


def some_request(number: int) -> tuple[str, dict[str, Any]]:
    """A task and its fields; some requests are for a late part of the file."""
    rng = seeded("request", number)
    task = "transcribe" if rng.random() < AUDIO_SHARE else rng.choice(["objects", "scenes"])
    late = {"start_ms": rng.choice([500, 1500, 10**6])} if rng.random() < 0.2 else {}
    return task, {**TASKS[task], **late}


def send_damaged(server: Server, folder: Path, clips: ClipLibrary, number: int) -> Outcome:
    """Ask about one damaged file, then delete it."""
    file = damaged_file(number, clips)
    path = file.write(folder)
    task, fields = some_request(number)
    started = time.monotonic()
    result = result_of(partial(server.infer, task, path, **fields))
    seconds = time.monotonic() - started
    path.unlink()
    about = f"{PART} {number}, {task} {fields} about {file.source}"
    return replace(judged(file.fault, result, ANY_ANSWER, about), seconds=seconds)


def inject(
    server: Server, folder: Path, clips: ClipLibrary, table: Table, count: int = COUNT
) -> None:
    """Send damaged files, with whole ones between them; all outcomes are in the table."""
    undisturbed = Undisturbed(server, folder, [clips.path("everything.mp4")], TASKS)
    work: list[Callable[[], Outcome]] = []
    for number in range(count):
        work.append(partial(send_damaged, server, folder, clips, number))
        if number % CONTROL_EVERY == 0:
            work.append(partial(undisturbed.again, number // CONTROL_EVERY))
    table.extend(at_once(work))
    table.extend(undisturbed.all_again())
    table.notes["decoder restarts"] = int(server.metric("eioku_decoder_restarts_total"))


def test_damaged_files(
    tmp_path: Path, clips: ClipLibrary, weights_dir: Path, new_table: Callable[[str], Table]
) -> None:
    table = new_table("Damaged files")
    with chaos_server(tmp_path, MODEL_CACHE_DIR=str(weights_dir)) as server:
        inject(server, tmp_path, clips, table)
        table.check(least=COUNT)
        check_whole(server)
        check_ended(server)


@pytest.mark.parametrize(
    ("fault", "found"), [("raises", "500 internal_error"), ("spoils", "another answer")]
)
def test_a_planted_fault_is_found(
    fault: str, found: str, tmp_path: Path, clips: ClipLibrary, weights_dir: Path
) -> None:
    """The suite itself can fail."""
    environ = {"MODEL_CACHE_DIR": str(weights_dir), "CHAOS_PLANT": fault, "DECODE_PROCESSES": "1"}
    environ["PYTHONPATH"] = f"{SUPPORT}:{Path(__file__).parent}"
    table = Table("planted")
    with chaos_server(tmp_path, "planted", **environ) as server:
        inject(server, tmp_path, clips, table, PLANTED_COUNT)
    with pytest.raises(AssertionError, match=found):
        table.check()


@pytest.mark.parametrize("number", range(20))
def test_a_damaged_file_is_the_same_every_time(number: int, clips: ClipLibrary) -> None:
    assert damaged_file(number, clips) == damaged_file(number, clips)
    assert damaged_file(number, clips).content != damaged_file(number + 1, clips).content
