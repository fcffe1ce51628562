"""Draft + evidence → answer: pointers become quotes, and section 3 is written here, by code.

No writer touches a link, a name, a page or a quote's words: this module puts them in.
"""

from __future__ import annotations

from rag.answer.model import (
    Answer,
    PromptRecord,
    Quote,
    Reference,
    SourceRecord,
    Statement,
    Workflow,
)
from rag.retrieval.evidence import Evidence, Reading
from rag.writers.base import AS_IT_STANDS, NOT_SAID, Draft, DraftStatement

NOTHING_READ = "Nothing of this work could be read, so nothing here rests on it."
NO_RELEVANCE = "Nothing that was read of this work answers the question."
ABSTENTIONS = frozenset((NOT_SAID, NO_RELEVANCE, NOTHING_READ))
FIXED = ABSTENTIONS | {AS_IT_STANDS}
"""Sentences that claim nothing about the works: there is nothing in them to support."""


def compose(evidence: Evidence, draft: Draft) -> Answer:
    """The answer that `draft` makes of `evidence`. Raises ValueError where a pointer points
    outside the evidence: that is a defect of the writer, never of the data."""
    prompt = evidence.prompt
    lookup = _Lookup(evidence)
    return Answer(
        prompt=PromptRecord(question=prompt.question, sha256=prompt.sha256, text=prompt.text),
        writer=draft.record,
        task=lookup.statements(draft.task),
        workflow=Workflow(
            input=lookup.statements(draft.input),
            model=lookup.statements(draft.model),
            output=lookup.statements(draft.output),
        ),
        references=tuple(
            _reference(evidence, lookup, number, relevance)
            for number, relevance in enumerate(draft.relevance_notes)
        ),
        sources=tuple(_record(reading) for reading in evidence.readings),
    )


class _Lookup:
    """Turns pointers into quotes."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.readings = {reading.source_id: reading for reading in evidence.readings}

    def statements(self, drafts: tuple[DraftStatement, ...]) -> tuple[Statement, ...]:
        return tuple(self.statement(draft) for draft in drafts)

    def statement(self, draft: DraftStatement) -> Statement:
        quotes = []
        for span in draft.quotes:
            reading = self.readings[span.source_id]
            quotes.append(
                Quote(
                    source_id=span.source_id,
                    source_type=reading.source_type,
                    start=span.start,
                    end=span.end,
                    text=self.evidence.text(span),
                    pages=reading.pages(span.start, span.end),
                )
            )
        return Statement(draft.text, tuple(quotes))


def _reference(
    evidence: Evidence, lookup: _Lookup, number: int, relevance: DraftStatement | None
) -> Reference:
    listing = evidence.prompt.listings[number]
    read = {reading.source_id for reading in evidence.readings if not reading.reason}
    if relevance is not None:
        statement = lookup.statement(relevance)
    elif read.intersection(listing.source_ids):
        statement = Statement(NO_RELEVANCE, ())
    else:
        statement = Statement(NOTHING_READ, ())
    return Reference(
        name=listing.name,
        role=listing.role,
        paper=listing.paper.written if listing.paper else None,
        github=listing.github.written if listing.github else None,
        sources=listing.source_ids,
        relevant=relevance is not None,
        relevance=statement,
    )


def _record(reading: Reading) -> SourceRecord:
    return SourceRecord(
        id=reading.source_id,
        source_type=reading.source_type,
        sha256=reading.sha256,
        extractor=reading.extractor,
        document_sha256=reading.document_sha256,
        version=reading.version,
        reason=reading.reason,
    )
