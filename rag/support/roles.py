"""Who is compared with whom: "A outperforms B" is not "B outperforms A", but is "B is
outperformed by A" and "B underperforms A"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rag.support.names import names
from rag.support.polarity import Pole, poles
from rag.support.text import STOPWORDS, Word, fold, words

__all__ = ["Comparison", "agreement", "comparisons"]

# Rows that order two things; before and after, first and last order events and stay out.
_FAMILIES = frozenset({"amount", "quality", "speed", "effort", "length", "depth", "width", "cost"})
_REACH = 60


@dataclass(frozen=True, slots=True)
class Comparison:
    """`word` sets `first` against `second`, both name keys, passives turned round; `text` runs
    from the one name to the other."""

    word: Word
    pole: Pole
    first: str
    second: str
    text: str


def comparisons(text: str) -> list[Comparison]:
    """The comparisons of a text that stand between two different names."""
    called = [(name.start, name.end, name.key) for name in names(text)]
    found = words(text)
    if found and found[0].text[0].isupper() and found[0].folded not in STOPWORDS:
        opening = found[0]
        if not any(start <= opening.start < end for start, end, _ in called):
            called.append((opening.start, opening.end, fold(opening.text)))
    compared = []
    for at, word in enumerate(found):
        pole = poles(word)
        if pole is None or pole.family not in _FAMILIES:
            continue
        before = [name for name in called if 0 <= word.start - name[1] <= _REACH]
        after = [name for name in called if 0 <= name[0] - word.end <= _REACH]
        if not before or not after:
            continue
        (start, _, first), (_, end, second) = max(before), min(after)
        if at + 1 < len(found) and found[at + 1].folded == "by" and word.text.endswith("ed"):
            first, second = second, first
        if first != second:
            compared.append(Comparison(word, pole, first, second, text[start:end]))
    return compared


def agreement(mine: Comparison, theirs: Sequence[Comparison]) -> bool | None:
    """Whether a comparison says the same as one of the evidence between the same two names; None
    where none is between them."""
    verdicts = [
        (mine.first == other.first) == (mine.pole.direction == other.pole.direction)
        for other in theirs
        if other.pole.row == mine.pole.row
        and {mine.first, mine.second} == {other.first, other.second}
    ]
    return any(verdicts) if verdicts else None
