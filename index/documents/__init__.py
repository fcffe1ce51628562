"""The one clean text of a source, and where on its pages it stands. Pure data, no reading.

"Verbatim" means: equal to a slice of `Document.text`, character by character. Boxes are in points
of the page as it is shown (cropped and turned upright); the origin is its lower left corner.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

Box = tuple[float, float, float, float]
"""Left, bottom, right and top."""


def pages_of(page_starts: tuple[int, ...], start: int, end: int) -> tuple[int, ...]:
    """The 1-based pages that the half-open span touches; () where there are no pages."""
    if not page_starts:
        return ()
    first = max(1, bisect_right(page_starts, start))
    last = max(first, bisect_right(page_starts, max(start, end - 1)))
    return tuple(range(first, last + 1))


def is_complete(lost: tuple[int, ...], start: int, end: int) -> bool:
    """Whether none of the ascending offsets `lost` lies within the half-open span."""
    return bisect_right(lost, start) == bisect_left(lost, end)


@dataclass(frozen=True, slots=True)
class Section:
    """A half-open span of the text under one heading. Text that must not be quoted (the
    bibliography, tables of contents) stands in sections with `quotable` False."""

    start: int
    end: int
    heading: str = ""
    quotable: bool = True


class TextLine(NamedTuple):
    """A half-open span of the text that is one line of a page (1-based), from `bottom` to `top`.
    `edges` holds the left and the right edge of each of its words, the parts between spaces. A
    word broken at the end of the line ends with its hyphen, whether the text keeps that or not."""

    page: int
    start: int
    end: int
    bottom: float
    top: float
    edges: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """Invariants: `sections` are in order, do not overlap and together cover `text`;
    `page_starts[i]` is the offset at which page i + 1 begins, ascending, the first 0, and ()
    where the source has no pages; `text` holds no lone surrogates and can be encoded; `lines` are
    in order and do not overlap; `page_sizes` are (width, height) in points; `lost` are the offsets,
    ascending, where something that stands in the source's text is not in this one: a formula, a
    sign that cannot be read, a picture within a line."""

    text: str
    title: str
    page_starts: tuple[int, ...]
    sections: tuple[Section, ...]
    extractor: str
    lines: tuple[TextLine, ...] = ()
    page_sizes: tuple[tuple[float, float], ...] = ()
    lost: tuple[int, ...] = ()

    def pages(self, start: int, end: int) -> tuple[int, ...]:
        """The 1-based pages that the half-open span touches."""
        return pages_of(self.page_starts, start, end)

    def boxes(self, start: int, end: int) -> tuple[tuple[int, Box], ...]:
        """The page (1-based) and the box of each line of the half-open span, in reading order;
        () where the source has no pages. A part of a word gets its share of the word's width."""
        boxes = []
        at = bisect_right(self.lines, start, key=lambda line: line.end)
        while at < len(self.lines) and self.lines[at].start < end:
            line, at = self.lines[at], at + 1
            first, last = max(start, line.start), min(end, line.end)
            if self.text[first:last].strip():
                left, right = self._edge(line, first, first), self._edge(line, last, last - 1)
                boxes.append((line.page, (left, line.bottom, right, line.top)))
        return tuple(boxes)

    def _edge(self, line: TextLine, offset: int, inside: int) -> float:
        """Where `offset` stands within the word that holds the character `inside`."""
        word = 2 * self.text.count(" ", line.start, inside)
        left, right = line.edges[word : word + 2]
        start = max(line.start, self.text.rfind(" ", line.start, inside) + 1)
        length = len(self.text[start : line.end].split(" ", 1)[0])
        return left + (right - left) * min(1.0, (offset - start) / max(1, length))

    def to_json(self) -> str:
        """Canonical JSON: equal documents give equal strings."""
        places = {"lines": self.lines, "page_sizes": self.page_sizes, "lost": self.lost}
        return _canonical(self._content() | places)

    @classmethod
    def from_json(cls, data: str) -> Document:
        """The inverse of `to_json`."""
        raw: dict[str, Any] = json.loads(data)
        raw["page_starts"] = tuple(raw["page_starts"])
        raw["sections"] = tuple(Section(**section) for section in raw["sections"])
        raw["lines"] = tuple(
            TextLine(page, start, end, bottom, top, tuple(edges))
            for page, start, end, bottom, top, edges in raw.get("lines", ())
        )
        raw["page_sizes"] = tuple(map(tuple, raw.get("page_sizes", ())))
        raw["lost"] = tuple(raw.get("lost", ()))
        return cls(**raw)

    @property
    def sha256(self) -> str:
        """What an answer records to name this very text: the hash of everything but the lines,
        the sizes of the pages and what was lost."""
        return hashlib.sha256(_canonical(self._content()).encode()).hexdigest()

    def _content(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "title": self.title,
            "page_starts": self.page_starts,
            "sections": [asdict(section) for section in self.sections],
            "extractor": self.extractor,
        }


def _canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
