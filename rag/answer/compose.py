"""Draft + evidence → answer: spans become quotes, and section 3 is written here, by code.

No writer touches a link, a name, a page or a quote's words: this module puts them in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from rag.answer import (
    Answer,
    PromptRecord,
    Quote,
    Reference,
    SourceRecord,
    Statement,
    Workflow,
)
from rag.plaintext import without_addresses
from rag.retrieval import Evidence
from rag.selection.mentions import mentions_of
from rag.writers import NOT_SAID, Draft, DraftStatement, WorkNote, WriterEvent, WriterRecord

NOTHING_READ = "Nothing of this work could be read, so nothing here rests on it."
NO_RELEVANCE = "Nothing that was read of this work answers the question."
QUOTED_ELSEWHERE = "What was read of this work is quoted elsewhere in this answer."
FIXED = frozenset((NOT_SAID, NO_RELEVANCE, NOTHING_READ, QUOTED_ELSEWHERE))
"""Sentences that claim nothing about the works: there is nothing in them to support."""
OTHER_LANGUAGE = WriterEvent("question", "other language", "it has hardly a word of the works")
_WORD = re.compile(r"[^\W\d_]+")


def quoted_statement(evidence: Evidence, written: DraftStatement) -> Statement:
    """The statement with the words that its spans point to. Raises ValueError as `compose`."""
    readings = {reading.source_id: reading for reading in evidence.readings}
    quotes = (
        Quote(
            source_id=span.source_id,
            source_type=readings[span.source_id].source_type,
            start=span.start,
            end=span.end,
            text=evidence.text(span),
            pages=readings[span.source_id].pages(span.start, span.end),
        )
        for span in written.quotes
    )
    return Statement(written.text, tuple(quotes))


def compose(evidence: Evidence, draft: Draft) -> Answer:
    """The answer that `draft` makes of `evidence`. Raises ValueError where a span lies outside
    the evidence: that is a defect of the writer, never of the data."""
    prompt = evidence.prompt
    read = {reading.source_id for reading in evidence.readings if not reading.reason}

    def statements(written: Iterable[DraftStatement]) -> tuple[Statement, ...]:
        return tuple(quoted_statement(evidence, each) for each in written)

    def relevance(note: WorkNote | None, source_ids: Iterable[str]) -> Statement:
        if note is not None:
            told = quoted_statement(evidence, note.statement)
            return told if note.relevant else Statement(NO_RELEVANCE, told.quotes)
        if not read.intersection(source_ids):
            return Statement(NOTHING_READ, ())
        elsewhere = any(span.source_id in source_ids for span in used)
        return Statement(QUOTED_ELSEWHERE if elsewhere else NO_RELEVANCE, ())

    parts = (draft.task, draft.input, draft.model, draft.output)
    record = draft.record
    if not has_words_of_works(evidence):
        record = replace(record, events=(OTHER_LANGUAGE, *record.events))
    noted = (note.statement for note in draft.relevance_notes if note)
    used = {span for written in chain(*parts, noted) for span in written.quotes}
    references = (
        Reference(
            name=listing.name,
            role=listing.role,
            paper=listing.paper.written if listing.paper else None,
            github=listing.github.written if listing.github else None,
            sources=listing.source_ids,
            relevant=(told := relevance(note, listing.source_ids)).text
            not in (NO_RELEVANCE, NOTHING_READ),
            relevance=told,
            mentions=statements(DraftStatement("", (span,)) for span in mentions),
        )
        for listing, note, mentions in zip(
            prompt.listings, draft.relevance_notes, mentions_of(evidence, used), strict=True
        )
    )
    return Answer(
        prompt=PromptRecord(prompt.question, prompt.sha256, prompt.text),
        writer=_shown(record),
        task=statements(draft.task),
        workflow=Workflow(*map(statements, parts[1:])),
        references=tuple(references),
        sources=tuple(
            SourceRecord(
                id=reading.source_id,
                source_type=reading.source_type,
                sha256=reading.sha256,
                extractor=reading.extractor,
                document_sha256=reading.document_sha256,
                version=reading.version,
                # In the words of libraries, which may repeat those of a broken file.
                reason=without_addresses(reading.reason),
            )
            for reading in evidence.readings
        ),
    )


def has_words_of_works(evidence: Evidence) -> bool:
    """Whether a quarter of the question's words, function words among them, stand in what was
    found of the works: in one language nearly always, in another hardly ever (decision 72). True
    where fewer than 400 different words were found, which say nothing."""
    question, found = (
        set(_WORD.findall(text.lower()))
        for text in (evidence.prompt.question, " ".join(hit.text for hit in evidence.hits()))
    )
    return len(found) < 400 or 4 * len(question & found) >= len(question)


def _shown(record: WriterRecord) -> WriterRecord:
    """Without addresses, which are in the errors and the replies of servers, and names of folders
    that look like some: a link that the prompt does not give is in no answer."""
    events = (replace(event, detail=without_addresses(event.detail)) for event in record.events)
    model = record.model and without_addresses(record.model)
    return replace(record, model=model, note=without_addresses(record.note), events=tuple(events))
