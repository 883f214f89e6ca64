"""Resolving a model name: refusals, downloads from a local server, hashes, stand-in marks."""

import hashlib
import io
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from local_hub import Hub, ends_early, local_hub

from gpu_workers.weights import ModelUnavailable, WeightsStore
from gpu_workers.weights.catalogue import CATALOGUE, Entry
from gpu_workers.weights.hubs import Hubs
from gpu_workers.weights.manifest import Manifest, Record

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def hub() -> Iterator[Hub]:
    with local_hub() as server:
        server.files["/model.pt"] = CONTENT
        yield server


@pytest.fixture
def store(tmp_path: Path, hub: Hub) -> WeightsStore:
    return WeightsStore(tmp_path, Hubs(tmp_path, (hub.url("/"),)))


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> Entry:
    """An entry for the local hub's model, without a published checksum."""
    entry = Entry("model.pt", "objects", hub.url("/model.pt"), "none")
    monkeypatch.setitem(CATALOGUE, entry.name, entry)
    return entry


def relist(monkeypatch: pytest.MonkeyPatch, entry: Entry, **changes: object) -> None:
    import msgspec

    monkeypatch.setitem(CATALOGUE, entry.name, msgspec.structs.replace(entry, **changes))


def visible(folder: Path) -> set[str]:
    """The folder's files, hidden ones included, but for locks and the verdict on the hubs."""
    return {path.name for path in folder.iterdir()} - {".locks", ".hubs.json"}


def test_a_model_of_another_task_is_not_downloaded(store: WeightsStore, listed: Entry) -> None:
    with pytest.raises(ModelUnavailable, match="no known model for faces"):
        store.resolve(listed.name, "faces")


def test_downloads_once(store: WeightsStore, listed: Entry, hub: Hub) -> None:
    assert store.status(listed.name, "objects") == "missing"
    weights = store.resolve(listed.name, "objects")
    assert weights.path.read_bytes() == CONTENT
    assert (weights.sha256, weights.stand_in) == (SHA256, False)
    assert store.resolve(listed.name, "objects") == weights
    assert hub.gets == ["/model.pt"]
    assert store.status(listed.name, "objects") == "ready"
    assert visible(store.cache_dir) == {"model.pt", "manifest.json"}


