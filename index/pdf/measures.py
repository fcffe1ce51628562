"""What is usual in a document: the size of its body, the distance of its lines, its columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from index.pdf.lines import Line

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


def _edges(lines: Sequence[Line], side: str) -> tuple[float, ...]:
    """The few places where many lines begin (or end)."""
    counts = Counter(round(getattr(line, side)) for line in lines)
    found: list[int] = []
    for edge, count in counts.most_common():
        if count < max(3, 0.04 * len(lines)):
            break
        if all(abs(edge - other) > 30 for other in found):
            found.append(edge)
    return tuple(float(edge) for edge in sorted(found))


def overlap(one: Line, other: Line) -> float:
    """How many points of their widths lie above each other."""
    return min(one.x1, other.x1) - max(one.x0, other.x0)
