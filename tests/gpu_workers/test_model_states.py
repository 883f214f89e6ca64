"""The states of the models' files, whatever the folder does: it fills, is damaged, or hangs."""

from __future__ import annotations

import errno
import queue
import threading
from pathlib import Path

import msgspec
import pytest

from gpu_workers import model_states
from gpu_workers.model_states import UNKNOWN, ModelFiles, StatesWatch
from gpu_workers.weights.errors import ModelUnavailable
from gpu_workers.weights.store import Stamp, WeightsStore
from ipc.messages import ModelStates, TaskSpec

DEADLINE_S = 30
NOTHING = msgspec.Raw(b"\x80")
OBJECTS = TaskSpec("objects", "objects/yolov8n.pt", NOTHING, ("yolov8n.pt",))
NETWORK, LIST = "resnet18_places365.pth.tar", "IO_places365.txt"
PLACES = TaskSpec("places", "places", NOTHING, (NETWORK, LIST))


class HangingStore(WeightsStore):
    """A folder that answers so many times, and then no more until the test lets it."""

    def __init__(self, folder: Path, answers: int) -> None:
        super().__init__(folder)
        self.answers = answers
        self.hangs = threading.Event()
        self.goes_on = threading.Event()

    def stamp(self, name: str, task: str) -> Stamp | None:
        self.answers -= 1
        if self.answers < 0:
            self.hangs.set()
            self.goes_on.wait(DEADLINE_S)
        return super().stamp(name, task)


class Watched:
    """A watch, and what it reports."""

    def __init__(self, weights: WeightsStore, *defaults: TaskSpec) -> None:
        self.files = ModelFiles(weights)
        self._reports: queue.Queue[ModelStates] = queue.Queue()
        self.watch = StatesWatch(self.files, defaults, self._reports.put)

    def next(self) -> dict[str, str]:
        return self._reports.get(timeout=DEADLINE_S).files


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_states, "REFRESH_S", 0.01)


def test_files_that_come_and_go(tmp_path: Path) -> None:
    watched = Watched(WeightsStore(tmp_path), OBJECTS, PLACES)
    watched.watch.start()
    assert set(watched.next().values()) == {UNKNOWN}
    missing = {"yolov8n.pt": "missing", NETWORK: "missing", LIST: "ready"}
    assert watched.next() == missing
    (tmp_path / "yolov8n.pt").touch()
    assert watched.next() == {**missing, "yolov8n.pt": "ready"}
    (tmp_path / "yolov8n.pt").unlink()
    assert watched.next() == missing


def test_a_refresh_is_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_states, "REFRESH_S", 10_000)
    watched = Watched(WeightsStore(tmp_path), OBJECTS)
    watched.watch.start()
    assert [watched.next(), watched.next()][1] == {"yolov8n.pt": "missing"}
    (tmp_path / "yolov8n.pt").touch()
    watched.watch.refresh()
    assert watched.next() == {"yolov8n.pt": "ready"}


def test_a_folder_that_hangs_keeps_its_last_states(tmp_path: Path) -> None:
    (tmp_path / "yolov8n.pt").touch()
    store = HangingStore(tmp_path, answers=1)
    watched = Watched(store, OBJECTS)
    watched.watch.start()
    assert [watched.next(), watched.next()][1] == {"yolov8n.pt": "ready"}
    assert store.hangs.wait(DEADLINE_S)
    (tmp_path / "yolov8n.pt").unlink()
    assert watched._reports.empty()
    store.goes_on.set()
    assert watched.next() == {"yolov8n.pt": "missing"}


def test_a_folder_that_never_answers_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_states, "FIRST_S", 0.01)
    store = HangingStore(tmp_path, answers=0)
    watched = Watched(store, OBJECTS)
    watched.watch.start()
    assert watched.next() == {"yolov8n.pt": UNKNOWN}
    assert store.hangs.wait(DEADLINE_S)
    assert watched._reports.empty()
    store.goes_on.set()


def test_nothing_is_loaded_from_a_folder_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "yolov8n.pt").write_bytes(b"12345")
    store = HangingStore(tmp_path, answers=0)
    files = ModelFiles(store)
    monkeypatch.setattr(model_states, "ANSWER_S", 0.01)
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match="does not answer"):
            files.size_bytes(OBJECTS)
    store.goes_on.set()
    monkeypatch.setattr(model_states, "ANSWER_S", DEADLINE_S)
    assert files.size_bytes(OBJECTS) == 5


def test_a_folder_that_cannot_be_read_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = OSError(errno.ESTALE, "Stale file handle")

    def stamp(self: WeightsStore, name: str, task: str) -> Stamp:
        raise stale

    monkeypatch.setattr(WeightsStore, "stamp", stamp)
    assert ModelFiles(WeightsStore(tmp_path)).states(OBJECTS) == {"yolov8n.pt": f"failed: {stale}"}


def test_a_failure_is_that_of_the_file_it_names(tmp_path: Path) -> None:
    for name in PLACES.weights:
        (tmp_path / name).touch()
    files = ModelFiles(WeightsStore(tmp_path))
    files.failed(PLACES, f"{LIST} does not list 365 places")
    states = files.states(PLACES)
    assert states == {NETWORK: "ready", LIST: f"failed: {LIST} does not list 365 places"}
    files.failed(PLACES, "places cannot be loaded")
    assert set(files.states(PLACES).values()) == {"failed: places cannot be loaded"}
    files.loaded(PLACES)
    assert set(files.states(PLACES).values()) == {"ready"}


def test_a_failure_counts_until_the_file_changes(tmp_path: Path) -> None:
    files = ModelFiles(WeightsStore(tmp_path))
    files.failed(OBJECTS, "yolov8n.pt is not there")
    assert files.states(OBJECTS) == {"yolov8n.pt": "missing"}
    (tmp_path / "yolov8n.pt").write_bytes(b"damaged")
    assert files.states(OBJECTS) == {"yolov8n.pt": "ready"}
    files.failed(OBJECTS, "yolov8n.pt is damaged")
    assert files.states(OBJECTS) == {"yolov8n.pt": "failed: yolov8n.pt is damaged"}
    (tmp_path / "yolov8n.pt").write_bytes(b"repaired")
    assert files.states(OBJECTS) == {"yolov8n.pt": "ready"}
