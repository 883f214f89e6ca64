"""OCR of a few pages, against EasyOCR and RapidOCR."""

from __future__ import annotations

from bench.compare import media
from bench.compare.library_loops import Loops
from bench.compare.library_texts import INTERVAL, EasyOcrLoop, RapidOcrLoop
from bench.compare.precision_drift import drift_table
from bench.compare.rounds import Contest, Side
from bench.compare.rows import COLUMNS, Pairing, rows
from bench.compare.setup import Setup
from bench.reporting.tables import Table

DEFAULTS, MATCHED = "EasyOCR, defaults (quantized)", "EasyOCR, quantize=False"
RAPID = "RapidOCR"
EASY_SERVICE, RAPID_SERVICE = "service, easyocr, fp32", "service, rapidocr"
NOTE = (
    "Every 60th frame, all cores. Agreement is 1 - edits per character of texts in the same place; "
    "different engines, precisions and quantized networks read differently. The service does not "
    "quantize."
)


def run(setup: Setup) -> list[Table]:
    """Pictures of text, or the generated clip."""
    setup.step("pages")
    clip = media.pages(setup.clips, setup.pages)
    contest = Contest("OCR", {"ocr": {"frame_interval": INTERVAL}}, clip)
    half = f"service, easyocr, {setup.half}"
    with setup.service() as full_side, setup.service(setup.half) as half_side:
        sides: dict[str, Side] = {
            DEFAULTS: Loops({"ocr": EasyOcrLoop(setup.models, quantize=True)}),
            EASY_SERVICE: full_side(),
            MATCHED: Loops({"ocr": EasyOcrLoop(setup.models, quantize=False)}),
            half: half_side(),
            RAPID: Loops({"ocr": RapidOcrLoop()}),
            RAPID_SERVICE: full_side(ocr={"model_name": "rapidocr"}),
        }
        meeting = setup.meet(contest, sides)
    shown = rows(
        meeting,
        [
            Pairing(DEFAULTS, EASY_SERVICE, equal=False),
            Pairing(MATCHED, EASY_SERVICE),
            Pairing(MATCHED, half, equal=False),
            Pairing(RAPID, RAPID_SERVICE),
            Pairing(RAPID, EASY_SERVICE, equal=False),
            Pairing(DEFAULTS, RAPID_SERVICE, equal=False),
        ],
    )
    of = ", ".join(path.name for path in setup.pages) or "6 s of the generated clip"
    note = f"Pages: {of}. {NOTE}{meeting.stand_ins(EASY_SERVICE)}"
    drift = drift_table("ocr", setup.half, meeting.answers(EASY_SERVICE), meeting.answers(half))
    return [Table("compare-ocr", "OCR", COLUMNS, shown, note), drift]
