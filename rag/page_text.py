"""A quote among the characters that a page shows: which of them are the quote.

The page has what our text leaves out (running heads, footnotes and their marks, formulas set
apart, floats in the middle of a paragraph), and both have their own ideas of spaces and hyphens.
So the quote is compared by what both must agree on, and may be cut into pieces where the page has
something in between. Knows nothing of PDF files or pictures.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from statistics import median_low

from rag.page_pieces import pieces_of

MARKS = 2  # readable glyphs that a footnote's mark has at most
NEAR = 12  # characters that a mark, a root or a fraction puts between two of the quote
PIECE = 12  # characters of a quote that fill a column or a page by themselves, at least
CONTEXT = 400  # characters on each side of a quote that tell it from the same words elsewhere
CERTAIN = 16  # characters of them in agreement after which nobody looks for another place
ATTEMPTS = 8
# A word with the space or the hyphen behind it, at which a line may end.
WORD = re.compile(r"[^\s\-‐–—/]*[\s\-‐–—/]*")
# Signs of one look that two readers of a font name differently.
ALIKE = str.maketrans({"ı": "i", "ȷ": "j", "∗": "*", "∼": "~", "⋅": "·", "∶": ":", "∣": "|"})
# Accents painted as characters, marks, controls, what fonts use privately, hyphens and dashes.
PASSED_OVER = frozenset(("Mn", "Me", "Sk", "Lm", "Cc", "Cf", "Cn", "Co", "Cs", "Pd", "Zs", "Zl"))
DASHES = frozenset("−/⁄´`ˆ˜¨")


Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""


@dataclass(frozen=True, slots=True)
class Glyph:
    """A character that can be seen on a page. `reads` is its key, "" for hyphens and the like;
    the box is in points from the upper left corner of the page as it is shown."""

    page: int
    reads: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        """Of the sign itself, not of its line."""
        return self.bottom - self.top

    @property
    def middle(self) -> tuple[float, float]:
        """The point that says where it stands."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


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


@lru_cache(maxsize=4096)
def _key_of(char: str) -> str:
    return "".join(
        part
        for part in unicodedata.normalize("NFKD", char).translate(ALIKE)
        if unicodedata.category(part) not in PASSED_OVER
        and part not in DASHES
        and not part.isspace()
    )


def key(text: str) -> str:
    """What is compared: ligatures and powers spelled out, letters without accents, no spaces,
    hyphens or dashes. Case and punctuation stay. `key(a + b) == key(a) + key(b)`."""
    return "".join(map(_key_of, text))


class Stream:
    """The glyphs of a quote's pages as one string of keys; `owner[k]` is the glyph that the k-th
    character of it belongs to."""

    def __init__(self, glyphs: Sequence[Glyph]) -> None:
        self.glyphs = glyphs
        self.text = "".join(glyph.reads for glyph in glyphs)
        self.owner = [n for n, glyph in enumerate(glyphs) for _ in glyph.reads]
        self.hyphens = {
            at
            for at, (here, there) in enumerate(pairwise([*self.owner, len(glyphs)]))
            if there > here + 1
        }
        self.small = median_low(glyph.height for glyph in glyphs) if glyphs else 0.0
        self._by_height: dict[int, list[tuple[float, int]]] = {}
        for at, glyph in enumerate(glyphs):
            self._by_height.setdefault(glyph.page, []).append((glyph.middle[1], at))
        for levels in self._by_height.values():
            levels.sort()

    def reads(self, page: int, box: Box) -> str:
        """The keys of the glyphs of a page whose middle lies in a box, in the page's order."""
        left, top, right, bottom = box
        levels = self._by_height.get(page, [])
        start, end = (
            bisect_left(levels, (top, -1)),
            bisect_right(levels, (bottom, len(self.glyphs))),
        )
        level = [self.glyphs[at] for at in sorted(at for _, at in levels[start:end])]
        return "".join(glyph.reads for glyph in level if left <= glyph.middle[0] <= right)

    def goes_on(self, at: int, following: int) -> bool:
        """Whether glyph `following` goes on with the line of glyph `at`, no further away than
        the next word."""
        here, there = self.glyphs[at], self.glyphs[following]
        tall = max(here.height, there.height, self.small)
        shared = min(here.bottom, there.bottom) - max(here.top, there.top)
        # A full stop shares no height with a quotation mark.
        level = shared > 0 or abs(here.middle[1] - there.middle[1]) < 1.3 * tall
        onwards = there.left > here.left - 0.7 * tall and there.left - here.right < 2.5 * tall
        return here.page == there.page and level and onwards

    def ends_line(self, at: int) -> bool:
        """Whether nothing but a hyphen or a mark stands on the line behind glyph `at`."""
        return not self._on_line(range(at, min(len(self.glyphs), at + MARKS + 4)))

    def begins_line(self, at: int) -> bool:
        """Whether nothing but a mark stands on the line before glyph `at`."""
        return not self._on_line(range(at, max(-1, at - MARKS - 4), -1))

    def _on_line(self, along: range) -> bool:
        """Whether more than a mark stands on one line with the first of these glyphs."""
        readable = 0
        for at, following in pairwise(along):
            if not self.goes_on(*sorted((at, following))):
                return False
            readable += bool(self.glyphs[following].reads)
        return readable > MARKS


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
