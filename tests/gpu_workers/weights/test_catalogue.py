"""The catalogue agrees with the libraries whose models it lists."""

import subprocess
import sys

import pytest

from gpu_workers.weights.catalogue import CATALOGUE, DEFAULTS, find


def test_needs_no_torch() -> None:
    code = "import sys, gpu_workers.weights.catalogue as c; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("base", "base.pt"),
        ("base.pt", "base.pt"),
        ("tiny.en", "tiny.en.pt"),
        ("large", "large-v3.pt"),
        ("turbo", "large-v3-turbo.pt"),
        ("yolov8n.pt", "yolov8n.pt"),
    ],
)
def test_finds_by_file_name_and_by_whispers_name(name: str, file: str) -> None:
    entry = find(name)
    assert entry is not None
    assert entry.name == file


@pytest.mark.parametrize("name", ["yolov8n", "nothing.pt", ""])
def test_knows_nothing_else(name: str) -> None:
    assert find(name) is None


def test_defaults_are_in_the_catalogue() -> None:
    assert set(DEFAULTS) <= set(CATALOGUE)


def test_whisper_models_are_those_of_the_library() -> None:
    import whisper

    for name, url in whisper._MODELS.items():
        entry = find(name)
        assert entry is not None
        assert entry.url == url
        assert entry.checksum == f"sha256:{url.split('/')[-2]}"


def test_easyocr_models_are_those_of_the_library() -> None:
    from easyocr.config import detection_models, recognition_models

    models = {m["filename"]: m for g in recognition_models.values() for m in g.values()}
    models["craft_mlt_25k.pth"] = detection_models["craft"]
    ours = [entry for entry in CATALOGUE.values() if entry.task == "ocr"]
    assert {m["filename"] for m in recognition_models["gen2"].values()} <= {e.name for e in ours}
    for entry in ours:
        assert entry.url == models[entry.name]["url"]
        assert entry.checksum == f"md5:{models[entry.name]['md5sum']}"
        assert entry.zip_member == entry.name
