"""`python -m bench.demo.tracks VIDEO OUT.png`: where and when a video's objects were seen.

The picture has no frame of the video. The service runs with the weights of MODEL_CACHE_DIR.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bench.service_process import MODELS, ServiceFailed, service

INCHES = 9.0
ROW_INCHES = 0.22
COLOURS = plt.get_cmap("tab20")


def main() -> int:
    """Ask the service for tracks, and draw them; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.demo.tracks", description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", default="yolov8n.pt")
    parser.add_argument("--frame-interval", type=int, default=2)
    parser.add_argument("--end-ms", type=int, help="analyse the video up to here")
    parser.add_argument("--min-frames", type=int, default=10, help="omit shorter tracks")
    options = parser.parse_args()
    try:
        response = request(options)
    except (ServiceFailed, RuntimeError) as error:
        print(error, file=sys.stderr)  # noqa: T201  the command's output
        return 1
    draw(response, options.output, options.min_frames)
    return 0


def request(options: argparse.Namespace) -> dict[str, Any]:
    """The response with tracks; raises ServiceFailed, and RuntimeError if it is an error."""
    video = options.video.resolve()
    body = {
        "video_path": str(video),
        "model_name": options.model,
        "frame_interval": options.frame_interval,
        "end_ms": options.end_ms,
        "track": True,
    }
    environ = {"MODEL_CACHE_DIR": str(MODELS), "MEDIA_ROOTS": str(video.parent)}
    with (
        tempfile.TemporaryDirectory() as folder,
        service(Path(folder) / "service.log", **environ) as client,
    ):
        response = client.post("/infer/objects", json=body)
    answer: dict[str, Any] = response.json()
    if response.status_code != 200:
        raise RuntimeError(answer["detail"])
    return answer


def draw(response: dict[str, Any], output: Path, min_frames: int) -> None:
    """Draw where and when each track of at least `min_frames` detections was seen."""
    width, height = response["video"]["width"], response["video"]["height"]
    tracks = [track for track in response["tracks"] if track["frames"] >= min_frames]
    figure, (paths, times) = plt.subplots(
        2,
        figsize=(INCHES, INCHES * height / width + ROW_INCHES * (len(tracks) + 3)),
        height_ratios=[INCHES * height / width, ROW_INCHES * (len(tracks) + 3)],
        layout="constrained",
    )
    paths.set(xlim=(0, width), ylim=(height, 0), aspect="equal", xticks=[], yticks=[])
    paths.set_title("Centres of the boxes; a dot is where the track starts")
    for row, track in enumerate(tracks):
        colour = COLOURS(row % 20)
        own = [d for d in response["detections"] if d["track_id"] == track["track_id"]]
        _draw_path(paths, str(track["track_id"]), own, colour)
        start_s, end_s = track["start_ms"] / 1000, track["end_ms"] / 1000
        times.barh(row, end_s - start_s, left=start_s, color=colour)
    times.set_yticks(range(len(tracks)), [f"{t['track_id']} {t['label']}" for t in tracks])
    times.set(xlabel="Time in s", ylim=(len(tracks) - 0.4, -0.6))
    figure.savefig(output, dpi=100)
    plt.close(figure)


def _draw_path(axes: Axes, name: str, detections: list[dict[str, Any]], colour: Any) -> None:
    boxes = [found["bbox"] for found in detections]
    x = [box["x"] + box["width"] / 2 for box in boxes]
    y = [box["y"] + box["height"] / 2 for box in boxes]
    axes.plot(x, y, color=colour, linewidth=1.5)
    axes.plot(x[0], y[0], "o", color=colour)
    axes.annotate(name, (x[0], y[0]), (5, 5), textcoords="offset points", color=colour)


if __name__ == "__main__":
    sys.exit(main())
