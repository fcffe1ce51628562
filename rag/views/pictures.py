"""Where quotes stand on the pages of their papers, and those pages as pictures. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rag.answer.model import Quote
from rag.retrieval.evidence import Span


@dataclass(frozen=True, slots=True)
class Rectangle:
    """In shares of the page's width and height as it is shown, from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Highlight:
    """What a quote covers of one page, in reading order; `page` is 1-based."""

    page: int
    rectangles: tuple[Rectangle, ...]


@dataclass(frozen=True, slots=True)
class PageImage:
    """One page of a source, drawn: `width` and `height` in pixels."""

    source_id: str
    page: int
    width: int
    height: int
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Pictures:
    """For an answer's quotes from PDFs: where each stands, and each page that one stands on,
    once. A quote that could not be found on its page with certainty has no highlights: no
    rectangle rather than a wrong one. `pages[source_id, page]`."""

    highlights: Mapping[Span, tuple[Highlight, ...]] = field(default_factory=dict)
    pages: Mapping[tuple[str, int], PageImage] = field(default_factory=dict)

    def of(self, quote: Quote) -> tuple[Highlight, ...]:
        """Where `quote` stands; () where it is not from a PDF or was not found."""
        return self.highlights.get(Span(quote.source_id, quote.start, quote.end), ())


NO_PICTURES = Pictures()
