"""The words behind a pointer are looked up in what was retrieved, or there are none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.passages import Passage
from rag.prompt import Prompt
from rag.retrieval import Evidence, Hit, Reading, Span

PAPER = "arxiv:2401.00001"
LINK = "arxiv.org/abs/2401.00001"
READING = Reading(PAPER, "full text", sha256="0" * 64, document_sha256="1" * 64)


def evidence(*related: dict[str, str | None]) -> Evidence:
    """One passage of one paper, the digits from character 10 on."""
    passage = Passage(10, 20, "0123456789", sentences=((10, 14), (14, 20)))
    hit = Hit(PAPER, "full text", passage, 1.0)
    asked = Prompt.build("How?", related=related or ({"model": "A", "paper": LINK},))
    return Evidence(asked, (READING,), ((hit,),))


@given(st.integers(0, 30), st.integers(0, 30))
def test_a_span_inside_a_passage_has_its_words_and_no_other_has_any(start: int, end: int) -> None:
    span = Span(PAPER, start, end)
    if 10 <= start < end <= 20:
        assert evidence().text(span) == "0123456789"[start - 10 : end - 10]
    else:
        with pytest.raises(ValueError, match="no retrieved passage"):
            evidence().text(span)


def test_a_span_of_another_source_has_no_words() -> None:
    with pytest.raises(ValueError, match="no retrieved passage"):
        evidence().text(Span("arxiv:2401.00002", 10, 14))


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=8))
def test_a_source_is_of_every_listing_that_lists_it(works: list[tuple[int, bool]]) -> None:
    made = evidence(
        *(
            {
                "model": f"Work {number}",
                "paper": f"arxiv.org/abs/2401.0000{paper}",
                "summary": "Of this and that." if summary else None,
            }
            for number, (paper, summary) in enumerate(works)
        )
    )
    listings = made.prompt.listings
    for source_id in (*(sid for item in listings for sid in item.source_ids), "arxiv:2401.00009"):
        assert made.listings_of(source_id) == tuple(
            number for number, item in enumerate(listings) if source_id in item.source_ids
        )


def test_pages_follow_from_the_page_starts() -> None:
    reading = replace(READING, page_starts=(0, 100, 100, 250))
    assert reading.pages(0, 100) == (1,)
    assert reading.pages(99, 101) == (1, 2, 3)
    assert reading.pages(249, 260) == (3, 4)
    assert READING.pages(0, 1) == ()
