"""Paragraphs → Document: sections and page starts are noted as the text grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from index.document import Document, Section
from index.pdf.flow import Paragraph
from index.pdf.lines import Line
from index.repair import Vocabulary, joined

BREAK = "\n\n"


@dataclass(slots=True)
class Growing:
    """The text so far. `first` holds where each page was first met."""

    parts: list[str] = field(default_factory=list)
    length: int = 0
    first: dict[int, int] = field(default_factory=dict)

    def add(self, text: str) -> None:
        """Append."""
        self.parts.append(text)
        self.length += len(text)


def composed(
    paragraphs: Sequence[Paragraph],
    *,
    title: str,
    pages: int,
    vocabulary: Vocabulary,
    extractor: str,
) -> Document:
    """Write the paragraphs down one after the other."""
    text = Growing()
    sections: list[Section] = []
    for item in paragraphs:
        if text.length:
            text.add(BREAK)
        start = text.length
        _write(item.lines, text, vocabulary)
        last = sections[-1] if sections else None
        if last and (last.heading, last.quotable) == (item.heading, item.quotable):
            if item.blocks[0].kind != "heading" or not item.heading:
                sections.pop()
                start = last.start
        elif last:
            sections[-1] = Section(last.start, start, last.heading, last.quotable)
        if sections and sections[-1].end < start:
            previous = sections[-1]
            sections[-1] = Section(previous.start, start, previous.heading, previous.quotable)
        sections.append(Section(start, text.length, item.heading, item.quotable))
    return Document(
        text="".join(text.parts),
        title=title,
        page_starts=_starts(text, pages),
        sections=tuple(sections),
        extractor=extractor,
    )


def read(lines: Sequence[Line], vocabulary: Vocabulary) -> str:
    """The lines as one text."""
    text = Growing()
    _write(lines, text, vocabulary)
    return "".join(text.parts)


def _write(lines: Sequence[Line], text: Growing, vocabulary: Vocabulary) -> None:
    pending = ""
    for line in lines:
        if pending:
            text.add(joined(pending, line.text, vocabulary))
        text.first.setdefault(line.page, text.length)
        pending = line.text
    text.add(pending)


def _starts(text: Growing, pages: int) -> tuple[int, ...]:
    starts: list[int] = []
    following = text.length
    for page in range(pages, 1, -1):
        following = min(following, text.first.get(page, following))
        starts.append(following)
    return (0, *reversed(starts))
