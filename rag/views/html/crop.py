"""The part of a page that is shown for a quote, in pixels of the page's picture."""

from __future__ import annotations

from dataclasses import dataclass

from rag.views.highlight import Highlight, PageImage, Rectangle

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
