"""A quote among the characters that its pages show: which of them are the quote.

The page has what our text leaves out (running heads, footnotes and their marks, formulas set
apart, floats in the middle of a paragraph), and both have their own ideas of spaces and hyphens.
So the quote is compared by what both must agree on, and may be cut into pieces where the page has
something in between. What stands around it tells it from the same words elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from rag.views.page_pieces import pieces_of
from rag.views.page_text import Glyph, Stream, key

NEAR = 12  # characters that a mark, a root or a fraction puts between two of the quote
PIECE = 12  # characters of a quote that fill a column or a page by themselves, at least
CONTEXT = 400  # characters on each side of a quote that are compared
CERTAIN = 16  # characters of them in agreement after which nobody looks for another place
ATTEMPTS = 8
# A word with the space or the hyphen behind it, at which a line may end.
WORD = re.compile(r"[^\s\-‐–—/]*[\s\-‐–—/]*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A quote: a half-open span of `text`, which is what the document has on `pages` (1-based,
    in order), those that the quote touches."""

    pages: tuple[int, ...]
    text: str
    start: int
    end: int

    @property
    def quote(self) -> str:
        """The words that are looked for."""
        return self.text[self.start : self.end]


def locate(wanted: Wanted, stream: Stream) -> tuple[int, ...]:
    """The glyphs that are the quote, in its order; () where that is not certain."""
    sought = key(wanted.quote)
    if not sought:
        return ()
    before = key(wanted.text[max(0, wanted.start - CONTEXT) : wanted.start])
    after = key(wanted.text[wanted.end : wanted.end + CONTEXT])

    def agreement(place: Sequence[int]) -> int:
        ahead = _common(before[::-1], stream.text[max(0, place[0] - CONTEXT) : place[0]][::-1])
        behind = _common(after, stream.text[place[-1] + 1 : place[-1] + 1 + CONTEXT])
        return ahead + behind

    whole = list(_occurrences(sought, stream.text))
    places: list[Sequence[int]] = [range(at, at + len(sought)) for at in whole]
    if max(map(agreement, places), default=0) < CERTAIN:
        places += _in_pieces(wanted.quote, stream, places)
    if not places:
        return ()
    scores = sorted((agreement(place) for place in places), reverse=True)
    if len(places) == 1 or scores[0] > scores[1]:
        chosen = max(places, key=agreement)
    elif len(places) == len(whole) and (number := _ordinal(wanted, sought, len(whole))) is not None:
        chosen = places[number]
    else:
        return ()
    return tuple(dict.fromkeys(stream.owner[at] for at in chosen))


def _occurrences(sought: str, text: str) -> Iterator[int]:
    at = text.find(sought)
    while at >= 0:
        yield at
        at = text.find(sought, at + 1)


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    for count, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return count
    return min(len(one), len(other))


def _ordinal(wanted: Wanted, sought: str, count: int) -> int | None:
    """Which of the places of the same words it is, where our text has as many of them."""
    at = len(key(wanted.text[: wanted.start]))
    ours = list(_occurrences(sought, key(wanted.text)))
    return ours.index(at) if len(ours) == count and at in ours else None


def _in_pieces(
    quote: str, stream: Stream, taken: Sequence[Sequence[int]]
) -> Iterator[Sequence[int]]:
    """Other places where the quote stands in pieces, the least broken first."""
    sought = key(quote)
    openings = set(accumulate(len(key(word)) for word in WORD.findall(quote)))
    openings |= {number for number, char in enumerate(sought) if not char.isalnum()}
    used = {at for place in taken for at in place}
    for _ in range(ATTEMPTS):
        found = pieces_of(sought, stream.text, openings=openings, hyphens=stream.hyphens, used=used)
        if found is None:
            return
        wrong = _astray(found, stream)
        used.update(wrong or found)
        if not wrong:
            yield found


def _astray(place: Sequence[int], stream: Stream) -> Sequence[int]:
    """A piece that nobody would read at its place in the quote. From one piece to the next one
    reads on past a mark or within a formula, or from the end of one line to the beginning of
    another, with whole lines in between."""
    if len(set(place)) < len(place):
        return place
    since = 0
    for number, (last, following) in enumerate(pairwise(place), start=1):
        if following == last + 1:
            continue
        here, there = stream.owner[last], stream.owner[following]
        if abs(following - last) <= NEAR and _beside(stream.glyphs[here], stream.glyphs[there]):
            continue
        whole = stream.ends_line(here) and stream.begins_line(there)
        if not whole or (since and number - since < PIECE):
            return min(place[since:number], place[number : _end_of_piece(place, number)], key=len)
        since = number
    return ()


def _end_of_piece(place: Sequence[int], start: int) -> int:
    """The number of the first character that does not stand next to the one before it."""
    for number in range(start + 1, len(place)):
        if place[number] != place[number - 1] + 1:
            return number
    return len(place)


def _beside(here: Glyph, there: Glyph) -> bool:
    """Whether two glyphs stand on about one line, not far apart."""
    tall = max(here.height, there.height)
    level = abs(here.middle[1] - there.middle[1]) < 1.5 * tall
    return here.page == there.page and level and abs(there.left - here.right) < 8 * tall
