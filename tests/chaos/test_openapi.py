"""Requests that schemathesis derives from the service's own OpenAPI document."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from outcomes import SEED, Outcome, Table, share
from traffic import chaos_server, check_whole

EXAMPLES_PER_COUNT = 0.04  # for each operation and phase
DEADLINE_S = 3600
REQUEST_DEADLINE_S = 120  # the first request of a task loads its model
# A schema cannot say which bytes are a video, or which files exist: valid requests may get a 4xx.
NOT_CHECKED = "positive_data_acceptance"


def test_the_service_is_what_its_document_says(
    tmp_path: Path, weights_dir: Path, new_table: Callable[[str], Table]
) -> None:
    table = new_table("OpenAPI")
    with chaos_server(tmp_path, MODEL_CACHE_DIR=str(weights_dir)) as server:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"]
        command += ["--checks", "all", "--exclude-checks", NOT_CHECKED, "--no-color"]
        for limit in ("--request-timeout", "--max-response-time"):
            command += [limit, str(REQUEST_DEADLINE_S)]
        command += ["--seed", str(SEED), "--max-examples", str(share(EXAMPLES_PER_COUNT, least=3))]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path / "hypothesis")},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        check_whole(server)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert cases is not None, done.stdout
    generated, passed = map(int, cases.groups())
    table.extend([Outcome("request", "conforms")] * passed)
    assert passed == generated
    assert generated >= 50