def test_a_published_checksum_decides(
    store: WeightsStore, listed: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    relist(monkeypatch, listed, checksum="md5:" + "0" * 32)
    found = hashlib.md5(CONTENT).hexdigest()
    with pytest.raises(ModelUnavailable, match=f"md5 {found}, but should have 0{{32}}"):
        store.resolve(listed.name, "objects")
    assert visible(store.cache_dir) == set()
    relist(monkeypatch, listed, checksum=f"md5:{found}")
    assert store.resolve(listed.name, "objects").sha256 == SHA256


def test_a_file_that_lies_there_is_checked_too(
    store: WeightsStore, listed: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    relist(monkeypatch, listed, checksum=f"sha256:{SHA256}")
    (store.cache_dir / "model.pt").write_bytes(b"wrong")
    with pytest.raises(ModelUnavailable, match=SHA256):
        store.resolve(listed.name, "objects")


def test_the_hash_seen_first_is_held_to(store: WeightsStore, listed: Entry, hub: Hub) -> None:
    path = store.resolve(listed.name, "objects").path
    path.unlink()
    hub.files["/model.pt"] = b"changed upstream"
    with pytest.raises(ModelUnavailable, match=SHA256):
        store.resolve(listed.name, "objects")
    assert not path.exists()
    path.write_bytes(b"changed here")
    with pytest.raises(ModelUnavailable, match=hashlib.sha256(b"changed here").hexdigest()):
        store.resolve(listed.name, "objects")


def test_a_broken_off_download_leaves_nothing(store: WeightsStore, listed: Entry, hub: Hub) -> None:
    hub.ways["/model.pt"] = ends_early
    with pytest.raises(ModelUnavailable, match="truncated after 1000 of 300000 bytes"):
        store.resolve(listed.name, "objects")
    assert visible(store.cache_dir) == set()
    hub.ways.clear()
    assert store.resolve(listed.name, "objects").sha256 == SHA256


def test_a_download_may_not_grow_without_end(
    store: WeightsStore, listed: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    relist(monkeypatch, listed, size_bytes=1000)
    with pytest.raises(ModelUnavailable, match="more than the 2000 bytes"):
        store.resolve(listed.name, "objects")
    assert visible(store.cache_dir) == set()


def test_a_missing_file_does_not_condemn_the_hub(
    store: WeightsStore, listed: Entry, hub: Hub
) -> None:
    content = hub.files.pop("/model.pt")
    with pytest.raises(ModelUnavailable, match="404"):
        store.resolve(listed.name, "objects")
    hub.files["/model.pt"] = content
    assert store.resolve(listed.name, "objects").sha256 == SHA256


@pytest.mark.parametrize("member", ["model.pt", "other.pt"])
def test_unpacks_the_wanted_member(
    store: WeightsStore, listed: Entry, hub: Hub, monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(member, CONTENT)
        archive.writestr("../evil.pt", b"evil")
    hub.files["/model.zip"] = packed.getvalue()
    relist(monkeypatch, listed, url=hub.url("/model.zip"), zip_member="model.pt")
    if member == "model.pt":
        assert store.resolve(listed.name, "objects").path.read_bytes() == CONTENT
        assert visible(store.cache_dir) == {"model.pt", "manifest.json"}
    else:
        with pytest.raises(ModelUnavailable, match=r"not a zip with model\.pt"):
            store.resolve(listed.name, "objects")
        assert visible(store.cache_dir) == set()


def test_two_processes_download_once(tmp_path: Path, listed: Entry, hub: Hub) -> None:
    code = f"""
from pathlib import Path
from gpu_workers.weights import WeightsStore
from gpu_workers.weights.catalogue import CATALOGUE, Entry
from gpu_workers.weights.hubs import Hubs
CATALOGUE["model.pt"] = Entry("model.pt", "objects", {listed.url!r}, "none")
folder = Path({str(tmp_path)!r})
print(WeightsStore(folder, Hubs(folder, ({listed.url!r},))).resolve("model.pt", "objects").sha256)
"""
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].strip() for process in both] == [SHA256] * 2
    assert hub.gets == ["/model.pt"]


def test_an_unreachable_hub_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Hub
) -> None:
    hub.server_close()  # nobody listens on its port any more
    entries = [Entry(f"m{i}.pt", "objects", hub.url(f"/m{i}.pt"), "none") for i in range(3)]
    asked: list[str] = []
    monkeypatch.setattr(
        "gpu_workers.weights.hubs._why_no_answer", lambda url: asked.append(url) or "refused"
    )
    for store in (WeightsStore(tmp_path, Hubs(tmp_path, (hub.url("/"),))) for _ in range(2)):
        for entry in entries:
            monkeypatch.setitem(CATALOGUE, entry.name, entry)
            with pytest.raises(ModelUnavailable, match=r"cannot be reached: refused.* standins"):
                store.resolve(entry.name, "objects")
    assert asked == [hub.url("/")]  # the second store read what the first one had found


def test_a_real_refusal_is_explained(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    reason = Hubs(tmp_path, (url,)).reason_unreachable(urlsplit(url).netloc)
    assert "refused" in (reason or "")


def test_a_stand_in_is_marked_until_it_is_replaced(
    store: WeightsStore, listed: Entry, hub: Hub
) -> None:
    del hub.files["/model.pt"]
    path = store.cache_dir / listed.name
    path.write_bytes(b"stand-in")
    sha256 = hashlib.sha256(b"stand-in").hexdigest()
    Manifest(store.cache_dir).add(path.name, Record.of(path, sha256, stand_in=True))
    assert store.resolve(listed.name, "objects").stand_in
    os.utime(path, (1, 1))  # touched, not changed
    assert store.resolve(listed.name, "objects").stand_in
    path.write_bytes(CONTENT)
    assert not store.resolve(listed.name, "objects").stand_in
    path.write_bytes(b"neither")
    with pytest.raises(ModelUnavailable, match=SHA256):  # the real one binds
        store.resolve(listed.name, "objects")


def test_a_stand_in_is_replaced_when_the_hub_answers(
    store: WeightsStore, listed: Entry, hub: Hub
) -> None:
    path = store.cache_dir / listed.name
    path.write_bytes(b"stand-in")
    sha256 = hashlib.sha256(b"stand-in").hexdigest()
    Manifest(store.cache_dir).add(path.name, Record.of(path, sha256, stand_in=True))
    hub.ways["/model.pt"] = ends_early
    kept = store.resolve(listed.name, "objects")
    assert (kept.sha256, kept.stand_in, kept.source) == (sha256, True, "stand-in")
    assert path.read_bytes() == b"stand-in"
    hub.ways.clear()
    real = store.resolve(listed.name, "objects")
    assert (real.sha256, real.stand_in) == (SHA256, False)
    assert real.source == f"hub 127.0.0.1:{hub.server_port}"
    assert visible(store.cache_dir) == {"model.pt", "manifest.json"}


def test_ones_own_file_is_never_replaced(store: WeightsStore, listed: Entry, hub: Hub) -> None:
    (store.cache_dir / listed.name).write_bytes(b"my own")
    weights = store.resolve(listed.name, "objects")
    assert (weights.sha256, weights.source) == (hashlib.sha256(b"my own").hexdigest(), "local")
    assert hub.gets == []


READ_ONLY_CODE = """
import os, sys
from pathlib import Path
from gpu_workers.weights import ModelUnavailable, WeightsStore
from gpu_workers.weights.catalogue import CATALOGUE, Entry
from gpu_workers.weights.hubs import Hubs
folder, url, hubs_folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
CATALOGUE["model.pt"] = Entry("model.pt", "objects", url, "none")
hubs = Hubs(hubs_folder, (url,))
hubs.reason_unreachable("")  # imports what it needs, as long as that can be read
os.chdir(folder)  # which nobody may be able to reach by its path
if os.geteuid() == 0:  # root writes everywhere
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
store = WeightsStore(Path(), hubs)
print(store.resolve("mine.pt", "objects").sha256)
try:
    store.resolve("model.pt", "objects")
except ModelUnavailable as refusal:
    print(refusal)
"""


def test_a_read_only_folder_serves_what_it_has(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, listed: Entry
) -> None:
    """In a process of its own, which is not root's."""
    (tmp_path / "mine.pt").write_bytes(CONTENT)
    tmp_path.chmod(0o555)
    command = [sys.executable, "-c", READ_ONLY_CODE, str(tmp_path), listed.url or ""]
    command.append(str(tmp_path_factory.mktemp("hubs")))
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    finally:
        tmp_path.chmod(0o755)
    served, refused = done.stdout.splitlines()
    assert served == SHA256
    assert "cannot be written to" in refused
