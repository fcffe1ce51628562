"""PDF → Document: from the drawing operations of a page to sections of flowing text.

Here are the steps in their order, paragraphs and sections from blocks, and where the running text
lacks something that its page shows: a line that was taken for a table's or a formula's, a sign that
cannot be read, a picture within a line. That is geometry alone: what is left out is compared with
the lines around the place where it was painted. The other modules are the steps before.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from index.documents import Document, Section, TextLine
from index.documents.pdf.content import DEPTH, HEIGHT
from index.documents.pdf.layout import (
    ABSTRACT,
    BIBLIOGRAPHY,
    CONTENTS,
    ENDS,
    EQUATION_NUMBER,
    NAMED_HEADING,
    NUMBERED,
    Block,
    Measures,
    blocks_of,
    is_named_heading,
    measures_of,
)
from index.documents.pdf.lines import NOTICE, Line, are_forms, lines_of, without_furniture
from index.documents.pdf.pages import Page, pdf_extractor, read_pdf
from index.documents.repair import HYPHENS, Vocabulary, joined
from index.errors import ExtractionError

AUTHOR_NOTE = re.compile(
    r"http|www\.|.*@|.*(equal(ly)? contribut|correspond|work (was )?done (while|during|at))",
    re.I | re.S,
)
FLOATS = {"caption", "footnote", "aside"}
BREAK = "\n\n"
LARGEST_IN_LINE = 100.0  # points: larger pictures are figures
BESIDE = 0.6  # of a line's height: a nearer baseline is the line's own
REACH = 4  # lines above and below: more columns than a page has

FragmentKind = Literal["line", "sign", "picture"]


def extract_pdf(source_id: str, data: bytes) -> Document:
    """The clean text of a PDF and its places on the pages. Raises ExtractionError."""
    # Reading plain text must not cost the import of what draws.
    from index.documents.pdf.ink import visible_pages

    pages, claimed_title = read_pdf(source_id, data)
    pages = visible_pages(source_id, data, pages, figures=are_forms(pages))
    lines, drawn = lines_of(pages)
    lines = without_furniture(lines, pages)
    usual = measures_of(lines)
    vocabulary = Vocabulary(line.text for page in lines for line in page)
    title = title_of(lines[0], usual, vocabulary) or claimed_title
    blocks = blocks_of(lines, usual)
    paragraphs = flowing(blocks)
    mark_sections(paragraphs, vocabulary)
    fragments = left_out(pages, drawn, blocks)
    document = composed(paragraphs, pages, title, vocabulary, fragments)
    if not document.text:
        raise ExtractionError(source_id, "no text can be read from the PDF: only numbers or signs")
    return document


def left_out(
    pages: Sequence[Page], drawn: Sequence[Line], blocks: Sequence[Block]
) -> list[Fragment]:
    """What is painted and does not become running text: formulas, tables, the words of drawings
    (`drawn`), signs that cannot be read, and pictures that could stand in a line."""
    lines = [*drawn]
    for block in blocks:
        if block.kind in ("aside", "formula"):
            lines += block.lines
    fragments = [
        # A number alone is the mark of a note, but within a line the part of a fraction.
        Fragment(line.page, line.x0, line.x1, line.y, "sign" if line.text.isdigit() else "line")
        for line in lines
        if re.search(r"\w", line.text) and not EQUATION_NUMBER.fullmatch(line.text)
    ]
    for number, page in enumerate(pages, start=1):
        for run in page.runs:
            if not run.text and max(run.size, run.x1 - run.x0) < LARGEST_IN_LINE:
                kind: FragmentKind = "picture" if run.figure else "sign"
                fragments.append(Fragment(number, run.x0, run.x1, run.y, kind))
    return fragments


def title_of(first_page: Sequence[Line], usual: Measures, vocabulary: Vocabulary) -> str:
    """The lines in the largest letters of the first page, where they are larger than the body."""
    lines = [line for line in first_page if line.words and len(line.text) > 3]
    size = max((line.size for line in lines), default=0.0)
    if size < 1.1 * usual.size:
        return ""
    title: list[Line] = []
    for line in lines:
        if line.size > 0.75 * size and (not title or abs(title[-1].y - line.y) < 2.2 * size):
            title.append(line)
    return "".join(_written(title, vocabulary))[:300]


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


def flowing(blocks: Sequence[Block]) -> list[Paragraph]:
    """Paragraphs, those that a column, a page or a float interrupts put together again."""
    done: list[Paragraph] = []
    current: Paragraph | None = None
    waiting: list[Paragraph] = []  # floats met since `current` began
    for block in blocks:
        if block.kind == "footnote" and _ends_note([*done, *waiting], block):
            continue
        if block.kind in FLOATS:
            waiting.append(Paragraph([block]))
        elif current and block.kind == "prose" and _reads_on(current, block, waiting):
            current.blocks.append(block)
            # Floats of a page that the paragraph has left go before it, the others after it.
            page = block.lines[-1].page
            done += [item for item in waiting if item.lines[0].page < page]
            waiting = [item for item in waiting if item.lines[0].page >= page]
        elif block.kind != "formula" or _displayed(block, current, bool(waiting)):
            done += [current, *waiting] if current else waiting
            waiting = []
            current = Paragraph([block]) if block.kind != "formula" else None
    return [*done, *([current] if current else []), *waiting]


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


def _reads_on(current: Paragraph, block: Block, waiting: Sequence[Paragraph]) -> bool:
    """Whether `block`, in another place than the paragraph, is its continuation. Not so where a
    float in between could go neither before nor after the paragraph without changing its page."""
    before = current.blocks[-1]
    last, first = before.lines[-1], block.lines[0]
    if any(current.lines[0].page < item.lines[0].page < first.page for item in waiting):
        return False
    apart = first.page != last.page or first.y > last.y or bool(waiting)
    alike = before.kind == "prose" and abs(last.size - first.size) <= 0.06 * last.size
    if not (apart and alike) or first.page > last.page + 1:
        return False
    if last.text[-1] in HYPHENS:
        return True
    if ENDS.search(last.text):
        return not before.closes and not block.opens and first.page == last.page + 1
    return first.text[0].islower() or not block.opens or first.text[0] in '(["“'


def mark_sections(paragraphs: list[Paragraph], vocabulary: Vocabulary) -> None:
    """Give each paragraph its heading, and mark what is not to be quoted."""
    heading, quotable, begun = "", False, False
    unquotable: Line | None = None  # the first line of the bibliography's heading, or the like
    for item in paragraphs:
        block, first = item.blocks[0], item.blocks[0].lines[0]
        text = "".join(_written(block.lines, vocabulary))
        if block.kind == "heading":
            plain = text.strip(" .:")
            if not (begun or is_named_heading(plain) or re.match(r"(1|I)\.?\s+[A-Z]", plain)):
                item.quotable = False
                continue
            if unquotable is None or _as_weighty(block, unquotable):
                begun, heading = True, text
                quotable = not (BIBLIOGRAPHY.fullmatch(plain) or CONTENTS.fullmatch(plain))
                unquotable = None if quotable else first
        elif not begun and block.kind != "aside" and ABSTRACT.match(text):
            begun, heading, quotable = True, "Abstract", True
        item.heading, item.quotable = heading, quotable and block.kind != "aside"
        if block.kind == "footnote" and (
            first.page == 1 or NOTICE.match(text) or AUTHOR_NOTE.match(text)
        ):
            item.quotable = False
    if not begun:  # no heading anywhere: the body begins with the first real paragraph
        prose = [item.blocks[0].kind == "prose" and len(item.lines) >= 3 for item in paragraphs]
        for item in paragraphs[prose.index(True) if any(prose) else 0 :]:
            item.quotable = item.blocks[0].kind != "aside"


def _as_weighty(block: Block, bibliography: Line) -> bool:
    """Whether the heading is of the bibliography's rank, and not one within it."""
    first = block.lines[0]
    text = " ".join(line.text for line in block.lines)
    if first.size < 0.95 * bibliography.size and not NAMED_HEADING.fullmatch(text):
        return False
    return bool(NUMBERED.match(text) or NAMED_HEADING.match(text)) or (
        first.size > 0.98 * bibliography.size
        and first.bold == bibliography.bold
        and not ENDS.search(text)
    )


