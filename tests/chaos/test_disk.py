"""Weights that cannot be downloaded, kept or shared: the weights, or an honest refusal."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from hub_server import may_mount
from local_hub import Hub, local_hub, stalls
from outcomes import Outcome, Table
from running import Server
from traffic import check_ended, check_whole
from weights_faults import (
    CONTENT,
    FAULTS,
    GIVEN,
    OWN,
    REFUSED,
    ask,
    hub_service,
    left_in,
    name_of,
    put_on,
    recorded_in,
)

from bench.clips.generate import make_small
from ipc.arena import sweep

DEADLINE_S = 120
PATIENT = {"EIOKU_TEST_DOWNLOAD_S": str(DEADLINE_S), "EIOKU_TEST_STALL_S": str(DEADLINE_S)}
NAME = name_of(0)
ONE = {NAME: True}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with local_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    make_small(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.mkdir()
    return path


def test_hubs_that_fail(
    hub: Hub, clip: Path, folder: Path, new_table: Callable[[str], Table]
) -> None:
    table = new_table("Weights: hubs that fail")
    names = {name_of(i): checksum for i, (_, checksum, _) in enumerate(FAULTS.values())}
    with hub_service(clip.parent, folder, hub, names) as server:
        for name, (fault, (way, _, allowed)) in zip(names, FAULTS.items(), strict=True):
            put_on(hub, name, way)
            table.add(_checked(ask(server, clip, name, fault, allowed, folder), name, folder))
        for name, fault in zip(names, FAULTS, strict=True):  # the hub is repaired
            put_on(hub, name)
            again = ask(server, clip, name, f"{fault}, then none", GIVEN, folder)
            table.add(_checked(again, name, folder))
        table.check(least=2 * len(FAULTS))
        assert left_in(folder) == recorded_in(folder) == set(names)
        check_whole(server)
        check_ended(server)


def test_what_a_crash_left(
    hub: Hub, clip: Path, folder: Path, new_table: Callable[[str], Table]
) -> None:
    """Partial files, and the lock of a process that is gone."""
    table = new_table("Weights: what a crash left")
    put_on(hub, NAME)
    for name in (NAME, "manifest.json", ".hubs.json"):
        (folder / f".{name}.abcd1234.part").write_bytes(CONTENT[:1000])
    _lock_and_die(folder / ".locks" / NAME)
    with hub_service(clip.parent, folder, hub, ONE) as server:
        table.add(ask(server, clip, NAME, "partial files, lock", GIVEN, folder))
    table.check()
    assert left_in(folder) == {NAME}


def test_a_worker_that_dies_in_a_download(
    hub: Hub, clip: Path, folder: Path, new_table: Callable[[str], Table]
) -> None:
    table = new_table("Weights: worker killed in a download")
    put_on(hub, NAME, stalls)
    with (
        hub_service(clip.parent, folder, hub, ONE, **PATIENT) as server,
        ThreadPoolExecutor(1) as thread,
    ):
        asked = thread.submit(ask, server, clip, NAME, "killed", GIVEN, folder)
        assert hub.asked.wait(DEADLINE_S)
        assert any(name.endswith(".part") for name in left_in(folder))
        os.kill(server.pid_of("worker-0"), signal.SIGKILL)
        hub.released.set()
        table.add(asked.result(DEADLINE_S))
        table.check()
        assert left_in(folder) == recorded_in(folder) == {NAME}


@pytest.mark.parametrize("dies", [False, True], ids=["both live", "one dies"])
def test_two_servers_share_a_folder(
    dies: bool, hub: Hub, clip: Path, folder: Path, new_table: Callable[[str], Table]
) -> None:
    """They download once; if one dies meanwhile, the other one does it again."""
    table = new_table("Weights: two servers, " + ("one dies" if dies else "at the same time"))
    put_on(hub, NAME, stalls)
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(hub_service(clip.parent, folder, hub, ONE, **PATIENT))
            for _ in range(2)
        )
        threads = stack.enter_context(ThreadPoolExecutor(2))
        one = threads.submit(ask, first, clip, NAME, "first", GIVEN, folder)
        assert hub.asked.wait(DEADLINE_S)
        other = threads.submit(ask, second, clip, NAME, "second", GIVEN, folder)
        second.wait_until(lambda: second.metric("eioku_requests_in_progress") > 0, "asked")
        if dies:
            kill(first)
        hub.released.set()
        answers = [other.result(DEADLINE_S), *([] if dies else [one.result(DEADLINE_S)])]
        table.extend(answers)
        table.check(least=len(answers))
        assert hub.gets == [f"/{NAME}"] * (2 if dies else 1)
        assert left_in(folder) == recorded_in(folder) == {NAME}
    sweep()  # the frame pool of the server that was killed, as the next start would


FULL = ["largest file", *(["file system"] if may_mount() else [])]


@pytest.mark.parametrize("full", FULL)
def test_a_full_disk(
    full: str, hub: Hub, clip: Path, folder: Path, new_table: Callable[[str], Table]
) -> None:
    """What fits is served; what does not is refused, and leaves nothing."""
    table = new_table(f"Weights: a full disk ({full})")
    put_on(hub, NAME)
    put_on(hub, name_of(1))
    limit = {"EIOKU_TEST_MOUNT": "full"}
    if full == "largest file":
        limit = {"EIOKU_TEST_FILE_SIZE": str(len(CONTENT) // 2)}
    with hub_service(clip.parent, folder, hub, {NAME: True, name_of(1): True}, **limit) as server:
        seen = Path(f"/proc/{server.process.pid}/root{folder}")
        (seen / OWN).write_bytes(CONTENT)
        if full == "file system":
            (seen / "filler").write_bytes(bytes((2 << 20) - len(CONTENT) - (64 << 10)))
        refused = ask(server, clip, NAME, "no room", REFUSED, folder)
        table.add(refused)
        if full == "file system":
            with (seen / "filler").open("ab") as filler:
                _fill(filler.fileno())
        table.add(ask(server, clip, OWN, "no room, file is there", GIVEN, folder))
        table.add(ask(server, clip, NAME, "no room at all", REFUSED, folder))
        assert left_in(seen) - {"filler"} == {OWN}
        if full == "file system":
            (seen / "filler").unlink()
            table.add(ask(server, clip, NAME, "room again", GIVEN, folder))
            assert left_in(seen) == {OWN, NAME}
        table.check()
        check_whole(server)


def test_a_read_only_folder(
    hub: Hub, clip: Path, folder: Path, new_table: Callable[[str], Table]
) -> None:
    table = new_table("Weights: a read-only folder")
    put_on(hub, NAME)
    (folder / OWN).write_bytes(CONTENT)
    limit = {"EIOKU_TEST_MOUNT": "read-only"} if may_mount() else {}
    if not limit:
        if os.geteuid() == 0:
            pytest.skip("root writes everywhere, and nothing can be mounted here")
        folder.chmod(0o555)
    with hub_service(clip.parent, folder, hub, ONE, **limit) as server:
        table.add(ask(server, clip, OWN, "file is there", GIVEN, folder))
        table.add(ask(server, clip, NAME, "file is missing", REFUSED, folder))
        table.check(least=2)
        check_whole(server)
    folder.chmod(0o755)
    assert left_in(folder) == {OWN}


def kill(server: Server) -> None:
    """End the front with SIGKILL; return when its worker has noticed, and ended too."""
    worker = os.pidfd_open(server.pid_of("worker-0"))
    server.process.kill()
    ended, _, _ = select.select([worker], [], [], DEADLINE_S)
    os.close(worker)
    assert ended


def _checked(outcome: Outcome, name: str, folder: Path) -> Outcome:
    """Wrong, too, if a refused file is there or recorded, or if anything partial is."""
    expected = {name} if outcome.result == GIVEN else set()
    left = {file for file in left_in(folder) if name in file}
    recorded = recorded_in(folder) & {name}
    if outcome.wrong or left == recorded == expected:
        return outcome
    return Outcome(outcome.fault, outcome.result, f"left {left}, recorded {recorded}")


def _lock_and_die(path: Path) -> None:
    """Take the lock in a process that ends without giving it back."""
    code = (
        "import fcntl, os, signal, sys, pathlib; path = pathlib.Path(sys.argv[1]);"
        "path.parent.mkdir(); file = path.open('w'); fcntl.flock(file, fcntl.LOCK_EX);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    dead = subprocess.run([sys.executable, "-c", code, str(path)], timeout=DEADLINE_S)
    assert dead.returncode == -signal.SIGKILL
    assert path.exists()


def _fill(file: int) -> None:
    """Write until nothing more fits."""
    for size in (1 << 16, 1 << 12, 1):
        try:
            while True:
                os.write(file, bytes(size))
        except OSError:
            continue
