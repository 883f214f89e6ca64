"""A service whose weights come from a hub on this machine, and checks of its weights folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from clip_library import ROOT
from local_hub import (
    Hub,
    Way,
    ends_early,
    ends_early_in_chunks,
    ends_early_without_length,
    invalid_length,
    login_page,
    not_found,
    other_content,
    redirect_to,
    resets,
    server_error,
    stalls,
    too_long,
    trickles,
    whole,
    without_end,
    without_length,
)
from outcomes import Outcome
from running import Server
from traffic import chaos_server, result_of

CONTENT = (ROOT / "gpu_workers" / "weights" / "shapes.pt").read_bytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SIZE_BYTES = len(CONTENT)  # the catalogue's, which need not be exact
OWN = "mine.pt"  # which lies in the folder
GIVEN, REFUSED = "200", "503 model_unavailable"
OWN_FILES = {".locks", ".hubs.json", "manifest.json", "ultralytics"}

# For each fault: how the hub sends the file, whether its checksum is published, and the outcome.
FAULTS: dict[str, tuple[Way, bool, str]] = {
    "none": (whole, False, GIVEN),
    "no length": (without_length, True, GIVEN),
    "no length, no checksum": (without_length, False, REFUSED),
    "ends early": (ends_early, False, REFUSED),
    "ends early, no length": (ends_early_without_length, True, REFUSED),
    "ends early, no length, no checksum": (ends_early_without_length, False, REFUSED),
    "ends early, in chunks": (ends_early_in_chunks, False, REFUSED),
    "more than its length": (too_long, True, GIVEN),
    "more than its length, no checksum": (too_long, False, GIVEN),
    "no end": (without_end, False, REFUSED),
    "stalls": (stalls, True, REFUSED),
    "one byte at a time": (trickles, True, REFUSED),
    "invalid length": (invalid_length, True, GIVEN),
    "connection closed": (resets, True, REFUSED),
    "wrong checksum": (other_content, True, REFUSED),
    "login page": (login_page, False, REFUSED),
    "404": (not_found, True, REFUSED),
    "500": (server_error, True, REFUSED),
    "redirect": (redirect_to("/elsewhere"), True, GIVEN),
    "redirect to itself": (redirect_to(""), True, REFUSED),
    "redirect to nowhere": (redirect_to("http://127.0.0.1:9/"), True, REFUSED),
    "redirect to a file": (redirect_to("file:///etc/hostname"), False, REFUSED),
}


def name_of(number: int) -> str:
    return f"fetched-{number}.pt"


def put_on(hub: Hub, name: str, way: Way = whole) -> None:
    """Let the hub have the file, sent in this way."""
    hub.files[f"/{name}"] = CONTENT
    hub.files["/elsewhere"] = CONTENT
    hub.ways[f"/{name}"] = way


@contextmanager
def hub_service(
    media: Path, folder: Path, hub: Hub, checksum_of: dict[str, bool], **environ: str
) -> Iterator[Server]:
    """A service that knows these names, with the checksum or without."""
    entries = {
        name: (hub.url(f"/{name}"), f"sha256:{SHA256}" if published else None, SIZE_BYTES)
        for name, published in checksum_of.items()
    }
    settings = {"EIOKU_TEST_HUB": json.dumps(entries), "MODEL_CACHE_DIR": str(folder), **environ}
    with chaos_server(media, "hub_server", **settings) as server:
        yield server


def ask(server: Server, clip: Path, name: str, fault: str, allowed: str, folder: Path) -> Outcome:
    """Ask for boxes of one model: right are the result of the weights, or an honest refusal."""
    seen: list[str] = []

    def send() -> httpx.Response:
        response = server.infer("objects", clip, model_name=name, frame_interval=30)
        answer = response.json()
        if response.status_code == 200:
            used = answer["provenance"]
            source = "local" if name == OWN else "hub 127.0.0.1:"
            if (used["weights_sha256"], used["stand_in"]) != (SHA256, False):
                seen.append(f"other weights: {used}")
            if not used["weights_source"].startswith(source):
                seen.append(f"another source: {used}")
        else:
            seen.extend(missing_from(answer["detail"], name, folder))
        return response

    result = result_of(send)
    wrong = [*seen, *([] if result == allowed else [f"may give {allowed}"])]
    return Outcome(fault, result, "; ".join(wrong))


def missing_from(detail: str, name: str, folder: Path) -> list[str]:
    """What a refusal does not say: the file, the folder, what to do."""
    wanted = (name, str(folder), "Add the file")
    return [f"does not name {word!r}: {detail}" for word in wanted if word not in detail]


def left_in(folder: Path) -> set[str]:
    """The folder's files, hidden ones too, but for the service's own."""
    return set(os.listdir(folder)) - OWN_FILES


def recorded_in(folder: Path) -> set[str]:
    """The files that the manifest vouches for."""
    path = folder / "manifest.json"
    return set(json.loads(path.read_text())) if path.exists() else set()
