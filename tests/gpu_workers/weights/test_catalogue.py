"""The catalogue agrees with the libraries whose models it lists."""

import re
import subprocess
import sys

import pytest

from gpu_workers.weights.catalogue import CATALOGUE, DEFAULTS, PACKAGE, find


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


def test_mirrors_are_pinned() -> None:
    mirrored = {entry.name: entry for entry in CATALOGUE.values() if entry.mirrors}
    assert set(mirrored) == {"craft_mlt_25k.pth", "english_g2.pth", "base.pt"}
    for entry in mirrored.values():
        for mirror in entry.mirrors:
            for part in mirror.parts:
                hashes = (part.wheel_sha256, part.sha256)
                assert all(re.fullmatch("[0-9a-f]{64}", one) for one in hashes)
                assert part.size_bytes > 10**7
            assert bool(mirror.converted_from) == (entry.task == "transcribe")


def test_the_lists_of_places_are_part_of_the_package() -> None:
    for name in ("categories_places365.txt", "IO_places365.txt"):
        assert CATALOGUE[name].url is None
        assert (PACKAGE / name).is_file()
