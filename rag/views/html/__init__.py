"""An answer as HTML: a whole document that needs nothing else, or a fragment for a notebook.

All text from papers, READMEs and prompts passes `_finalize` and Jinja's escaping; only the
stylesheet and base64 are inserted as they are.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import count

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from rag.answer import Answer, Quote
from rag.plaintext import plain
from rag.views import markdown
from rag.views.highlight import NO_PICTURES, Highlight, PageImage, Pictures, Rectangle

MARGIN = (0.02, 0.035)
"""Shown around a quote, in shares of the page's width and height: two or three lines."""
LEAST = (0.44, 0.14)
"""The smallest crop, in shares of the page: about a column's width and six lines."""
ONE_COLUMN = 0.5
"""A share of the width that no column of two has. A wider quote stands on a page of one column,
whose margins are alike left and right: its crop goes from margin to margin, with whole lines."""


@dataclass(frozen=True, slots=True)
class PixelBox:
    """In whole pixels, so that equal pictures give equal pages; `str` gives an SVG viewBox."""

    x: int
    y: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.x} {self.y} {self.width} {self.height}"


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a page, with `marks` where the quote stands; `whole` is the page itself."""

    source_id: str
    page: int
    whole: PixelBox
    part: PixelBox
    marks: tuple[PixelBox, ...]


def crop_of(highlight: Highlight, image: PageImage) -> Crop:
    """What to show of one page for one quote; `highlight` has at least one rectangle."""
    rectangles = highlight.rectangles
    left = min(rectangle.left for rectangle in rectangles)
    right = max(rectangle.right for rectangle in rectangles)
    if right - left > ONE_COLUMN:
        left, right = min(left, 1.0 - right), max(right, 1.0 - left)
    top = min(rectangle.top for rectangle in rectangles)
    bottom = max(rectangle.bottom for rectangle in rectangles)
    left, right = _stretch(left, right, MARGIN[0], LEAST[0])
    top, bottom = _stretch(top, bottom, MARGIN[1], LEAST[1])
    return Crop(
        image.source_id,
        image.page,
        whole=PixelBox(0, 0, image.width, image.height),
        part=_pixels(Rectangle(left, top, right, bottom), image),
        marks=tuple(_pixels(rectangle, image) for rectangle in rectangles),
    )


def _stretch(first: float, last: float, margin: float, least: float) -> tuple[float, float]:
    """The interval with its margins, at least `least` long, moved so that it lies within 0..1."""
    missing = max(0.0, least - (last - first) - 2 * margin)
    first, last = first - margin - missing / 2, last + margin + missing / 2
    over, under = max(0.0, last - 1.0), max(0.0, -first)
    return max(0.0, first - over), min(1.0, last + under)


def _pixels(rectangle: Rectangle, image: PageImage) -> PixelBox:
    left, right = round(rectangle.left * image.width), round(rectangle.right * image.width)
    top, bottom = round(rectangle.top * image.height), round(rectangle.bottom * image.height)
    return PixelBox(left, top, max(1, right - left), max(1, bottom - top))


Warnings = Sequence[markdown.SupportWarning]
_POLICY = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src "


def to_html(
    answer: Answer, pictures: Pictures = NO_PICTURES, *, support_warnings: Warnings = ()
) -> str:
    """A whole document without scripts, whose policy lets it load nothing from outside."""
    return _render("document.html", answer, pictures, support_warnings)


def to_fragment(
    answer: Answer, pictures: Pictures = NO_PICTURES, *, support_warnings: Warnings = ()
) -> str:
    """The same content for another page, above all a notebook: its style applies inside it alone,
    and its ids begin with a hash of its content."""
    return _render("fragment.html", answer, pictures, support_warnings)


def _render(template: str, answer: Answer, pictures: Pictures, support_warnings: Warnings) -> str:
    quotes = [quote for _, quote in answer.quotes()]
    crops = {quote: _crops(quote, pictures) for quote in quotes}
    shown = dict.fromkeys((crop.source_id, crop.page) for each in quotes for crop in crops[each])
    pages = [pictures.pages[key] for key in shown]
    reasons = {(warning.part, warning.statement): warning.why for warning in support_warnings}
    # Equal for equal content, so that fragments in one notebook never refer to each other's pages.
    content = (
        answer.to_json(),
        sorted(pictures.highlights.items(), key=repr),
        support_warnings,
        [hashlib.sha256(page.data).digest() for page in pages],
    )
    return (
        _environment()
        .get_template(template)
        .render(
            answer=answer,
            quotes=len(quotes),
            crops=crops,
            reasons=reasons,
            warnings=sum((part, each.text) in reasons for part, each in answer.statements()),
            records={source.id: source for source in answer.sources},
            pages=pages,
            page_numbers={key: number for number, key in enumerate(shown, start=1)},
            next_number=count(1).__next__,
            numbers=markdown.numbers_of(answer),
            key="a" + hashlib.sha256(repr(content).encode("utf-8", "replace")).hexdigest()[:10],
            style=_style(),
            policy=_POLICY + style_source(),
        )
    )


@cache
def _style() -> Markup:
    style = (files(__name__) / "templates" / "style.css").read_text(encoding="utf-8")
    return Markup(style.strip())


@cache
def style_source() -> str:
    """The hash of the stylesheet in every document and fragment, as a content security policy
    names a source."""
    return f"'sha256-{b64encode(hashlib.sha256(_style().encode()).digest()).decode()}'"


def _crops(quote: Quote, pictures: Pictures) -> list[Crop]:
    return [
        crop_of(highlight, pictures.pages[quote.source_id, highlight.page])
        for highlight in pictures.of(quote)
        if highlight.rectangles and (quote.source_id, highlight.page) in pictures.pages
    ]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__name__),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"data_uri": _data_uri, "breakable": _breakable}
    environment.tests |= {"live": markdown.is_link, "told": markdown.is_told}
    environment.globals |= {"wording": markdown, "readme_link": _readme_link}
    return environment


def _finalize(value: object) -> object:
    """Text without control characters; Jinja escapes it afterwards."""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _data_uri(image: PageImage) -> Markup:
    data = b64encode(image.data).decode()
    return Markup("data:{};base64,{}").format(plain(image.media_type), data)


def _breakable(link: str) -> Markup:
    """The text of a link, which may wrap after a slash."""
    return Markup("/<wbr>").join(escape(part) for part in plain(link).split("/"))


def _readme_link(answer: Answer, quote: Quote) -> str | None:
    """The link under which the prompt lists the quoted README."""
    if quote.source_type != "readme":
        return None
    links = (item.github for item in answer.references if quote.source_id in item.sources)
    return next((link for link in links if link and markdown.is_link(link)), None)
