"""Files that are no ordinary video, or that change while they are read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from clip_library import ClipLibrary
from moving_files import CHANGES, changing
from odd_files import FORBIDDEN, NOT_FOUND, ODD_FILES
from outcomes import Outcome, Table, seeded, share
from running import Server
from traffic import ANY_ANSWER, Undisturbed, at_once, chaos_server, check_whole, judged, result_of

OBJECTS = {"objects": {"model_name": "mean.pt", "frame_interval": 7}}
AUDIO = {"200", "422 no_audio_stream", "422 undecodable_video"}
# What a request may also get about a file that changes.
CHANGED = {*ANY_ANSWER, "400 input_hash_mismatch", "400 video_not_found"}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def server(media: Path, weights_dir: Path) -> Iterator[Server]:
    with chaos_server(media, MODEL_CACHE_DIR=str(weights_dir)) as server:
        yield server


@pytest.fixture(scope="module")
def undisturbed(server: Server, media: Path, clips: ClipLibrary) -> Undisturbed:
    return Undisturbed(server, media, [clips.path("takes.mp4")], {**OBJECTS, "scenes": {}})


def test_odd_files(
    server: Server,
    undisturbed: Undisturbed,
    media: Path,
    clips: ClipLibrary,
    new_table: Callable[[str], Table],
) -> None:
    table = new_table("Files that are no ordinary video")
    work: list[Callable[[], Outcome]] = []
    for number, (fault, odd) in enumerate(ODD_FILES.items()):
        path = media / f"odd-{number}{odd.suffix}"
        odd.make(path, clips)
        refused = odd.allowed if odd.allowed in (FORBIDDEN, NOT_FOUND) else AUDIO
        for task, allowed in (("objects", odd.allowed), ("transcribe", refused)):
            fields = OBJECTS.get(task, {})
            work.append(partial(_asked, server, task, path, fault, allowed, fields))
    table.extend(at_once(work))
    table.extend(undisturbed.all_again())
    table.check(least=2 * len(ODD_FILES))
    check_whole(server)


def test_files_that_change(
    server: Server,
    undisturbed: Undisturbed,
    media: Path,
    clips: ClipLibrary,
    new_table: Callable[[str], Table],
) -> None:
    table = new_table("Files that change while they are read")
    content = clips.path("takes.mp4").read_bytes()
    still = media / "still.mp4"
    still.write_bytes(content)
    expected = server.infer("objects", still, **OBJECTS["objects"]).json()
    count = share(0.5) // len(CHANGES)
    for number, (fault, change) in enumerate(CHANGES.items()):
        path = media / f"moving-{number}.mp4"
        asked = partial(_asked_while_changing, server, path, fault, expected)
        with changing(path, change, content, seeded(fault, 0)):
            table.extend(at_once([asked] * count))
        table.add(_same(fault, server.infer("objects", path, **OBJECTS["objects"]), expected))
    table.extend(undisturbed.all_again())
    table.check(least=count)
    check_whole(server)


def _asked(
    server: Server,
    task: str,
    path: Path,
    fault: str,
    allowed: Collection[str],
    fields: dict[str, object],
) -> Outcome:
    result = result_of(partial(server.infer, task, path, **fields))
    return judged(fault, result, allowed, f"{task} about {path.name}")


def _asked_while_changing(
    server: Server, path: Path, fault: str, expected: dict[str, object]
) -> Outcome:
    """What is answered under the whole file's hash must be about the whole file."""
    responses: list[httpx.Response] = []

    def ask() -> httpx.Response:
        responses.append(server.infer("objects", path, **OBJECTS["objects"]))
        return responses[0]

    result = result_of(ask)
    if result == "200" and responses[0].json()["input_hash"] == expected["input_hash"]:
        return _same(fault, responses[0], expected)
    return judged(fault, result, CHANGED, path.name)


def _same(fault: str, response: httpx.Response, expected: dict[str, object]) -> Outcome:
    answer = response.json()
    same = all(answer.get(key) == expected[key] for key in ("input_hash", "detections"))
    return Outcome(fault, str(response.status_code), "" if same else f"wrong answer: {answer}")
