"""What a page shows, as one stream of characters with their boxes, and the form in which it is
compared with our text. Knows nothing of quotes, of PDF files or of pictures.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import median_low

SPACE = 2.5  # heights of a letter: words of one line are hardly ever further apart
MARKS = 2  # readable glyphs that a footnote's mark has at most
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
        self._levels: dict[int, list[tuple[float, int]]] = {}
        for at, glyph in enumerate(glyphs):
            self._levels.setdefault(glyph.page, []).append((glyph.top, at))
        for levels in self._levels.values():
            levels.sort()
        self._tallest = max((glyph.height for glyph in glyphs), default=0.0)

    def reads(self, page: int, box: Box) -> str:
        """The keys of the glyphs of a page that a box touches, in the page's order."""
        left, top, right, bottom = box
        levels = self._levels.get(page, [])
        start = bisect_left(levels, (top - self._tallest, -1))
        end = bisect_left(levels, (bottom, -1))
        near = [self.glyphs[at] for at in sorted(at for _, at in levels[start:end])]
        return "".join(
            glyph.reads
            for glyph in near
            if glyph.bottom > top and glyph.left < right and glyph.right > left
        )

    def goes_on(self, at: int, following: int, *, spaces: float = SPACE) -> bool:
        """Whether glyph `following` goes on with the line of glyph `at`, at most so many heights
        of a letter further on."""
        here, there = self.glyphs[at], self.glyphs[following]
        tall = max(here.height, there.height, self.small)
        shared = min(here.bottom, there.bottom) - max(here.top, there.top)
        # A full stop shares no height with a quotation mark.
        level = shared > 0 or abs(here.middle[1] - there.middle[1]) < 1.3 * tall
        onwards = there.left > here.left - 0.7 * tall and there.left - here.right < spaces * tall
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
