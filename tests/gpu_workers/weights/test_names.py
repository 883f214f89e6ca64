"""Which names are models, and what is remembered of files that lie in the folder."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from gpu_workers.weights import ModelUnavailable, WeightsStore

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    return WeightsStore(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "../a.pt",
        "a/b.pt",
        "/a.pt",
        "a\\b.pt",
        "..",
        "http://x/a.pt",
        "C:a.pt",
        "a\0.pt",
        "",
        ".a.pt",
    ],
)
def test_refuses_what_is_no_bare_name(store: WeightsStore, name: str) -> None:
    with pytest.raises(ModelUnavailable, match="bare name"):
        store.resolve(name, "objects")


def test_refuses_files_that_are_no_models(store: WeightsStore) -> None:
    (store.cache_dir / "notes.txt").write_text("x")
    for name in ("notes.txt", "manifest.json"):
        with pytest.raises(ModelUnavailable, match=r"must end in \.pt"):
            store.resolve(name, "faces")


def test_unknown_model_says_where_it_was_looked_for(store: WeightsStore) -> None:
    with pytest.raises(ModelUnavailable, match=str(store.cache_dir)):
        store.resolve("mine.pt", "objects")


def test_takes_a_file_of_ones_own_and_sees_it_change(store: WeightsStore) -> None:
    path = store.cache_dir / "mine.pt"
    path.write_bytes(CONTENT)
    weights = store.resolve("mine.pt", "objects")
    assert (weights.path, weights.sha256, weights.stand_in) == (path, SHA256, False)
    path.write_bytes(b"other")
    assert store.resolve("mine.pt", "objects").sha256 == hashlib.sha256(b"other").hexdigest()


def test_a_hash_is_not_taken_twice(store: WeightsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    (store.cache_dir / "mine.pt").write_bytes(CONTENT)
    first = store.resolve("mine.pt", "objects")
    monkeypatch.delattr("gpu_workers.weights.store.digest")
    assert WeightsStore(store.cache_dir).resolve("mine.pt", "objects") == first


def test_a_file_that_cannot_be_read_is_named(
    store: WeightsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (store.cache_dir / "mine.pt").write_bytes(CONTENT)

    def fail(*_: object) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("gpu_workers.weights.store.digest", fail)
    reason = rf"mine\.pt in {store.cache_dir} cannot be read: Input/output error\. Check"
    with pytest.raises(ModelUnavailable, match=reason):
        store.resolve("mine.pt", "objects")


def test_a_damaged_manifest_is_named(store: WeightsStore) -> None:
    (store.cache_dir / "mine.pt").write_bytes(CONTENT)
    (store.cache_dir / "manifest.json").write_text("{")
    with pytest.raises(ModelUnavailable, match=r"manifest\.json is damaged"):
        store.resolve("mine.pt", "objects")


def test_a_bundled_model_is_found_beside_the_code(
    store: WeightsStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "shapes.pt").write_bytes(CONTENT)
    monkeypatch.setattr("gpu_workers.weights.store.PACKAGE", bundle)
    assert store.resolve("shapes.pt", "objects").path == bundle / "shapes.pt"
