"""Lines → blocks that know what they are: headings, prose, captions, footnotes, tables, formulas.
Knows nothing of the text that comes of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from index.documents.pdf.lines import Line, grouped, is_bold

ENDS = re.compile(r"[.!?:][\"”’')\]]*$")


@dataclass(frozen=True, slots=True)
class Measures:
    """What is usual in this document: body font and size, distance of lines, column edges."""

    size: float
    font: str
    leading: float
    lefts: tuple[float, ...]
    rights: tuple[float, ...]

    def left_of(self, line: Line) -> float:
        """The left edge of the column the line stands in."""
        return max((x for x in self.lefts if x <= line.x0 + 2), default=line.x0)

    def full(self, line: Line) -> bool:
        """Whether the line reaches the right edge of its column, or nearly."""
        return line.x1 > self.right_of(line) - 2.5 * line.size

    def indented(self, line: Line) -> bool:
        """Whether the line begins right of the left edge of its column."""
        return line.x0 > self.left_of(line) + 0.7 * line.size

    def right_of(self, line: Line) -> float:
        """The right edge of the column the line stands in."""
        return min((x for x in self.rights if x >= line.x1 - 2), default=line.x1)


def measures_of(pages: Sequence[Sequence[Line]]) -> Measures:
    """Counted in characters, over lines that could be prose."""
    lines = [line for page in pages for line in page]
    style = Counter[tuple[float, str]]()
    for line in lines:
        if line.cells == 1:
            style[(line.size, line.font)] += len(line.text)
    (size, font), _ = style.most_common(1)[0] if style else ((10.0, ""), 0)
    body = [line for line in lines if abs(line.size - size) < 0.3 and line.cells == 1]
    steps = Counter(
        round(a.y - b.y, 1)
        for a, b in pairwise(body)
        if a.page == b.page and 0 < a.y - b.y < 3 * size
    )
    leading = steps.most_common(1)[0][0] if steps else 1.2 * size
    return Measures(size, font, leading, _edges(body, "x0"), _edges(body, "x1"))


def _edges(lines: Sequence[Line], side: Literal["x0", "x1"]) -> tuple[float, ...]:
    """The few places where many lines begin (or end)."""
    edges: list[float] = []
    for edge, count in Counter(round(getattr(line, side)) for line in lines).most_common():
        if count >= max(3, 0.04 * len(lines)) and all(abs(edge - x) > 30 for x in edges):
            edges.append(float(edge))
    return tuple(sorted(edges))


def overlap(one: Line, other: Line) -> float:
    """How many points of their widths lie above each other."""
    return min(one.x1, other.x1) - max(one.x0, other.x0)


NAMED_HEADING = re.compile(
    r"(abstract|introduction|background|related works?|preliminaries|methods?|methodology|"
    r"experiments?|results?|evaluation|discussions?|limitations?|conclusions?|"
    r"conclusions? and .{3,30}|discussions? and .{3,30}|broader impacts?|ethics statement|"
    r"acknowledge?ments?|references|bibliography|literature cited|appendix|appendices|"
    r"supplementary materials?|author contributions|contents|table of contents)",
    re.I,
)
NUMBERED = re.compile(
    r"((\d{1,2}|[A-Z])(\.\d{1,2}){0,3}\.?|[IVX]{1,5}\.|appendix( [A-Z])?[.:]?)\s+\S", re.I
)
BIBLIOGRAPHY = re.compile(
    r"((\d{1,2}|[IVX]+)\.?\s*)?(references|bibliography|literature cited|references and notes)",
    re.I,
)
CONTENTS = re.compile(r"(table of )?contents", re.I)
ABSTRACT = re.compile(r"abstract\b", re.I)


def is_named_heading(text: str) -> bool:
    """Whether this, or what follows its number, is what papers call their sections."""
    return bool(NAMED_HEADING.fullmatch(re.sub(r"^[\dIVX.]+\s+", "", text)))


def is_heading(group: Sequence[Line], usual: Measures) -> bool:
    """Short, set apart by weight or size, and not the end of a sentence."""
    text = " ".join(line.text for line in group)
    first = group[0]
    if len(group) > 3 or len(text) > 150 or not re.search(r"[^\W\d_]{3,}", text):
        return False
    named = is_named_heading(text.strip(" .:"))
    larger = first.size > 1.08 * usual.size
    strong = all(line.bold for line in group) or larger
    capitals = text.upper() == text or first.font != usual.font
    if named and (strong or capitals) and first.size > 0.85 * usual.size:
        return True
    numbered = bool(NUMBERED.match(text))
    small = first.size < 0.97 * usual.size
    if numbered and len(group) == 1 and is_bold(first.font) and not small:
        return not text.endswith(".") and first.x1 < usual.right_of(first) - 4 * first.size
    if text.endswith((",", ";")) or (text.endswith(".") and not numbered):
        return False
    if not strong:
        return numbered and text.upper() == text and len(text) < 80
    return (larger or not small) and (numbered or text[0].isupper())


FORMULA_TEXT = re.compile(r"[=+−×÷∑∏∫√∞≈≤≥≠∈∀∃∂∇→←↔∥⟨⟩⊙⊗⊕|^_{}<>/\\~(),.;:\[\]\d\s]")
EQUATION_NUMBER = re.compile(r"\(?[A-Z]?\d+(\.\d+)?[a-z]?\)")


def mended(page: Sequence[Line], usual: Measures) -> list[Line]:
    """Stretched lines in one piece again: headings, and body lines from edge to edge."""
    lines: list[Line] = []
    for row in grouped(page, lambda row, line: line.cells == row[0].cells > len(row)):
        lines += _row_mended(row, usual, lines[-1] if lines else None)
    return lines


def _row_mended(row: list[Line], usual: Measures, above: Line | None) -> list[Line]:
    if any(line.math > 0.3 and line.words <= 2 and len(line.text) > 1 for line in row) or (
        len(row) > 1 and EQUATION_NUMBER.fullmatch(row[-1].text)
    ):
        return [replace(line, math=max(line.math, 0.31)) for line in row]
    first, last = row[0], row[-1]
    gaps = [b.x0 - a.x1 for a, b in pairwise(row)]
    if not gaps or max(gaps) > 4 * first.size:
        return row
    heading = all(line.bold for line in row) and first.size > 1.05 * usual.size
    body = all(abs(line.size - usual.size) < 0.3 for line in row)
    edges = abs(first.x0 - usual.left_of(first)) < 2 and abs(last.x1 - usual.right_of(last)) < 2
    count = sum(line.words for line in row)
    wordy = count >= 3 * len(row) and max(gaps) < 2.5 * first.size
    goes_on = (
        above is not None
        and count >= 4
        and len(row) < 4
        and above.cells == 1
        and above.x1 > usual.right_of(above) - 2
        and 0 < above.y - first.y < 1.3 * usual.leading
    )
    named = bool(NUMBERED.fullmatch(first.text + " x")) and row[1].bold and len(row) == 2
    if not (heading or named or (edges and (goes_on or (body and wordy)))):
        return row
    text = " ".join(line.text for line in row)
    words = tuple(edge for line in row for edge in line.edges)
    look = row[1] if named else first
    return [replace(look, text=text, x0=first.x0, x1=last.x1, edges=words, cells=1)]


def kind_of_line(line: Line, usual: Measures) -> Literal["text", "cells", "formula"]:
    """What the line is by itself."""
    words = line.words
    letters = re.sub(FORMULA_TEXT, "", line.text)
    if line.math > 0.3 and (line.cells > 1 or words <= 2):
        return "formula"
    if line.cells > 1 and line.math < 0.1 and not EQUATION_NUMBER.fullmatch(line.text):
        return "cells"
    signs = line.math > 0.12 or len(letters) < 0.35 * len(line.text)
    apart = line.x0 > usual.left_of(line) + 2 * usual.size or line.cells > 1 or words == 0
    if signs and words <= 3 and apart:
        return "formula"
    return "cells" if line.cells > 1 else "text"


Kind = Literal["heading", "prose", "caption", "footnote", "aside", "formula"]

CAPTION = re.compile(
    r"(?i:(extended data )?(figure|fig\.?|table|tab\.|algorithm|listing|scheme))\s*"
    r"([A-Z]?\d+(\.\d+)*|[A-Z]\b|[IVX]+\b)(\s*\([a-z]\))?\s*(?P<end>[.:|–—-]|[A-Z(]|$)"
)
BULLET = re.compile(r"([•·∙◦▪■●○‣–—*✓➢►»-]|\(?(\d{1,2}|[a-z]|[ivx]{1,4})\)|\d{1,2}\.|\[\d+\])\s+\S")
NUMBERED_NOTE = re.compile(r"(\d{1,2}|[∗*†‡§])\s?[A-Z(h]")
STEP = re.compile(r"(\d{1,2}:\s|(end )?(for|while|if|until)\b.*|(Input|Output|Require|Ensure):)")


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of one paragraph (or what is left of one at the foot of a column). `opens` where
    its first line begins a paragraph, `closes` where its last one visibly ends one."""

    kind: Kind
    lines: tuple[Line, ...]
    opens: bool = True
    closes: bool = True


