"""No path, however it is written, leads to a file outside MEDIA_ROOTS."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
import xxhash
from clip_library import ROOT, ClipLibrary
from outcomes import Outcome, Table, share
from running import Server
from traffic import Undisturbed, at_once, chaos_server, check_whole, judged, result_of

MODEL = {"model_name": "mean.pt", "frame_interval": 7}
FORBIDDEN, MISSING, INVALID = "403 path_not_allowed", "400 video_not_found", "422 invalid_request"
REFUSED = {FORBIDDEN, MISSING}
SWAPS_PER_COUNT = 2000 / 5000
JOIN_S = 60
SHAPES = ROOT / "gpu_workers" / "weights" / "shapes.pt"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, clips: ClipLibrary) -> tuple[Path, Path]:
    """An allowed and a forbidden folder, with one clip each."""
    allowed, forbidden = tmp_path_factory.mktemp("allowed"), tmp_path_factory.mktemp("forbidden")
    (allowed / "clip.mp4").write_bytes(clips.path("takes.mp4").read_bytes())
    (forbidden / "clip.mp4").write_bytes(clips.path("h264.mp4").read_bytes())
    return allowed, forbidden


@pytest.fixture(scope="module")
def server(
    folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with chaos_server(folders[0], MODEL_CACHE_DIR=str(tmp_path_factory.mktemp("models"))) as server:
        yield server


def odd_paths(allowed: Path, forbidden: Path) -> dict[str, tuple[str, Collection[str]]]:
    """For each kind of path an example, and what may be answered."""
    up = "/".join([".."] * 30)
    (allowed / "folder").mkdir(exist_ok=True)
    (allowed / "out").unlink(missing_ok=True)
    (allowed / "out").symlink_to(forbidden)
    return {
        "..": (f"{allowed}/../{forbidden.name}/clip.mp4", {FORBIDDEN}),
        ".. within a root": (f"{allowed}/folder/../clip.mp4", {"200"}),
        ".. to the root": (f"{allowed}/{up}{forbidden}/clip.mp4", {FORBIDDEN}),
        "relative": (f"{up}/etc/passwd", REFUSED),
        "link to a folder": (f"{allowed}/out/clip.mp4", {FORBIDDEN}),
        "/proc/self/root": (f"/proc/self/root{forbidden}/clip.mp4", {FORBIDDEN}),
        "/proc/self/root to a root": (f"/proc/self/root{allowed}/clip.mp4", {"200", *REFUSED}),
        "/proc/self/fd": ("/proc/self/fd/0", REFUSED),
        "/proc/self/environ": ("/proc/self/environ", {FORBIDDEN}),
        "/proc/1/mem": ("/proc/1/mem", {FORBIDDEN}),
        "/dev/stdin": ("/dev/stdin", REFUSED),
        "/dev/zero": ("/dev/zero", {FORBIDDEN}),
        "NUL": (f"{allowed}/clip.mp4\0.txt", {MISSING}),
        "5000 characters": ("/" + "a" * 4999, {INVALID}),
        "4000 characters": (f"{allowed}/" + "a" * 4000, REFUSED),
        "300 characters": (f"{allowed}/" + "a" * 300, REFUSED),
        "1500 folders": (f"{allowed}" + "/a" * 1500, REFUSED),
        "empty": ("", {INVALID}),
        "a root itself": (str(allowed), {MISSING}),
        "a folder's prefix": (f"{allowed}-other/clip.mp4", {FORBIDDEN}),
        "slash at the end": (f"{allowed}/clip.mp4/", {"200", *REFUSED}),
        "file as folder": (f"{allowed}/clip.mp4/x", REFUSED),
        "URL": (f"file://{allowed}/clip.mp4", REFUSED),
        "http": ("http://127.0.0.1:1/clip.mp4", REFUSED),
        "protocol of ffmpeg": (f"concat:{allowed}/clip.mp4", REFUSED),
        "pipe": ("pipe:0", REFUSED),
        "tilde": ("~/clip.mp4", REFUSED),
        "variable": ("$HOME/clip.mp4", REFUSED),
        "lone surrogate": (f"{allowed}/\udc80.mp4", {"400 invalid_json", *REFUSED}),
        "line break": (f"{allowed}/clip.mp4\n", REFUSED),
        "wildcard": (f"{allowed}/*.mp4", REFUSED),
    }


def test_odd_paths(
    server: Server, folders: tuple[Path, Path], new_table: Callable[[str], Table]
) -> None:
    table = new_table("Paths")
    secret = xxhash.xxh64_hexdigest((folders[1] / "clip.mp4").read_bytes())
    for fault, (path, allowed) in odd_paths(*folders).items():
        table.add(_asked(server, fault, path, allowed, secret))
    table.check()
    check_whole(server)


@pytest.mark.parametrize("link_to", ["file", "folder"])
def test_a_link_that_is_swapped(
    link_to: str,
    server: Server,
    folders: tuple[Path, Path],
    new_table: Callable[[str], Table],
) -> None:
    """Between the check of a path and its use, the link leads elsewhere: no answer may be of it."""
    table = new_table(f"A symlink to a {link_to}, swapped")
    allowed, forbidden = folders
    link = allowed / f"swapped-{link_to}"
    name = "clip.mp4" if link_to == "file" else ""
    path = link if link_to == "file" else link / "clip.mp4"
    secret = xxhash.xxh64_hexdigest((forbidden / "clip.mp4").read_bytes())
    undisturbed = Undisturbed(server, allowed, [allowed / "clip.mp4"], {"objects": MODEL})
    allowed_results = {"200", *REFUSED}
    asked = partial(_asked, server, "swap", str(path), allowed_results, secret)
    with swapping(link, allowed / name, forbidden / name):
        table.extend(at_once([asked] * share(SWAPS_PER_COUNT / 2, least=60)))
    table.extend(undisturbed.all_again())
    table.check()
    assert len({result for (_, result) in table.counts}) > 1  # both files were met
    check_whole(server)


@contextmanager
def swapping(link: Path, one: Path, other: Path) -> Iterator[None]:
    """Let the link lead to the one and the other in turn, as fast as possible."""
    stopped = Event()
    fresh = link.with_suffix(".fresh")

    def keep_swapping() -> None:
        while not stopped.is_set():
            for target in (one, other):
                fresh.symlink_to(target)
                fresh.replace(link)

    link.symlink_to(one)
    swapper = Thread(target=keep_swapping)
    swapper.start()
    try:
        yield
    finally:
        stopped.set()
        swapper.join(JOIN_S)


def _asked(server: Server, fault: str, path: str, allowed: Collection[str], secret: str) -> Outcome:
    """Ask about a path; no answer may have the hash of the forbidden file."""
    texts: list[str] = []

    def send() -> httpx.Response:
        response = _post(server, "objects", video_path=path, **MODEL)
        texts.append(response.text)
        return response

    outcome = judged(fault, result_of(send), allowed, path[:100])
    if any(secret in text for text in texts):
        return Outcome(fault, outcome.result, f"the answer is about a forbidden file: {texts}")
    return outcome


def _post(server: Server, task: str, **fields: object) -> httpx.Response:
    """JSON in ASCII, so that a lone surrogate can be sent, too."""
    headers = {"Content-Type": "application/json"}
    return server.client.post(f"/infer/{task}", content=json.dumps(fields), headers=headers)


MODEL_NAMES = {
    "relative path": "../../etc/passwd",
    "absolute path": "/etc/passwd",
    "hidden path": "models/../../x.pt",
    "URL": "https://example.com/x.pt",
    "file URL": "file:///etc/passwd",
    "unlisted file": "unlisted.pt",
    "library's own name": "yolo11n.pt",
    "NUL": "x\0.pt",
    "parent folder": "..",
    "this folder": ".",
    "200 characters": "a" * 200,
    "201 characters": "a" * 201,
    "empty": "",
    "repository": "openai/whisper-tiny",
    "line break": "yolov8n.pt\n",
}


@pytest.mark.parametrize("task", ["faces", "transcribe"])
def test_model_names(
    task: str, server: Server, folders: tuple[Path, Path], new_table: Callable[[str], Table]
) -> None:
    """Of the real tasks, not of the fake one: nothing is loaded, nothing is downloaded."""
    table = new_table(f"Names of models for {task}")
    clip = folders[0] / "clip.mp4"
    allowed = {INVALID, "503 model_unavailable"}
    outside = {
        "weights outside, relative": f"../{folders[1].name}/shapes.pt",
        "weights outside, absolute": str(folders[1] / "shapes.pt"),
    }
    for fault, name in {**MODEL_NAMES, **outside}.items():
        send = partial(_post, server, task, video_path=str(clip), model_name=name)
        table.add(judged(fault, result_of(send), allowed, name))
    table.check(least=len(MODEL_NAMES))
    check_whole(server)
