"""What a page shows of an answer, in the order in which it shows it. Values for the templates:
no markup here, and no decisions there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rag.answer.model import Answer, Quote, Reference, SourceRecord, Statement
from rag.views.highlight import Highlight, PageImage, Pictures, Rectangle
from rag.views.markdown import (
    ROLES,
    how_written,
    is_its_quote,
    is_link,
    place,
    what_could_not_be_read,
    what_was_read,
    work_of,
)
from rag.views.warnings import SupportWarning

MARGIN = (0.02, 0.035)
"""What is shown around a quote, in shares of the page: two or three lines above and below."""
LEAST = (0.44, 0.14)
"""What is shown at least, in shares of the page: about a column's width and six lines."""
ONE_COLUMN = 0.5
"""A share of the width that no column of two has. What is wider stands on a page of one column,
whose margins are alike left and right: it is shown from margin to margin, with whole lines."""


@dataclass(frozen=True, slots=True)
class Box:
    """Whole pixels, so that equal pictures give equal pages."""

    x: int
    y: int
    width: int
    height: int

    def __str__(self) -> str:
        """As an SVG viewBox."""
        return f"{self.x} {self.y} {self.width} {self.height}"


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a page, with `marks` where the quote stands; `whole` is the page itself."""

    source_id: str
    page: int
    whole: Box
    part: Box
    marks: tuple[Box, ...]


def crop_of(highlight: Highlight, image: PageImage) -> Crop:
    """What to show of one page for one quote; `highlight` has at least one rectangle."""
    marks = tuple(_pixels(rectangle, image) for rectangle in highlight.rectangles)
    left = min(rectangle.left for rectangle in highlight.rectangles)
    right = max(rectangle.right for rectangle in highlight.rectangles)
    if right - left > ONE_COLUMN:
        left, right = min(left, 1.0 - right), max(right, 1.0 - left)
    top = min(rectangle.top for rectangle in highlight.rectangles)
    bottom = max(rectangle.bottom for rectangle in highlight.rectangles)
    left, right = _stretch(left, right, MARGIN[0], LEAST[0])
    top, bottom = _stretch(top, bottom, MARGIN[1], LEAST[1])
    part = _pixels(Rectangle(left, top, right, bottom), image)
    whole = Box(0, 0, image.width, image.height)
    return Crop(image.source_id, image.page, whole, part, marks)


def _stretch(first: float, last: float, margin: float, least: float) -> tuple[float, float]:
    """The stretch with its margins, at least `least` long, moved so that it lies on the page."""
    missing = max(0.0, least - (last - first) - 2 * margin)
    first, last = first - margin - missing / 2, last + margin + missing / 2
    over, under = max(0.0, last - 1.0), max(0.0, -first)
    return max(0.0, first - over), min(1.0, last + under)


def _pixels(rectangle: Rectangle, image: PageImage) -> Box:
    left, right = round(rectangle.left * image.width), round(rectangle.right * image.width)
    top, bottom = round(rectangle.top * image.height), round(rectangle.bottom * image.height)
    return Box(left, top, max(1, right - left), max(1, bottom - top))


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
    """A quote and where it stands. `link` leads to its README; `crops` show it on its pages, ()
    where it was not found there or there are no pages. `number` counts quotes in reading order."""

    number: int
    text: str
    work: str
    place: str
    link: str | None
    crops: tuple[Crop, ...]


@dataclass(frozen=True, slots=True)
class StatementView:
    """`verbatim` where it is its quote word for word; `warning` is "" or why it is doubted."""

    text: str
    verbatim: bool
    warning: str
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
    relevance: StatementView


@dataclass(frozen=True, slots=True)
class AnswerView:
    """Everything. `pages` are the pictures that `crops` show, each once."""

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


def view_of(
    answer: Answer, pictures: Pictures, support_warnings: Sequence[SupportWarning] = ()
) -> AnswerView:
    """The view of an answer."""
    showing = _Showing(
        answer, pictures, {(item.part, item.statement): item.why for item in support_warnings}
    )
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
        self, answer: Answer, pictures: Pictures, support_warnings: Mapping[tuple[str, str], str]
    ) -> None:
        self._answer = answer
        self._pictures = pictures
        self._doubts = support_warnings
        self._records = {source.id: source for source in answer.sources}
        self.pages: dict[tuple[str, int], PageImage] = {}
        self.shown = 0
        self.doubted = 0

    def statements(self, part: str, said: Iterable[Statement]) -> tuple[StatementView, ...]:
        return tuple(self.statement(part, each) for each in said)

    def statement(self, part: str, said: Statement) -> StatementView:
        warning = self._doubts.get((part, said.text), "")
        self.doubted += bool(warning)
        quotes = tuple(map(self._quote, said.quotes))
        return StatementView(said.text, is_its_quote(said), warning, quotes)

    def reference(self, number: int, item: Reference) -> WorkView:
        read = what_was_read(item, self._records)
        return WorkView(
            name=item.name,
            role=ROLES[item.role],
            paper=Link.of(item.paper),
            github=Link.of(item.github),
            read=read[:1].upper() + read[1:],
            relevance=self.statement(f"references[{number}]", item.relevance),
        )

    def _quote(self, quote: Quote) -> QuoteView:
        self.shown += 1
        return QuoteView(
            number=self.shown,
            text=quote.text,
            work=work_of(self._answer, quote.source_id),
            place=place(quote),
            link=self._readme(quote),
            crops=tuple(self._sights(quote)),
        )

    def _sights(self, quote: Quote) -> Iterable[Crop]:
        for highlight in self._pictures.of(quote):
            key = (quote.source_id, highlight.page)
            image = self._pictures.pages.get(key)
            if image is not None and highlight.rectangles:
                self.pages[key] = image
                yield crop_of(highlight, image)

    def _readme(self, quote: Quote) -> str | None:
        """The link under which the prompt lists the README that was quoted."""
        if quote.source_type != "readme":
            return None
        given = (item.github for item in self._answer.references if quote.source_id in item.sources)
        return next((link for link in given if link and is_link(link)), None)
