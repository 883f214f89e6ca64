"""Word and character error rates, and which words differ: by jiwer's alignment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import jiwer


@dataclass(frozen=True)
class Piece:
    """A run of words or characters: what it is in the truth, and what was found for it.

    `kind` is jiwer's: equal, substitute, delete or insert.
    """

    kind: str
    true: str
    found: str


@dataclass(frozen=True)
class Comparison:
    """A truth beside what was found, piece by piece; `errors` of `length` words or characters."""

    pieces: tuple[Piece, ...]
    errors: int
    length: int

    @property
    def rate(self) -> float:
        """The error rate: more than 1 is possible, if much is found that is not there."""
        return self.errors / self.length


def total(comparisons: Sequence[Comparison]) -> Comparison:
    """The errors and lengths of all, without their pieces."""
    errors, length = sum(c.errors for c in comparisons), sum(c.length for c in comparisons)
    return Comparison((), errors, length)


def compare_speech(sentences: Sequence[str], heard: str) -> list[Comparison]:
    """One comparison for each sentence, from one alignment of all words with those heard.

    Case and punctuation do not count. Words that were invented belong to the sentence before.
    """
    spoken = [_words(sentence) for sentence in sentences]
    true, found = [word for words in spoken for word in words], _words(heard)
    aligned = jiwer.process_words(_normal(true), _normal(found)) if found else None
    pieces = _word_pieces(aligned.alignments[0], true, found) if aligned else _all_missing(true)
    comparisons = []
    for words in spoken:
        own: list[Piece] = []
        left = len(words)
        while pieces and (left or pieces[0].kind == "insert"):
            left -= pieces[0].kind != "insert"
            own.append(pieces.pop(0))
        errors = sum(piece.kind != "equal" for piece in own)
        comparisons.append(Comparison(_joined(own), errors, len(words)))
    return comparisons


def compare_text(true: str, found: str) -> Comparison:
    """By character; case counts."""
    if not found:
        return Comparison((Piece("delete", true, ""),), len(true), len(true))
    aligned = jiwer.process_characters(true, found)
    pieces = tuple(
        Piece(
            chunk.type,
            true[chunk.ref_start_idx : chunk.ref_end_idx],
            found[chunk.hyp_start_idx : chunk.hyp_end_idx],
        )
        for chunk in aligned.alignments[0]
    )
    errors = aligned.substitutions + aligned.deletions + aligned.insertions
    return Comparison(pieces, errors, len(true))


def _words(text: str) -> list[str]:
    """The words with their punctuation; what is punctuation alone is left out."""
    return [word for word in text.split() if _bare(word)]


def _bare(word: str) -> str:
    return re.sub(r"[^\w']", "", word.lower())


def _normal(words: Sequence[str]) -> str:
    return " ".join(_bare(word) for word in words)


def _word_pieces(
    chunks: Sequence[jiwer.AlignmentChunk], true: Sequence[str], found: Sequence[str]
) -> list[Piece]:
    """One piece for each word; an inserted one has no truth, a deleted one nothing found."""
    pieces = []
    for chunk in chunks:
        left = true[chunk.ref_start_idx : chunk.ref_end_idx]
        right = found[chunk.hyp_start_idx : chunk.hyp_end_idx]
        count = max(len(left), len(right))
        blank = [""] * count
        words = zip([*left, *blank], [*right, *blank], range(count), strict=False)
        pieces += [Piece(chunk.type, said, heard) for said, heard, _ in words]
    return pieces


def _all_missing(true: Sequence[str]) -> list[Piece]:
    return [Piece("delete", word, "") for word in true]


def _joined(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Neighbours of the same kind as one piece."""
    runs: list[Piece] = []
    for piece in pieces:
        if runs and runs[-1].kind == piece.kind:
            last = runs.pop()
            true, found = f"{last.true} {piece.true}", f"{last.found} {piece.found}"
            piece = Piece(piece.kind, true.strip(), found.strip())
        runs.append(piece)
    return tuple(runs)
