"""Tests on trained weights run where the weights are, and are not collected elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SUITE = """
import pytest

@pytest.mark.trained("yolov8n.pt")
def test_on_trained_weights(trained_dir):
    assert (trained_dir / "yolov8n.pt").read_bytes() == b"trained"

def test_on_any():
    pass
"""


def test_without_the_file_the_test_is_not_collected(tmp_path: Path) -> None:
    said = run_suite(tmp_path)
    assert "1 passed, 1 deselected" in said[-1]
    assert any("yolov8n.pt" in line.partition("not tested:")[2] for line in said)


def test_with_the_file_the_test_runs(tmp_path: Path) -> None:
    (tmp_path / "yolov8n.pt").write_bytes(b"trained")
    said = run_suite(tmp_path)
    assert "2 passed" in said[-1]
    assert any("yolov8n.pt" in line.partition("not tested:")[0] for line in said)


def run_suite(folder: Path) -> list[str]:
    """What pytest says about the suite; nothing is downloaded, since WEIGHTS_MIRRORS is off."""
    (folder / "test_it.py").write_text(SUITE)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = trained: needs weights\n")
    support = Path(__file__).parent / "support"
    path = f"{support}:{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "trained_weights", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "CI": "true", "EIOKU_TEST_WEIGHTS": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout.splitlines()
