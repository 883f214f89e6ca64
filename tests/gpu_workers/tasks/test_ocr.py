"""OCR against EasyOCR's own `readtext`, on the same frames with the same weights."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import easyocr.easyocr
import numpy as np
import pytest
from clip_library import ClipLibrary, real
from clip_table import PAGES
from easyocr import config
from frames_and_boxes import clip_frames
from readtext import (
    ENGLISH,
    assert_same_as_readtext,
    corners,
    english_reader,
    narrow,
    without_device,
)

from gpu_workers.inference import run
from gpu_workers.model import InvalidSpec, Runtime
from gpu_workers.ocr.detector import TextBoxes
from gpu_workers.ocr.languages import script_for, supported_languages
from gpu_workers.ocr.recogniser import cut
from gpu_workers.tasks import ocr
from gpu_workers.tasks.ocr import Ocr
from gpu_workers.weights.store import WeightsStore
from ipc.subjects import Frames

if TYPE_CHECKING:
    from tests.conftest import FrameStore


@pytest.fixture(scope="module")
def model(weights_dir: Path) -> Ocr:
    return ocr.load(ENGLISH, Runtime("cpu", "fp32", WeightsStore(weights_dir)))


@pytest.fixture(scope="module")
def reader(weights_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> easyocr.Reader:
    """EasyOCR's Reader, unquantized, patched to accept the stand-ins as its own weights."""
    models = [config.detection_models, *config.recognition_models.values()]
    md5 = {entry["filename"]: entry["md5sum"] for group in models for entry in group.values()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(easyocr.easyocr, "calculate_md5", lambda path: md5[Path(path).name])
        return english_reader(weights_dir, tmp_path_factory.mktemp("networks"))


@pytest.fixture(
    scope="module",
    params=[
        tuple(PAGES),
        *[tuple(names) for names in [real("english.png", "example.png", "width_ths.png")] if names],
    ],
    ids=lambda names: names[0],
)
def pictures(request: pytest.FixtureRequest, clips: ClipLibrary) -> list[np.ndarray]:
    """Pictures of text, small, as RGB, of sizes that CRAFT takes without padding.

    `readtext` itself fails on text found in the padding alone, and stand-ins may find it there.
    """
    paths = [clips.path(name) for name in request.param]
    frames = [narrow(cv2.imread(str(path))[..., ::-1], 320) for path in paths]
    return [frame[: len(frame) // 32 * 32] for frame in frames]


@pytest.fixture(scope="module", params=["everything.mp4", *real("car-detection.mp4")])
def shots(request: pytest.FixtureRequest, clips: ClipLibrary) -> list[np.ndarray]:
    """Three frames of one clip, small, as RGB."""
    return [narrow(frame, 320) for frame in clip_frames(clips.path(request.param), 3, 80)]


@without_device
def test_pictures_read_as_easyocr_reads_them(
    model: Ocr, reader: easyocr.Reader, frame_store: FrameStore, pictures: list[np.ndarray]
) -> None:
    assert_same_as_readtext(model, reader, frame_store, pictures)


@without_device
def test_frames_of_a_clip_read_as_easyocr_reads_them(
    model: Ocr, reader: easyocr.Reader, frame_store: FrameStore, shots: list[np.ndarray]
) -> None:
    assert_same_as_readtext(model, reader, frame_store, shots)


def test_a_chunk_reads_as_its_frames_do_and_twice_the_same(
    model: Ocr, frame_store: FrameStore, shots: list[np.ndarray]
) -> None:
    chunk = frame_store.put(shots, interval=60)
    items = run(model, ENGLISH, chunk, frame_store.view)
    alone = [
        item for ref in chunk.refs for item in run(model, ENGLISH, Frames((ref,)), frame_store.view)
    ]
    assert [(i.text, i.polygon, i.timestamp_ms) for i in items] == [
        (i.text, i.polygon, i.timestamp_ms) for i in alone
    ]
    assert {item.timestamp_ms for item in items} == {0, 2400, 4800}
    assert run(model, ENGLISH, chunk, frame_store.view) == items


def test_threshold_is_the_requests_own(
    model: Ocr, frame_store: FrameStore, pictures: list[np.ndarray]
) -> None:
    chunk = frame_store.put([pictures[1]])
    everything = run(model, ENGLISH, chunk, frame_store.view)
    middle = everything[len(everything) // 2].confidence
    some = run(model, ocr.Spec(("en",), middle - 1e-4), chunk, frame_store.view)
    assert 0 < len(some) < len(everything)
    assert some == everything[: len(some)]
    assert model.info.model_name == "craft_mlt_25k+english_g2"
    assert model.info.stand_in


def test_boxes_outside_the_frame_are_left_out() -> None:
    grey = np.full((40, 100), 128, np.uint8)
    point = [50.0, 20.0]
    boxes = TextBoxes([[10, 60, 41, 60], [10, 60, 5, 25], [105, 128, 5, 25]], [[point] * 4])
    crops = cut(boxes, grey)
    assert [crop.corners for crop in crops] == [[[10, 5], [60, 5], [60, 25], [10, 25]]]


@pytest.mark.parametrize(
    ("languages", "filename"),
    [
        (("en",), "english_g2.pth"),
        (("en", "de"), "latin_g2.pth"),
        (("ch_sim", "en"), "zh_sim_g2.pth"),
        (("th",), "thai.pth"),
        (("ar", "en"), "arabic.pth"),
        (("ru", "uk"), "cyrillic_g2.pth"),
        (("hi",), "devanagari.pth"),
    ],
)
def test_alphabet_is_easyocrs_own(
    languages: tuple[str, ...], filename: str, tmp_path: Path
) -> None:
    script = script_for(languages)
    reader = easyocr.Reader(
        list(languages),
        gpu=False,
        model_storage_directory=str(tmp_path),
        user_network_directory=str(tmp_path),
        detector=False,
        recognizer=False,
        verbose=False,
    )
    assert script.characters == reader.character
    ignored = {reader.character.index(c) + 1 for c in set(reader.character) - set(reader.lang_char)}
    assert set(script.ignored) == ignored
    assert script.filename == filename
    assert script.right_to_left == (reader.model_lang == "arabic")


@pytest.mark.parametrize("languages", [("xx",), ("en", "xx"), ("th", "de"), ("ja", "ko"), ()])
def test_unsupported_languages_are_named(languages: tuple[str, ...], tmp_path: Path) -> None:
    runtime = Runtime("cpu", "fp32", WeightsStore(tmp_path))
    with pytest.raises(InvalidSpec, match=r"OCR cannot read .*; allowed .* en") as error:
        ocr.load(ocr.Spec(languages), runtime)
    assert error.value.field == "languages"


def test_every_supported_language_has_a_recogniser() -> None:
    assert len(supported_languages()) > 70
    assert all(script_for((language,)).characters for language in supported_languages())


@pytest.mark.gpu
def test_half_precision_on_a_gpu_finds_nearly_the_same(
    model: Ocr, weights_dir: Path, frame_store: FrameStore, pictures: list[np.ndarray]
) -> None:
    on_gpu = ocr.load(ENGLISH, Runtime("cuda:0", "fp16", WeightsStore(weights_dir)))
    chunk = frame_store.put(pictures)
    found = run(on_gpu, ENGLISH, chunk, frame_store.view)
    expected = run(model, ENGLISH, chunk, frame_store.view)
    near = [
        item
        for item in expected
        if any(
            other.frame_index == item.frame_index
            and np.allclose(corners(other), corners(item), rtol=0, atol=4)
            for other in found
        )
    ]
    assert on_gpu.info.precision == "fp16"
    assert len(near) >= 0.8 * len(expected)


def test_the_hashes_of_both_files_are_known(model: Ocr, weights_dir: Path) -> None:
    files = ("english_g2.pth", "craft_mlt_25k.pth")
    recogniser, detector = (sha256((weights_dir / f).read_bytes()).hexdigest() for f in files)
    assert (model.info.weights_sha256, model.info.other_sha256) == (recogniser, (detector,))
