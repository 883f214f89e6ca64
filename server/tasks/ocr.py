"""OCR: EasyOCR, or RapidOCR where it is installed."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from ipc.results import TextDetection
from server.formats import csv, screen_text
from server.formats.exports import of_text
from server.formats.format import Export
from server.formats.subtitles import Cue
from server.tasks.response import Response
from server.tasks.task import Fraction, FrameInput, Interval, Language, ListTask, Options, RunsOn

CHUNK_FRAMES = {"easyocr": 2, "rapidocr": 4}
# With the recogniser of the default language; others are loaded on first use.
DEFAULT_WEIGHTS = ("craft_mlt_25k.pth", "english_g2.pth")


class OcrOptions(Options, frozen=True):
    """`languages`, the old spelling, takes precedence over `language`.

    `model_name` is that of the engine, and of its distribution.
    """

    extensions: ClassVar[frozenset[str]] = frozenset({"confidence_threshold", "model_name"})

    model_name: Literal["easyocr", "rapidocr"] = "easyocr"
    frame_interval: Interval = 60
    language: Language = "en"
    languages: Annotated[list[Language], Meta(min_length=1, max_length=16)] | None = None
    use_gpu: bool = True
    confidence_threshold: Fraction = 0.0

    @property
    def effective_languages(self) -> list[str]:
        """The languages to read."""
        return [self.language] if self.languages is None else self.languages


class OcrResponse(Response, frozen=True, kw_only=True):
    """Text, ordered by frame, then by falling confidence."""

    language: str
    detections: list[TextDetection]


def _lines(options: OcrOptions, response: OcrResponse) -> list[str]:
    """Every text once, in the order in which they appear."""
    texts = screen_text.on_screen(response.detections, options.frame_interval, response.video)
    return [text.best.text for text in texts]


def _cues(options: OcrOptions, response: OcrResponse) -> list[Cue]:
    return screen_text.cues(response.detections, options.frame_interval, response.video)


def _table(options: OcrOptions, response: OcrResponse) -> csv.Table:
    """With the four corners of the polygon."""
    plain = csv.table(TextDetection, response.detections)
    corners = [f"{axis}{number}" for number in range(1, 5) for axis in "xy"]
    rows = [
        [*row, *(number for point in found.polygon for number in (point.x, point.y))]
        for row, found in zip(plain.rows, response.detections, strict=True)
    ]
    return csv.Table([*plain.columns, *corners], rows)


class Ocr(ListTask[OcrOptions]):
    """POST /infer/ocr."""

    name = "ocr"
    options = OcrOptions
    response = OcrResponse
    result = list[TextDetection]
    producer = "easyocr"
    package = "easyocr"
    worker = "gpu_workers.tasks.ocr"
    exports = (*of_text(_cues, _lines), Export(csv, _table))

    def config(self, options: OcrOptions) -> dict[str, Any]:
        """The effective list of languages replaces both spellings."""
        config = super().config(options) | {"languages": options.effective_languages}
        del config["language"]
        return config

    def needs(self, options: OcrOptions) -> FrameInput:
        """Sampled frames at full size."""
        return FrameInput(options.frame_interval, CHUNK_FRAMES[options.model_name])

    def runs_on(self, options: OcrOptions) -> RunsOn:
        """A device, unless the request selects the CPU or RapidOCR, which has no other."""
        on_device = options.use_gpu and options.model_name == "easyocr"
        return RunsOn.DEVICE if on_device else RunsOn.CPU

    def weights(self, options: OcrOptions) -> tuple[str, ...]:
        """The detector, and the recogniser of English; RapidOCR's are part of its package."""
        return DEFAULT_WEIGHTS if options.model_name == "easyocr" else ()

    def produced_by(self, options: OcrOptions) -> tuple[str, str]:
        """The engine."""
        return options.model_name, options.model_name

    def model_key(self, options: OcrOptions) -> str:
        """One model per engine and set of languages."""
        languages = "+".join(sorted(set(options.effective_languages)))
        engine = "" if options.model_name == "easyocr" else f"{options.model_name}/"
        return f"{self.name}/{engine}{languages}"

    def spec(self, options: OcrOptions, state: list[Any]) -> dict[str, Any]:
        """The engine, the languages as one list, and the threshold."""
        return {
            "model_name": options.model_name,
            "languages": options.effective_languages,
            "confidence_threshold": options.confidence_threshold,
        }

    def fields(self, options: OcrOptions, state: list[Any]) -> dict[str, Any]:
        """The first language, and the detections."""
        return {"language": options.effective_languages[0], "detections": state}
