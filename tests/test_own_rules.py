"""The rules that the tests hold themselves to: no network, and no skips in CI but for GPU tests."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit

import pytest

from gpu_workers.weights.catalogue import CATALOGUE

HUBS = {urlsplit(entry.url).netloc: entry.url for entry in CATALOGUE.values() if entry.url}
SUITE = """
import pytest

@pytest.mark.gpu
def test_that_needs_a_device():
    pytest.skip("of its own")

def test_that_skips():
    {}

def test_that_passes():
    pass
"""


@pytest.mark.parametrize("url", HUBS.values(), ids=HUBS)
def test_no_hub_is_reached(url: str) -> None:
    """Refused at once by a proxy that nobody listens at, so that not even a name is resolved."""
    with pytest.raises(URLError, match="Connection refused"):
        urllib.request.urlopen(url, timeout=60)


def test_no_mirror_is_asked() -> None:
    assert os.environ["WEIGHTS_MIRRORS"] == "off"


@pytest.mark.parametrize("library", ["urllib.request.urlopen", "requests.get", "httpx.get"])
def test_child_processes_reach_no_hub(library: str) -> None:
    module = library.rpartition(".")[0]
    program = f"import sys, {module}; {library}(sys.argv[1], timeout=60)"
    child = subprocess.run(
        [sys.executable, "-c", program, next(iter(HUBS.values()))],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert child.returncode == 1
    assert "refused" in child.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("ci", "statement", "outcome"),
    [
        ("true", "pytest.skip('no data')", "1 failed, 1 passed, 1 skipped"),
        ("true", "pytest.importorskip('no_such_module')", "1 failed, 1 passed, 1 skipped"),
        ("", "pytest.skip('no data')", "1 passed, 2 skipped"),
    ],
)
def test_in_ci_a_skip_is_a_failure(ci: str, statement: str, outcome: str, tmp_path: Path) -> None:
    assert outcome in run_suite(SUITE.format(statement), ci, tmp_path)


def test_in_ci_a_skipped_module_is_an_error(tmp_path: Path) -> None:
    skipped = "import pytest\npytest.skip('no data', allow_module_level=True)\n"
    assert "1 error" in run_suite(skipped, "true", tmp_path)


def run_suite(tests: str, ci: str, folder: Path) -> str:
    """The closing line of pytest about these tests."""
    (folder / "test_it.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = gpu: needs a CUDA device\n")
    command = [sys.executable, "-m", "pytest", "-p", "only_gpu_skips", "-p", "no:cacheprovider"]
    support = Path(__file__).parent / "support"
    path = f"{support}:{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [*command, "test_it.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "CI": ci},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout.splitlines()[-1]
