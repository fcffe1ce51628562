"""A writer hands over pointers; names, links, pages and the words of quotes are put in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from index.documents.document import Document
from rag.answer.compose import NO_RELEVANCE, NOTHING_READ, compose
from rag.answer.model import Answer, Statement
from rag.answer.reextraction import Reextraction
from rag.pipeline import Pipeline
from rag.retrieval.evidence import Evidence, Span
from rag.writers.base import NOT_SAID, Draft, DraftStatement, WriterRecord
from tests.parts.works import PROMPTS


@pytest.fixture(scope="module")
def evidence(pipeline: Pipeline) -> Evidence:
    return pipeline.gather(PROMPTS["colour"])


def draft(*spans: Span, relevance_notes: tuple[DraftStatement | None, ...] = (None,) * 3) -> Draft:
    nothing = (DraftStatement(NOT_SAID, ()),)
    task = (DraftStatement("It says so.", spans),)
    return Draft(
        task, nothing, nothing, nothing, relevance_notes, WriterRecord("test", note="By hand.")
    )


def across_a_page(evidence: Evidence) -> Span:
    """A span of a listed paper that two pages share."""
    for hit in evidence.hits():
        if len(hit.passage.pages) == 2:
            return Span(hit.source_id, hit.passage.start, hit.passage.end)
    raise AssertionError("no passage crosses a page: the small papers are too small")


def test_a_pointer_becomes_the_words_and_pages_it_points_to(evidence: Evidence) -> None:
    span = across_a_page(evidence)
    (statement,) = compose(evidence, draft(span)).task
    (quote,) = statement.quotes
    assert (quote.source_id, quote.start, quote.end) == (span.source_id, span.start, span.end)
    assert quote.text == evidence.text(span)
    assert len(quote.pages) == 2
    assert quote.source_type == "full text"
    assert statement.text == "It says so."


def test_a_pointer_out_of_the_evidence_is_a_defect_of_the_writer(evidence: Evidence) -> None:
    span = across_a_page(evidence)
    for wrong in (replace(span, end=10**9), replace(span, start=span.end)):
        with pytest.raises(ValueError, match="no retrieved passage"):
            compose(evidence, draft(wrong))
    with pytest.raises((KeyError, ValueError)):
        compose(evidence, draft(replace(span, source_id="arxiv:2401.00003v1")))


def test_every_listing_is_there_with_its_links_exactly(evidence: Evidence) -> None:
    answer = compose(evidence, draft(across_a_page(evidence)))
    for reference, listing in zip(answer.references, evidence.prompt.listings, strict=True):
        assert (reference.name, reference.role) == (listing.name, listing.role)
        assert reference.paper == (listing.paper.written if listing.paper else None)
        assert reference.github == (listing.github.written if listing.github else None)
        assert reference.sources == listing.source_ids


def test_silence_about_a_work_says_whether_it_was_read(pipeline: Pipeline) -> None:
    evidence = pipeline.gather(PROMPTS["colour"])
    lost = tuple(
        replace(reading, reason="lost") if reading.source_id == "arxiv:2401.00002" else reading
        for reading in evidence.readings
    )
    answer = compose(replace(evidence, readings=lost), draft(across_a_page(evidence)))
    said = [reference.relevance for reference in answer.references]
    assert said == [Statement(text, ()) for text in (NO_RELEVANCE, NOTHING_READ, NO_RELEVANCE)]
    assert not any(reference.relevant for reference in answer.references)


def test_a_bearing_bears(evidence: Evidence) -> None:
    span = across_a_page(evidence)
    relevance = DraftStatement("It is about this.", (span,))
    answer = compose(evidence, draft(span, relevance_notes=(relevance, None, None)))
    assert [reference.relevant for reference in answer.references] == [True, False, False]
    assert answer.references[0].relevance.quotes[0].text == evidence.text(span)


def test_each_source_is_accounted_for_once(evidence: Evidence) -> None:
    answer = compose(evidence, draft(across_a_page(evidence)))
    listed = [sid for listing in evidence.prompt.listings for sid in listing.source_ids]
    assert [source.id for source in answer.sources] == listed
    for source in answer.sources:
        read = (source.sha256, source.extractor, source.document_sha256)
        assert all(read) != bool(source.reason)
    assert answer.writer.note == "By hand."


@pytest.mark.parametrize("name", PROMPTS)
def test_every_quote_is_a_slice_of_its_document(
    answers: Mapping[str, Answer], pipeline: Pipeline, name: str
) -> None:
    reextraction = Reextraction(pipeline.settings)
    documents: dict[str, Document] = {
        source.id: reextraction(source) for source in answers[name].sources if not source.reason
    }
    quotes = [quote for _, quote in answers[name].quotes()]
    for quote in quotes:
        document = documents[quote.source_id]
        assert document.text[quote.start : quote.end] == quote.text
        assert document.pages(quote.start, quote.end) == quote.pages
    assert len({(q.source_id, q.start, q.end) for q in quotes}) == len(quotes)
