"""Error rates, and the alignment that shows where the errors are."""

from __future__ import annotations

import jiwer
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.demo.words import Comparison, Piece, compare_speech, compare_text, total

WORDS = st.lists(st.sampled_from(["a", "the", "bus", "runs", "here"]), min_size=1, max_size=6)


def said(comparison: Comparison) -> str:
    return " ".join(piece.true for piece in comparison.pieces if piece.true)


def test_case_and_punctuation_do_not_count() -> None:
    (comparison,) = compare_speech(["The bus, it is here!"], "the bus it is -- Here.")
    assert comparison.errors == 0
    assert comparison.pieces == (Piece("equal", "The bus, it is here!", "the bus it is Here."),)


def test_each_kind_of_error_is_counted_and_shown() -> None:
    (comparison,) = compare_speech(["one two three four"], "one too three four five")
    assert (comparison.errors, comparison.length, comparison.rate) == (2, 4, 0.5)
    assert [(p.kind, p.true, p.found) for p in comparison.pieces] == [
        ("equal", "one", "one"),
        ("substitute", "two", "too"),
        ("equal", "three four", "three four"),
        ("insert", "", "five"),
    ]
    (shorter,) = compare_speech(["one two three"], "one three")
    assert Piece("delete", "two", "") in shorter.pieces


def test_an_error_belongs_to_its_own_sentence() -> None:
    first, second = compare_speech(["One two.", "Three four."], "One two three for.")
    assert (first.errors, second.errors) == (0, 1)
    assert (said(first), said(second)) == ("One two.", "Three four.")


def test_nothing_heard_is_an_error_for_every_word() -> None:
    comparisons = compare_speech(["One two.", "Three."], " ")
    assert [comparison.rate for comparison in comparisons] == [1, 1]
    assert total(comparisons).errors == 3


@settings(deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=4), WORDS)
def test_the_errors_of_all_sentences_are_those_of_the_whole(
    sentences: list[list[str]], heard: list[str]
) -> None:
    spoken = [" ".join(words) for words in sentences]
    comparisons = compare_speech(spoken, " ".join(heard))
    assert [said(comparison) for comparison in comparisons] == spoken
    assert total(comparisons).rate == jiwer.wer(" ".join(spoken), " ".join(heard))


def test_texts_are_compared_by_character_and_case() -> None:
    comparison = compare_text("Gate 12", "gate 1")
    assert (comparison.errors, comparison.length) == (2, 7)
    assert "".join(piece.true for piece in comparison.pieces) == "Gate 12"
    assert "".join(piece.found for piece in comparison.pieces) == "gate 1"
    assert compare_text("Gate", "").rate == 1
