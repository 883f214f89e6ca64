"""The sides of a comparison on small clips: the same frames, and the same results."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from ultralytics import YOLO

from bench.clips.generate import make_small
from bench.compare import decode_once
from bench.compare.agreement import agreement
from bench.compare.decode_once import DecodeOnce
from bench.compare.four_tasks import FOUR, Networks
from bench.compare.library_loops import Boxes, Loops
from bench.compare.rounds import Contest, WorkDiffers


def test_the_script_that_decodes_once_finds_what_the_libraries_find(
    tmp_path: Path, weights_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode_once, "BATCH", 2)
    clip = tmp_path / "clip.mp4"
    make_small(clip, seconds=3)
    contest = Contest("four", FOUR, clip)
    networks = Networks(weights_dir)
    libraries = Loops(networks.loops, {"objects": 1})
    script = DecodeOnce(networks.objects, networks.faces, networks.places)
    for side in (libraries, script):
        side.warm_up(contest)
    theirs, ours = libraries.run(contest), script.run(contest)
    assert theirs.seconds == sum(theirs.detail["each_s"].values()) > 0
    assert len(theirs.items["objects"]) > 0
    assert [item["frame_index"] for item in ours.items["places"]] == [0, 30, 60]
    # The two decode and scale with different libraries, and stand-ins are sensitive to that.
    shares = agreement([(theirs, ours)]).shares
    assert min(shares[task] for task in ("objects", "faces", "places")) > 0.5
    assert shares["scenes"] == 1


def test_frames_that_ultralytics_does_not_read_are_reported(
    tmp_path: Path, weights_dir: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    make_small(clip, seconds=2.5)  # frames 0, 30 and 60, but only two 30th frames
    boxes = Boxes(YOLO(weights_dir / "yolov8n.pt"))
    boxes.warm_up(clip)
    with pytest.raises(WorkDiffers, match=re.escape("ultralytics read 2 frames, not 3")):
        boxes.run(clip)


def test_torch_is_not_loaded_before_passive_waiting_is_set() -> None:
    program = (
        "import sys, bench.compare.command, bench.limits.command; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
