"""RapidOCR is loaded from its package alone, without torch; what is missing is named."""

from __future__ import annotations

import importlib
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pytest
import rapidocr
from clip_library import ROOT
from rapidocr.utils.download_file import DownloadFile

from bench.clips import backdrops
from gpu_workers.inference import run
from gpu_workers.model import InvalidSpec, Runtime
from gpu_workers.ocr import rapid
from gpu_workers.tasks import ocr
from gpu_workers.tasks.ocr import Ocr
from gpu_workers.weights.errors import ModelUnavailable
from gpu_workers.weights.store import WeightsStore

if TYPE_CHECKING:
    from tests.conftest import FrameStore

ENGLISH = ocr.Spec(("en",), model_name="rapidocr")


def runtime(folder: Path, threads: int = 2) -> Runtime:
    return Runtime("cpu", "fp32", WeightsStore(folder), threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Ocr:
    return ocr.load(ENGLISH, runtime(tmp_path_factory.mktemp("no-weights")))


def test_nothing_is_downloaded(
    frame_store: FrameStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("the network is used")

    monkeypatch.setattr(DownloadFile, "run", refuse)
    for name in ("getaddrinfo", "create_connection", "socket"):
        monkeypatch.setattr(socket, name, refuse)
    fresh = ocr.load(ENGLISH, runtime(tmp_path, threads=5))
    page = backdrops.write(
        np.full((90, 320, 3), 240, np.uint8), ["EXIT 12"], 20, 20, 40, (9, 9, 60)
    )
    assert run(fresh, ENGLISH, frame_store.put([page]), frame_store.view)
    package = Path(rapidocr.__file__).parent
    settings = [fresh._engine._library.cfg[stage] for stage in ("Det", "Cls", "Rec")]
    assert len({stage.model_path for stage in settings}) == 3
    assert all(Path(stage.model_path).is_relative_to(package) for stage in settings)


def test_provenance(model: Ocr) -> None:
    info = model.info
    assert (info.model_name, info.device, info.precision) == ("rapidocr", "cpu", "fp32")
    assert not info.stand_in
    assert set(info.versions) == {"rapidocr", "onnxruntime", "opencv"}
    names = [Path(model._engine._library.cfg[stage].model_path) for stage in ("Det", "Cls", "Rec")]
    done = subprocess.run(
        ["sh", "-c", 'cat "$@" | sha256sum', "sh", *map(str, names)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split()[0] == info.weights_sha256


@pytest.mark.parametrize("content", [None, b"another network"])
def test_a_file_that_is_not_the_packages_is_refused(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library would download it again."""
    detector, *others = sorted(rapid.MODELS.glob("*.onnx"), key=lambda path: "det" not in path.name)
    for path in others:
        (tmp_path / path.name).symlink_to(path)
    if content is not None:
        (tmp_path / detector.name).write_bytes(content)
    monkeypatch.setattr(rapid, "MODELS", tmp_path)
    with pytest.raises(ModelUnavailable, match=rf"{detector.name} .* install it again"):
        ocr.load(ENGLISH, runtime(tmp_path, threads=6))


@pytest.mark.parametrize("missing", ["rapidocr", "onnxruntime"])
def test_without_the_extra_the_error_says_how_to_install_it(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "gpu_workers.ocr.rapid")
    with pytest.raises(ModelUnavailable, match=r"pip install rapidocr onnxruntime"):
        ocr.load(ENGLISH, runtime(tmp_path))


@pytest.mark.parametrize("languages", [("ru",), ("en", "xx"), ()])
def test_unsupported_languages_are_named(languages: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match=r"cannot read (ru|xx|no language); allowed .* en,") as e:
        ocr.load(ocr.Spec(languages, model_name="rapidocr"), runtime(tmp_path))
    assert e.value.field == "languages"


def test_the_codes_of_the_languages_are_those_of_the_other_engine() -> None:
    easy = importlib.import_module("gpu_workers.ocr.languages").supported_languages()
    codes = rapid.supported_languages()
    assert {"en", "de", "fr", "ja", "ch_sim", "ch_tra", "rs_latin", "vi"} <= set(codes) & set(easy)
    assert not {"ch", "chinese_cht", "japan", "french", "german", "ru", "ar", "ko"} & set(codes)


def test_sets_of_languages_share_the_networks(model: Ocr, tmp_path: Path) -> None:
    german = ocr.load(ocr.Spec(("de", "en"), model_name="rapidocr"), runtime(tmp_path))
    assert german._engine is model._engine


def test_it_needs_neither_torch_nor_easyocr() -> None:
    script = (
        "import json, sys\n"
        "from gpu_workers.model import Runtime\n"
        "from gpu_workers.tasks import ocr\n"
        "import numpy as np\n"
        "model = ocr.load(ocr.Spec(('en',), model_name='rapidocr'), Runtime('cpu', 'fp32', None))\n"
        "frame = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)\n"
        "model._engine.read([model._engine.prepare(frame)])\n"
        "print(json.dumps([name for name in ('torch', 'easyocr') if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert json.loads(done.stdout) == []
    assert done.stderr == ""
