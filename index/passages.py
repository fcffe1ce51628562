"""A document cut into passages: the unit that is embedded, ranked and shown as evidence.

Passages are spans of whole sentences. Offsets are born here and never searched for again:
`document.text[p.start:p.end] == p.text` by construction (DESIGN, decision 1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from index.document import Document, Section
from index.sentences import sentence_spans

MINIMUM = 350
MAXIMUM = 600

# Names this splitter and its parameters: part of a segment's name, so that an index that was
# cut another way is never taken for this one. Change it with anything that moves a boundary.
SPLITTER = f"sentences-2:{MINIMUM}-{MAXIMUM}"

# Where an over-long sentence may be cut, best first: line ends, clauses, commas, any space.
_CUTS = tuple(
    re.compile(pattern) for pattern in (r"\n", r"(?<=[;:.!?])\s+|(?<=[。；])", r"(?<=,)\s+", r"\s+")
)

# What is shown of a passage first: one sentence, or a few short ones.
EXCERPT_MINIMUM = 80
EXCERPT_MAXIMUM = 160

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Passage:
    """`sentences` are the spans of its sentences, as offsets in the document like `start` and
    `end`; the first begins at `start`, the last ends at `end`. `pages` are 1-based."""

    start: int
    end: int
    text: str
    heading: str = ""
    pages: tuple[int, ...] = ()
    sentences: tuple[Span, ...] = ()


def _halve(text: str, span: Span, limit: int, fits: Callable[[str], bool] | None) -> list[Span]:
    """Cut one span into pieces of at most `limit` characters that fit, at the best places near
    its middle; in the middle itself where there is nothing better."""
    start, end = span
    if end - start <= limit and (fits is None or end - start <= 1 or fits(text[start:end])):
        return [span]
    middle, reach = (start + end) / 2, (end - start) // 4
    left = right = (start + end) // 2
    for cut in _CUTS:
        near = [
            match.span()
            for match in cut.finditer(text, start + reach, end - reach)
            if start < match.start() and match.end() < end
        ]
        if near:
            left, right = min(near, key=lambda found: abs(sum(found) / 2 - middle))
            break
    return [
        piece
        for part in ((start, left), (right, end))
        for piece in _halve(text, _trim(text, part), limit, fits)
        if piece[0] < piece[1]
    ]


def _trim(text: str, span: Span) -> Span:
    """The span without white space at its ends; empty where there is nothing else."""
    part = text[span[0] : span[1]]
    start = span[0] + len(part) - len(part.lstrip())
    return start, max(start, span[0] + len(part.rstrip()))


def _after_heading(text: str, section: Section) -> int:
    """Where the section's own text begins: its heading is context, not evidence."""
    start, _ = _trim(text, (section.start, section.end))
    heading = section.heading.strip()
    after = start + len(heading)
    if heading and text[start:after] == heading and text[after : after + 1] in ("", "\n"):
        return min(after, section.end)
    return section.start


def _group(text: str, pieces: Sequence[Span], minimum: int, maximum: int) -> list[tuple[Span, ...]]:
    """Consecutive pieces joined to passages no longer than `maximum`, the cuts chosen so that
    lengths stay near the middle of the range and cuts fall at paragraphs (least total cost)."""
    target = (minimum + maximum) / 2
    best = [0.0] + [float("inf")] * len(pieces)
    came_from = [0] * (len(pieces) + 1)
    for stop in range(1, len(pieces) + 1):
        end = pieces[stop - 1][1]
        # A cut inside a paragraph costs about as much as a passage half as long as it should be.
        inside = stop < len(pieces) and "\n" not in text[end : pieces[stop][0]]
        for first in range(stop - 1, -1, -1):
            length = end - pieces[first][0]
            if length > maximum and first < stop - 1:
                break
            miss = abs(length - target) / target
            outside = 1.0 if length < minimum else 0.0
            cost = best[first] + miss * miss + 0.5 * outside * miss + (0.1 if inside else 0.0)
            if cost < best[stop]:
                best[stop], came_from[stop] = cost, first
    groups: list[tuple[Span, ...]] = []
    stop = len(pieces)
    while stop:
        groups.append(tuple(pieces[came_from[stop] : stop]))
        stop = came_from[stop]
    return groups[::-1]


def _fitting(
    text: str, group: tuple[Span, ...], fits: Callable[[str], bool] | None
) -> list[tuple[Span, ...]]:
    """The group, or its halves where the encoder would cut it off."""
    if fits is None or len(group) < 2 or fits(text[group[0][0] : group[-1][1]]):
        return [group]
    half = len(group) // 2
    return _fitting(text, group[:half], fits) + _fitting(text, group[half:], fits)


def split(
    document: Document,
    *,
    minimum: int = MINIMUM,
    maximum: int = MAXIMUM,
    fits: Callable[[str], bool] | None = None,
) -> tuple[Passage, ...]:
    """The passages of `document`, in order.

    Invariants: none crosses a section or lies in one that must not be quoted; every character
    of a quotable section that is neither white space nor its heading lies in exactly one
    passage; none is longer than `maximum` characters, nor too long for `fits` (is the text
    short enough for the encoder?). `minimum` is aimed at: a section shorter than that, or one
    whose sentences do not add up, gives shorter passages.
    """
    text = document.text
    passages: list[Passage] = []
    for section in document.sections:
        if not section.quotable:
            continue
        pieces = [
            piece
            for sentence in sentence_spans(text, _after_heading(text, section), section.end)
            for piece in _halve(text, sentence, maximum, fits)
        ]
        for whole in _group(text, pieces, minimum, maximum):
            for group in _fitting(text, whole, fits):
                start, end = group[0][0], group[-1][1]
                passages.append(
                    Passage(
                        start=start,
                        end=end,
                        text=text[start:end],
                        heading=section.heading,
                        pages=document.pages(start, end),
                        sentences=group,
                    )
                )
    return tuple(passages)


def excerpts(passage: Passage) -> tuple[Span, ...]:
    """The passage's sentences in runs of about 80–160 characters, a longer sentence by itself:
    spans in the document that share no sentence and together hold them all."""
    local = [(start - passage.start, end - passage.start) for start, end in passage.sentences]
    groups = _group(passage.text, local, EXCERPT_MINIMUM, EXCERPT_MAXIMUM)
    return tuple((group[0][0] + passage.start, group[-1][1] + passage.start) for group in groups)
