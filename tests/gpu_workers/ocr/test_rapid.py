"""RapidOCR against the library's own call, and against the text that was drawn."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import rapidocr
from clip_library import ClipLibrary, real
from clip_table import PAGES
from frames_and_boxes import clip_frames

from bench.clips import backdrops
from gpu_workers.inference import run
from gpu_workers.model import Runtime
from gpu_workers.tasks import ocr
from gpu_workers.tasks.ocr import Ocr
from gpu_workers.weights.store import WeightsStore
from ipc.arena import Pixels
from ipc.results import TextDetection
from ipc.subjects import Frames

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
    frame_store: FrameStore, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    # The level is that of the library's last instance in this process: this one's.
    model = ocr.load(ENGLISH, runtime(tmp_path, threads=4))
    blank = np.full((180, 320, 3), 90, np.uint8)
    assert run(model, ENGLISH, frame_store.put([blank]), frame_store.view) == []
    assert caplog.records == []
    log = logging.getLogger("RapidOCR")
    assert log.propagate
    assert not [handler for handler in log.handlers if type(handler) is logging.StreamHandler]
