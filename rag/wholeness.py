"""Whether a span is whole: sentences, or clauses of one, and no piece torn out of the middle.

A slice can be true to the letter and false to the sense ("it does not work" cut after "it does").
So verification asks for more than a slice: it begins where a sentence or a clause begins, and ends
where one ends. What follows a comma may still turn the sense; a reader sees the comma.
"""

from __future__ import annotations

import re

from index.document import Document
from index.passages import MAXIMUM
from index.sentences import sentence_spans

_CLAUSE_BEGINS = re.compile(r"[,;:.!?。；—–]\s+\Z|\n\s*\Z")
_CLAUSE_ENDS = re.compile(r"[,;:.!?。；—–]\Z")


def is_whole(document: Document, start: int, end: int) -> bool:
    """Whether [start, end) begins and ends at a sentence's or a clause's edge, within one
    quotable section. A sentence too long for a passage may also be cut between words."""
    for section in document.sections:
        if section.start <= start and end <= section.end:
            spans = sentence_spans(document.text, section.start, section.end)
            return _begins(document.text, start, spans) and _ends(document.text, end, spans)
    return False


def _begins(text: str, start: int, spans: tuple[tuple[int, int], ...]) -> bool:
    first, last = next((span for span in spans if span[0] <= start < span[1]), (start, start))
    if start == first or _CLAUSE_BEGINS.search(text, max(first, start - 4), start):
        return True
    return last - first > MAXIMUM and text[start - 1].isspace()


def _ends(text: str, end: int, spans: tuple[tuple[int, int], ...]) -> bool:
    first, last = next((span for span in spans if span[0] < end <= span[1]), (end, end))
    if end == last or _CLAUSE_ENDS.search(text, end - 1, end) or text[end : end + 1] == "\n":
        return True
    return last - first > MAXIMUM and text[end].isspace()
