"""Pictures of pages, made by hand: grey sheets, with marks where no words are."""

from __future__ import annotations

import io

from PIL import Image

from rag.answer import Answer
from rag.retrieval import Span
from rag.views.highlight import Highlight, PageImage, Pictures, Rectangle

WIDTH, HEIGHT, GREY = 300, 400, 150


def png(grey: int = GREY) -> bytes:
    """A picture of one shade."""
    file = io.BytesIO()
    Image.new("L", (WIDTH, HEIGHT), grey).save(file, "PNG")
    return file.getvalue()


def drawn(answer: Answer) -> Pictures:
    """Every quote with pages is marked on each of them, and every page has a shade of its own."""
    highlights: dict[Span, tuple[Highlight, ...]] = {}
    pages: dict[tuple[str, int], PageImage] = {}
    for number, (_, quote) in enumerate(answer.quotes()):
        top = 0.1 + (number % 8) / 10
        lines = (Rectangle(0.1, top, 0.9, top + 0.02), Rectangle(0.1, top + 0.03, 0.4, top + 0.05))
        highlights[Span(quote.source_id, quote.start, quote.end)] = tuple(
            Highlight(page, lines) for page in quote.pages
        )
        for page in quote.pages:
            key = (quote.source_id, page)
            if key not in pages:
                data = png(grey=GREY + len(pages))
                pages[key] = PageImage(quote.source_id, page, WIDTH, HEIGHT, "image/png", data)
    return Pictures(highlights, pages)
