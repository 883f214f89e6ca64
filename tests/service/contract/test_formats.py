"""Every format of every task over HTTP, and what is refused before any inference."""

from __future__ import annotations

import csv
import io
import json
import socket
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pysubs2
import pytest
from event_streams import FORMS
from running import Server

from server.tasks.registry import installed

FORMATS = {
    "objects": ["csv", "coco", "yolo", "cvat", "labelstudio"],
    "faces": ["csv", "coco", "yolo", "cvat", "labelstudio"],
    "transcribe": ["srt", "vtt", "txt", "csv"],
    "ocr": ["srt", "vtt", "txt", "csv"],
    "places": ["csv"],
    "scenes": ["csv", "ffmetadata", "edl", "otio"],
}
PAIRS = [(task, name) for task, names in FORMATS.items() for name in names]
MEDIA_TYPES = {e.format.NAME: e.format.MEDIA_TYPE for t in installed().values() for e in t.exports}
EXTENSIONS = {"coco": "json", "yolo": "zip", "cvat": "xml", "labelstudio": "json"}
INFERENCES = "eioku_inference_duration_seconds_count"
DECODED = "eioku_frames_decoded_total"


def post(
    server: Server, route: str, fields: dict[str, Any], accept: str | None = None
) -> httpx.Response:
    headers = {} if accept is None else {"Accept": accept}
    return server.client.post(route, json=fields, headers=headers)


def bare(response: httpx.Response) -> str:
    return response.headers["content-type"].partition(";")[0]


@pytest.mark.parametrize(("task", "name"), PAIRS)
def test_a_format_by_query_and_by_accept(
    task: str, name: str, server: Server, clip: Path, requests: dict[str, dict[str, Any]]
) -> None:
    fields = {"video_path": str(clip), **requests[task]}
    by_query = post(server, f"/infer/{task}?format={name}", fields, "application/json")
    by_accept = post(server, f"/infer/{task}", fields, MEDIA_TYPES[name])
    extension = EXTENSIONS.get(name, name)
    for response in (by_query, by_accept):
        assert response.status_code == 200, response.text
        assert bare(response) == MEDIA_TYPES[name]
        disposition = response.headers["content-disposition"]
        assert disposition.startswith(f'attachment; filename="clip.{extension}"')
        assert response.headers["vary"] == "Accept"
    assert by_query.content == by_accept.content
    assert by_query.headers["etag"] == by_accept.headers["etag"]


@pytest.mark.parametrize("task", FORMATS)
def test_a_table_has_the_items_of_the_json(
    task: str,
    server: Server,
    clip: Path,
    requests: dict[str, dict[str, Any]],
    plain: dict[str, dict[str, Any]],
) -> None:
    fields = {"video_path": str(clip), **requests[task]}
    text = post(server, f"/infer/{task}?format=csv", fields).text
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    (items,) = (
        plain[task][k]
        for k in ("detections", "segments", "classifications", "scenes")
        if k in plain[task]
    )
    if task == "places":
        items = [{**item, **found} for item in items for found in item["predictions"]]
    assert len(rows) == len(items) > 0
    for row, item in zip(rows, items, strict=True):
        for name in row.keys() & item.keys():
            expected = item[name]
            assert (
                row[name] == {None: "", True: "true", False: "false"}.get(expected, str(expected))
                or float(row[name]) == expected
            )


def test_subtitles_and_boxes_are_those_of_the_clip(
    server: Server, clip: Path, plain: dict[str, dict[str, Any]], requests: dict[str, Any]
) -> None:
    fields = {"video_path": str(clip), **requests["ocr"]}
    cues = pysubs2.SSAFile.from_string(post(server, "/infer/ocr?format=vtt", fields).text, "vtt")
    first = plain["ocr"]["detections"][0]
    assert cues[0].start == first["timestamp_ms"]
    fields = {"video_path": str(clip), **requests["faces"]}
    packed = post(server, "/infer/faces?format=yolo", fields).content
    frames = {found["frame_index"] for found in plain["faces"]["detections"]}
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert {int(name[-10:-4]) for name in archive.namelist() if "labels" in name} == frames


