"""`make image`: build the image. `make image-test`: start it, send two requests, stop it.

Environment: IMAGE (eioku-ml), ENGINE (the first of docker, podman and buildah that works), and
for the build BASE and TORCH_BACKEND, which the Dockerfile explains.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

from deploy import engines
from deploy.engines import Engine, EngineFailed

ROOT = Path(__file__).parent.parent
IMAGE = os.environ.get("IMAGE", "eioku-ml")
BUILD_ARGUMENTS = ("BASE", "TORCH_BACKEND")
READY_DEADLINE_S = 120.0
REQUEST_DEADLINE_S = 120.0
EXIT_DEADLINE_S = 60.0
POLL_S = 0.2

# Two tasks that need no download, their fields, and the list in the response that has items.
REQUESTS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("scenes", {}, "scenes"),
    ("objects", {"model_name": "shapes.pt"}, "detections"),
)

# Runs in the image.
CONTENTS = """
import importlib.util, os, pathlib
assert os.getuid() == 10001, os.getuid()
assert pathlib.Path("/app/LICENSE").exists(), "no LICENSE"
assert importlib.util.find_spec("server") is not None, "no server"
assert importlib.util.find_spec("bench") is None, "bench is in the image"
assert importlib.util.find_spec("rapidocr") is not None, "no rapidocr"
assert os.access("/models", os.W_OK), "/models cannot be written"
assert os.statvfs("/media").f_flag & os.ST_RDONLY, "/media can be written"
"""


def main() -> int:
    """Run the command that the first argument names; returns the exit code."""
    commands = {"build": _build, "test": _test}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        _say("python -m deploy.image build|test")
        return 2
    try:
        commands[sys.argv[1]](engines.find())
    except (EngineFailed, subprocess.SubprocessError) as error:
        _say(str(error))
        return 1
    return 0


def _build(engine: Engine) -> None:
    arguments = {name: os.environ[name] for name in BUILD_ARGUMENTS if os.environ.get(name)}
    started = time.monotonic()
    engine.build(IMAGE, ROOT, arguments)
    size_gb = engine.size_bytes(IMAGE) / 1e9
    _say(f"{IMAGE}: {size_gb:.1f} GB, built by {engine.program} in {_since(started)}")


def _test(engine: Engine) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(engine):
        media = Path(folder) / "media"
        media.mkdir(mode=0o755)
        _make_clip(media / "demo.mp4")
        engine.check(IMAGE, media, CONTENTS)
        _say("contents: uid 10001, LICENSE, no bench, /models writable, /media read-only")
        _serve(engine, media, Path(folder) / "service.log")


def _serve(engine: Engine, media: Path, log_path: Path) -> None:
    url = f"http://127.0.0.1:{(port := _free_port())}"
    started = time.monotonic()
    with log_path.open("wb") as log, engine.run(IMAGE, media, port, log) as process:
        try:
            _await_ready(process, url, log_path)
            _say(f"ready after {_since(started)}")
            for task, fields, items in REQUESTS:
                count = _count_items(f"{url}/infer/{task}", fields, items)
                _say(f"{task}: {count} {items}")
            _stop(engine, process)
        finally:
            _end(engine, process)


def _make_clip(path: Path) -> None:
    command = [sys.executable, "-m", "bench.clips", "demo", str(path)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=REQUEST_DEADLINE_S)
    path.chmod(0o644)


def _await_ready(process: subprocess.Popen[bytes], url: str, log_path: Path) -> None:
    deadline = time.monotonic() + READY_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=POLL_S * 10):
                return
        except OSError:
            time.sleep(POLL_S)  # it does not listen yet, or is not ready
    raise EngineFailed(f"The service did not become ready. Its log:\n{log_path.read_text()}")


def _count_items(url: str, fields: dict[str, Any], items: str) -> int:
    content = json.dumps({"video_path": "/media/demo.mp4", **fields}).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_DEADLINE_S) as response:
            body: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        raise EngineFailed(f"{url}: {error.read().decode()}") from None
    if not body[items]:
        raise EngineFailed(f"{url}: no {items}")
    return len(body[items])


def _stop(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    started = time.monotonic()
    engine.terminate(process)
    if code := process.wait(EXIT_DEADLINE_S):
        raise EngineFailed(f"After SIGTERM, the exit code is {code}.")
    _say(f"SIGTERM: exit code 0 after {_since(started)}")


def _end(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    """Make sure that nothing is left of it, whatever went wrong."""
    if process.poll() is not None:
        return
    engine.terminate(process)
    try:
        process.wait(EXIT_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _since(started: float) -> str:
    return f"{time.monotonic() - started:.0f} s"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
