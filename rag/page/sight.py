"""A quote on the picture of its page: which part of the page to show, and what to mark there.

All lengths are in pixels of the picture, from its upper left corner.
"""

from __future__ import annotations

from dataclasses import dataclass

from rag.pictures import Highlight, PageImage, Rectangle

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
class Sight:
    """A part of a page, with `marks` where the quote stands; `whole` is the page itself."""

    source_id: str
    page: int
    whole: Box
    part: Box
    marks: tuple[Box, ...]


def sight_of(highlight: Highlight, image: PageImage) -> Sight:
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
    return Sight(image.source_id, image.page, whole, part, marks)


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
