"""What is read does not depend on how frames are put together; still pictures are read once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from clip_library import ClipLibrary, real
from frames_and_boxes import clip_frames

from gpu_workers.inference import run
from gpu_workers.model import Runtime
from gpu_workers.ocr.detector import Page, TextBoxes
from gpu_workers.tasks import ocr
from gpu_workers.tasks.ocr import Ocr
from gpu_workers.weights.store import WeightsStore
from ipc.results import TextDetection
from ipc.subjects import Frames

if TYPE_CHECKING:
    from tests.conftest import FrameStore

ENGLISH = ocr.Spec(("en",))


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def model(request: pytest.FixtureRequest, weights_dir: Path) -> Ocr:
    return ocr.load(ENGLISH, Runtime("cpu", request.param, WeightsStore(weights_dir)))


@pytest.fixture(scope="module", params=["takes.mp4", *real("car-detection.mp4")])
def frames(request: pytest.FixtureRequest, clips: ClipLibrary) -> list[np.ndarray]:
    """Four frames of a clip, small, as RGB."""
    whole = clip_frames(clips.path(request.param), 4, 30)
    return [cv2.resize(frame, (224, 128), interpolation=cv2.INTER_AREA) for frame in whole]


def test_chunks_of_any_length_give_the_same_numbers(
    model: Ocr, frame_store: FrameStore, frames: list[np.ndarray]
) -> None:
    refs = frame_store.put(frames).refs

    def read(length: int) -> list[TextDetection]:
        chunks = [Frames(refs[start : start + length]) for start in range(0, 4, length)]
        results = [run(model, ENGLISH, chunk, frame_store.view) for chunk in chunks]
        return [item for result in results for item in result]

    alone = read(1)
    assert {item.frame_index for item in alone} == {0, 1, 2, 3}
    assert read(2) == alone
    assert read(4) == alone


def test_a_still_picture_is_read_once(
    model: Ocr, frame_store: FrameStore, frames: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    still, other, *_ = frames
    nearly = still.copy()
    nearly[-1, -1, -1] ^= 1
    seen: list[Page] = []
    detector = model._engine._detector
    find = detector.find

    def counted(pages: list[Page]) -> list[TextBoxes]:
        seen.extend(pages)
        return find(pages)

    monkeypatch.setattr(detector, "find", counted)
    chunk = frame_store.put([still, still, still, nearly, other, still])
    items = run(model, ENGLISH, chunk, frame_store.view)
    assert len(seen) == 4
    by_frame = [
        [(i.text, i.confidence, i.polygon) for i in items if i.frame_index == index]
        for index in range(6)
    ]
    assert by_frame[0]
    assert by_frame[0] == by_frame[1] == by_frame[2] == by_frame[5]
    assert {item.timestamp_ms for item in items} >= {0, 40, 80, 200}
