"""Transcription: Whisper, on the speech that Silero VAD finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from ipc.results import Segment
from ipc.speech import LoudestFound, NextRead, Step, StepResult, WindowsRead
from server.formats.exports import of_text, tabular
from server.formats.subtitles import spoken
from server.settings import Settings
from server.tasks.response import Response
from server.tasks.task import AudioInput, AudioStep, Language, Name, Options, Task
from server.tasks.transcribe_steps import Filtered, Whole

UNDETERMINED = "und"  # the code of ISO 639-2


class TranscribeOptions(Options, frozen=True):
    """`model_name` null means WHISPER_MODEL; `language` null means detection."""

    extensions: ClassVar[frozenset[str]] = frozenset({"word_timestamps"})

    model_name: Name | None = None
    language: Language | None = None
    vad_filter: bool = True
    word_timestamps: bool = False


class TranscribeResponse(Response, frozen=True, kw_only=True):
    """Speech, ordered by time; `language` is "und" if none was given and nobody speaks."""

    language: str
    segments: list[Segment]


class Spec(msgspec.Struct, frozen=True):
    """What a worker needs; without a step, to load the model."""

    model_name: str | None
    language: str | None
    word_timestamps: bool
    step: Step | None


class State(msgspec.Struct):
    """The steps that are out, the language, the segments so far, and the folds of the steps."""

    out: int = 0
    language: str | None = None
    segments: list[Segment] = []
    filtered: Filtered = msgspec.field(default_factory=Filtered)
    whole: Whole = msgspec.field(default_factory=Whole)


class Transcribe(Task[TranscribeOptions, State]):
    """POST /infer/transcribe."""

    name = "transcribe"
    options = TranscribeOptions
    response = TranscribeResponse
    result = StepResult
    producer = "whisper"
    package = "openai-whisper"
    worker = "gpu_workers.tasks.transcribe"
    exports = (
        *of_text(
            lambda _, response: spoken(response.segments),
            lambda _, response: [segment.text for segment in response.segments],
        ),
        tabular(Segment, "segments"),
    )

    def with_defaults(self, options: TranscribeOptions, settings: Settings) -> TranscribeOptions:
        """Fill in the deployment's model."""
        return msgspec.structs.replace(
            options, model_name=options.model_name or settings.whisper_model
        )

    def needs(self, options: TranscribeOptions) -> AudioInput:
        """All of the audio; `next_audio` selects the parts."""
        return AudioInput()

    def weights(self, options: TranscribeOptions) -> tuple[str, ...]:
        """The checkpoint; Silero VAD's weights are part of its package."""
        return () if options.model_name is None else (options.model_name,)

    def model_key(self, options: TranscribeOptions) -> str:
        """One model per checkpoint."""
        return f"{self.name}/{options.model_name}"

    def spec(self, options: TranscribeOptions, state: State, step: Step | None = None) -> Spec:
        """A step; a detected language applies to all later ones."""
        language = options.language or state.language
        return Spec(options.model_name, language, options.word_timestamps, step)

    def next_audio(
        self, options: TranscribeOptions, state: State, samples: int, sent: int
    ) -> AudioStep | None:
        """The next step with or without voice detection."""
        language = options.language or state.language
        if options.vad_filter:
            asked = state.filtered.next(state.out, language, samples)
        else:
            asked = state.whole.next(state.out, samples)
        if asked is None:
            return None
        state.out += 1
        stretches, step = asked
        return AudioStep(stretches, self.spec(options, state, step))

    def start(self) -> State:
        """No language, no segments."""
        return State()

    def add(self, state: State, result: StepResult) -> Sequence[Segment]:
        """Fold in the result of the oldest step that is out."""
        state.out -= 1
        if isinstance(result, WindowsRead | NextRead):
            state.language = state.language or result.language
        if isinstance(result, LoudestFound | NextRead):
            items = state.whole.add(result)
        else:
            items = state.filtered.add(result)
        state.segments += items
        return items

    def fields(self, options: TranscribeOptions, state: State) -> dict[str, Any]:
        """The segments and their language."""
        language = options.language or state.language or UNDETERMINED
        return {"language": language, "segments": state.segments}