def _written(lines: Sequence[Line], vocabulary: Vocabulary) -> list[str]:
    """Each line's part of the running text, with what joins it to the next."""
    texts = [line.text for line in lines]
    return [joined(*two, vocabulary) for two in pairwise(texts)] + texts[-1:]


def composed(
    paragraphs: Sequence[Paragraph],
    pages: Sequence[Page],
    title: str,
    vocabulary: Vocabulary,
    fragments: Sequence[Fragment],
) -> Document:
    """Write the paragraphs down one after the other; `fragments` are what is left out."""
    parts: list[str] = []
    length = 0
    lines: list[TextLine] = []
    running: list[TextLine] = []
    sections: list[Section] = []
    first: dict[int, int] = {}  # the offset of the first line of each page
    for item in paragraphs:
        if parts:
            parts.append(BREAK)
            length += len(BREAK)
        opens = item.blocks[0].kind == "heading" and item.heading
        last = sections[-1] if sections else None
        if last is None or opens or (last.heading, last.quotable) != (item.heading, item.quotable):
            sections.append(Section(length, length, item.heading, item.quotable))
        for line, part in zip(item.lines, _written(item.lines, vocabulary), strict=True):
            first.setdefault(line.page, length)
            lines.append(_placed(line, length, length + len(part.rstrip()), pages[line.page - 1]))
            running += lines[-1:] * item.quotable
            parts.append(part)
            length += len(part)
    starts = [first.get(page, length) for page in range(2, len(pages) + 1)]
    for n in reversed(range(len(starts) - 1)):  # a page without text begins where the next does
        starts[n] = min(starts[n], starts[n + 1])
    ends = [*(section.start for section in sections), length][1:]
    text = "".join(parts)
    return Document(
        text=text,
        title=title,
        page_starts=(0, *starts),
        sections=tuple(
            Section(section.start, end, section.heading, section.quotable)
            for section, end in zip(sections, ends, strict=True)
        ),
        extractor=pdf_extractor(),
        lines=tuple(lines),
        page_sizes=tuple((page.width, page.height) for page in pages),
        lost=lost_offsets(text, running, fragments),
    )


