"""Which lines are headings, and which headings mean something."""

from __future__ import annotations

import re
from collections.abc import Sequence

from index.pdf.lines import Line, is_bold
from index.pdf.measures import Measures

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


def is_heading(group: Sequence[Line], usual: Measures) -> bool:
    """Short, set apart by weight or size, and not the end of a sentence."""
    text = " ".join(line.text for line in group)
    first = group[0]
    if len(group) > 3 or len(text) > 150 or not re.search(r"[^\W\d_]{3,}", text):
        return False
    named = NAMED_HEADING.fullmatch(re.sub(r"^[\dIVX.]+\s+", "", text).strip(" .:"))
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