def blocks_of(pages: Sequence[Sequence[Line]], usual: Measures) -> list[Block]:
    """The blocks of the document in reading order."""
    blocks: list[Block] = []
    for page in pages:
        # Lines directly under each other, in one size and on no shared baseline.
        groups = grouped(mended(page, usual), lambda group, line: _follows(group, line, usual))
        blocks += _with_notes([b for group in groups for b in _classified(group, usual)], usual)
    return blocks


def _with_notes(blocks: list[Block], usual: Measures) -> list[Block]:
    """Small print under the body of its column is a footnote; after a caption it belongs there."""
    body = [
        block.lines
        for block in blocks
        if block.kind in ("prose", "heading") and block.lines[0].size >= 0.95 * usual.size
    ]
    marked: list[Block] = []
    for block in blocks:
        kind, first = block.kind, block.lines[0]
        if kind == "prose" and first.size < 0.95 * usual.size:
            lowest = min((b[-1].y for b in body if overlap(b[0], first) > 0), default=0.0)
            above = marked[-1] if marked else None
            if lowest > first.y:
                kind = "footnote"
            elif above and above.kind == "caption" and above.lines[0].page == first.page:
                kind = "caption"
            elif first.size < 0.82 * usual.size:
                kind = "aside"  # sentences in cells of a table
        marked.append(replace(block, kind=kind))
    return marked


