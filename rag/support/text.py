"""Words, stems and sentences, as the checks of support see them.

Knows nothing of numbers or negation. Everything here keeps offsets: `plain` replaces characters
one for one, so a span of the plain text is a span of the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

__all__ = [
    "LEAD_WORDS",
    "STOPWORDS",
    "Word",
    "all_sentences",
    "content_stems",
    "fold",
    "plain",
    "sentences",
    "stem",
    "word_set",
    "words",
]

_PLAIN = str.maketrans(
    {
        "’": "'", "‘": "'", "ʼ": "'", "“": '"', "”": '"',
        "−": "-", "–": "-", "‒": "-", "‐": "-", "‑": "-",
        "\u00a0": " ", "\t": " ", "\n": " ", "\r": " ",
        "∼": "~", "˜": "~", "≃": "≈", "≅": "≈", "⩾": "≥", "⩽": "≤", "µ": "μ",
    }
)  # fmt: skip


def word_set(listing: str) -> frozenset[str]:
    """The words of a listing, for word lists that read as prose."""
    return frozenset(listing.split())


STOPWORDS = word_set(
    """a about above after again all also although am an and any are as at be because been before
    being below between both but by can could did do does doing done down during each either et al
    etc for from further had has have having he her here hers herself him himself his how however
    i if in into is it its itself just may me might more most much must my myself of off on once
    only or other our ours ourselves out over own same shall she should so some such than that the
    their theirs them themselves then there therefore these they this those through thus to too
    under until up upon us very was we were what when where whether which while who whom whose why
    will with within would yet you your yours yourself via i.e e.g s t d ll re ve m"""
)

# What a writer puts before a statement without saying anything of the evidence by it.
LEAD_WORDS = word_set(
    """author authors paper papers work works study article state states stated report reports
    reported show shows showed shown note notes noted find finds found say says said according
    describe describes described explain explains explained propose proposes present presents
    observe observes claim claims argue argues write writes mention mentions"""
)

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
# A full stop ends a sentence when a space and something that can begin one follow it.
_END = re.compile(r"[.!?…][\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9À-Þ])|\n\s*\n")
_NO_END = re.compile(
    r"(?:\b(?:e\.g|i\.e|et al|etc|cf|vs|Fig|Figs|Eq|Eqs|Sec|Tab|Ref|Refs|No|Nos|Dr|Mr|Mrs|Ms|Prof"
    r"|St|Jr|Sr|approx|resp|ca|Inc|Ltd|Co|Corp|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)"
    r"|\b[A-Z])\.$"
)


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text: `text[start:end]`, case and accents folded in `folded`."""

    text: str
    start: int
    end: int
    folded: str
    stem: str


def plain(text: str) -> str:
    """The text with one dash, one quotation mark and one space, length kept."""
    return text.translate(_PLAIN)


def fold(text: str) -> str:
    """Case and accents removed."""
    lowered = text.casefold()
    if lowered.isascii():
        return lowered
    decomposed = unicodedata.normalize("NFKD", lowered)
    return "".join(char for char in decomposed if not unicodedata.combining(char))


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


@lru_cache(maxsize=1 << 16)
def stem(folded: str) -> str:
    """Snowball's English stem of a folded word."""
    stemmed: str = _stemmer().stemWord(folded.removesuffix("'s"))
    return stemmed


def words(text: str) -> list[Word]:
    """The words of a text in order; a hyphen separates, an apostrophe does not."""
    return list(_words(text))


# One check reads the same evidence several times; a report, hundreds of times.
@lru_cache(maxsize=4096)
def _words(text: str) -> tuple[Word, ...]:
    found = []
    for match in _WORD.finditer(plain(text)):
        folded = fold(match.group())
        found.append(Word(match.group(), match.start(), match.end(), folded, stem(folded)))
    return tuple(found)


def content_stems(found: Iterable[Word]) -> list[str]:
    """Stems of the words that carry content, in order, repetitions kept."""
    return [word.stem for word in found if word.folded not in STOPWORDS]


def sentences(text: str) -> list[str]:
    """The sentences of a text. Meant for evidence that is already short; offsets are not kept."""
    parts: list[str] = []
    start = 0
    for match in _END.finditer(text):
        before = text[start : match.end()].rstrip()
        if _NO_END.search(before) and not match.group().isspace():
            continue
        parts.append(before)
        start = match.end()
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def all_sentences(evidence: Sequence[str]) -> list[str]:
    """The sentences of every piece of evidence, in order."""
    return [sentence for piece in evidence for sentence in sentences(piece)]
