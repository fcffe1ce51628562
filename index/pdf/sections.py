"""Which section each paragraph stands in, and whether it may be quoted."""

from __future__ import annotations

import re

from index.pdf.composition import read
from index.pdf.flow import Paragraph
from index.pdf.furniture import NOTICE
from index.pdf.headings import ABSTRACT, BIBLIOGRAPHY, CONTENTS, NAMED_HEADING, NUMBERED
from index.pdf.layout import Block
from index.pdf.measures import ENDS
from index.repair import Vocabulary


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
