"""Answers made by hand: an empty one, and real ones with their text replaced."""

from __future__ import annotations

from dataclasses import replace

from rag.answer import (
    Answer,
    PromptRecord,
    Quote,
    Reference,
    SourceRecord,
    Statement,
    Workflow,
)
from rag.views.markdown import SupportWarning
from rag.writers import WriterRecord

EMPTY = Answer(PromptRecord("?", "", ""), WriterRecord("w"), (), Workflow((), (), ()), (), ())


def fill(answer: Answer, text: str, *, ids_and_links: bool = False) -> Answer:
    """The answer with `text` in every place that a paper, a README or a prompt may fill; with
    `ids_and_links` in what an answer file may hold besides. The words of some statements then
    differ from those of their quotes, so that both are shown."""
    suffix = text if ids_and_links else ""

    def quote(item: Quote) -> Quote:
        return replace(item, text=text, source_id=item.source_id + suffix)

    def statement(item: Statement, mark: str = "") -> Statement:
        return Statement(item.text and mark + text, tuple(map(quote, item.quotes)))

    def reference(item: Reference) -> Reference:
        filled = replace(
            item,
            name=text,
            relevance=statement(item.relevance),
            mentions=tuple(map(statement, item.mentions)),
            sources=tuple(source + suffix for source in item.sources),
        )
        return replace(filled, paper=text, github=text) if ids_and_links else filled

    def source(item: SourceRecord) -> SourceRecord:
        filled = replace(item, id=item.id + suffix, reason=item.reason and text)
        if not ids_and_links:
            return filled
        return replace(filled, version=text, sha256=text, document_sha256=text)

    mark = "? " if ids_and_links else ""
    return replace(
        answer,
        prompt=replace(answer.prompt, question=text),
        writer=replace(answer.writer, name=text, model=text, note=text),
        task=tuple(statement(item, mark) for item in answer.task),
        workflow=replace(
            answer.workflow,
            input=tuple(map(statement, answer.workflow.input)),
            model=tuple(statement(item, mark) for item in answer.workflow.model),
            output=tuple(map(statement, answer.workflow.output)),
        ),
        references=tuple(map(reference, answer.references)),
        sources=tuple(map(source, answer.sources)),
    )


def warn_of_all(answer: Answer, why: str) -> list[SupportWarning]:
    """A support warning for every statement."""
    return [SupportWarning(part, item.text, why) for part, item in answer.statements()]
