"""A quote is whole sentences or clauses: what is torn out of one is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.documents.document import Document, Section
from index.passages import split
from rag.answer.verify import on_sentence_boundaries

TEXT = "The lamp does not work. It reads pages, but only by day. Nobody knows why; it just does."
DOCUMENT = Document(TEXT, "", (), (Section(0, len(TEXT)),), "test")


@pytest.mark.parametrize(
    "quote",
    [
        "The lamp does not work.",
        "It reads pages,",
        "but only by day.",
        "The lamp does not work. It reads pages, but only by day.",
        "Nobody knows why;",
        "it just does.",
    ],
)
def test_sentences_and_clauses_are_whole(quote: str) -> None:
    start = TEXT.index(quote)
    assert on_sentence_boundaries(DOCUMENT, start, start + len(quote))


@pytest.mark.parametrize(
    "quote",
    ["The lamp does", "does not work.", "lamp does not work.", "work. It reads pages,", "w", "why"],
)
def test_what_is_torn_out_is_not(quote: str) -> None:
    start = TEXT.index(quote)
    assert not on_sentence_boundaries(DOCUMENT, start, start + len(quote))


WORDS = st.lists(
    st.sampled_from(["lamp", "page,", "reads;", "the.", "of", "it", "not:", "Day.", "Work"]),
    max_size=300,
)


@given(WORDS.map(" ".join))
def test_every_sentence_of_every_passage_is_whole(text: str) -> None:
    document = Document(text, "", (), (Section(0, len(text)),), "test")
    for passage in split(document):
        assert on_sentence_boundaries(document, passage.start, passage.end)
        for start, end in passage.sentences:
            assert on_sentence_boundaries(document, start, end)
