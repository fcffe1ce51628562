"""The words behind a pointer are looked up in what was retrieved, or there are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.passages import Passage
from rag.prompt import Prompt
from rag.retrieval import Evidence, Hit, Reading, Span

PAPER, OTHER = "arxiv:2401.00001", "arxiv:2401.00002"
READING = Reading(PAPER, "full text", page_starts=(0, 100, 100, 250))
# One passage of a paper that two works share, the digits from character 10 on.
EVIDENCE = Evidence(
    Prompt.build(
        "How?",
        related=[
            {"model": name, "paper": f"arxiv.org/abs/{paper.removeprefix('arxiv:')}"}
            for name, paper in (("A", PAPER), ("B", OTHER), ("C", PAPER))
        ],
    ),
    (READING,),
    ((Hit(PAPER, "full text", Passage(10, 20, "0123456789", sentences=((10, 20),)), 1.0),),),
)


@given(st.sampled_from([PAPER, OTHER]), st.integers(0, 30), st.integers(0, 30))
def test_a_span_inside_a_passage_has_its_words_and_no_other_has_any(
    source_id: str, start: int, end: int
) -> None:
    span = Span(source_id, start, end)
    if source_id == PAPER and 10 <= start < end <= 20:
        assert EVIDENCE.text(span) == "0123456789"[start - 10 : end - 10]
    else:
        with pytest.raises(ValueError, match="no retrieved passage"):
            EVIDENCE.text(span)


def test_a_source_is_of_every_listing_that_lists_it() -> None:
    of_papers = [EVIDENCE.listings_of(source_id) for source_id in (PAPER, OTHER, "arxiv:3")]
    assert of_papers == [(0, 2), (1,), ()]


def test_pages_follow_from_the_page_starts() -> None:
    spans = ((0, 100), (99, 101), (249, 260))
    assert [READING.pages(*span) for span in spans] == [(1,), (1, 2, 3), (3, 4)]
    assert Reading("summary:1", "summary").pages(0, 1) == ()
