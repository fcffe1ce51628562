"""The one clean text of a source, and what stands where in it. Pure data, no reading.

"Verbatim" means: equal to a slice of `Document.text`, character by character.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from dataclasses import asdict, dataclass
from typing import Any


def pages_of(page_starts: tuple[int, ...], start: int, end: int) -> tuple[int, ...]:
    """The 1-based pages that the half-open span touches; () where there are no pages."""
    if not page_starts:
        return ()
    first = max(1, bisect_right(page_starts, start))
    last = max(first, bisect_right(page_starts, max(start, end - 1)))
    return tuple(range(first, last + 1))


@dataclass(frozen=True, slots=True)
class Section:
    """A half-open span of the text under one heading. Text that must not be quoted (the
    bibliography, tables of contents) stands in sections with `quotable` False."""

    start: int
    end: int
    heading: str = ""
    quotable: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """Invariants: `sections` are in order, do not overlap and together cover `text`;
    `page_starts[i]` is the offset at which page i + 1 begins, ascending, the first 0, and ()
    where the source has no pages; `text` holds no lone surrogates and can be encoded."""

    text: str
    title: str
    page_starts: tuple[int, ...]
    sections: tuple[Section, ...]
    extractor: str

    def pages(self, start: int, end: int) -> tuple[int, ...]:
        """The 1-based pages that the half-open span touches."""
        return pages_of(self.page_starts, start, end)

    def to_json(self) -> str:
        """Canonical JSON: equal documents give equal strings."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, data: str) -> Document:
        """The inverse of `to_json`."""
        raw: dict[str, Any] = json.loads(data)
        raw["page_starts"] = tuple(raw["page_starts"])
        raw["sections"] = tuple(Section(**section) for section in raw["sections"])
        return cls(**raw)

    @property
    def sha256(self) -> str:
        """Hash of the canonical JSON: what an answer records to name this very text."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()
