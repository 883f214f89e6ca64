"""Objects, faces, places and scenes of one video, against the libraries and a script."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import ultralytics.utils
from ultralytics import YOLO

from bench.compare import media
from bench.compare.decode_once import DecodeOnce
from bench.compare.library_loops import INTERVAL, Boxes, Loop, Loops, Places, Scenes
from bench.compare.precision_drift import drift_table
from bench.compare.rounds import Contest, Fields, Side
from bench.compare.rows import COLUMNS, Pairing, rows
from bench.compare.setup import Setup
from bench.reporting.goals import Goal
from bench.reporting.tables import Table

FOUR: Mapping[str, Fields] = {
    "objects": {"frame_interval": INTERVAL},
    "faces": {"frame_interval": INTERVAL},
    "places": {"frame_interval": INTERVAL},
    "scenes": {},
}
DEFAULTS, ALL_CORES = "libraries, defaults", "libraries, all cores"
SCRIPT = "script that decodes once, all cores"
SERVICE = "service, fp32"
AIMS = Goal(2.5, 3), Goal(3, 3.5), Goal(1.5)  # in fp32, in half precision, the script
NOTE = (
    "Every 30th frame of 1080p30; keyframes where x264 puts them. The libraries' loops run one "
    "after the other: YOLO.predict(vid_stride=30, batch=16) twice, ResNet-18 frame by frame, "
    "scenedetect.detect; by default, ultralytics uses one thread fewer than there are cores. "
    "vid_stride takes the last of every 30 frames, so its boxes are compared through an untimed "
    "run of the same model on the first. Agreement is the lowest of all pairs: boxes at IoU 0.9 "
    "with the same label, the most likely place, scenes within 50 ms. Half precision, and the "
    "script's pictures of 256 × 144 from another scaler, may differ more. OpenMP waits passively "
    "on both sides."
)


class Networks:
    """The libraries' models, loaded on first use and shared by all sides in this process."""

    def __init__(self, weights: Path) -> None:
        self._weights = weights

    @cached_property
    def objects(self) -> YOLO:
        """YOLOv8n."""
        return YOLO(self._weights / "yolov8n.pt")

    @cached_property
    def faces(self) -> YOLO:
        """YOLOv8n for faces."""
        return YOLO(self._weights / "yolov8n-face.pt")

    @cached_property
    def places(self) -> Places:
        """ResNet-18."""
        return Places(self._weights / "resnet18_places365.pth.tar")

    @cached_property
    def loops(self) -> Mapping[str, Loop]:
        """One loop per task."""
        return {
            "objects": Boxes(self.objects),
            "faces": Boxes(self.faces, "face"),
            "places": self.places,
            "scenes": Scenes(),
        }


def footage(setup: Setup) -> list[Table]:
    """Real footage; no table without files."""
    if not setup.footage:
        return []
    setup.step("footage")
    clip = media.footage(setup.clips, setup.seconds, setup.footage)
    names = ", ".join(path.name for path in setup.footage)
    how = "as it is" if clip == setup.footage[0].resolve() else "all frames, scaled to 1080p"
    note = f"Footage: {names}; {how}. {NOTE}"
    return _tables(setup, clip, "footage", "Four tasks of real footage", note)


def generated(setup: Setup) -> list[Table]:
    """The generated clip."""
    setup.step("generated clip")
    clip = media.generated(setup.clips, setup.seconds)
    return _tables(setup, clip, "generated", "Four tasks of the generated clip", NOTE)


def _tables(setup: Setup, clip: Path, name: str, title: str, note: str) -> list[Table]:
    networks = Networks(setup.models)
    half = f"service, {setup.half}"
    default_threads = dict.fromkeys(("objects", "faces"), ultralytics.utils.NUM_THREADS)
    contest = Contest(f"four tasks, {name}", FOUR, clip)
    with setup.service() as full_side, setup.service(setup.half) as half_side:
        sides: dict[str, Side] = {
            DEFAULTS: Loops(networks.loops, default_threads),
            SERVICE: full_side(),
            ALL_CORES: Loops(networks.loops),
            half: half_side(),
            SCRIPT: DecodeOnce(networks.objects, networks.faces, networks.places),
        }
        meeting = setup.meet(contest, sides)
    in_full, in_half, script = AIMS
    shown = rows(
        meeting,
        [
            Pairing(DEFAULTS, SERVICE),
            Pairing(ALL_CORES, SERVICE, in_full),
            Pairing(ALL_CORES, half, in_half, equal=False),
            Pairing(SCRIPT, SERVICE, script, equal=False),
            Pairing(SCRIPT, half, equal=False),
        ],
    )
    note += meeting.stand_ins(SERVICE)
    drift = drift_table(name, setup.half, meeting.answers(SERVICE), meeting.answers(half))
    return [Table(f"compare-{name}", title, COLUMNS, shown, note), drift]
