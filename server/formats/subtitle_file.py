"""Writes cues with pysubs2, which SRT and WebVTT have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from server.formats.subtitles import Cue

# pysubs2 takes a backslash for the start of a tag, for which it has no escape.
BACKSLASH = "\ue000"


def written(cues: Sequence[Cue], form: str, escape: Callable[[str], str] = str) -> bytes:
    """The file in one of pysubs2's formats; `escape` prepares a line of text."""
    import pysubs2  # not at the top: it is needed for these formats only

    file = pysubs2.SSAFile()
    for cue in cues:
        lines = [escape(line).replace("\\", BACKSLASH) for line in cue.lines]
        file.append(pysubs2.SSAEvent(cue.start_ms, cue.end_ms, r"\N".join(lines)))
    return file.to_string(form, keep_ssa_tags=True).replace(BACKSLASH, "\\").encode()