def _follows(group: list[Line], line: Line, usual: Measures) -> bool:
    """Whether `line` goes on with the block: what it is, its look, and its distance agree."""
    last = group[-1]
    drop = last.y - line.y
    kinds = kind_of_line(group[0], usual), kind_of_line(line, usual)
    ends_paragraph = (
        kinds == ("text", "formula")
        and line.cells == 1
        and abs(line.x0 - min(item.x0 for item in group)) < 1.5
        and usual.full(last)
    )
    if kinds[0] != kinds[1] and not ends_paragraph:
        return False
    if kinds[0] != "text":
        return abs(drop) < 3 * usual.leading
    other_weight = (
        last.bold != line.bold and not usual.full(last) and not (line.bold and len(group) > 1)
    )
    next_note = line.marked and last.size < 0.95 * usual.size
    caption = _is_caption(line, usual) and drop > 1.05 * usual.leading
    if abs(last.size - line.size) > 0.06 * last.size or other_weight or next_note or caption:
        return False
    leading = max(usual.leading, 1.2 * line.size) if line.size > usual.size else usual.leading
    if len(group) > 1:
        leading = min(leading, max(group[-2].y - last.y, 0.8 * line.size))
    return 0.4 * line.size < drop < 1.22 * leading + 0.5 and overlap(last, line) > 0


def _classified(group: list[Line], usual: Measures) -> Iterator[Block]:
    first = group[0]
    line_kind = kind_of_line(first, usual)
    kind: Kind
    if line_kind == "formula":
        kind = "formula"
    elif line_kind == "text" and _is_caption(first, usual):
        kind = "caption"
    elif line_kind == "text" and is_heading(group, usual):
        kind = "heading"
    elif line_kind == "text" and _is_prose(group, usual):
        numbered = NUMBERED_NOTE.match(first.text) and first.y < 250
        note = first.size < 0.95 * usual.size and (first.marked or numbered)
        yield from _paragraphs(group, usual, "footnote" if note else "prose")
        return
    else:
        kind = "aside"
    yield Block(kind, tuple(group))


def _is_caption(line: Line, usual: Measures) -> bool:
    """In small print any beginning will do; in the body's size it takes a colon or a full stop."""
    match = CAPTION.match(line.text)
    marked = match and (match["end"] in tuple(".:|–—-") or line.text.startswith("Algorithm"))
    return bool(marked or (match and line.size < 0.97 * usual.size))


def _is_prose(group: Sequence[Line], usual: Measures) -> bool:
    """Whether these lines read on: several words in a line, mostly letters."""
    text = " ".join(line.text for line in group)
    words = sum(line.words for line in group)
    letters = sum(char.isalpha() for char in text)
    steps = sum(bool(STEP.match(line.text)) for line in group)
    if letters < 0.6 * len(text.replace(" ", "")) or steps > max(1, 0.3 * len(group)):
        return False
    ended = bool(ENDS.search(text))
    if len(group) == 1:
        line = group[0]
        of_body = abs(line.size - usual.size) < 0.3 and line.font == usual.font
        goes_on = not usual.indented(line) and (usual.full(line) or of_body)
        return words >= 1 and (ended or (words >= 4 and goes_on))
    if len(group) <= 3 and not ended and not any(usual.full(line) for line in group):
        return False
    return words / len(group) >= 3.5


def _paragraphs(group: list[Line], usual: Measures, kind: Kind) -> Iterator[Block]:
    start = 0
    opens = usual.indented(group[0]) or group[0].bold
    for index in range(1, len(group)):
        if _begins(group, index, usual):
            yield Block(kind, tuple(group[start:index]), opens)
            start, opens = index, True
    last = group[-1]
    short = last.x1 < usual.right_of(last) - 2 * last.size
    closes = bool(ENDS.search(last.text)) and short
    yield Block(kind, tuple(group[start:]), opens, closes)


def _begins(group: list[Line], index: int, usual: Measures) -> bool:
    line, last = group[index], group[index - 1]
    em = line.size
    ended = bool(ENDS.search(last.text))
    short = last.x1 < max(item.x1 for item in group) - 1.5 * em
    if BULLET.match(line.text) and (ended or short):
        return True
    if line.x0 > last.x0 + 0.7 * em and not BULLET.match(last.text):
        after = group[index + 1] if index + 1 < len(group) else None
        outdented = after is not None and after.x0 < line.x0 - 0.5 * em
        return ended and (outdented or after is None or short)
    return ended and short and line.text[0].isupper() and line.x0 <= last.x0 + 0.3 * em
