"""Weights that run a command when they are unpickled: refused, and the command is not run."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from running import Server, running

from bench.clips.generate import make_small

FILES = {
    "yolov8n.pt": ("objects", {}),
    "yolov8n-face.pt": ("faces", {}),
    "craft_mlt_25k.pth": ("ocr", {}),
    "english_g2.pth": ("ocr", {}),
    "resnet18_places365.pth.tar": ("places", {}),
    "base.pt": ("transcribe", {"model_name": "base"}),
    "own.pt": ("objects", {"model_name": "own.pt"}),
}
FORMS = ("archive", "plain pickle")


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.sprung}",)


@pytest.fixture(scope="module")
def folder(weights_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Links to the weights, a manifest, and a clip with audio."""
    folder = tmp_path_factory.mktemp("models")
    for file in weights_dir.iterdir():
        if file.is_file() and file.name != "manifest.json":
            (folder / file.name).symlink_to(file)
    shutil.copy(weights_dir / "manifest.json", folder)
    make_small(folder / "clip.mp4", seconds=2, width=224, height=126)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with running(MODEL_CACHE_DIR=str(folder), MEDIA_ROOTS=str(folder)) as server:
        yield server


def lay(path: Path, sprung: Path, form: str) -> None:
    """Write the trap to `path`."""
    path.unlink(missing_ok=True)
    if form == "archive":
        torch.save({"model": Trap(sprung), "state_dict": Trap(sprung)}, path)
    else:
        path.write_bytes(pickle.dumps(Trap(sprung)))


def accept(path: Path) -> None:
    """Record the file as a stand-in: else its checksum would refuse it before it is loaded."""
    manifest = path.with_name("manifest.json")
    stat, digest = path.stat(), hashlib.sha256(path.read_bytes()).hexdigest()
    entry = {
        "sha256": digest,
        "size_bytes": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "stand_in": True,
    }
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {path.name: entry}))


def test_the_trap_is_one(tmp_path: Path) -> None:
    """Else the tests below would show nothing."""
    for form in FORMS:
        lay(tmp_path / "trap.pt", tmp_path / f"sprung by {form.split()[0]}".replace(" ", "-"), form)
        if form == "archive":
            torch.load(tmp_path / "trap.pt", weights_only=False)
        else:
            pickle.loads((tmp_path / "trap.pt").read_bytes())
    assert len(list(tmp_path.glob("sprung-by-*"))) == len(FORMS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", FILES)
def test_weights_run_no_command(name: str, form: str, server: Server, folder: Path) -> None:
    task, fields = FILES[name]
    path, sprung = folder / name, folder / "sprung"
    target = path.resolve() if path.is_symlink() else None
    record = (folder / "manifest.json").read_bytes()
    try:
        lay(path, sprung, form)
        accept(path)
        refused = server.infer(task, folder / "clip.mp4", **fields)
        assert (refused.status_code, refused.json()["code"]) == (503, "model_unavailable")
        assert name in refused.json()["detail"]
        assert "weights_only" not in refused.json()["detail"]  # advice to load it all the same
        assert not sprung.exists()
    finally:
        path.unlink()
        if target is not None:
            path.symlink_to(target)
        (folder / "manifest.json").write_bytes(record)


def test_a_published_checksum_refuses_them_before_they_are_loaded(
    server: Server, folder: Path
) -> None:
    path = folder / "english_g2.pth"
    target = path.resolve()
    try:
        lay(path, folder / "sprung", "archive")
        refused = server.infer("ocr", folder / "clip.mp4")
        assert (refused.status_code, refused.json()["code"]) == (503, "model_unavailable")
        assert "md5" in refused.json()["detail"]
        assert not (folder / "sprung").exists()
    finally:
        path.unlink()
        path.symlink_to(target)
