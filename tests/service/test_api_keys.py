"""Several API keys over HTTP: who may ask, how much at once, and what the log and metrics show."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gates import Gate
from openapi_spec_validator import OpenAPIV31SpecValidator
from running import ROOT, Server, running

from bench.clips.generate import make_small

EDITOR, ARCHIVE = "edit0r.key~1==", "archive/key+2"
ENTRIES = f"editor:{EDITOR}, archive:{ARCHIVE}:1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_small(folder / "clip.mp4", seconds=2, width=320, height=180, fps=10, audio=False)
    return folder


@pytest.fixture(scope="module")
def gate(folder: Path) -> Iterator[Gate]:
    gate = Gate(folder / "hold")
    yield gate
    gate.close()


@pytest.fixture(scope="module")
def server(folder: Path, gate: Gate) -> Iterator[Server]:
    with running(
        "held_server",
        MODEL_CACHE_DIR=str(folder),
        MEDIA_ROOTS=str(folder),
        EIOKU_TEST_FOLDER=str(folder),
        API_KEY=ENTRIES,
    ) as server:
        yield server


def ask(server: Server, key: str, task: str = "scenes", **fields: str) -> httpx.Response:
    return httpx.post(
        f"{server.url}/infer/{task}",
        json={"video_path": f"{server.environ['MEDIA_ROOTS']}/clip.mp4", **fields},
        headers={"Authorization": f"Bearer {key}", "X-Request-ID": "of-this-test"},
        timeout=120,
    )


def test_each_key_is_accepted_and_no_other(server: Server) -> None:
    for key in (EDITOR, ARCHIVE):
        assert ask(server, key).status_code == 200
    for header in ("", "Bearer", f"Basic {EDITOR}", f"Bearer {EDITOR}=", "Bearer editor"):
        response = httpx.get(f"{server.url}/metrics", headers={"Authorization": header})
        assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"
    lower_case = {"Authorization": f"bearer  {EDITOR}"}
    assert httpx.get(f"{server.url}/metrics", headers=lower_case).status_code == 200


def test_log_and_metrics_name_the_client(server: Server) -> None:
    ask(server, ARCHIVE)
    event = server.wait_for("request", client="archive", request_id="of-this-test")
    assert event["status"] == 200
    metrics = httpx.get(f"{server.url}/metrics", headers={"Authorization": f"Bearer {EDITOR}"})
    assert 'eioku_client_requests_total{client="archive",status="200"}' in metrics.text
    assert 'eioku_requests_rejected_total{reason="unauthorized"}' in metrics.text


def test_a_client_beyond_its_limit_is_refused_and_others_are_not(
    server: Server, gate: Gate
) -> None:
    answers: list[httpx.Response] = []
    held = threading.Thread(
        target=lambda: answers.append(ask(server, ARCHIVE, "objects", model_name="hold.pt"))
    )
    held.start()
    while server.client.get("/health").json()["workers"][0]["queue_depth"] == 0:
        assert held.is_alive()
    refused = ask(server, ARCHIVE)
    assert (refused.status_code, refused.json()["code"]) == (429, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    for word in ("'archive'", "limit is 1", "API_KEY"):
        assert word in refused.json()["detail"]
    assert ask(server, EDITOR).status_code == 200
    gate.let_pass(100)
    held.join(60)
    assert answers[0].status_code == 200
    assert ask(server, ARCHIVE).status_code == 200


def test_no_key_is_in_the_log_or_a_response(server: Server) -> None:
    texts = [str(server.log), ask(server, "wrong").text]
    texts += [server.client.get(path).text for path in ("/health", "/openapi.json")]
    for key in (EDITOR, ARCHIVE):
        assert not any(key in text for text in texts)


def test_the_document_has_the_security_scheme(server: Server, folder: Path) -> None:
    headers = {"Authorization": f"Bearer {EDITOR}"}
    document = httpx.get(f"{server.url}/openapi.json", headers=headers).json()
    assert document["security"] == [{"api_key": []}]
    scheme = document["components"]["securitySchemes"]["api_key"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert document["paths"]["/health"]["get"]["security"] == []
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ("first:s3cret,Second:s3cret2", "entry 2: the name"),
        ("a:s3cret,a:s3cret2", "entry 2: the name is that of another entry"),
        ("a:s3cret,b:s3cret", "entry 2: the key is that of another entry"),
        ("a:s3cret:0", "entry 1: the limit"),
        ("a:s3cret:1:2", "entry 1"),
        ("a:s3cret!", "entry 1: the key"),
        ("a:s3cret,", "entry 2: the key"),
    ],
)
def test_a_bad_value_stops_the_start_with_one_line_that_shows_no_key(
    entries: str, reason: str, tmp_path: Path
) -> None:
    started = subprocess.run(
        [sys.executable, "-m", "server"],
        env={**os.environ, "API_KEY": entries, "MODEL_CACHE_DIR": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert started.returncode == 1
    assert len(started.stderr.strip().splitlines()) == 1
    assert f"API_KEY is not allowed: {reason}" in started.stderr
    assert "s3cret" not in started.stderr
