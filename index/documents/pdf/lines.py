"""Runs of all pages → lines in reading order, without what belongs to the page alone. Knows
nothing of what a line is for."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, pairwise
from operator import itemgetter

from index.documents.pdf.content import Run
from index.documents.pdf.pages import Page
from index.documents.repair import repaired

SPACE = 0.12  # em: words of justified text stand at least this far apart, letters never do
CELL = 1.6  # em: a wider gap divides cells or columns
SCRIPT = 0.86  # of the line's size: what is smaller and shifted is a sub- or superscript
BOLD = re.compile(r"bold|black|heavy|semibold|-medi|demi|cmbx|sfbx|cmb\d|ptmb|phvb|-bd|tib\d", re.I)
MATH = re.compile(
    r"\b(cm(mi|sy|ex|bsy|mib)\d|ms[ab]m\d|eu[frs]m\d|rsfs|stmary|wasy|esint|dsrom|bbm|"
    r"[pt]x(mi|sy|ex)|mt(mi|sy|ex)|mtpro|lmmath|lmmi|lmsy|lmex|rmtmi|pzdr|zptmcm|fourier-math|"
    r"nxlmi|ntxmi|ntxsy|ntxex|stixmath|xitsmath|latinmodernmath|newtxmi|symbolmt|symbol\b)|"
    r"cambriamath",
    re.I,
)
NOTE_MARK = re.compile(r"[\d,∗*†‡§¶#\s]+")
MARKED_WORD = re.compile(r"([A-Za-z]{2,}|[.,;:!?)\]\"”’'])\s*$")
POWER = re.compile(r"[\d+−-]+")
BASE = re.compile(r"[\w)\]}⁺⁻]$")
RAISED = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
POWERS = re.compile(r"\b(km|cm|mm|nm|dm|log|ln|sin|cos|tan|exp|max|min|tanh)\s*$")
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


@dataclass(frozen=True, slots=True)
class Line:
    """One line of one column. `page` is 1-based; `math` is the share of its characters set in a
    font for formulas; `marked` where a raised mark begins it, as in footnotes; `edges` the left
    and right edge of each word (what stands between spaces); `cells` how many pieces stand beside
    each other on this baseline."""

    page: int
    text: str
    x0: float
    x1: float
    y: float
    size: float
    font: str
    bold: bool
    math: float
    marked: bool
    figure: bool
    edges: tuple[float, ...]
    cells: int = 1

    @property
    def words(self) -> int:
        """How many pieces of at least two letters it has."""
        return len(re.findall(r"[^\W\d_]{2,}", self.text))


def grouped(
    lines: Iterable[Line], belongs: Callable[[list[Line], Line], bool]
) -> Iterator[list[Line]]:
    """Consecutive lines in groups: a line is added to a group where it `belongs` to it."""
    group: list[Line] = []
    for line in lines:
        if group and not belongs(group, line):
            yield group
            group = []
        group.append(line)
    if group:
        yield group


@lru_cache(maxsize=1000)
def is_bold(font: str) -> bool:
    """By the font's name, which is all that tells."""
    return bool(BOLD.search(font))


@lru_cache(maxsize=1000)
def is_math(font: str) -> bool:
    """Whether it is a font for formulas, by its name."""
    return bool(MATH.search(font))


def _painted_lines(page: Page, number: int) -> Iterator[Line]:
    """The lines of one page in the order in which they were painted."""
    parts: list[Run] = []
    runs = [run for run in page.runs if run.text]
    index = 0
    while index < len(runs):
        run = runs[index]
        count = 1
        if parts and not _continues(parts, run):
            count = _excursion(parts, runs, index)
            if not count:
                yield from _line(parts, number)
                parts, count = [], 1
        if parts or run.text.strip():
            parts += runs[index : index + count]
        index += count
    yield from _line(parts, number)


def _excursion(parts: list[Run], runs: list[Run], start: int) -> int:
    """How many runs from `start` leave the baseline and come back to it further right: roots,
    fractions and sums inside a line of text. 0 where they do not come back."""
    main = _main(parts)
    end = max(part.x1 for part in parts)
    for count, run in enumerate(runs[start : start + 40]):
        shift, gap = abs(run.y - main.y), run.x0 - end
        if shift <= 0.12 * main.size:
            widest = max((r.x1 for r in runs[start : start + count]), default=end)
            back = -0.5 * main.size < run.x0 - widest < CELL * main.size
            return count if count and back else 0
        if shift > 1.1 * main.size or not -0.6 * main.size < gap < 12 * main.size:
            return 0
        if count == 0 and gap > CELL * main.size:
            return 0
    return 0


