"""What a page shows of an answer, in the order in which it shows it. Values for the templates:
no markup here, and no decisions there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rag.answer import Answer, Quote, Reference, SourceRecord, Statement
from rag.doubts import Doubt
from rag.page.sight import Sight, sight_of
from rag.pictures import PageImage, Pictures
from rag.render import (
    ROLES,
    how_written,
    is_its_quote,
    is_link,
    place,
    what_could_not_be_read,
    what_was_read,
    work_of,
)

STAGES = (
    ("input", "Input", "What goes in"),
    ("model", "Model", "What the model does"),
    ("output", "Output", "What comes out"),
)


@dataclass(frozen=True, slots=True)
class Link:
    """A link as the prompt gives it; one that is not `live` is text and nothing else."""

    written: str
    live: bool

    @classmethod
    def of(cls, written: str | None) -> Link | None:
        """None where the prompt gives none."""
        return None if written is None else cls(written, is_link(written))


@dataclass(frozen=True, slots=True)
class QuoteView:
    """A quote and where it stands. `link` leads to its README; `sights` show it on its pages, ()
    where it was not found there or there are no pages. `number` counts quotes in reading order."""

    number: int
    text: str
    work: str
    place: str
    link: str | None
    sights: tuple[Sight, ...]


@dataclass(frozen=True, slots=True)
class StatementView:
    """`verbatim` where it is its quote word for word; `doubt` is "" or why it is doubted."""

    text: str
    verbatim: bool
    doubt: str
    quotes: tuple[QuoteView, ...]


@dataclass(frozen=True, slots=True)
class StageView:
    """One box of the workflow, and what stands behind it."""

    name: str
    label: str
    heading: str
    statements: tuple[StatementView, ...]


@dataclass(frozen=True, slots=True)
class WorkView:
    """One row of section 3."""

    name: str
    role: str
    paper: Link | None
    github: Link | None
    read: str
    bearing: StatementView


@dataclass(frozen=True, slots=True)
class AnswerView:
    """Everything. `pages` are the pictures that `sights` show, each once."""

    question: str
    works: int
    quotes: int
    unread: str
    doubted: int
    task: tuple[StatementView, ...]
    stages: tuple[StageView, ...]
    references: tuple[WorkView, ...]
    colophon: str
    sources: tuple[SourceRecord, ...]
    pages: tuple[PageImage, ...]


def view_of(answer: Answer, pictures: Pictures, doubts: Sequence[Doubt] = ()) -> AnswerView:
    """The view of an answer."""
    showing = _Showing(answer, pictures, {(item.part, item.statement): item.why for item in doubts})
    task = showing.statements("task", answer.task)
    stages = tuple(
        StageView(
            name,
            label,
            heading,
            showing.statements(f"workflow.{name}", getattr(answer.workflow, name)),
        )
        for name, label, heading in STAGES
    )
    references = tuple(
        showing.reference(number, item) for number, item in enumerate(answer.references)
    )
    return AnswerView(
        question=answer.prompt.question,
        works=len(answer.references),
        quotes=showing.shown,
        unread=what_could_not_be_read(answer),
        doubted=showing.doubted,
        task=task,
        stages=stages,
        references=references,
        colophon=how_written(answer),
        sources=answer.sources,
        pages=tuple(showing.pages.values()),
    )


class _Showing:
    """Turns statements into views, and keeps count of what they need."""

    def __init__(
        self, answer: Answer, pictures: Pictures, doubts: Mapping[tuple[str, str], str]
    ) -> None:
        self._answer = answer
        self._pictures = pictures
        self._doubts = doubts
        self._records = {source.id: source for source in answer.sources}
        self.pages: dict[tuple[str, int], PageImage] = {}
        self.shown = 0
        self.doubted = 0

    def statements(self, part: str, said: Iterable[Statement]) -> tuple[StatementView, ...]:
        return tuple(self.statement(part, each) for each in said)

    def statement(self, part: str, said: Statement) -> StatementView:
        doubt = self._doubts.get((part, said.text), "")
        self.doubted += bool(doubt)
        quotes = tuple(map(self._quote, said.quotes))
        return StatementView(said.text, is_its_quote(said), doubt, quotes)

    def reference(self, number: int, item: Reference) -> WorkView:
        read = what_was_read(item, self._records)
        return WorkView(
            name=item.name,
            role=ROLES[item.role],
            paper=Link.of(item.paper),
            github=Link.of(item.github),
            read=read[:1].upper() + read[1:],
            bearing=self.statement(f"references[{number}]", item.bearing),
        )

    def _quote(self, quote: Quote) -> QuoteView:
        self.shown += 1
        return QuoteView(
            number=self.shown,
            text=quote.text,
            work=work_of(self._answer, quote.source_id),
            place=place(quote),
            link=self._readme(quote),
            sights=tuple(self._sights(quote)),
        )

    def _sights(self, quote: Quote) -> Iterable[Sight]:
        for highlight in self._pictures.of(quote):
            key = (quote.source_id, highlight.page)
            image = self._pictures.pages.get(key)
            if image is not None and highlight.rectangles:
                self.pages[key] = image
                yield sight_of(highlight, image)

    def _readme(self, quote: Quote) -> str | None:
        """The link under which the prompt lists the README that was quoted."""
        if quote.tier != "readme":
            return None
        given = (item.github for item in self._answer.references if quote.source_id in item.sources)
        return next((link for link in given if link and is_link(link)), None)
