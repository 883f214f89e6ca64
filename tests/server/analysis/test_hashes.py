"""Input hashes: an unchanged file is read only once."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path

import pytest
from held_open import held_open

from ipc.files import file_ref
from server.analysis import hashes
from server.analysis.hashes import HASHED_AT_ONCE, InputHashes
from server.errors import Problem

ABC = "44bc2cf5ad770999"
DEADLINE_S = 60


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every file that is read, in order."""
    read: list[str] = []
    real = hashes.input_hash

    def counted(path: str) -> str:
        read.append(path)
        return real(path)

    monkeypatch.setattr(hashes, "input_hash", counted)
    return read


def test_one_reading_serves_all_until_the_file_changes(reads: list[str], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")

    async def scenario() -> None:
        known = InputHashes()
        at_once = await asyncio.gather(*(known.of(held_open(path), None) for _ in range(6)))
        assert set(at_once) == {ABC}
        await known.of(held_open(path), ABC.upper())
        assert len(reads) == 1
        path.write_bytes(b"abcd")
        assert await known.of(held_open(path), None) != ABC
        assert len(reads) == 2
        with pytest.raises(Problem) as refusal:
            await known.of(held_open(path), ABC)
        assert refusal.value.code == "input_hash_mismatch"

    asyncio.run(scenario())


def test_a_file_that_is_replaced_is_still_the_one_that_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    opened = held_open(path)
    (tmp_path / "other").write_bytes(b"abcd")
    (tmp_path / "other").rename(path)
    assert asyncio.run(InputHashes().of(opened, None)) == ABC


def test_a_file_that_grows_while_it_is_read_has_no_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    real = hashes.input_hash

    def growing(opened: str) -> str:
        digest = real(opened)
        with path.open("ab") as file:
            file.write(b"d")
        return digest

    monkeypatch.setattr(hashes, "input_hash", growing)

    async def scenario() -> None:
        known = InputHashes()
        before = held_open(path)
        with pytest.raises(Problem, match="changed while it was being read") as refusal:
            await known.of(before, None)
        assert refusal.value.code == "input_hash_mismatch"
        monkeypatch.setattr(hashes, "input_hash", real)
        assert await known.of(held_open(path), None) != ABC
        with pytest.raises(Problem, match="changed while it was being read"):
            await known.of(before, None)

    asyncio.run(scenario())


def test_a_file_that_can_no_longer_be_opened_is_a_400(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    gone = held_open(path)
    gone = type(gone)("/proc/self/fd/9999", *gone.identity)
    with pytest.raises(Problem) as refusal:
        asyncio.run(InputHashes().of(gone, None))
    assert refusal.value.code == "video_not_found"


@pytest.mark.parametrize("modified_ns", [1_000_000_001, 1_000_000_000])
def test_a_change_within_the_resolution_of_the_time_of_modification_is_noticed(
    modified_ns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second content has the size and the time of the first."""
    path = tmp_path / "file"
    write_at(path, b"xyz", modified_ns)
    monkeypatch.setattr(hashes.time, "time_ns", lambda: modified_ns + 1_000_000)

    async def change(seconds: float) -> None:
        assert seconds > 0
        write_at(path, b"abc", modified_ns)

    monkeypatch.setattr(asyncio, "sleep", change)

    async def scenario() -> None:
        known = InputHashes()
        await known.settle(held_open(path))
        assert await known.of(held_open(path), None) == ABC

    asyncio.run(scenario())


@pytest.mark.parametrize("age_s", [3600, 3, -3600])
def test_an_old_file_is_read_at_once(
    age_s: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_at(path, b"abc", 10**18)
    monkeypatch.setattr(hashes.time, "time_ns", lambda: 10**18 + age_s * 10**9)
    monkeypatch.setattr(asyncio, "sleep", lambda _: pytest.fail("it waits"))
    asyncio.run(InputHashes().settle(held_open(path)))


def test_a_file_whose_hash_is_known_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else can change an upload: it has no name."""
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    known = InputHashes()
    known.remember(held_open(path), ABC)
    monkeypatch.setattr(asyncio, "sleep", lambda _: pytest.fail("it waits"))
    asyncio.run(known.settle(held_open(path)))


class BusyReaders:
    """Readers that start nothing new until they are let go."""

    def __init__(self, known: InputHashes) -> None:
        self._gate = threading.Event()
        for _ in range(HASHED_AT_ONCE):
            known._readers.submit(self._gate.wait, DEADLINE_S)

    def let_go(self) -> None:
        self._gate.set()


def test_a_client_that_is_gone_does_not_spoil_the_reading_for_others(tmp_path: Path) -> None:
    """Its file is closed before the reading begins."""
    path = tmp_path / "file"
    path.write_bytes(b"abc")

    async def scenario() -> None:
        known = InputHashes()
        readers = BusyReaders(known)
        descriptor = os.open(path, os.O_RDONLY)
        first = asyncio.ensure_future(known.of(file_ref(descriptor), None))
        second = asyncio.ensure_future(known.of(held_open(path), None))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        os.close(descriptor)
        readers.let_go()
        assert await second == ABC

    asyncio.run(scenario())


def test_a_failure_that_nobody_awaits_is_no_error_of_the_service(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    reported: list[object] = []

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(context)
        )
        known = InputHashes()
        readers = BusyReaders(known)
        gone = asyncio.ensure_future(known.of(held_open(path), None))
        await asyncio.sleep(0)
        (reading,) = known._reading.values()
        gone.cancel()
        path.write_bytes(b"abcd")
        readers.let_go()
        await asyncio.wait([reading])

    asyncio.run(scenario())
    gc.collect()
    assert reported == []


def write_at(path: Path, content: bytes, modified_ns: int) -> None:
    path.write_bytes(content)
    os.utime(path, ns=(modified_ns, modified_ns))