def _main(parts: Sequence[Run]) -> Run:
    """The part that sets the baseline: of the largest size, the longest."""
    main, most = parts[0], (0.0, False, -1)
    for run in parts:
        size = round(run.size, 1)
        if size < most[0]:
            continue
        rank = (size, bool(run.text.strip()), len(run.text))
        if rank > most:
            main, most = run, rank
    return main


def _continues(parts: list[Run], run: Run) -> bool:
    last, main = parts[-1], _main(parts[-6:])
    size = max(main.size, run.size)
    gap = run.x0 - max([part.x1 for part in parts[-3:]])
    shift = abs(run.y - main.y)
    if run.figure != last.figure or gap > CELL * size or run.x0 < last.x0 - 1.5 * size:
        return False
    if shift <= 0.12 * size:
        return gap > -1.5 * size
    small = min(run.size, main.size) < SCRIPT * size
    return small and shift <= 0.65 * size and gap > -2.5 * size


def _line(parts: Sequence[Run], page: int) -> Iterator[Line]:
    """The line of these parts, if they read as anything."""
    sizes = Counter[float]()
    fonts = Counter[str]()
    for run in parts:
        sizes[round(run.size, 1)] += len(run.text.strip())
        fonts[run.font] += len(run.text.strip())
    if not (total := sum(fonts.values())):
        return
    least = min(0.15 * total, max(sizes.values()))
    size = max(size for size, count in sizes.items() if count >= least)
    base = max((r for r in parts if round(r.size, 1) == size), key=lambda r: len(r.text)).y
    raw, marked, stops = _text(parts, size, base)
    if not (text := repaired(raw)):
        return
    bold = sum(count for name, count in fonts.items() if is_bold(name))
    plain = sum(n for name, n in fonts.items() if not is_bold(name) and not is_math(name))
    yield Line(
        page=page,
        text=text,
        x0=min(run.x0 for run in parts),
        x1=max(run.x1 for run in parts),
        y=base,
        size=size,
        font=fonts.most_common(1)[0][0],
        bold=bold > 0 and plain <= 0.03 * (bold + plain),
        math=sum(n for name, n in fonts.items() if is_math(name)) / total,
        marked=marked,
        figure=parts[0].figure,
        edges=_edges(text, stops if text == raw else _moved(stops, raw, text)),
    )


def _moved(stops: Sequence[tuple[int, float]], raw: str, text: str) -> list[tuple[int, float]]:
    """The stops of `raw` in the `text` that it was repaired to: what stands before an offset is
    as long as it is when repaired by itself, but for a space at its end."""
    moved = []
    for offset, x in stops:
        length = len(repaired(raw[:offset]))
        after_space = raw[offset - 1 : offset].isspace() and text[length : length + 1] == " "
        moved.append((length + after_space, x))
    return moved


def _edges(text: str, stops: Sequence[tuple[int, float]]) -> tuple[float, ...]:
    """The left and right edge of each word. Between stops all characters are equally wide."""
    lefts, rights = dict(stops), dict(reversed(stops))  # where two runs meet: the one, the other
    edges: list[float] = []
    start = 0
    for word in text.split(" "):
        end = start + len(word)
        left = lefts[start] if start in lefts else _x(start, stops)
        right = rights[end] if end in rights else _x(end, stops)
        edges += left, max(left, right)
        start = end + 1
    return tuple(edges)


def _x(offset: int, stops: Sequence[tuple[int, float]]) -> float:
    """The x of an offset between two stops, or beyond the last."""
    at = bisect_right(stops, offset, key=itemgetter(0))
    (before, left), (after, right) = stops[max(0, at - 1)], stops[min(at, len(stops) - 1)]
    return left if after <= before else left + (right - left) * (offset - before) / (after - before)


def _lowered(run: Run, size: float, base: float) -> bool:
    """Whether it stands as low as the lower half of a fraction."""
    return base - run.y > 0.3 * size and run.size < SCRIPT * size


