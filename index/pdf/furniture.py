"""Running heads, page numbers and notices of venues: what belongs to the page, not to the text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from index.pdf.lines import Line
from index.pdf.pages import Page

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
