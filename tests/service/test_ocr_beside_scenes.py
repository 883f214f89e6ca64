"""OCR with `use_gpu: false` next to scenes, where no device is a CPU."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gates import Gate
from running import running

from bench.clips.generate import make_small

MORE_THAN_ENOUGH = 100
DEVICES = {"GPU-0aac7d1a-4a16-4c12-a4e4-0f6e8b1cd001": "NVIDIA H100"}


def test_scenes_does_not_wait_for_text_that_is_read_on_the_cpu(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    make_small(clip, seconds=4, width=320, height=180, fps=10, audio=False)
    gate = Gate(tmp_path / "hold")
    with (
        ThreadPoolExecutor(1) as background,  # ends last: the end of the server ends its request
        running(
            "cuda_server",
            DEVICES="cuda:0",
            MODEL_CACHE_DIR=str(tmp_path),
            MEDIA_ROOTS=str(tmp_path),
            EIOKU_TEST_FOLDER=str(tmp_path),
            EIOKU_TEST_DEVICES=json.dumps(DEVICES),
            EIOKU_TEST_WORKER="held_ocr:main",
        ) as server,
    ):
        reading = background.submit(server.infer, "ocr", clip, use_gpu=False, frame_interval=1)
        server.wait_until((tmp_path / "reading").exists, "a worker reads text")
        body = {"video_path": str(clip)}
        scenes = server.client.post("/infer/scenes", json=body, headers={"X-Request-Timeout": "20"})
        waits = not reading.done()
        gate.let_pass(MORE_THAN_ENOUGH)
        text = reading.result(60)
        gate.close()
    assert (scenes.status_code, scenes.json().get("detail")) == (200, None)
    assert waits
    assert (text.status_code, text.json()["provenance"]["device"]) == (200, "cpu")
