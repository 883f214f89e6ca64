"""The front imports no library that can crash or grow."""

from __future__ import annotations

import subprocess
import sys


def test_the_front_imports_no_torch() -> None:
    script = (
        "import sys, server.app; "
        "heavy = 'torch cv2 decord av ultralytics onnxruntime rapidocr'.split(); "
        "print([name for name in heavy if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    )
    assert found.stdout.strip() == "[]"
