"""OCR with trained weights against EasyOCR's own `readtext`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import easyocr
import pytest
from clip_library import ClipLibrary, real
from clip_table import PAGES
from frames_and_boxes import clip_frames
from readtext import ENGLISH, assert_same_as_readtext, english_reader, narrow, without_device

from gpu_workers.model import Runtime
from gpu_workers.tasks import ocr
from gpu_workers.tasks.ocr import Ocr
from gpu_workers.weights.store import WeightsStore

if TYPE_CHECKING:
    from tests.conftest import FrameStore

pytestmark = [pytest.mark.trained("craft_mlt_25k.pth", "english_g2.pth"), without_device]
WIDTH = 480


@pytest.fixture(scope="module")
def model(trained_dir: Path) -> Ocr:
    return ocr.load(ENGLISH, Runtime("cpu", "fp32", WeightsStore(trained_dir)))


@pytest.fixture(scope="module")
def reader(trained_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> easyocr.Reader:
    return english_reader(trained_dir, tmp_path_factory.mktemp("networks"))


@pytest.mark.parametrize("names", [tuple(PAGES), *filter(None, [tuple(real("example.png"))])])
def test_pictures_read_as_easyocr_reads_them(
    model: Ocr,
    reader: easyocr.Reader,
    frame_store: FrameStore,
    clips: ClipLibrary,
    names: tuple[str, ...],
) -> None:
    pictures = [cv2.imread(str(clips.path(name)))[..., ::-1] for name in names]
    assert_same_as_readtext(model, reader, frame_store, [narrow(one, WIDTH) for one in pictures])


def test_frames_of_a_clip_read_as_easyocr_reads_them(
    model: Ocr, reader: easyocr.Reader, frame_store: FrameStore, clips: ClipLibrary
) -> None:
    frames = clip_frames(clips.path("narrated.mp4"), 4, 160)
    assert_same_as_readtext(model, reader, frame_store, [narrow(one, WIDTH) for one in frames])
