"""Readable subtitles: one or two lines of up to 42 characters, for 1 to 7 s, one at a time."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ipc.results import Segment

MAX_WIDTH = 42
MIN_MS = 1000
MAX_MS = 7000
PAUSE_MS = 700
PUNCTUATION = tuple(".,;:!?…。、，！？؟،।")


@dataclass(frozen=True)
class Cue:
    """One subtitle."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Token:
    """What a line break does not split: a word, or a part of a very long one.

    `glued` means that no space is before it, `first` that a segment begins with it.
    """

    text: str
    start_ms: float
    end_ms: float
    glued: bool = False
    first: bool = False


@dataclass(frozen=True)
class Wanted:
    """A cue as it would be if it were alone."""

    start_ms: float
    end_ms: float
    lines: tuple[str, ...]


def spoken(segments: Sequence[Segment]) -> list[Cue]:
    """Speech as cues, split at pauses, ends of segments, punctuation or words, in this order."""
    tokens = (token for segment in segments for token in _of_segment(segment))
    groups = _grouped(tokens)
    return scheduled([Wanted(g[0].start_ms, g[-1].end_ms, _lines(g) or ()) for g in groups])


def shared_out(text: str, start_ms: float, end_ms: float) -> list[Wanted]:
    """A text as cues that share a time equally: all of it is there from the start."""
    groups = list(_grouped(tokens(text, start_ms, start_ms)))
    each_ms = (end_ms - start_ms) / max(1, len(groups))
    return [
        Wanted(start_ms + each_ms * i, start_ms + each_ms * (i + 1), _lines(group) or ())
        for i, group in enumerate(groups)
    ]


def scheduled(wanted: Sequence[Wanted]) -> list[Cue]:
    """Cues of 1 to 7 s, one after the other.

    A cue ends when the next one should start, but is shown for 1 s at least: then the next one
    starts later. So where text is too dense to read, it is late, and nothing of it is lost.
    """
    cues: list[Cue] = []
    following = [*(cue.start_ms for cue in wanted), float("inf")][1:]
    free_ms = 0
    for cue, next_ms in zip(wanted, following, strict=True):
        start_ms = max(free_ms, round(cue.start_ms))
        end_ms = round(min(cue.end_ms, next_ms, start_ms + MAX_MS))
        free_ms = max(end_ms, start_ms + MIN_MS)
        cues.append(Cue(start_ms, free_ms, cue.lines))
    return cues


def tokens(text: str, start_ms: float, end_ms: float, *, glued: bool = False) -> list[Token]:
    """The words of a text, whose times are in proportion to their lengths."""
    pieces = []
    for word in _printable(text).split():
        for part in _cut(word):
            pieces.append((part, glued))
            glued = True
        glued = False
    total, done, timed = sum(width(piece) for piece, _ in pieces), 0, []
    for piece, is_glued in pieces:
        begin_ms = start_ms + (end_ms - start_ms) * done / total
        done += width(piece)
        timed.append(
            Token(piece, begin_ms, start_ms + (end_ms - start_ms) * done / total, is_glued)
        )
    return timed


def width(text: str) -> int:
    """The number of characters; a wide one, as in Chinese, counts twice."""
    return len(text) + sum(unicodedata.east_asian_width(char) in "WF" for char in text)


def _of_segment(segment: Segment) -> list[Token]:
    if segment.words:
        found: list[Token] = []
        for word in segment.words:
            glued = bool(found) and not word.text[:1].isspace()
            found += tokens(word.text, word.start_ms, word.end_ms, glued=glued)
    else:
        found = tokens(segment.text, segment.start_ms, segment.end_ms)
    return [replace(found[0], first=True), *found[1:]] if found else []


def _grouped(found: Iterable[Token]) -> Iterator[list[Token]]:
    """The tokens of each cue."""
    group: list[Token] = []
    for token in found:
        while group and (count := _ended(group, token)):
            yield group[:count]
            group = group[count:]
        group.append(token)
    if group:
        yield group


def _ended(group: Sequence[Token], token: Token) -> int:
    """How many tokens of a group are a cue if `token` follows; 0 if it belongs to the group."""
    span_ms = group[-1].end_ms - group[0].start_ms
    if token.start_ms - group[-1].end_ms >= PAUSE_MS or (token.first and span_ms >= MIN_MS):
        return len(group)
    if token.end_ms - group[0].start_ms <= MAX_MS and _lines([*group, token]):
        return 0
    ends = [i for i, one in enumerate(group, 1) if one.text.endswith(PUNCTUATION)]
    return ends[-1] if ends and ends[-1] * 2 >= len(group) else len(group)


def _lines(group: Sequence[Token]) -> tuple[str, ...] | None:
    """The text in one line, or in two of about the same width; None if it does not fit."""
    whole = _joined(group)
    if width(whole) <= MAX_WIDTH:
        return (whole,)
    if width(whole) > 2 * MAX_WIDTH + 1:
        return None
    halves = [(_joined(group[:i]), _joined(group[i:])) for i in range(1, len(group))]
    best = min(halves, key=lambda pair: max(map(width, pair)), default=None)
    return best if best and max(map(width, best)) <= MAX_WIDTH else None


def _joined(group: Sequence[Token]) -> str:
    spaced = (token.text if token.glued else f" {token.text}" for token in group)
    return "".join(spaced).strip()


def _cut(word: str) -> Iterator[str]:
    """Parts of a word, each of which fits into a line; no part begins with a combining mark."""
    while width(word) > MAX_WIDTH:
        most = next(n for n in range(MAX_WIDTH, 0, -1) if width(word[:n]) <= MAX_WIDTH)
        whole = (n for n in range(most, 0, -1) if unicodedata.category(word[n])[0] != "M")
        end = next(whole, most)
        yield word[:end]
        word = word[end:]
    yield word


def _printable(text: str) -> str:
    return "".join(" " if unicodedata.category(char) == "Cc" else char for char in text)
