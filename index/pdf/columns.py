"""Lines of all pages → lines in reading order. Knows nothing of what a line is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from index.pdf.lines import Line, lines_of_page
from index.pdf.pages import Page


def lines_of(pages: Sequence[Page]) -> list[list[Line]]:
    """The lines of each page, in reading order."""
    found = [lines_of_page(page, number) for number, page in enumerate(pages, start=1)]
    drawn = sum(len(line.text) for page in found for line in page if line.figure)
    total = sum(len(line.text) for page in found for line in page)
    whole_pages_are_forms = drawn > 0.7 * total
    gutter = _gutter(found, pages)
    ordered = []
    for page in found:
        kept = [line for line in page if whole_pages_are_forms or not line.figure]
        ordered.append(_with_cells(_in_order(kept, gutter), gutter))
    return ordered


def _gutter(pages: Sequence[Sequence[Line]], sizes: Sequence[Page]) -> float | None:
    """Where the two columns of the document part, None where it has one."""
    middle = sizes[0].width / 2
    body = [line for page in pages for line in page if not line.figure and len(line.text) > 25]
    left = [line for line in body if line.x1 < middle + 6 and line.x1 - line.x0 < middle]
    right = [line for line in body if line.x0 > middle - 6]
    if min(len(left), len(right)) < 0.25 * len(body) or not body:
        return None
    ends = sorted(line.x1 for line in left)
    starts = sorted(line.x0 for line in right)
    return (ends[int(0.95 * (len(ends) - 1))] + starts[int(0.05 * len(starts))]) / 2


def side(line: Line, gutter: float | None) -> int:
    """0 for a line across the page, 1 for the left and 2 for the right column."""
    if gutter is None:
        return 0
    if line.x1 <= gutter + 3:
        return 1
    return 2 if line.x0 >= gutter - 3 else 0


def _in_order(lines: list[Line], gutter: float | None) -> list[Line]:
    """TeX paints in reading order, floats included, and no geometry knows better; where the
    order of painting jumps about it is not that, and geometry has to do."""
    sides = [side(line, gutter) for line in lines]
    switches = sum(a != b and 0 not in (a, b) for a, b in pairwise(sides))
    climbs = sum(
        b.y > a.y + 2 * a.size and side(a, gutter) == side(b, gutter) for a, b in pairwise(lines)
    )
    if switches <= max(6, 0.2 * len(lines)) and climbs <= max(6, 0.25 * len(lines)):
        return lines
    ordered: list[Line] = []
    band: list[Line] = []
    for line in sorted(lines, key=lambda line: (-line.y, line.x0)):
        if side(line, gutter) == 0:
            ordered += _columns(band, gutter)
            band = []
            ordered.append(line)
        else:
            band.append(line)
    return ordered + _columns(band, gutter)


def _columns(band: list[Line], gutter: float | None) -> list[Line]:
    return sorted(band, key=lambda line: (side(line, gutter), -line.y, line.x0))


def _with_cells(lines: list[Line], gutter: float | None) -> list[Line]:
    """Count the neighbours on one baseline: that is how a table shows."""
    counted: list[Line] = []
    row: list[Line] = []
    for line in [*lines, None]:
        if row and (
            line is None
            or abs(line.y - row[-1].y) > 0.3 * line.size
            or side(line, gutter) != side(row[-1], gutter)
        ):
            counted += [replace(item, cells=len(row)) if len(row) > 1 else item for item in row]
            row = []
        if line is not None:
            row.append(line)
    return counted
