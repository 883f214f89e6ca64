"""A pytest plugin: tests marked `trained` run where the trained weights that they name are.

Elsewhere they are not collected. The mirrors' files are downloaded once into `.cache/trained`, when
a test first needs them, or never with WEIGHTS_MIRRORS=off. Others are in EIOKU_TEST_WEIGHTS.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from offline import ONLINE

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("EIOKU_TEST_WEIGHTS", ROOT.parent / "shared" / "weights"))
CACHE = ROOT / ".cache" / "trained"
MIRRORED = ("english_g2.pth", "craft_mlt_25k.pth", "base.pt")
GIVEN = ("yolov8n.pt", "yolov8n-face.pt")
FETCH_S = 120  # for all files; those that are complete by then are kept


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    needed = [(item, _names(item)) for item in items]
    wanting = [item for item, names in needed if names and not names <= _found().keys()]
    if wanting:
        config.hook.pytest_deselected(items=wanting)
        items[:] = [item for item in items if item not in wanting]


def pytest_report_collectionfinish() -> str:
    """Say which trained weights there are, if a test asked for any."""
    if not _found.cache_info().currsize:
        return ""
    missing = [name for name in (*MIRRORED, *GIVEN) if name not in _found()]
    line = f"trained weights: {', '.join(_found()) or 'none'}"
    return f"{line}; not tested: {', '.join(missing)} {_fetch_missing()}" if missing else line


@pytest.fixture(scope="session")
def trained_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the trained weights that there are."""
    folder = tmp_path_factory.mktemp("trained")
    for name, path in _found().items():
        (folder / name).symlink_to(path)
    if (CACHE / "manifest.json").is_file():
        shutil.copy(CACHE / "manifest.json", folder)
    return folder


def _names(item: pytest.Item) -> set[str]:
    """The files of weights that a test needs."""
    return {name for mark in item.iter_markers("trained") for name in mark.args}


@cache
def _found() -> dict[str, Path]:
    """The file of each name; fetches what is missing."""
    _fetch_missing()
    paths = [*(CACHE / name for name in MIRRORED), *(FOLDER / name for name in GIVEN)]
    return {path.name: path for path in paths if path.is_file()}


@cache
def _fetch_missing() -> str:
    """Fetch the mirrors' files that are missing; return the reason if that failed."""
    missing = [name for name in MIRRORED if not (CACHE / name).is_file()]
    if not missing or ONLINE.get("WEIGHTS_MIRRORS", "").lower() == "off":
        return ""
    command = [sys.executable, "-m", "gpu_workers.weights", "fetch", str(CACHE), *missing]
    try:
        done = subprocess.run(
            command, env=ONLINE, cwd=ROOT, capture_output=True, text=True, timeout=FETCH_S
        )
    except subprocess.TimeoutExpired:
        return f"(not downloaded after {FETCH_S} s)"
    return f"({done.stderr.strip()[:400]})" if done.returncode else ""
