"""A writer hands over spans; names, links, pages and the words of quotes are put in by code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rag.answer import Answer, Statement
from rag.answer.compose import (
    NO_RELEVANCE,
    NOTHING_READ,
    OTHER_LANGUAGE,
    QUOTED_ELSEWHERE,
    compose,
)
from rag.answer.verify import Reextraction, verify
from rag.pipeline import Pipeline
from rag.retrieval import Evidence, Reading, Span
from rag.views.html import to_html
from rag.views.markdown import IN_ENGLISH, to_markdown
from rag.writers import NOT_SAID, Draft, DraftStatement, WorkNote, WriterEvent, WriterRecord
from tests.parts import ROOT
from tests.parts.tiny_models import hits
from tests.parts.works import PROMPTS


@pytest.fixture(scope="module")
def evidence(pipeline: Pipeline) -> Evidence:
    return pipeline.gather(PROMPTS["colour"])


@pytest.fixture(scope="module")
def span(evidence: Evidence) -> Span:
    """A passage of a listed paper that two pages share."""
    return next(
        Span(hit.source_id, hit.passage.start, hit.passage.end)
        for hit in evidence.hits()
        if len(hit.passage.pages) == 2
    )


def draft(span: Span, *relevance_notes: WorkNote | None) -> Draft:
    nothing = (DraftStatement(NOT_SAID, ()),)
    task = (DraftStatement("It says so.", (span,)),)
    notes = relevance_notes or (None,) * 3
    return Draft(task, nothing, nothing, nothing, notes, WriterRecord("test", note="By hand."))


def test_a_span_becomes_the_words_and_pages_it_points_to(evidence: Evidence, span: Span) -> None:
    answer = compose(evidence, draft(span))
    (statement,) = answer.task
    (quote,) = statement.quotes
    assert (quote.source_id, quote.start, quote.end) == (span.source_id, span.start, span.end)
    assert quote.text == evidence.text(span)
    assert len(quote.pages) == 2
    assert quote.source_type == "full text"
    assert statement.text == "It says so."
    assert answer.writer.note == "By hand."


def test_a_span_outside_the_evidence_is_a_defect_of_the_writer(
    evidence: Evidence, span: Span
) -> None:
    for wrong in (replace(span, end=10**9), replace(span, start=span.end)):
        with pytest.raises(ValueError, match="no retrieved passage"):
            compose(evidence, draft(wrong))
    with pytest.raises((KeyError, ValueError)):
        compose(evidence, draft(replace(span, source_id="arxiv:2401.00003v1")))


def test_every_listing_and_source_is_there_with_its_links_exactly(
    evidence: Evidence, span: Span
) -> None:
    answer = compose(evidence, draft(span))
    for reference, listing in zip(answer.references, evidence.prompt.listings, strict=True):
        assert (reference.name, reference.role) == (listing.name, listing.role)
        assert reference.paper == (listing.paper.written if listing.paper else None)
        assert reference.github == (listing.github.written if listing.github else None)
        assert reference.sources == listing.source_ids
    listed = [sid for listing in evidence.prompt.listings for sid in listing.source_ids]
    assert [source.id for source in answer.sources] == listed
    for source in answer.sources:
        read = (source.sha256, source.extractor, source.document_sha256)
        assert all(read) != bool(source.reason)


def test_no_error_brings_a_link_that_the_prompt_does_not_give(
    pipeline: Pipeline, evidence: Evidence, span: Span
) -> None:
    error = "unsupported filter /http://evil.example/x \ud800 (see docs.evil.example/y)"
    readings = tuple(
        Reading(each.source_id, each.source_type, reason=error) if n == 0 else each
        for n, each in enumerate(evidence.readings)
    )
    events = (WriterEvent("task", "fall-back", error),)
    record = WriterRecord("local", model="/my.models/tiny", note=error, events=events)
    answer = compose(replace(evidence, readings=readings), replace(draft(span), record=record))
    text = answer.to_json()
    assert text.encode()
    assert "evil" not in text
    failures = verify(answer, Reextraction(pipeline.settings)).failures
    assert not [each for each in failures if each.kind == "unlisted link"]


def test_a_work_says_by_a_quote_how_it_is_relevant_or_what_it_is_or_whether_it_was_read(
    evidence: Evidence, span: Span
) -> None:
    lost = tuple(
        replace(reading, reason="lost") if reading.source_id == "arxiv:2401.00002" else reading
        for reading in evidence.readings
    )
    whole, evidence = evidence, replace(evidence, readings=lost)
    note = DraftStatement("It is about this.", (span,))
    for relevant, words in ((True, note.text), (False, NO_RELEVANCE)):
        answer = compose(evidence, draft(span, WorkNote(note, relevant), None, None))
        first, *others = answer.references
        assert (first.relevance.text, first.relevant) == (words, relevant)
        assert first.relevance.quotes[0].text == evidence.text(span)
        notes = [other.relevance for other in others]
        assert notes == [Statement(NOTHING_READ, ()), Statement(NO_RELEVANCE, ())]
        assert not any(other.relevant for other in others)
    references = compose(whole, draft(span)).references
    above = next(each for each in references if span.source_id in each.sources)
    assert (above.relevance, above.relevant) == (Statement(QUOTED_ELSEWHERE, ()), True)


@pytest.mark.parametrize(
    ("question", "other"),
    [
        ("Woher weiß das Programm, welche Farben es nehmen soll?", True),
        ("Comment le réseau connaît-il les couleurs ?", True),
        ("为什么它知道颜色？", True),
        ("How is a microwave oven heating the food that I put into it?", False),
        ("Is it a bird?", False),
        ("42?", False),
    ],
)
def test_a_question_with_hardly_a_word_of_the_works_is_said_to_be_in_another_language(
    evidence: Evidence, span: Span, question: str, other: bool
) -> None:
    asked = replace(evidence, prompt=replace(evidence.prompt, question=question))
    # Of few words nothing can be told.
    assert not compose(asked, draft(span)).writer.events
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    asked = replace(asked, works=(*asked.works, hits("summary:long", text)))
    answer = compose(asked, draft(span))
    assert (OTHER_LANGUAGE in answer.writer.events) == other
    assert (IN_ENGLISH in to_markdown(answer)) == other
    assert (IN_ENGLISH in to_html(answer)) == other
    assert Answer.from_json(answer.to_json()) == answer
