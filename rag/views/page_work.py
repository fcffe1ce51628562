"""What a worker does for one PDF: finds quotes on its pages and draws those pages.

The order and the reply are JSON and bytes. The reply comes from a process that a hostile file may
have turned, so it is read with distrust: what comes out of `reply_of` has the promised form.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rag.answer.serialization import parse, read
from rag.views.page_places import Wanted, locate
from rag.views.page_text import Stream
from rag.views.pictures import Highlight, PageImage

JOB = "rag.views.page_work:work"
LARGEST = 4 << 20  # bytes of one picture
END = b"\n"


@dataclass(frozen=True, slots=True)
class Sheet:
    """One picture in the reply; `length` of its bytes."""

    page: int
    width: int
    height: int
    length: int


@dataclass(frozen=True, slots=True)
class Reply:
    """Where each quote stands, in the order's sequence, and the pictures that follow."""

    highlights: tuple[tuple[Highlight, ...], ...]
    sheets: tuple[Sheet, ...]


def order_of(wanted: Sequence[Wanted]) -> bytes:
    """The order for the quotes of one PDF."""
    return json.dumps([asdict(quote) for quote in wanted]).encode()


def work(source_id: str, data: bytes, order: bytes) -> bytes:
    """Find and draw. Called in a worker process; raises whatever pdfium and Pillow raise."""
    from rag.views.drawing import Drawing
    from rag.views.page_rectangles import highlights_of

    wanted = read(tuple[Wanted, ...], parse(order.decode()))
    drawing = Drawing(data)
    numbers = sorted({page for quote in wanted for page in quote.pages})
    drawn = {number: drawing.page(number) for number in numbers}
    sizes = {number: page.size for number, page in drawn.items()}
    streams: dict[tuple[int, ...], Stream] = {}
    highlights = []
    for quote in wanted:
        if quote.pages not in streams:
            glyphs = [glyph for number in quote.pages for glyph in drawn[number].glyphs]
            streams[quote.pages] = Stream(glyphs)
        stream = streams[quote.pages]
        place = locate(quote, stream)
        highlights.append(highlights_of(quote, place, stream, sizes) if place else ())
    sheets = [Sheet(number, *page.pixels, len(page.data)) for number, page in drawn.items()]
    reply = Reply(tuple(highlights), tuple(sheets))
    return END.join(
        (json.dumps(asdict(reply)).encode(), b"".join(page.data for page in drawn.values()))
    )


def reply_of(
    said: bytes, source_id: str, wanted: Sequence[Wanted]
) -> tuple[tuple[tuple[Highlight, ...], ...], tuple[PageImage, ...]]:
    """The highlights of each quote and the pages. Raises ValueError for any other reply than one
    to this order."""
    from rag.views.drawing import MEDIA_TYPE, MOST_PIXELS, SIGNATURE

    head, _, rest = said.partition(END)
    reply = read(Reply, parse(head.decode()))
    if len(reply.highlights) != len(wanted):
        raise ValueError("as many quotes as were asked for")
    for quote, highlights in zip(wanted, reply.highlights, strict=True):
        for highlight in highlights:
            if highlight.page not in quote.pages or not highlight.rectangles:
                raise ValueError("a quote is highlighted on a page that it does not touch")
            for box in highlight.rectangles:
                if not (0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1):
                    raise ValueError("a rectangle reaches beyond the page")
    asked = sorted({page for quote in wanted for page in quote.pages})
    if [sheet.page for sheet in reply.sheets] != asked:
        raise ValueError("other pages than were asked for")
    pages = []
    for sheet in reply.sheets:
        data, rest = rest[: sheet.length], rest[max(0, sheet.length) :]
        sensible = (
            0 < sheet.width * sheet.height <= 2 * MOST_PIXELS and min(sheet.width, sheet.height) > 0
        )
        if not (sensible and 0 < len(data) == sheet.length <= LARGEST and SIGNATURE.match(data)):
            raise ValueError(f"the picture of page {sheet.page} is none")
        pages.append(PageImage(source_id, sheet.page, sheet.width, sheet.height, MEDIA_TYPE, data))
    return reply.highlights, tuple(pages)
