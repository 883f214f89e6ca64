"""`load` from end to end, against a service whose model takes no time."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Server, running

from bench.clips.generate import make_small
from bench.load import command
from bench.load.sweeps import LoadFailed


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_small(folder / "clip.mp4", seconds=3, audio=False)
    return folder


@pytest.fixture(scope="module")
def server(media: Path) -> Iterator[Server]:
    with running("fake_server", MODEL_CACHE_DIR=str(media), MEDIA_ROOTS=str(media)) as server:
        yield server


def arguments(*given: str, output: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--models", type=Path)
    parser.add_argument("--output", type=Path, default=output)
    command.configure(parser)
    return parser.parse_args(given)


def test_load_measures_closed_and_open_loops(server: Server, media: Path) -> None:
    asked = arguments(
        *("--url", server.url, "--clip", str(media / "clip.mp4"), "--scenario", "single"),
        *("--fields", '{"model_name": "slow-0.pt"}', "--concurrency", "1", "2"),
        *("--rates", "0.1", "--window", "0.4", "--longest-window", "0.4"),
        *("--max-windows", "3"),
        output=media / "out",
    )
    tables = {table.name: table for table in command.run(asked)}
    assert list(tables) == [
        "load-closed-single-cached",
        "load-open-single-cached",
        "load-closed-single-fresh",
        "load-open-single-fresh",
    ]
    rows = [
        (name.rsplit("-", 1)[1], dict(zip(table.columns, row, strict=True)))
        for name, table in tables.items()
        for row in table.rows
    ]
    assert len(rows) == 6
    for files, row in rows:
        assert float(row["requests/s"]) > 0
        # A machine that is busy with other work may stall an open loop, which then says so.
        assert row["errors"] == "0" or row["errors"].startswith("dropped ")
        assert row["devices"] == "cpu 100%"
        assert row["pool hits"] == ("100%" if files == "cached" else "0%")
    recorded = json.loads((media / "out" / "load.json").read_text())
    assert [point["level"]["loop"] for point in recorded["points"]] == [
        *("closed", "closed", "open") * 2
    ]
    assert all(len(point["windows"]) == 3 for point in recorded["points"])
    for point in recorded["points"]:
        if point["level"]["loop"] == "open":
            continue  # nobody knows how many are in flight
        assert point["errors"] == {}
        seconds = point["windows"][-1]["end_s"] - point["windows"][0]["start_s"]
        requests = point["frames_per_s"] * seconds / 3  # of three seconds, one frame of each
        answered = point["video_s_per_s"] * seconds / 3
        in_flight = point["level"]["load"]
        # What is in flight when measuring begins or ends counts on one side only, as does
        # what is answered while the service's counters travel.
        assert abs(requests - answered) <= in_flight + 0.2 * answered
    assert recorded["environment"]["workers"].startswith("worker-0 on cpu")
    assert "slow-0" in recorded["environment"]["models"]
    assert (media / "out" / "load.html").read_text().count("<svg") == 6
    assert not (media / "out" / "clips" / "copies").exists()


def test_a_service_that_refuses_is_told_of_at_once(server: Server, tmp_path: Path) -> None:
    clip = tmp_path / "elsewhere.mp4"
    make_small(clip, seconds=1, audio=False)
    asked = arguments("--url", server.url, "--clip", str(clip), output=tmp_path / "out")
    with pytest.raises(LoadFailed, match=r"path_not_allowed.*MEDIA_ROOTS"):
        command.run(asked)
