"""Bytes of a PDF → Document: the steps in their order."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from index.documents.document import Document, Section
from index.documents.pdf.layout import (
    ABSTRACT,
    BIBLIOGRAPHY,
    CONTENTS,
    ENDS,
    NAMED_HEADING,
    NUMBERED,
    Block,
    Measures,
    blocks_of,
    measures_of,
)
from index.documents.pdf.lines import Line, lines_of
from index.documents.pdf.pages import Page, Pages, pdf_extractor, read_pdf
from index.documents.repair import HYPHENS, Vocabulary, joined
from index.errors import ExtractionError

NOTICE = re.compile(
    r"(published (as a conference paper )?(at|in)\b|(under|in) review\b|preprint\b|arxiv:\s*\d|"
    r"to appear in|accepted (at|to|by|as|for)\b|proceedings of|copyright\b|©|\(c\) \d{4}|"
    r"permission to make|.{0,60}\bcopyright \d{4}|this is the author.s version|"
    r"\d+(st|nd|rd|th) (international )?(conference|workshop)|submitted to\b|"
    r"the published version|this .{3,40} version is .{3,60} open access|"
    r"(advances in )?neural information processing systems|(http\S+doi|doi)[.:])",
    re.I,
)
PAGE_NUMBER = re.compile(r"(page )?[-–—·|]?\s*(\d{1,4}|[ivxl]{1,6})\s*[-–—·|]?( (of|/) \d+)?", re.I)


def without_furniture(pages: Sequence[Sequence[Line]], sizes: Sequence[Page]) -> list[list[Line]]:
    """Without running heads, page numbers, line numbers and notices of the venue."""
    seen: defaultdict[tuple[str, int], set[int]] = defaultdict(set)

    def key(line: Line) -> tuple[str, int]:
        return re.sub(r"\d+", "#", line.text).strip("# "), round(line.y / 4)

    def margin(line: Line) -> bool:
        height = sizes[line.page - 1].height
        return not 0.1 * height < line.y < 0.88 * height

    for page in pages:
        for line in page:
            if margin(line):
                text, y = key(line)
                for near in (y - 1, y, y + 1):
                    seen[(text, near)].add(line.page)

    def repeated(line: Line, page: Sequence[Line]) -> bool:
        """Said on other pages too, and not part of a paragraph that is not."""
        near = [other for other in page if 0 < abs(other.y - line.y) < 1.6 * line.size]
        return all(
            margin(item) and len(seen[key(item)]) >= 2 for item in (line, *near) if item.words
        )

    kept = []
    for page in pages:
        ys = [line.y for line in page]
        outer = {max(ys), min(ys)} if ys else set()
        kept.append(
            [
                line
                for line in page
                if not (margin(line) and (repeated(line, page) or NOTICE.match(line.text)))
                and not (line.y in outer and PAGE_NUMBER.fullmatch(line.text))
            ]
        )
    return kept


FLOATS = {"caption", "footnote", "aside"}


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


def flowing(blocks: Sequence[Block]) -> list[Paragraph]:
    """Paragraphs, those that a column, a page or a float interrupts put together again."""
    done: list[Paragraph] = []
    current: Paragraph | None = None
    waiting: list[Paragraph] = []
    for block in blocks:
        if block.kind == "footnote" and _ends_note([*done, *waiting], block):
            continue
        if block.kind in FLOATS:
            waiting.append(Paragraph([block]))
        elif current and block.kind == "prose" and _reads_on(current, block, waiting):
            current.blocks.append(block)
            waiting = _settle(done, current, waiting)
        elif block.kind != "formula" or _displayed(block, current, bool(waiting)):
            done += [current, *waiting] if current else waiting
            waiting = []
            current = Paragraph([block]) if block.kind != "formula" else None
    if current:
        done.append(current)
    return done + waiting


def _ends_note(paragraphs: Sequence[Paragraph], block: Block) -> bool:
    """Give the rest of a footnote, at the foot of the next column, back to its beginning."""
    first = block.lines[0]
    for item in reversed(paragraphs[-12:]):
        last = item.lines[-1]
        if item.blocks[0].kind == "footnote" and last.page == first.page:
            if ENDS.search(last.text) or not first.text[0].islower():
                return False
            item.blocks.append(block)
            return True
    return False


def _displayed(formula: Block, current: Paragraph | None, interrupted: bool) -> bool:
    """Whether the formula stands in the paragraph, and is not debris of a drawing or a table."""
    if current is None or not any(item.math > 0.1 for item in formula.lines):
        return False
    line, last = formula.lines[0], current.lines[-1]
    beside = min(line.x1, last.x1) > max(line.x0, last.x0)
    if last.page == line.page and beside and 0 < last.y - line.y < 5 * last.size:
        return True
    return not interrupted and not ENDS.search(last.text)


def _settle(done: list[Paragraph], current: Paragraph, waiting: list[Paragraph]) -> list[Paragraph]:
    """Floats of a page that `current` has left go before it; the others follow it."""
    last = current.pages[1]
    stay = [item for item in waiting if item.pages[0] >= last]
    gone = [item for item in waiting if item.pages[0] < last]
    done += gone
    return stay


def _reads_on(current: Paragraph, block: Block, waiting: Sequence[Paragraph]) -> bool:
    """Whether `block`, in another place than the paragraph, is its continuation. Not so where a
    float in between could go neither before nor after the paragraph without changing its page."""
    before, after = current.blocks[-1], block
    last, first = before.lines[-1], after.lines[0]
    if any(current.pages[0] < item.pages[0] < first.page for item in waiting):
        return False
    apart = first.page != last.page or first.y > last.y or bool(waiting)
    alike = before.kind == "prose" and abs(last.size - first.size) <= 0.06 * last.size
    if not (apart and alike) or first.page > last.page + 1:
        return False
    if last.text[-1] in HYPHENS:
        return True
    if ENDS.search(last.text):
        return not before.closes and not after.opens and first.page == last.page + 1
    return first.text[0].islower() or not after.opens or first.text[0] in '(["“'


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


def sectioned(paragraphs: list[Paragraph], vocabulary: Vocabulary) -> list[Paragraph]:
    """Give each paragraph its heading, and mark what is not to be quoted."""
    heading, quotable = "", False
    begun = False
    kind: Block | None = None
    for item in paragraphs:
        block = item.blocks[0]
        text = read(block.lines, vocabulary)
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


def extract_pdf(source_id: str, data: bytes) -> Document:
    """The clean text of a PDF."""
    document = document_of(read_pdf(source_id, data))
    if not document.text:
        raise ExtractionError(source_id, "no text can be read from the PDF: only numbers or signs")
    return document


def document_of(file: Pages) -> Document:
    """Lay out what was read."""
    lined = lines_of(file.pages)
    kept = without_furniture(lined, file.pages)
    usual = measures_of(kept)
    vocabulary = Vocabulary(line.text for page in kept for line in page)
    title = title_of(kept, usual) or file.title
    paragraphs = sectioned(flowing(blocks_of(kept, usual)), vocabulary)
    return composed(
        paragraphs,
        title=title,
        pages=len(file.pages),
        vocabulary=vocabulary,
        extractor=pdf_extractor(),
    )


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
    return read(found, Vocabulary(line.text for page in pages for line in page))[:300]
