"""The wheel, in an environment of its own, away from the checkout: it serves all that it should."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from running import running

from bench.clips.generate import make_small

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("server", "gpu_workers", "ipc", "bench")
METADATA = ("pyproject.toml", "README.md", "LICENSE")
DEADLINE_S = 120

LOCATIONS = """
import importlib
for name in ("server.app", "gpu_workers.weights", "ipc.arena"):
    print(importlib.import_module(name).__file__)
"""
ENTRY_POINTS = """
import importlib.metadata
for point in importlib.metadata.distribution("eioku-ml").entry_points:
    if point.group == "eioku_ml.tasks":
        point.load()
        print(point.name)
"""


@dataclass(frozen=True)
class Installed:
    """The Python that the wheel is installed for, and an empty folder to run it in."""

    python: Path
    site_packages: Path
    elsewhere: Path

    def output_of(self, code: str) -> list[str]:
        """The lines that the code prints."""
        command = [str(self.python), "-E", "-c", code]
        return run(*command, cwd=self.elsewhere).splitlines()


def run(*command: str, cwd: Path) -> str:
    return subprocess.run(
        command, check=True, cwd=cwd, stdout=subprocess.PIPE, text=True, timeout=DEADLINE_S
    ).stdout


def pip(*arguments: str, cwd: Path) -> None:
    run(sys.executable, "-m", "pip", *arguments, "--quiet", "--no-index", "--no-deps", cwd=cwd)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made from a copy, since setuptools keeps what it copied for an earlier one."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in METADATA:
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(output), ".", cwd=source)
    (path,) = output.iterdir()
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A virtual environment with the wheel, which finds only the dependencies in this one.

    A path file adds this environment's packages, and none of its path files is read: so the
    editable install of the checkout is not seen.
    """
    folder, elsewhere = tmp_path_factory.mktemp("venv"), tmp_path_factory.mktemp("elsewhere")
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "venv", "--without-pip", str(folder), cwd=elsewhere)
    here = sysconfig.get_path("purelib")
    site_packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (site_packages / "dependencies.pth").write_text(f"{here}\n")
    pip("install", "--target", str(site_packages), str(wheel), cwd=elsewhere)
    return Installed(python, site_packages, elsewhere)


def test_every_data_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    files = [path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file()]
    wanted = {
        str(path.relative_to(ROOT))
        for path in files
        if path.suffix not in (".pyc", ".md") and "__pycache__" not in path.parts
    }
    assert "gpu_workers/weights/shapes.pt" in wanted
    assert "gpu_workers/weights/IO_places365.txt" in wanted
    assert wanted - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_the_licence_is_in_the_wheel_and_its_metadata(wheel: Path) -> None:
    content = zipfile.ZipFile(wheel)
    (licence,) = (
        name for name in content.namelist() if name.endswith(".dist-info/licenses/LICENSE")
    )
    assert content.read(licence) == (ROOT / "LICENSE").read_bytes()
    metadata = content.read(licence.replace("licenses/LICENSE", "METADATA")).decode()
    assert "License-Expression: AGPL-3.0-or-later\n" in metadata
    assert "License-File: LICENSE\n" in metadata


def test_the_packages_come_from_the_wheel(installed: Installed) -> None:
    for location in installed.output_of(LOCATIONS):
        assert installed.site_packages in Path(location).parents


def test_every_entry_point_of_a_task_can_be_loaded(installed: Installed) -> None:
    names = installed.output_of(ENTRY_POINTS)
    assert len(names) == len(set(names))


def test_the_wheel_serves(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / "clip.mp4"
    make_small(clip)
    monkeypatch.setattr("sys.executable", str(installed.python))
    monkeypatch.setattr("running.ROOT", installed.elsewhere)
    folders = {"MEDIA_ROOTS": str(tmp_path), "MODEL_CACHE_DIR": str(tmp_path / "models")}
    with running(PYTHONPATH="", **folders) as server:
        scenes = server.infer("scenes", clip)
        objects = server.infer("objects", clip, model_name="shapes.pt", frame_interval=10)
        code = server.stop()
    assert len(scenes.json()["scenes"]) == 3
    assert objects.json()["detections"]
    assert objects.json()["provenance"]["model_name"] == "shapes.pt"
    assert code == 0
