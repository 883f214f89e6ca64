"""RapidOCR against the library's own call, and against the text that was drawn."""

from __future__ import annotations

import importlib
import json
import logging
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import cv2
import numpy as np
import pytest
import rapidocr
from clip_library import ROOT, ClipLibrary, real
from clip_table import PAGES
from frames_and_boxes import clip_frames
from rapidocr.utils.download_file import DownloadFile

from bench.clips import backdrops
from gpu_workers.inference import run
from gpu_workers.model import InvalidSpec, Runtime
from gpu_workers.ocr import rapid
from gpu_workers.tasks import ocr
from gpu_workers.tasks.ocr import Ocr
from gpu_workers.weights.errors import ModelUnavailable
from gpu_workers.weights.store import WeightsStore
from ipc.arena import Pixels
from ipc.messages import Frames
from ipc.results import TextDetection

if TYPE_CHECKING:
    from tests.conftest import FrameStore

ENGLISH = ocr.Spec(("en",), model_name="rapidocr")
LIBRARYS_THRESHOLD = ocr.Spec(("en",), 0.5, "rapidocr")
LETTERS = (
    "The ferry leaves at half past six",
    "Platform 4 for all northern trains",
    "Total 35,498,648.64 after 12 months",
    "PLEASE KEEP THE DOOR CLOSED",
    "Invoice No. 20417 of 3 March 2025",
    "Water boils at 100 degrees Celsius",
    "Open from 9 to 17 except on Mondays",
    "A quick brown fox jumps over the lazy dog",
)


def runtime(folder: Path, threads: int = 2) -> Runtime:
    return Runtime("cpu", "fp32", WeightsStore(folder), threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Ocr:
    return ocr.load(ENGLISH, runtime(tmp_path_factory.mktemp("no-weights")))


@pytest.fixture(scope="module")
def library() -> rapidocr.RapidOCR:
    """The library with its defaults."""
    return rapidocr.RapidOCR()


@pytest.fixture(
    scope="module",
    params=[
        tuple(PAGES),
        *[tuple(names) for names in [real("english.png", "example.png", "width_ths.png")] if names],
    ],
    ids=lambda names: names[0],
)
def pictures(request: pytest.FixtureRequest, clips: ClipLibrary) -> list[Pixels]:
    """Pictures of text, as RGB."""
    return [to_rgb(cv2.imread(str(clips.path(name)))) for name in request.param]


@pytest.fixture(scope="module")
def pages() -> list[Pixels]:
    """Three pages of 1280 x 720 with coloured lines of known text."""
    return [drawn_page(seed) for seed in range(3)]


def drawn_page(seed: int) -> Pixels:
    """Each page has the lines in another order, size and colour."""
    rng = np.random.default_rng(seed)
    page = backdrops.gradient(1280, 720, (250, 235, 190), (180, 225, 250), 0.5)
    for row, line in enumerate(lines_of(seed)):
        red, green, blue = (int(value) for value in rng.integers(0, 110, 3))
        size = int(rng.integers(24, 46))
        page = backdrops.write(page, [line], 40, 24 + 86 * row, size, (red, green, blue))
    return page


def lines_of(seed: int) -> list[str]:
    return [*LETTERS[seed:], *LETTERS[:seed]]


def to_rgb(bgr: Pixels) -> Pixels:
    return np.ascontiguousarray(bgr[..., ::-1])


def by_frame(items: list[TextDetection], index: int) -> list[TextDetection]:
    return [item for item in items if item.frame_index == index]


def as_library(items: list[TextDetection]) -> list[tuple[str, float, list[tuple[float, float]]]]:
    return [(i.text, i.confidence, [(p.x, p.y) for p in i.polygon]) for i in items]


def sorted_output(output: Any) -> list[tuple[str, float, list[tuple[float, float]]]]:
    """What the library found, by falling confidence, rounded as the contract has it."""
    if output.txts is None:
        return []
    found = zip(output.txts, output.scores, output.boxes, strict=True)
    return [
        (text, round(score, 4), [(float(x), float(y)) for x, y in box])
        for text, score, box in sorted(found, key=lambda item: -item[1])
    ]


def assert_same_as_the_library(
    model: Ocr, library: rapidocr.RapidOCR, store: FrameStore, frames: list[Pixels]
) -> None:
    items = run(model, LIBRARYS_THRESHOLD, store.put(frames), store.view)
    assert len(items) >= 5
    for index, frame in enumerate(frames):
        expected = sorted_output(library(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)))
        assert as_library(by_frame(items, index)) == expected


def test_pictures_read_as_the_library_reads_them(
    model: Ocr, library: rapidocr.RapidOCR, frame_store: FrameStore, pictures: list[Pixels]
) -> None:
    assert_same_as_the_library(model, library, frame_store, pictures)


def test_coloured_pages_read_as_the_library_reads_them(
    model: Ocr, library: rapidocr.RapidOCR, frame_store: FrameStore, pages: list[Pixels]
) -> None:
    assert_same_as_the_library(model, library, frame_store, pages)
    swapped = sorted_output(library(pages[0]))  # RGB in place of BGR: another result
    assert swapped != sorted_output(library(cv2.cvtColor(pages[0], cv2.COLOR_RGB2BGR)))


@pytest.mark.parametrize("name", ["everything.mp4", *real("nasa_13013.mp4")])
def test_frames_of_a_clip_read_as_the_library_reads_them(
    model: Ocr, library: rapidocr.RapidOCR, frame_store: FrameStore, clips: ClipLibrary, name: str
) -> None:
    items = []
    for frame in clip_frames(clips.path(name), 3, 60):
        found = run(model, LIBRARYS_THRESHOLD, frame_store.put([frame]), frame_store.view)
        assert as_library(found) == sorted_output(library(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)))
        items += found
    assert items


