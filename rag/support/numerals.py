"""Numbers written as words: "twenty-five", "two hundred and five", "half of", "a third of"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

__all__ = ["Numeral", "numerals", "ordinals"]

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_UNITS = {word: value for value, word in enumerate(_SMALL.split())}
_DECADES = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * value for value, word in enumerate(_DECADES.split(), start=2)}
_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9,
           "trillion": 10**12}  # fmt: skip
_WORD = "|".join(sorted([*_UNITS, *_TENS, *_SCALES, "dozen"], key=len, reverse=True))
_RUN = re.compile(
    rf"(?<![\w-])(?:{_WORD})(?:(?:[ -]| and )(?:{_WORD}))*(?!\w)(?!'s)", re.IGNORECASE
)
_PIECE = re.compile(rf"(?:{_WORD}|and)", re.IGNORECASE)
_FRACTIONS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "tenth": 10}
_FRACTION = re.compile(
    r"\b(?:(?:(one|two|three|four|a)[ -])(third|quarter|fourth|fifth|tenth|half)s?|(half))"
    r"(?= of\b| the\b| as\b)", re.IGNORECASE,
)  # fmt: skip
_NTH = (
    "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_ORDINAL_WORDS = {word: value for value, word in enumerate(_NTH.split(), start=3)}
_ORDINAL = re.compile(
    r"(?<![\w.-])(?:(\d+)(?:st|nd|rd|th)|(" + "|".join(_ORDINAL_WORDS) + r"))(?!\w)", re.IGNORECASE
)

Numeral = tuple[int, int, Decimal]
"""Start, end and value."""


def _value(pieces: list[tuple[str, int, int]]) -> Iterator[Numeral]:
    """Reads a run of number words; one that cannot be continued begins the next number."""
    total = current = 0
    last = 10**15  # the smallest piece of the current group: units cannot follow units
    start = end = -1
    for word, begin, stop in pieces:
        if word in _SCALES or word == "dozen":
            scale = _SCALES.get(word, 12)
            if start < 0:
                start, current = begin, 1
            if scale == 100 or word == "dozen":
                current *= scale
                last = 100
            else:
                total, current, last = total + current * scale, 0, 10**15
            end = stop
            continue
        value = _UNITS.get(word, _TENS.get(word, 0))
        fits = last >= 100 or (last >= 20 and 0 < value < 10)
        if start >= 0 and not fits:
            yield start, end, Decimal(total + current)
            total, current, start = 0, 0, -1
        if start < 0:
            start = begin
        current, end, last = current + value, stop, value
    if start >= 0:
        yield start, end, Decimal(total + current)


def _groups(text: str, match: re.Match[str]) -> Iterator[list[tuple[str, int, int]]]:
    """The runs of a match, cut at every "and" that does not stand behind a scale."""
    group: list[tuple[str, int, int]] = []
    offset = match.start()
    for piece in _PIECE.finditer(match.group()):
        word = piece.group().lower()
        if word == "and":
            if group and group[-1][0] not in _SCALES:
                yield group
                group = []
            continue
        group.append((word, offset + piece.start(), offset + piece.end()))
    if group:
        yield group


def numerals(text: str) -> list[Numeral]:
    """Cardinals written as words, and the fractions that "of", "the" or "as" marks as such."""
    found = [(match.start(), match.end(), _fraction(match)) for match in _FRACTION.finditer(text)]
    taken = [(start, end) for start, end, _ in found]
    for match in _RUN.finditer(text):
        for group in _groups(text, match):
            for start, end, value in _value(group):
                if not any(start < stop and begin < end for begin, stop in taken):
                    found.append((start, end, value))
    return sorted(found)


def _fraction(match: re.Match[str]) -> Decimal:
    over = _UNITS.get((match[1] or "one").lower(), 1)
    return Decimal(over) / Decimal(_FRACTIONS[(match[2] or match[3]).lower()])


def ordinals(text: str) -> list[Numeral]:
    """Ordinals from "third" and "1st" on: "first" and "second" in words order an argument more
    often than they count."""
    return [
        (match.start(), match.end(), Decimal(match[1] or _ORDINAL_WORDS[match[2].lower()]))
        for match in _ORDINAL.finditer(text)
    ]
