"""The glyphs of a quote → rectangles over its lines, and the proof that they hold nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from math import inf
from statistics import median

from rag.views.page_places import Wanted
from rag.views.page_text import Box, Glyph, Stream, key
from rag.views.pictures import Highlight, Rectangle

LONG = 8  # glyphs of a run that tell how high its line is
Size = tuple[float, float]


def highlights_of(
    wanted: Wanted,
    place: Sequence[int],
    stream: Stream,
    sizes: Mapping[int, Size],
) -> tuple[Highlight, ...]:
    """One rectangle for each run of the quote along a line, in reading order; () where they
    would hold anything but the quote. `sizes` has width and height of each page in points."""
    found: list[tuple[int, Box]] = []
    read = ""
    runs = list(_runs(place, stream))
    for run, even in zip(runs, _even(runs), strict=True):
        page, said = run[0].page, _said(run)
        for boxes in ([even], [_around(run)], [_narrow(run)], [*_small(run, stream)]):
            if "".join(stream.reads(page, box) for box in boxes) == said:
                found += [(page, box) for box in boxes]
                read += said
                break
        else:
            return ()
    if read != key(wanted.quote):
        return ()
    return tuple(
        Highlight(page, tuple(_share(box, sizes[page]) for _, box in boxes))
        for page, boxes in groupby(found, key=lambda item: item[0])
    )


def _said(run: Iterable[Glyph]) -> str:
    return "".join(glyph.reads for glyph in run)


def _runs(place: Sequence[int], stream: Stream) -> Iterator[list[Glyph]]:
    """The glyphs in runs along lines, with the hyphens between and after them."""
    run = [place[0]]
    for last, at in pairwise(place):
        unbroken = last < at and not any(glyph.reads for glyph in stream.glyphs[last + 1 : at])
        for passed in range(last + 1, at if unbroken else min(last + 2, len(stream.glyphs))):
            if not stream.glyphs[passed].reads and stream.goes_on(run[-1], passed):
                run.append(passed)
        if not (unbroken and stream.goes_on(run[-1], at, spaces=inf)):
            yield [stream.glyphs[one] for one in run]
            run = []
        run.append(at)
    yield [stream.glyphs[one] for one in run]


def _around(run: Sequence[Glyph]) -> Box:
    return (
        min(glyph.left for glyph in run),
        min(glyph.top for glyph in run),
        max(glyph.right for glyph in run),
        max(glyph.bottom for glyph in run),
    )


def _even(runs: Sequence[Sequence[Glyph]]) -> list[Box]:
    """Boxes as high as the quote's lines are, also where a run has no tall letter."""
    feet = [median(glyph.bottom for glyph in run) for run in runs]
    around = [_around(run) for run in runs]
    measured = [n for n, run in enumerate(runs) if len(run) >= LONG] or range(len(runs))
    rise = median(feet[n] - around[n][1] for n in measured)
    drop = median(around[n][3] - feet[n] for n in measured)
    return [
        (left, min(top, foot - rise), right, max(bottom, foot + drop))
        for (left, top, right, bottom), foot in zip(around, feet, strict=True)
    ]


def _narrow(run: Sequence[Glyph]) -> Box:
    """No higher than it takes to hold the middles: large signs reach into other lines."""
    left, _, right, _ = _around(run)
    middles = [glyph.middle[1] for glyph in run]
    slack = 0.2 * median(glyph.height for glyph in run)
    return left, min(middles) - slack, right, max(middles) + slack


def _small(run: Sequence[Glyph], stream: Stream) -> Iterator[Box]:
    """Around as many glyphs at a time as stand there alone: indices above each other."""
    group: list[Glyph] = []
    for glyph in run:
        wider = [*group, glyph]
        if group and stream.reads(glyph.page, _around(wider)) != _said(wider):
            yield _around(group)
            wider = [glyph]
        group = wider
    yield _around(group)


def _share(box: Box, size: Size) -> Rectangle:
    """In shares of the page, and within it."""
    left, top, right, bottom = (
        min(1.0, max(0.0, value / whole)) for value, whole in zip(box, size * 2, strict=True)
    )
    return Rectangle(left, top, right, bottom)
