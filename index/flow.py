"""Blocks → Document: paragraphs run on over columns and pages, floats step aside, sections and
page starts are noted as the text grows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from index.document import Document, Section
from index.errors import ExtractionError
from index.layout import (
    ABSTRACT,
    BIBLIOGRAPHY,
    CONTENTS,
    ENDS,
    NAMED_HEADING,
    NOTICE,
    NUMBERED,
    Block,
    Measures,
    blocks_of,
    measures_of,
    without_furniture,
)
from index.lines import Line, lines_of
from index.pdf import Pages, pdf_extractor, read_pdf
from index.repair import HYPHENS, Vocabulary, joined

FLOATS = {"caption", "footnote", "aside"}
BREAK = "\n\n"


@dataclass(slots=True)
class Paragraph:
    """Blocks that read as one, with the section they stand in."""

    blocks: list[Block]
    heading: str = ""
    quotable: bool = True

    @property
    def lines(self) -> list[Line]:
        """All lines, in order."""
        return [line for block in self.blocks for line in block.lines]

    @property
    def pages(self) -> tuple[int, int]:
        """The first and the last page it stands on."""
        lines = self.lines
        return lines[0].page, lines[-1].page


def extract_pdf(source_id: str, data: bytes) -> Document:
    """The clean text of a PDF."""
    document = document_of(read_pdf(source_id, data))
    if not document.text:
        raise ExtractionError(source_id, "no text can be read from the PDF: only numbers or signs")
    return document


def document_of(read: Pages) -> Document:
    """Lay out what was read."""
    lined = lines_of(read.pages)
    kept = without_furniture(lined, read.pages)
    usual = measures_of(kept)
    vocabulary = Vocabulary(line.text for page in kept for line in page)
    title = title_of(kept, usual) or read.title
    paragraphs = sectioned(flowing(blocks_of(kept, usual)), vocabulary)
    return composed(paragraphs, title, len(read.pages), vocabulary)


def title_of(pages: Sequence[Sequence[Line]], usual: Measures) -> str:
    """The lines in the largest letters of the first page, where they are larger than the body."""
    lines = [line for line in (pages[0] if pages else ()) if line.words and len(line.text) > 3]
    size = max((line.size for line in lines), default=0.0)
    if size < 1.1 * usual.size:
        return ""
    found: list[Line] = []
    for line in lines:
        if line.size > 0.75 * size and (not found or abs(found[-1].y - line.y) < 2.2 * size):
            found.append(line)
    return _read(found, Vocabulary(line.text for page in pages for line in page))[:300]


def flowing(blocks: Sequence[Block]) -> list[Paragraph]:
    """Paragraphs, those that a column, a page or a float interrupts put together again."""
    done: list[Paragraph] = []
    current: Paragraph | None = None
    waiting: list[Paragraph] = []
    for block in blocks:
        if block.kind in FLOATS:
            waiting.append(Paragraph([block]))
        elif current and block.kind == "prose" and _reads_on(current, block, bool(waiting)):
            current.blocks.append(block)
            waiting = _settle(done, current, waiting)
        elif block.kind != "formula" or (not waiting and _displayed(block, current)):
            done += [current, *waiting] if current else waiting
            waiting = []
            current = Paragraph([block]) if block.kind != "formula" else None
    if current:
        done.append(current)
    return done + waiting


def _displayed(formula: Block, current: Paragraph | None) -> bool:
    """Whether the formula stands in the paragraph, and is not debris of a drawing or a table."""
    line = formula.lines[0]
    if current is None or not any(item.math > 0.1 for item in formula.lines):
        return False
    last = current.lines[-1]
    below = last.page == line.page and 0 < last.y - line.y < 5 * last.size
    return below or ((last.page, last.y) != (line.page, line.y) and not ENDS.search(last.text))


def _settle(done: list[Paragraph], current: Paragraph, waiting: list[Paragraph]) -> list[Paragraph]:
    """Floats of a page that `current` has left go before it; the others follow it."""
    last = current.pages[1]
    stay = [item for item in waiting if item.pages[0] >= last]
    gone = [item for item in waiting if item.pages[0] < last]
    done += gone
    return stay


def _reads_on(current: Paragraph, block: Block, interrupted: bool) -> bool:
    before, after = current.blocks[-1], block
    if before.kind != "prose":
        return False
    last, first = before.lines[-1], after.lines[0]
    if abs(last.size - first.size) > 0.06 * last.size:
        return False
    if first.page > last.page + 1:
        return False
    apart = first.page != last.page or first.y > last.y or interrupted
    if not apart:
        return False
    if last.text[-1] in HYPHENS:
        return True
    if ENDS.search(last.text):
        return not before.closes and not after.opens and first.page == last.page + 1
    return first.text[0].islower() or not after.opens or first.text[0] in '(["“'


def sectioned(paragraphs: list[Paragraph], vocabulary: Vocabulary) -> list[Paragraph]:
    """Give each paragraph its heading, and mark what is not to be quoted."""
    heading, quotable = "", False
    begun = False
    kind: Block | None = None
    for item in paragraphs:
        block = item.blocks[0]
        text = _read(block.lines, vocabulary)
        if block.kind == "heading":
            plain = text.strip(" .:")
            if not begun and not _starts_body(plain):
                item.quotable = False
                continue
            in_bibliography = kind is not None
            if in_bibliography and not _as_weighty(block, kind):
                item.heading, item.quotable = heading, False
                continue
            begun = True
            heading = text
            unquotable = BIBLIOGRAPHY.fullmatch(plain) or CONTENTS.fullmatch(plain)
            kind = block if unquotable else None
            quotable = not unquotable
        elif not begun and block.kind != "aside" and ABSTRACT.match(text):
            begun, heading, quotable = True, "Abstract", True
        item.heading, item.quotable = heading, quotable and block.kind not in ("aside",)
        if block.kind == "footnote" and (_is_notice(text) or block.lines[0].page == 1):
            item.quotable = False
    if not begun:
        _without_front(paragraphs)
    return paragraphs


def _starts_body(text: str) -> bool:
    named = NAMED_HEADING.fullmatch(re.sub(r"^[\dIVX.]+\s+", "", text))
    return bool(named or re.match(r"(1|I)\.?\s+[A-Z]", text))


def _as_weighty(block: Block, bibliography: Block | None) -> bool:
    assert bibliography is not None
    mine, other = block.lines[0], bibliography.lines[0]
    text = " ".join(line.text for line in block.lines)
    if mine.size < 0.95 * other.size and not NAMED_HEADING.fullmatch(text):
        return False
    return bool(NUMBERED.match(text) or NAMED_HEADING.match(text)) or (
        mine.size > 0.98 * other.size and mine.bold == other.bold and not ENDS.search(text)
    )


def _is_notice(text: str) -> bool:
    return bool(
        NOTICE.match(text)
        or text.startswith(("http", "www."))
        or "@" in text
        or re.search(
            r"equal(ly)? contribut|correspond|work (was )?done (while|during|at)", text, re.I
        )
    )


def _without_front(paragraphs: list[Paragraph]) -> None:
    """No heading anywhere: all is body but what comes before the first real paragraph."""
    for index, item in enumerate(paragraphs):
        if item.blocks[0].kind == "prose" and len(item.lines) >= 3:
            for later in paragraphs[index:]:
                later.quotable = later.blocks[0].kind != "aside"
            return
    for item in paragraphs:
        item.quotable = item.blocks[0].kind != "aside"


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
    paragraphs: Sequence[Paragraph], title: str, pages: int, vocabulary: Vocabulary
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
        extractor=pdf_extractor(),
    )


def _read(lines: Sequence[Line], vocabulary: Vocabulary) -> str:
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
