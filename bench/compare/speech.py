"""Transcription, against openai-whisper and faster-whisper with the same model."""

from __future__ import annotations

from contextlib import ExitStack

from rich.console import Console

from bench.compare import library_speech, media
from bench.compare.environments import NotInstalled, pinned
from bench.compare.faster_whisper.side import REQUIREMENTS, FasterWhisper, faster_whisper
from bench.compare.library_loops import Loops
from bench.compare.library_speech import WhisperLoop
from bench.compare.rounds import Contest, Side
from bench.compare.rows import COLUMNS, Pairing, rows
from bench.compare.setup import Setup
from bench.reporting.goals import Goal
from bench.reporting.tables import Table

MODEL = "base.pt"
BATCH = 8
WARM_UP_S = 5
DEFAULTS, MATCHED = "openai-whisper, defaults", "openai-whisper, temperature=0"
SERVICE, WHOLE = "service", "service, vad_filter=false"
BATCHED = f"faster-whisper, batch {BATCH}, fp32"
PEERS = {
    "faster-whisper, sequential, fp32": ("float32", 0),
    "faster-whisper, sequential, int8": ("int8", 0),
    BATCHED: ("float32", BATCH),
    f"faster-whisper, batch {BATCH}, int8": ("int8", BATCH),
}
LIBRARY_GOAL, BATCHED_GOAL = Goal(3), Goal(1)
NOTE = (
    "Whisper base, fp32, all cores; the service by default, with voice detection, unless the row "
    "says otherwise. openai-whisper has no voice detection, and by default it repeats a window at "
    "higher temperatures. faster-whisper runs with beam_size=1, temperature=0 and vad_filter=True, "
    "in a process of its own. Agreement is 1 - edits per word."
)


def run(setup: Setup) -> list[Table]:
    """Recorded speech, or generated syllables."""
    setup.step("speech")
    clip = media.speech(setup.clips, setup.talk_s, setup.speech)
    contest = Contest("transcription", {"transcribe": {"model_name": MODEL}}, clip)
    with ExitStack() as stack:
        side = stack.enter_context(setup.service())
        model = library_speech.load(setup.models / MODEL)
        half = {"fp16": setup.half == "fp16"}
        sides: dict[str, Side] = {
            SERVICE: side(),
            DEFAULTS: Loops({"transcribe": WhisperLoop(model)}),
            WHOLE: side(transcribe={"vad_filter": False}),
            MATCHED: Loops({"transcribe": WhisperLoop(model, temperature=0, **half)}),
            **_peers(setup, stack),
        }
        meeting = setup.meet(contest, sides)
    pairings = [
        Pairing(DEFAULTS, SERVICE, LIBRARY_GOAL, equal=False),
        Pairing(MATCHED, SERVICE, LIBRARY_GOAL, equal=False),
        Pairing(MATCHED, WHOLE),
    ]
    for name in PEERS:
        if name in sides:
            goal = BATCHED_GOAL if name == BATCHED else None
            pairings.append(Pairing(name, SERVICE, goal, equal=False))
    of = ", ".join(path.name for path in setup.speech) or "generated syllables, no words"
    length = "" if len(setup.speech) == 1 else f", repeated up to {setup.talk_s} s"
    versions = pinned(REQUIREMENTS[0], "faster-whisper", "ctranslate2")
    note = f"Speech: {of}{length}. {NOTE} {versions}.{meeting.stand_ins(SERVICE)}"
    return [Table("compare-speech", "Transcription", COLUMNS, rows(meeting, pairings), note)]


def _peers(setup: Setup, stack: ExitStack) -> dict[str, Side]:
    setup.step("faster-whisper: packages and start")
    try:
        process = stack.enter_context(faster_whisper(setup.output / "faster-whisper"))
    except NotInstalled as error:
        Console().print(f"faster-whisper is skipped: {error}")
        return {}
    short = media.speech(setup.clips, WARM_UP_S, setup.speech)
    return {name: FasterWhisper(process, short, *settings) for name, settings in PEERS.items()}