def _text(
    parts: Sequence[Run], size: float, base: float
) -> tuple[str, bool, list[tuple[int, float]]]:
    """The characters with spaces where the gaps are, without raised marks of footnotes; whether
    it begins with such a mark; offsets in the text with their x, for each run its ends at least."""
    text, marked = "", False
    stops: list[tuple[int, float]] = []
    end: float | None = None
    above: Run | None = None
    for number, run in enumerate(parts):
        raised = run.y > base + 0.15 * size and run.size < SCRIPT * size
        gap = run.x0 - end if end is not None else 0.0
        apart = gap > SPACE * (run.size if raised else size)
        end = run.x1 if end is None else max(end, run.x1)
        if raised and NOTE_MARK.fullmatch(run.text):
            if not text.strip():
                marked = True
                continue
            below = parts[number + 1] if number + 1 < len(parts) else run
            divided = _lowered(below, size, base) and below.x0 < run.x1 - 0.1 * size
            if (apart and not divided) or (MARKED_WORD.search(text) and not POWERS.search(text)):
                continue
        power = raised and not apart and BASE.search(text) and POWER.fullmatch(run.text)
        written = run.text.translate(RAISED) if power else run.text
        if _lowered(run, size, base) and above is not None and run.x0 < above.x1 - 0.1 * size:
            text = f"{text.rstrip()}/"  # the bar of a fraction is a drawing: without it 1/2 is 12
        # An index stands close to its letter, a fraction keeps away from what is before it.
        above = run if raised and gap > 0.1 * size else None
        if apart and text and not text.endswith(" "):
            text += " "
        start = len(text)
        stops.append((start, run.x0))
        stops += [(start + offset, x) for offset, x in run.stops]
        text += written
        stops.append((len(text), run.x1))
    return text, marked, stops


def are_forms(pages: Sequence[Page]) -> bool:
    """Whether the text of whole pages stands in forms, and not that of drawings alone."""
    texts = [(len(run.text.strip()), run.figure) for page in pages for run in page.runs]
    return sum(n for n, figure in texts if figure) > 0.7 * sum(n for n, _ in texts)


def lines_of(pages: Sequence[Page]) -> tuple[list[list[Line]], list[Line]]:
    """The lines of each page, in reading order; and the text of drawings, which is left out."""
    painted = [list(_painted_lines(page, number)) for number, page in enumerate(pages, start=1)]
    gutter = _gutter(painted, pages)
    drawn: list[Line] = []
    if not are_forms(pages):
        drawn = [line for page in painted for line in page if line.figure]
        painted = [[line for line in page if not line.figure] for page in painted]
    return [list(_with_cells(_in_order(page, gutter), gutter)) for page in painted], drawn


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
    rows = sorted(lines, key=lambda line: (-line.y, line.x0))
    for _, band in groupby(rows, key=lambda line: side(line, gutter) == 0):
        ordered += sorted(band, key=lambda line: (side(line, gutter), -line.y, line.x0))
    return ordered


def _with_cells(lines: list[Line], gutter: float | None) -> Iterator[Line]:
    """Count the neighbours on one baseline: that is how a table shows."""

    def beside(row: list[Line], line: Line) -> bool:
        near = abs(line.y - row[-1].y) <= 0.3 * line.size
        return near and side(line, gutter) == side(row[-1], gutter)

    for row in grouped(lines, beside):
        yield from row if len(row) == 1 else [replace(line, cells=len(row)) for line in row]


def without_furniture(pages: Sequence[Sequence[Line]], sizes: Sequence[Page]) -> list[list[Line]]:
    """Without running heads, page numbers, line numbers and notices of the venue."""
    seen: defaultdict[tuple[str, int], set[int]] = defaultdict(set)

    def key(line: Line) -> tuple[str, int]:
        return re.sub(r"\d+", "#", line.text).strip("# "), round(line.y / 4)

    def margin(line: Line) -> bool:
        height = sizes[line.page - 1].height
        return not 0.1 * height < line.y < 0.88 * height

    for line in (line for page in pages for line in page if margin(line)):
        text, y = key(line)
        for near in (y - 1, y, y + 1):
            seen[(text, near)].add(line.page)

    def repeated(line: Line, page: Sequence[Line]) -> bool:
        """Whether other pages have it too, and it is not part of a paragraph that is not."""
        near = [other for other in page if 0 < abs(other.y - line.y) < 1.6 * line.size]
        return all(
            margin(item) and len(seen[key(item)]) >= 2 for item in (line, *near) if item.words
        )

    def furniture(line: Line, page: Sequence[Line]) -> bool:
        ys = [other.y for other in page]
        if margin(line) and (repeated(line, page) or NOTICE.match(line.text)):
            return True
        return line.y in (max(ys), min(ys)) and bool(PAGE_NUMBER.fullmatch(line.text))

    return [[line for line in page if not furniture(line, page)] for page in pages]
