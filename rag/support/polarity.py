"""Who is compared with whom: "A outperforms B" is not "B outperforms A", but is "B is
outperformed by A" and "B underperforms A"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.support.text import STOPWORDS, Word, fold, names, stem, word_set, words

# (family, one direction, the other). Words of one family and direction may stand for one another
# ("higher", "increases"); only words of one row contradict each other. A word may name only
# one row and direction.
_ROWS: tuple[tuple[str, str, str], ...] = (
    ("amount", "more most", "less least fewer fewest"),
    ("amount", "higher highest high", "lower lowest low"),
    ("amount", "larger largest greater greatest bigger biggest large big",
     "smaller smallest small"),
    ("amount", "increase increases increased increasing grow grows grew grown rise rises rose gain "
     "gains gained growth raise raises raised boost boosts boosted",
     "decrease decreases decreased decreasing decline declines declined drop drops dropped reduce "
     "reduces reduced reducing reduction fall falls fell diminish diminishes diminished shrink"),
    ("amount", "above exceed exceeds exceeded exceeding", "below"),
    ("amount", "maximum max maximal maximize maximizes maximizing maximise maximises",
     "minimum min minimal minimize minimizes minimizing minimise minimises"),
    ("amount", "upper", "lower_bound"),
    ("quality", "better best", "worse worst"),
    ("quality", "improve improves improved improving improvement",
     "worsen worsens worsened degrade degrades degraded degradation deteriorate deteriorates"),
    ("quality", "outperform outperforms outperformed outperforming surpass surpasses surpassed",
     "underperform underperforms underperformed underperforming"),
    ("quality", "superior", "inferior"),
    ("quality", "stronger strongest strong", "weaker weakest weak"),
    ("speed", "faster fastest fast quicker quickly", "slower slowest slow slowly"),
    ("speed", "accelerate accelerates accelerated", "decelerate decelerates slows slowed"),
    ("time", "before earlier earliest prior", "after later latest subsequently"),
    ("effort", "easier easiest easy easily", "harder hardest difficult"),
    ("effort", "simpler simplest simple", "complex"),
    ("length", "longer longest long", "shorter shortest short"),
    ("depth", "deeper deepest deep", "shallower shallow"),
    ("width", "wider widest wide", "narrower narrow"),
    ("sign", "positive positively", "negative negatively"),
    ("truth", "true", "false"),
    ("frequency", "always often frequently", "never rarely seldom"),
    ("success", "succeed succeeds succeeded success", "fail fails failed failure"),
    ("cost", "cheaper cheapest cheap", "expensive costlier"),
    ("temperature", "warmer hotter hot", "colder cooler cold"),
    ("age", "newer newest", "older oldest"),
    ("place", "first", "last"),
    ("presence", "presence present", "absence absent"),
    ("presence", "include includes included including",
     "exclude excludes excluded excluding"),
    ("presence", "with", "without"),
    ("grammar", "majority", "minority"),
    ("agree", "similar similarly same", "different differently dissimilar"),
    ("permission", "allow allows allowed enable enables enabled",
     "prevent prevents prevented forbid forbids"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pole:
    """One end of a comparison: `direction` is +1 or -1 on row `row` of `family`."""

    family: str
    row: int
    direction: int


_POLES: dict[str, Pole] = {
    word: Pole(family, row, direction)
    for row, (family, up, down) in enumerate(_ROWS)
    for direction, names in ((1, up), (-1, down))
    for word in names.split()
}
# What is a comparison in itself, so that it is missed where the evidence compares nothing.
COMPARATIVES = word_set(
    """more less fewer higher lower larger greater smaller bigger better worse faster slower longer
    shorter stronger weaker cheaper deeper easier harder outperform outperforms outperformed
    underperform underperforms underperformed surpass surpasses surpassed exceed exceeds exceeded
    superior inferior"""
)

NEGATIONS = word_set(
    """not no never none neither nor without cannot nothing nobody nowhere hardly scarcely barely
    unable lack lacks lacked lacking absence absent fail fails failed failing failure unlikely
    impossible"""
)
# Verbs of the evidence that a statement may put as a negation.
DENIALS = NEGATIONS | word_set(
    """against prohibit prohibits prohibited forbid forbids forbidden ban bans banned refuse refuses
    refused reject rejects rejected deny denies denied exclude excludes excluded avoid avoids
    prevent prevents prevented instead stop stops stopped ceased avoided eliminate eliminates"""
)
_NOT_NEGATING = re.compile(
    r"(?:not\s+(?:only|just|merely)\b(?=[^.]*\b(?:but|also)\b)|no\s+warning|not\s+necessarily|whether\s+or\s+not"
    r"|no\s+(?:more|less|fewer|later|earlier)\s+than|no\.\s*\d|not\s+(?:more|less)\s+than)",
    re.IGNORECASE,
)
_PREFIXES = ("un", "in", "im", "ir", "il", "non", "dis")
# What a negation reaches ends at a clause.
_CLAUSE = re.compile(r"[,;:.!?()—]|\b(?:but|while|whereas|although|though|because|since|which)\b",
                     re.IGNORECASE)  # fmt: skip
_LIGHT = word_set(
    """need needs needed require requires required use uses used using make makes made be been
    able any longer yet even necessarily fully always simply directly clear seem seems appear
    appears find found show shows get gets give given take know known want see"""
)


def poles(word: Word) -> Pole | None:
    """The end of a comparison a word names, if any."""
    return _POLES.get(word.folded)


def opposed(one: Word, other: Word) -> bool:
    """Whether two words contradict each other: faster and slower, supervised and unsupervised."""
    mine, its = poles(one), poles(other)
    if mine is not None and its is not None:
        return mine.row == its.row and mine.direction == -its.direction
    short, long = sorted((one.folded, other.folded), key=len)
    return len(short) >= 4 and any(
        long.startswith(prefix) and stem(long.removeprefix(prefix).lstrip("-")) == stem(short)
        for prefix in _PREFIXES
    )


def idle_spans(text: str) -> list[tuple[int, int]]:
    """Where a cue negates nothing: "not only", "no more than 5"."""
    return [match.span() for match in _NOT_NEGATING.finditer(text)]


def negated(text: str, found: list[Word]) -> list[tuple[Word, tuple[Word, ...]]]:
    """Every negation of a text with the words it reaches: six content words, not past a clause.

    Cues that negate nothing ("not only", "no more than 5") are left out.
    """
    idle = idle_spans(text)
    scopes = []
    for at, word in enumerate(found):
        if not (word.folded in NEGATIONS or word.folded.endswith("n't")):
            continue
        if any(start <= word.start < end for start, end in idle):
            continue
        stop = _CLAUSE.search(text, word.end)
        limit = stop.start() if stop else len(text)
        reach = [
            later
            for later in found[at + 1 : at + 12]
            if later.start < limit and later.folded not in STOPWORDS
        ][:6]
        scopes.append((word, tuple(reach)))
    return scopes


def head(reach: tuple[Word, ...]) -> Word | None:
    """The word a negation most likely denies: the first that is more than an auxiliary."""
    return next((word for word in reach if word.folded not in _LIGHT), reach[0] if reach else None)


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