def test_the_name_of_an_upload_is_that_of_the_file(server: Server, clip: Path) -> None:
    with clip.open("rb") as file:
        response = server.client.post(
            "/infer/scenes?format=edl", files={"file": ('…/Ferien "1".mov', file)}
        )
    assert response.status_code == 200, response.text
    disposition = response.headers["content-disposition"]
    assert 'filename="Ferien _1_.edl"' in disposition or "Ferien" in disposition
    assert response.text.startswith("TITLE: Ferien")


def test_several_tasks_have_no_format_and_one_has(server: Server, clip: Path) -> None:
    body = {"video_path": str(clip), "tasks": {"scenes": {}}}
    one = post(server, "/infer?format=csv", body)
    assert one.text == post(server, "/infer/scenes?format=csv", {"video_path": str(clip)}).text
    body["tasks"] = {"scenes": {}, "places": {}}
    check_refused(post(server, "/infer?format=csv", body), {"json", "msgpack"})
    assert post(server, "/infer", body, "text/csv, application/json;q=0.1").json()["results"]


def check_refused(response: httpx.Response, available: set[str]) -> None:
    assert response.status_code == 406, response.text
    problem = response.json()
    assert problem["code"] == "not_acceptable"
    listed = problem["detail"].partition(" are ")[2]
    assert {part.split(" ")[0] for part in listed.split(", ")} == available


REFUSED = [
    ("scenes", "?format=coco", None),
    ("objects", "?format=srt", None),
    ("places", "?format=nonsense", None),
    ("places", "?format=", None),
    ("places", "?format=csv&format=csv", None),
    ("places", "?format=csv", FORMS[0]),
    ("transcribe", "", "image/png"),
    ("transcribe", "", "application/x-coco+json"),
    ("transcribe", "", "application/json;q=0"),
]


@pytest.mark.parametrize(("task", "query", "accept"), REFUSED)
def test_what_a_task_does_not_have_is_refused_before_any_inference(
    task: str, query: str, accept: str | None, server: Server, clip: Path
) -> None:
    before = (server.metric(INFERENCES), server.metric(DECODED))
    response = post(server, f"/infer/{task}{query}", {"video_path": str(clip)}, accept)
    check_refused(response, {"json", "msgpack", *FORMATS[task]})
    assert (server.metric(INFERENCES), server.metric(DECODED)) == before


def test_an_upload_is_refused_before_its_body_is_read(server: Server) -> None:
    """Only the head is sent."""
    head = (
        "POST /infer/places?format=srt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n"
        "Content-Type: multipart/form-data; boundary=edge\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 406 ")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json, text/plain, */*", "application/json"),  # some clients' default
        ("text/plain;q=0.5, application/json;q=0.9", "application/json"),
        ("text/plain, application/json;q=0.9", "text/plain"),
        ("text/*", "text/vtt"),
        ("text/html, */*;q=0.1", "application/json"),
        ("application/json, application/msgpack", "application/msgpack"),
        ("application/json, text/event-stream", "text/event-stream"),
    ],
)
def test_accept(accept: str | None, media_type: str, server: Server, clip: Path) -> None:
    response = post(server, "/infer/transcribe", {"video_path": str(clip)}, accept)
    assert response.status_code == 200, response.text
    assert bare(response) == media_type


def test_every_format_is_in_the_document(server: Server) -> None:
    document = server.client.get("/openapi.json").json()
    for task, names in FORMATS.items():
        operation = document["paths"][f"/infer/{task}"]["post"]
        content = operation["responses"]["200"]["content"]
        assert {MEDIA_TYPES[name] for name in names} <= set(content)
        (query,) = (p for p in operation["parameters"] if p["name"] == "format")
        assert query["schema"]["enum"] == ["json", "msgpack", *names]
        assert {"304", "406"} <= set(operation["responses"])
        assert "ETag" in operation["responses"]["200"]["headers"]
        assert json.dumps(operation["responses"]["406"]).count("not_acceptable") >= 1