def _placed(line: Line, start: int, end: int, page: Page) -> TextLine:
    """The line with its place on the page, to a tenth of a point."""
    bottom, top = (
        round(min(max(line.y + rise * line.size, 0.0), page.height), 1) for rise in (-DEPTH, HEIGHT)
    )
    edges = line.edges
    if min(edges) < 0 or max(edges) > page.width:
        edges = tuple(min(max(x, 0.0), page.width) for x in edges)
    return TextLine(line.page, start, end, bottom, top, tuple([round(x, 1) for x in edges]))


class Fragment(NamedTuple):
    """Something painted on a page (1-based) that is not in the text, `y` its baseline. A line may
    be missing between two lines of a paragraph; a sign only within one, and a picture only where
    the line leaves room for it."""

    page: int
    x0: float
    x1: float
    y: float
    kind: FragmentKind


def lost_offsets(
    text: str, lines: Sequence[TextLine], fragments: Iterable[Fragment]
) -> tuple[int, ...]:
    """The offsets in `text`, ascending, at which something of its flow was left out. `lines` are
    those of running text, in its order: where one ends at most a space before the next, they are
    of one paragraph."""
    pages: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
    for number, line in enumerate(lines):
        pages[line.page].append((line.bottom, number))
    for page in pages.values():
        page.sort()
    offsets = {_offset(text, lines, pages[item.page], item) for item in fragments}
    return tuple(sorted(offset for offset in offsets if offset is not None))


def _offset(
    text: str, lines: Sequence[TextLine], page: Sequence[tuple[float, int]], item: Fragment
) -> int | None:
    """Where in the text `item` is missing; None where it stands apart from it. `page` has the
    lines of its page by height, lowest first."""
    at = bisect_right(page, (item.y, len(lines)))
    middle = (item.x0 + item.x1) / 2
    for bottom, number in page[max(0, at - REACH) : at + REACH]:
        line = lines[number]
        height = line.top - bottom
        if abs(bottom + DEPTH * height - item.y) > BESIDE * height:
            continue
        if line.edges[0] < middle < line.edges[-1]:
            offset, gap = _within(text, line, middle)
            return offset if item.kind != "picture" or gap > item.x1 - item.x0 else None
        # What ends the line, or begins it: the paragraph's other line says how far it goes.
        for other, first in ((number + 1, number), (number - 1, number - 1)):
            ends = middle > line.edges[-1] if other > number else middle < line.edges[0]
            if ends and _is_continued(lines, first) and _holds(lines[other], item):
                return lines[first].end
    if item.kind == "line":
        above = next((n for _, n in page[at:] if _over(lines[n], item)), None)
        below = next((n for _, n in reversed(page[:at]) if _over(lines[n], item)), None)
        if above is not None and below == above + 1 and _is_continued(lines, above):
            return lines[above].end
    return None


def _within(text: str, line: TextLine, x: float) -> tuple[int, float]:
    """The offset in the line at `x`, and how wide the gap is that is there: the end of the word
    before it, or the middle of a word, which is no gap."""
    end, last = line.start - 1, line.edges[0]
    for word, left, right in zip(
        text[line.start : line.end].split(" "), line.edges[::2], line.edges[1::2], strict=True
    ):
        if x < left:
            return end, left - last
        start, end, last = end + 1, end + 1 + len(word), right
        if x < right:
            return (start + end) // 2, 0.0
    return end, 0.0


def _is_continued(lines: Sequence[TextLine], number: int) -> bool:
    """Whether the next line goes on with the paragraph of this one, and stands below it."""
    if not 0 <= number < len(lines) - 1:
        return False
    line, after = lines[number : number + 2]
    beside = line.edges[0] < after.edges[-1] and after.edges[0] < line.edges[-1]
    stacked = line.page == after.page and line.bottom > after.bottom and beside
    return stacked and after.start - line.end <= 1


def _holds(line: TextLine, item: Fragment) -> bool:
    return item.x0 > line.edges[0] - 2 and item.x1 < line.edges[-1] + 2


def _over(line: TextLine, item: Fragment) -> bool:
    return line.edges[0] < item.x1 and line.edges[-1] > item.x0
