"""RapidOCR in a running service that has no weights; then in one that lacks the extra."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from clip_library import ROOT, ClipLibrary
from running import SUPPORT, Server, running

CLIP = "everything.mp4"  # its first two seconds show a title


@pytest.fixture(scope="module")
def server(clips: ClipLibrary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    empty = tmp_path_factory.mktemp("no-models")
    with running(MODEL_CACHE_DIR=str(empty), MEDIA_ROOTS=clips.roots) as server:
        yield server


def models(server: Server) -> dict[str, str]:
    """The states of the default models, as the first heartbeat reports them."""

    def found() -> dict[str, str]:
        states: dict[str, str] = server.client.get("/health").json()["models"]
        return states

    server.wait_until(lambda: found() != {}, "a heartbeat")
    return found()


def test_it_reads_a_clip_without_any_weights(server: Server, clips: ClipLibrary) -> None:
    before = models(server)
    response = server.infer(
        "ocr", clips.path(CLIP), model_name="rapidocr", frame_interval=15, end_ms=2000
    )
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["producer"], answer["producer_version"]) == ("rapidocr", version("rapidocr"))
    texts = {item["text"] for item in answer["detections"]}
    assert {"HARBOUR MUSEUM", "open daily from 9 to 17"} <= texts
    assert {item["frame_index"] for item in answer["detections"]} >= {0, 15, 30, 45}
    provenance = answer["provenance"]
    assert (provenance["model_name"], provenance["device"]) == ("rapidocr", "cpu")
    assert len(provenance["weights_sha256"]) == 64
    assert not provenance["stand_in"]
    assert set(provenance["versions"]) >= {"rapidocr", "onnxruntime"}
    assert models(server) == before
    assert "ocr/rapidocr/en" in server.client.get("/health").json()["models_loaded"]


def test_the_log_has_the_lines_of_the_service_only(server: Server, clips: ClipLibrary) -> None:
    blank = server.infer("ocr", clips.path("cuts.mp4"), model_name="rapidocr", end_ms=100)
    assert blank.status_code == 200
    assert [event for event in server.log if set(event) == {"event"}] == []


def test_other_engines_and_languages_are_refused(server: Server, clips: ClipLibrary) -> None:
    clip = clips.path(CLIP)
    unknown = server.infer("ocr", clip, model_name="tesseract").json()
    assert (unknown["status"], unknown["code"]) == (422, "invalid_request")
    assert [error["field"] for error in unknown["errors"]] == ["model_name"]
    assert "allowed are easyocr, rapidocr" in unknown["detail"]
    russian = server.infer("ocr", clip, model_name="rapidocr", language="ru").json()
    assert (russian["status"], russian["code"]) == (422, "invalid_request")
    assert [error["field"] for error in russian["errors"]] == ["languages"]
    assert "cannot read ru; allowed are af," in russian["detail"]


def test_without_the_extra_only_its_requests_fail(clips: ClipLibrary, tmp_path: Path) -> None:
    (tmp_path / "rapidocr.py").write_text("raise ModuleNotFoundError('no such package')\n")
    path = f"{tmp_path}:{SUPPORT}:{ROOT}:{os.environ.get('PYTHONPATH', '')}"
    with running(MODEL_CACHE_DIR=str(tmp_path), MEDIA_ROOTS=clips.roots, PYTHONPATH=path) as server:
        before = models(server)
        problem = server.infer("ocr", clips.path(CLIP), model_name="rapidocr").json()
        assert (problem["status"], problem["code"]) == (503, "model_unavailable")
        assert "pip install rapidocr onnxruntime" in problem["detail"]
        assert server.infer("scenes", clips.path(CLIP)).status_code == 200
        assert models(server) == before
