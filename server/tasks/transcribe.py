"""Transcription: Whisper, on the speech that Silero VAD finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from ipc.results import Segment, Transcript
from server.settings import Settings
from server.tasks.response import Response
from server.tasks.task import AudioInput, Language, Name, Options, Task

WINDOW_MS = 30 * 60 * 1000
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


class State(msgspec.Struct):
    """The detected language, and the segments so far."""

    language: str | None = None
    segments: list[Segment] = []


class Transcribe(Task[TranscribeOptions, State]):
    """POST /infer/transcribe."""

    name = "transcribe"
    options = TranscribeOptions
    response = TranscribeResponse
    result = Transcript
    producer = "whisper"
    package = "openai-whisper"
    worker = "gpu_workers.tasks.transcribe"

    def with_defaults(self, options: TranscribeOptions, settings: Settings) -> TranscribeOptions:
        """Fill in the deployment's model."""
        return msgspec.structs.replace(
            options, model_name=options.model_name or settings.whisper_model
        )

    def needs(self, options: TranscribeOptions) -> AudioInput:
        """All of the audio."""
        return AudioInput(WINDOW_MS)

    def weights(self, options: TranscribeOptions) -> tuple[str, ...]:
        """The checkpoint; Silero VAD's weights are part of its package."""
        return () if options.model_name is None else (options.model_name,)

    def model_key(self, options: TranscribeOptions) -> str:
        """One model per checkpoint."""
        return f"{self.name}/{options.model_name}"

    def spec(self, options: TranscribeOptions, state: State) -> TranscribeOptions:
        """The options; a detected language applies to all later windows."""
        return msgspec.structs.replace(options, language=options.language or state.language)

    def waits(self, options: TranscribeOptions, state: State) -> bool:
        """Wait until the language is known; then windows run in parallel."""
        return options.language is None and state.language is None

    def start(self) -> State:
        """No language, no segments."""
        return State()

    def add(self, state: State, result: Transcript) -> Sequence[Segment]:
        """Append the segments of the next window."""
        state.language = state.language or result.language
        state.segments += result.segments
        return result.segments

    def fields(self, options: TranscribeOptions, state: State) -> dict[str, Any]:
        """The segments and their language."""
        language = options.language or state.language or UNDETERMINED
        return {"language": language, "segments": state.segments}