def test_drawn_text_is_read_with_few_errors(
    model: Ocr, frame_store: FrameStore, pages: list[Pixels], clips: ClipLibrary
) -> None:
    drawn = [(page, lines_of(seed)) for seed, page in enumerate(pages)]
    drawn += [(to_rgb(cv2.imread(str(clips.path(name)))), list(PAGES[name])) for name in PAGES]
    items = run(model, ENGLISH, frame_store.put([page for page, _ in drawn]), frame_store.view)
    errors = letters = 0
    for index, (_, lines) in enumerate(drawn):
        read = sorted(by_frame(items, index), key=lambda item: item.polygon[0].y)
        errors += edits("\n".join(item.text for item in read), "\n".join(lines))
        letters += len("\n".join(lines))
    assert letters > 800
    assert errors / letters < 0.03


def edits(read: str, truth: str) -> int:
    """Levenshtein's distance."""
    row = list(range(len(truth) + 1))
    for i, a in enumerate(read, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(truth, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


def test_edits() -> None:
    assert [edits(a, "kitten") for a in ("kitten", "sitting", "", "kiten")] == [0, 3, 6, 1]


@pytest.mark.parametrize("name", ["drawn", *real("width_ths.png")])
def test_long_numbers_stay_whole(
    model: Ocr, frame_store: FrameStore, pages: list[Pixels], clips: ClipLibrary, name: str
) -> None:
    picture = pages[0] if name == "drawn" else to_rgb(cv2.imread(str(clips.path(name))))
    items = run(model, ENGLISH, frame_store.put([picture]), frame_store.view)
    assert "35,498,648.64" in " ".join(item.text for item in items).split()


def test_neither_chunks_nor_threads_change_a_result(
    model: Ocr, frame_store: FrameStore, pages: list[Pixels], tmp_path: Path
) -> None:
    chunk = frame_store.put([*pages, pages[2]])
    items = run(model, ENGLISH, chunk, frame_store.view)
    alone = [
        item for ref in chunk.refs for item in run(model, ENGLISH, Frames((ref,)), frame_store.view)
    ]
    assert {item.frame_index for item in items} == {0, 1, 2, 3}
    assert alone == items
    for threads in (1, 3):
        other = ocr.load(ENGLISH, runtime(tmp_path, threads))
        assert other._engine is not model._engine
        assert run(other, ENGLISH, chunk, frame_store.view) == items


def test_the_threshold_is_the_requests_own(
    model: Ocr, frame_store: FrameStore, pages: list[Pixels]
) -> None:
    chunk = frame_store.put(pages[:1])
    everything = run(model, ENGLISH, chunk, frame_store.view)
    confidences = [item.confidence for item in everything]
    assert confidences == sorted(confidences, reverse=True)
    some = run(model, ocr.Spec(("en",), confidences[2], "rapidocr"), chunk, frame_store.view)
    assert 0 < len(some) < len(everything)
    assert some == everything[: len(some)]


@pytest.mark.parametrize(("height", "width"), [(1000, 16), (16, 2400), (2, 2), (3, 40), (600, 45)])
def test_extreme_shapes(model: Ocr, frame_store: FrameStore, height: int, width: int) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)
    page = model._engine.prepare(noise)
    assert max(page.pixels.shape[:2]) <= 100 * min(page.pixels.shape[:2])
    assert page.pixels.shape[0] <= 8 * page.pixels.shape[1]
    for item in run(model, ENGLISH, frame_store.put([noise]), frame_store.view):
        assert all(0 <= point.x <= width and 0 <= point.y <= height for point in item.polygon)


def test_a_narrow_frame_is_read(model: Ocr, frame_store: FrameStore) -> None:
    """Ten times as high as it is wide, so that it is padded."""
    narrow = backdrops.write(
        np.full((1800, 180, 3), 240, np.uint8), ["EXIT 12", "NORTH"], 20, 900, 34, (10, 10, 60)
    )
    items = run(model, ENGLISH, frame_store.put([narrow]), frame_store.view)
    assert {item.text for item in items} == {"EXIT 12", "NORTH"}
    assert all(0 <= point.x <= 180 for item in items for point in item.polygon)


def test_a_page_keeps_no_reference_to_the_frame(model: Ocr, pages: list[Pixels]) -> None:
    assert not np.shares_memory(model._engine.prepare(pages[0]).pixels, pages[0])


def test_frames_without_text_are_no_reason_to_warn(
    model: Ocr, frame_store: FrameStore, caplog: pytest.LogCaptureFixture
) -> None:
    blank = np.full((180, 320, 3), 90, np.uint8)
    assert run(model, ENGLISH, frame_store.put([blank]), frame_store.view) == []
    assert caplog.records == []
    log = logging.getLogger("RapidOCR")
    assert log.propagate
    assert not [handler for handler in log.handlers if type(handler) is logging.StreamHandler]


def test_nothing_is_downloaded(
    frame_store: FrameStore, pages: list[Pixels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("the network is used")

    monkeypatch.setattr(DownloadFile, "run", refuse)
    for name in ("getaddrinfo", "create_connection", "socket"):
        monkeypatch.setattr(socket, name, refuse)
    fresh = ocr.load(ENGLISH, runtime(tmp_path, threads=5))
    assert run(fresh, ENGLISH, frame_store.put(pages[:1]), frame_store.view)
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
