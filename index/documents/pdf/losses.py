"""Where the running text of a PDF lacks something that its page shows: a line that was taken for a
table's or a formula's, a sign that cannot be read, a picture within a line. Geometry alone: what is
left out is compared with the lines around the place where it was painted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from index.documents.document import TextLine
from index.documents.pdf.graphics import DEPTH

BESIDE = 0.6  # of a line's height: a nearer baseline is the line's own
REACH = 4  # lines above and below: more columns than a page has

FragmentKind = Literal["line", "sign", "picture"]


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
            if ends and _reads_on(lines, first) and _holds(lines[other], item):
                return lines[first].end
    if item.kind == "line":
        above = next((n for _, n in page[at:] if _over(lines[n], item)), None)
        below = next((n for _, n in reversed(page[:at]) if _over(lines[n], item)), None)
        if above is not None and below == above + 1 and _reads_on(lines, above):
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


def _reads_on(lines: Sequence[TextLine], number: int) -> bool:
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
