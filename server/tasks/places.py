"""Places: ResNet-18 trained on Places365."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ipc.results import Classification
from server.formats import csv
from server.formats.format import Export
from server.tasks.response import Response
from server.tasks.task import FrameInput, Interval, ListTask, Options

CHUNK_FRAMES = 16


class PlacesOptions(Options, frozen=True):
    """`top_k` is the number of categories per frame."""

    frame_interval: Interval = 60
    top_k: Annotated[int, Meta(ge=1, le=365)] = 5


class PlacesResponse(Response, frozen=True, kw_only=True):
    """The most likely categories of every sampled frame."""

    classifications: list[Classification]


def _table(options: PlacesOptions, response: PlacesResponse) -> csv.Table:
    """One row per frame and category."""
    columns = ("frame_index", "timestamp_ms", "indoor", "rank", "label", "confidence")
    rows = [
        (f.frame_index, f.timestamp_ms, str(f.indoor).lower(), rank, found.label, found.confidence)
        for f in response.classifications
        for rank, found in enumerate(f.predictions, 1)
    ]
    return csv.Table(columns, rows)


class Places(ListTask[PlacesOptions]):
    """POST /infer/places."""

    name = "places"
    options = PlacesOptions
    response = PlacesResponse
    result = list[Classification]
    producer = "places365"
    package = "torchvision"
    worker = "gpu_workers.tasks.places"
    exports = (Export(csv, _table),)
    items_field = "classifications"

    def needs(self, options: PlacesOptions) -> FrameInput:
        """Sampled frames at full size."""
        return FrameInput(options.frame_interval, CHUNK_FRAMES)

    def weights(self, options: PlacesOptions) -> tuple[str, ...]:
        """The network and its two lists."""
        return ("resnet18_places365.pth.tar", "categories_places365.txt", "IO_places365.txt")
