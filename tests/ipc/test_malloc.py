"""Freed memory is kept for reuse, and returned on request."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import json, resource
from pathlib import Path
from ipc import malloc

def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def resident(): return int(Path("/proc/self/statm").read_text().split()[1])

def use():
    before = faults()
    layers = [b"1" * (100 << 20) for _ in range(2)]  # 25,600 pages each
    layers.clear()
    return faults() - before

malloc.keep_freed()
first, second, held = use(), use(), resident()
malloc.give_back()
print(json.dumps([first, second, held - resident()]))
"""


def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, timeout=60
    )
    first, second, given_back = json.loads(done.stdout)
    assert first > 50_000
    assert second < 1_000
    assert given_back > 50_000
