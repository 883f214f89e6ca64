"""`make demo`: make the clip, send requests, and show the responses beside the truth."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
from rich.console import Console

from bench.clips.narrated import make_narrated
from bench.demo import page
from bench.demo.findings import Findings, score
from bench.demo.requests import Reply, send_all
from bench.demo.terminal import report
from bench.service_process import MODELS, ROOT, ServiceFailed, service

OUTPUT = ROOT / "demo-output"
WEIGHTS_S = 3600  # downloads included
LOG_LINES = 3


class DemoFailed(Exception):
    """The demo cannot go on; the message says why."""


def main() -> int:
    """Run the demo; return the exit code."""
    console = Console(highlight=False)
    started = time.monotonic()
    try:
        findings = run(OUTPUT, console)
    except (DemoFailed, ServiceFailed, OSError, subprocess.SubprocessError) as error:
        console.print(f"The demo failed: {error}", style="red", markup=False)
        console.print(f"Its logs are in {OUTPUT}", markup=False, soft_wrap=True)
        return 1
    elapsed_s = time.monotonic() - started
    page_path = OUTPUT / "index.html"
    console.print(f"\n{elapsed_s:.0f} s in total. The page: {page_path}", soft_wrap=True)
    return 0 if all(reply.response for reply in findings.replies.values()) else 1


def run(folder: Path, console: Console) -> Findings:
    """Make clip and weights, send the requests, and show the findings here and as a page.

    Raises DemoFailed, ServiceFailed and OSError.
    """
    folder.mkdir(exist_ok=True)
    clip = folder / "demo.mp4"
    console.rule("Clip and weights")
    truth = make_narrated(clip)
    _ensure_weights(folder / "weights.log", console)
    console.rule("Requests")
    replies, seconds = _send(clip, folder / "service.log", console)
    findings = score(truth, replies, seconds)
    _save(replies, folder)
    page.write(findings, clip, folder)
    console.rule("Results beside the truth")
    report(console, findings)
    return findings


def _ensure_weights(log_path: Path, console: Console) -> None:
    """Download the default weights, or make stand-ins; progress bars are on stderr."""
    console.print(f"Weights: {MODELS} (log: {log_path})", markup=False, soft_wrap=True)
    command = [sys.executable, "-m", "gpu_workers.weights", "ensure", str(MODELS)]
    with log_path.open("w") as log:
        done = subprocess.run(command, check=False, stdout=log, timeout=WEIGHTS_S)
    if done.returncode:
        raise DemoFailed(f"there are no weights in {MODELS}; the log is {log_path}")


def _send(clip: Path, log_path: Path, console: Console) -> tuple[dict[str, Reply], float]:
    """The replies, and how many seconds they took once the service was ready."""
    environ = {"MODEL_CACHE_DIR": str(MODELS), "MEDIA_ROOTS": str(clip.parent)}
    try:
        with service(log_path, **environ) as client:
            started = time.monotonic()
            replies = send_all(client, clip, console)
            return replies, time.monotonic() - started
    except httpx.HTTPError as error:
        last = "\n".join(log_path.read_text().splitlines()[-LOG_LINES:])
        reason = f"the service does not respond: {error!r}. Its log ends with\n{last}"
        raise DemoFailed(reason) from error


def _save(replies: Mapping[str, Reply], folder: Path) -> None:
    """Write each response beside the page."""
    for name, reply in replies.items():
        if reply.response is not None:
            text = json.dumps(reply.response, indent=2, ensure_ascii=False)
            (folder / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
