"""Input hashes: an unchanged file is read only once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from server.analysis import hashes
from server.analysis.hashes import InputHashes
from server.errors import Problem


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file that is read, in order."""
    read: list[Path] = []
    real = hashes.input_hash

    def counted(path: Path) -> str:
        read.append(path)
        return real(path)

    monkeypatch.setattr(hashes, "input_hash", counted)
    return read


def test_one_reading_serves_all_until_the_file_changes(reads: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")

    async def scenario() -> None:
        hashes = InputHashes()
        at_once = await asyncio.gather(*(hashes.of(str(path), None) for _ in range(6)))
        assert set(at_once) == {"44bc2cf5ad770999"}
        await hashes.of(str(path), "44BC2CF5AD770999")
        assert len(reads) == 1
        path.write_bytes(b"abcd")
        assert await hashes.of(str(path), None) != "44bc2cf5ad770999"
        assert len(reads) == 2
        with pytest.raises(Problem) as refusal:
            await hashes.of(str(path), "44bc2cf5ad770999")
        assert refusal.value.code == "input_hash_mismatch"

    asyncio.run(scenario())


def test_a_file_that_is_gone_is_a_400(tmp_path: Path) -> None:
    with pytest.raises(Problem) as refusal:
        asyncio.run(InputHashes().of(str(tmp_path / "none"), None))
    assert refusal.value.code == "video_not_found"
