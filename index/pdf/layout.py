"""Lines → blocks that know what they are: headings, prose, captions, footnotes, tables, formulas.
Knows nothing of the text that comes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from index.pdf.headings import is_heading
from index.pdf.lines import Line
from index.pdf.measures import ENDS, Measures, overlap
from index.pdf.rows import kind_of_line, mended

Kind = Literal["heading", "prose", "caption", "footnote", "aside", "formula"]

CAPTION = re.compile(
    r"(?i:(extended data )?(figure|fig\.?|table|tab\.|algorithm|listing|scheme))\s*"
    r"([A-Z]?\d+(\.\d+)*|[A-Z]\b|[IVX]+\b)(\s*\([a-z]\))?\s*(?P<end>[.:|–—-]|[A-Z(]|$)"
)
BULLET = re.compile(r"([•·∙◦▪■●○‣–—*✓➢►»-]|\(?(\d{1,2}|[a-z]|[ivx]{1,4})\)|\d{1,2}\.|\[\d+\])\s+\S")
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
        found: list[Block] = []
        for group in _groups(mended(page, usual), usual):
            found += _classified(group, usual)
        blocks += _with_notes(found, usual)
    return blocks


def _with_notes(blocks: list[Block], usual: Measures) -> list[Block]:
    """Small print under the body of its column is a footnote; after a caption it belongs there."""
    body = [
        block.lines
        for block in blocks
        if block.kind in ("prose", "heading") and block.lines[0].size >= 0.95 * usual.size
    ]
    done: list[Block] = []
    for block in blocks:
        kind = block.kind
        if kind == "prose" and block.lines[0].size < 0.95 * usual.size:
            beside = [lines for lines in body if overlap(lines[0], block.lines[0]) > 0]
            lowest = min((lines[-1].y for lines in beside), default=0.0)
            if lowest > block.lines[0].y:
                kind = "footnote"
            elif (
                done
                and done[-1].kind == "caption"
                and done[-1].lines[0].page == block.lines[0].page
            ):
                kind = "caption"
            elif block.lines[0].size < 0.82 * usual.size:
                kind = "aside"  # sentences in cells of a table
        done.append(replace(block, kind=kind))
    return done


def _groups(page: Sequence[Line], usual: Measures) -> Iterator[list[Line]]:
    """Lines directly under each other, in one size and on no shared baseline."""
    group: list[Line] = []
    for line in page:
        if group and not _follows(group, line, usual):
            yield group
            group = []
        group.append(line)
    if group:
        yield group


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
    kind = kind_of_line(first, usual)
    if kind == "formula":
        yield Block("formula", tuple(group))
    elif kind == "cells":
        yield Block("aside", tuple(group))
    elif _is_caption(first, usual):
        yield Block("caption", tuple(group))
    elif is_heading(group, usual):
        yield Block("heading", tuple(group))
    elif not _is_prose(group, usual):
        yield Block("aside", tuple(group))
    else:
        small = first.size < 0.95 * usual.size
        name: Kind = "footnote" if small and (first.marked or _numbered_note(first)) else "prose"
        yield from _paragraphs(group, usual, name)


def _is_caption(line: Line, usual: Measures) -> bool:
    """In small print any beginning will do; in the body's size it takes a colon or a full stop."""
    found = CAPTION.match(line.text)
    if not found:
        return False
    marked = found["end"] in tuple(".:|–—-") or line.text.startswith("Algorithm")
    return marked or line.size < 0.97 * usual.size


def _numbered_note(line: Line) -> bool:
    return bool(re.match(r"(\d{1,2}|[∗*†‡§])\s?[A-Z(h]", line.text)) and line.y < 250


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
