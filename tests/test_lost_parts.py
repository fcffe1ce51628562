"""A sentence that lost a part in extraction is known for it, and is not offered for quoting."""

from __future__ import annotations

import pytest

from index.documents import Document, is_complete
from index.passages import split
from rag.retrieval import Hit
from tests.parts.pdfs import LOREM, OTHER, lines, pdf, read, text, wrapped

BEGUN = wrapped(f"{LOREM} At the end the harbour and the lost")
BOATS = "boats of the winter were carried inland by those who made them."
LEFT, TOP, LEADING = 90, 640, 12
MARK = b"q .015 0 0 .012 %d %d cm /X0 Do Q\n"


def row(number: int) -> float:
    """A baseline, counted from the last line before the boats."""
    return TOP - LEADING * (len(BEGUN) - 1 + number)


def paragraph(painted: bytes, *, room: int = 1, words: str = BOATS, under: bytes = b"") -> Document:
    """A paragraph with `room` lines before the boats, and what is painted there and under it."""
    below = lines(wrapped(f"{words} {OTHER}"), LEFT, row(room))
    page = under + lines([*BEGUN, ""], LEFT, TOP) + painted + below
    return read(pdf([page], forms=[b".9 g 0 0 612 792 re f"], readings={"A": "\ue000"}))


def quotable(document: Document) -> list[str]:
    hits = (Hit("arxiv:1", "full text", passage, 1.0) for passage in split(document))
    return [words for hit in hits for _, words in hit.sentences()]


def cells(*words: str, y: float) -> bytes:
    return b"".join(text(part, LEFT + 110 * n, y) for n, part in enumerate(words))


def with_gap(filling: bytes) -> bytes:
    """The last line before the boats in two pieces, 14 points apart, with something there."""
    return text("which here", LEFT, row(1)) + filling + text("made the", LEFT + 74, row(1))


@pytest.mark.parametrize(
    ("painted", "room"),
    [
        (cells("ships that", "x =", "were", "of", y=row(1)), 2),
        (with_gap(text("A", LEFT + 64, row(1), font="F5")), 2),
        (with_gap(MARK % (LEFT + 63, row(1))), 2),
    ],
    ids=["taken for a table's line", "a sign without a reading", "a picture"],
)
def test_a_sentence_that_lost_a_part_is_not_offered(painted: bytes, room: int) -> None:
    document = paragraph(painted, room=room)
    assert any(
        not is_complete(document.lost, *span) for p in split(document) for span in p.sentences
    )
    assert quotable(document) == [LOREM, OTHER]
    assert Document.from_json(document.to_json()) == document


@pytest.mark.parametrize(
    "painted",
    [
        b"",
        cells("a table", "of", "cells", "here", y=700),
        MARK % (LEFT + 2, row(0)),  # under a word
        MARK % (20, 400),
    ],
)
def test_what_stands_beside_the_text_takes_nothing_from_it(painted: bytes) -> None:
    sentences = quotable(paragraph(b"", under=painted))
    assert sentences == [LOREM, f"At the end the harbour and the lost {BOATS}", OTHER]


def test_what_is_missing_between_two_sentences_is_missing_from_neither() -> None:
    table = cells("ships that", "x =", "were", "of", y=row(1))
    last = "boats. " + " ".join(["Many more of them were made by those who had to go."] * 2)
    assert last.split(". ", 1)[1][:60] in " ".join(quotable(paragraph(table, room=2, words=last)))
